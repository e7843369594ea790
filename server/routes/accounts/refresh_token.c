#include "server/routes/accounts/refresh_token.h"

#include <sodium.h>

#include "common/buffer.h"
#include "common/security/base64url.h"
#include "common/security/derived_key.h"

#define MAC_SIZE 16
#define SAID_SIZE (16 + 4 + 32) /* what the MAC is over */
#define BYTES (SAID_SIZE + MAC_SIZE)

#define MAC_CONTEXT "refr-mac"
#define SUCCESSOR_CONTEXT "refr-nxt"

static void write_said(const struct refresh_token *token, unsigned char out[SAID_SIZE])
{
	memcpy(out, token->session_id.bytes, 16);
	for (size_t i = 0; i < 4; i++)
		out[16 + i] = (unsigned char)(token->number >> (24 - 8 * i));
	memcpy(out + 20, token->random, sizeof(token->random));
}

static void read_said(const unsigned char said[SAID_SIZE], struct refresh_token *ret_token)
{
	memcpy(ret_token->session_id.bytes, said, 16);
	ret_token->number = 0;
	for (size_t i = 0; i < 4; i++)
		ret_token->number = ret_token->number << 8 | said[16 + i];
	memcpy(ret_token->random, said + 20, sizeof(ret_token->random));
}

static void keyed_hash(const char *master_secret, const char *context, const void *data, size_t size,
		       unsigned char *out, size_t out_size)
{
	unsigned char key[DERIVED_KEY_SIZE];

	derived_key_make(master_secret, context, key);
	crypto_generichash(out, out_size, data, size, key, sizeof(key));
	sodium_memzero(key, sizeof(key));
}

void refresh_token_make(prong_uuid session_id, struct refresh_token *ret_token)
{
	*ret_token = (struct refresh_token){ .session_id = session_id };
	randombytes_buf(ret_token->random, sizeof(ret_token->random));
}

void refresh_token_succeed(const char *master_secret, const struct refresh_token *token,
			   const unsigned char salt[REFRESH_SALT_SIZE], struct refresh_token *ret_next)
{
	struct refresh_token next = { .session_id = token->session_id, .number = token->number + 1 };
	unsigned char origin[SAID_SIZE + REFRESH_SALT_SIZE];

	write_said(token, origin);
	memcpy(origin + SAID_SIZE, salt, REFRESH_SALT_SIZE);
	keyed_hash(master_secret, SUCCESSOR_CONTEXT, origin, sizeof(origin), next.random, sizeof(next.random));
	*ret_next = next;
}

char *refresh_token_format(const char *master_secret, const struct refresh_token *token, char text[REFRESH_TOKEN_SIZE])
{
	unsigned char bytes[BYTES];

	_Static_assert(sodium_base64_ENCODED_LEN(BYTES, sodium_base64_VARIANT_URLSAFE_NO_PADDING) == REFRESH_TOKEN_SIZE,
		       "the text's size");
	write_said(token, bytes);
	keyed_hash(master_secret, MAC_CONTEXT, bytes, SAID_SIZE, bytes + SAID_SIZE, MAC_SIZE);
	return sodium_bin2base64(text, REFRESH_TOKEN_SIZE, bytes, sizeof(bytes),
				 sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

int refresh_token_parse(const char *master_secret, const char *text, struct refresh_token *ret_token)
{
	unsigned char bytes[BYTES], mac[MAC_SIZE];
	size_t size;

	if (strnlen(text, REFRESH_TOKEN_SIZE) != REFRESH_TOKEN_SIZE - 1 ||
	    base64url_decode(text, REFRESH_TOKEN_SIZE - 1, bytes, sizeof(bytes), &size) < 0 || size != sizeof(bytes))
		return -EACCES;
	keyed_hash(master_secret, MAC_CONTEXT, bytes, SAID_SIZE, mac, sizeof(mac));
	if (sodium_memcmp(mac, bytes + SAID_SIZE, MAC_SIZE) != 0)
		return -EACCES;
	read_said(bytes, ret_token);
	return 0;
}

char *refresh_token_hash(const char *text, char hex[REFRESH_HASH_HEX_SIZE])
{
	unsigned char hash[crypto_hash_sha256_BYTES];

	_Static_assert(REFRESH_HASH_HEX_SIZE == 2 * sizeof(hash) + 1, "the text's size");
	crypto_hash_sha256(hash, (const unsigned char *)text, strlen(text));
	return sodium_bin2hex(hex, REFRESH_HASH_HEX_SIZE, hash, sizeof(hash));
}
