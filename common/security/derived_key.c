#include "common/security/derived_key.h"

#include <sodium.h>

#include "common/basics.h"

void derived_key_make(const char *master_secret, const char *context, unsigned char ret_key[DERIVED_KEY_SIZE])
{
	unsigned char master[crypto_kdf_KEYBYTES];

	_Static_assert(DERIVED_KEY_CONTEXT_SIZE == crypto_kdf_CONTEXTBYTES, "libsodium's is of that length");
	check(strlen(context) == DERIVED_KEY_CONTEXT_SIZE);
	crypto_generichash(master, sizeof(master), (const unsigned char *)master_secret, strlen(master_secret), NULL,
			   0);
	crypto_kdf_derive_from_key(ret_key, DERIVED_KEY_SIZE, 1, context, master);
	sodium_memzero(master, sizeof(master));
}
