#include "common/security/csrf.h"

#include <sodium.h>

#include "common/security/derived_key.h"

#define MAC_SIZE 32
#define VARIANT sodium_base64_VARIANT_URLSAFE_NO_PADDING

void csrf_token_make(const char *master_secret, prong_uuid session_id, char ret_token[CSRF_TOKEN_SIZE])
{
	unsigned char key[DERIVED_KEY_SIZE], mac[MAC_SIZE];

	_Static_assert(CSRF_TOKEN_SIZE == sodium_base64_ENCODED_LEN(MAC_SIZE, VARIANT), "it is the MAC in base64url");
	derived_key_make(master_secret, "csrftokn", key);
	crypto_generichash(mac, sizeof(mac), session_id.bytes, sizeof(session_id.bytes), key, sizeof(key));
	sodium_bin2base64(ret_token, CSRF_TOKEN_SIZE, mac, sizeof(mac), VARIANT);
	sodium_memzero(key, sizeof(key));
}

bool csrf_token_is_of(const char *master_secret, prong_uuid session_id, const char *text, size_t size)
{
	char right[CSRF_TOKEN_SIZE];

	if (size != CSRF_TOKEN_SIZE - 1)
		return false;
	csrf_token_make(master_secret, session_id, right);
	return sodium_memcmp(right, text, size) == 0;
}
