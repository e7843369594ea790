/*
 * Fuzzes the access token: the first byte says which part the rest is, and what surrounds it is right, signature
 * included, so that the fuzzer reaches what stands behind it.
 *  - 'T' a whole token, 'H' a header, 'C' claims: an accepted one is within its times;
 *  - 'B' base64url: what decodes is the only text for its bytes.
 */
#include <sodium.h>
#include <stdio.h>

#include "common/buffer.h"
#include "common/security/token.h"

#define NOW 1800000000
#define ISSUER "https://api.example.com"
#define ID "\"0190a5d4-0000-7000-8000-000000000001\""
#define CLAIMS                                                                                     \
	"{\"iss\":\"" ISSUER "\",\"aud\":\"" ISSUER "\",\"sub\":" ID ",\"sid\":" ID ",\"jti\":" ID \
	",\"iat\":1800000000,\"exp\":1800000600}"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void add_base64url(struct buffer *out, const void *data, size_t size)
{
	size_t room = sodium_base64_ENCODED_LEN(size, sodium_base64_VARIANT_URLSAFE_NO_PADDING);

	buffer_reserve(out, room);
	sodium_bin2base64(out->data + out->size, room, data, size, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	out->size += room - 1;
}

static void verify(const struct signing_key *key, const char *token, size_t size)
{
	struct token_claims claims;
	const char *reason = NULL;
	struct arena arena;

	arena_init(&arena);
	if (token_verify(&arena, key, 1, token, size, ISSUER, ISSUER, NOW, &claims, &reason) == 0)
		check(claims.principal.expires_at > NOW && claims.issued_at <= NOW + 30);
	else
		check(reason);
	arena_reset(&arena);
}

static void verify_signed(const struct signing_key *key, const void *header, size_t header_size, const void *claims,
			  size_t claims_size)
{
	_cleanup_(buffer_free) struct buffer token = { 0 };
	unsigned char signature[64];

	add_base64url(&token, header, header_size);
	buffer_add_char(&token, '.');
	add_base64url(&token, claims, claims_size);
	crypto_sign_detached(signature, NULL, (const unsigned char *)token.data, token.size, key->secret_key);
	buffer_add_char(&token, '.');
	add_base64url(&token, signature, sizeof(signature));
	verify(key, token.data, token.size);
}

static void decode(const char *text, size_t size)
{
	_cleanup_(freep) unsigned char *bytes = allocate(size);
	_cleanup_(buffer_free) struct buffer again = { 0 };
	size_t n_bytes;

	if (base64url_decode(text, size, bytes, size, &n_bytes) < 0)
		return;
	add_base64url(&again, bytes, n_bytes);
	check(again.size == size && memcmp(again.data, text, size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct signing_key key;
	static char header[256];

	if (!key.id[0]) {
		const unsigned char seed[32] = { 1 };

		check(sodium_init() >= 0);
		crypto_sign_seed_keypair(key.public_key, key.secret_key, seed);
		signing_key_name(&key);
		snprintf(header, sizeof(header), "{\"alg\":\"EdDSA\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}", key.id);
	}
	if (size == 0)
		return 0;
	if (data[0] == 'T')
		verify(&key, (const char *)data + 1, size - 1);
	else if (data[0] == 'H')
		verify_signed(&key, data + 1, size - 1, CLAIMS, strlen(CLAIMS));
	else if (data[0] == 'C')
		verify_signed(&key, header, strlen(header), data + 1, size - 1);
	else if (data[0] == 'B')
		decode((const char *)data + 1, size - 1);
	return 0;
}
