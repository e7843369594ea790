/*
 * Fuzzes the access token: the first byte says which part the rest is, and what surrounds it is right, signature
 * included, so that the fuzzer reaches what stands behind it. Each goes through a key of each algorithm.
 *  - 'T' a whole token, 'H' a header, 'C' claims: an accepted one is within its times, and its further claims can be
 *    signed again;
 *  - 'B' base64url: what decodes is the only text for its bytes.
 */
#include <sodium.h>
#include <stdio.h>

#include "common/buffer.h"
#include "common/security/claims.h"
#include "common/security/token.h"

#define NOW 1800000000
#define ISSUER "https://api.example.com"
#define ID "\"0190a5d4-0000-7000-8000-000000000001\""
#define CLAIMS                                                                                     \
	"{\"iss\":\"" ISSUER "\",\"aud\":\"" ISSUER "\",\"sub\":" ID ",\"sid\":" ID ",\"jti\":" ID \
	",\"iat\":1800000000,\"exp\":1800000600}"
#define N_KEYS 3

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void sign_again(struct arena *arena, const struct signing_key *key, const struct token_claims *claims)
{
	const char *reason, *further = claims->principal.claims;
	char *token;

	if (token_sign(arena, key, claims, &token, &reason) < 0)
		check(further && strlen(further) > CLAIMS_MAX_SIZE);
}

static void verify(const struct signing_key *keys, size_t n_keys, const char *token, size_t size)
{
	struct token_claims claims;
	const char *reason = NULL;
	struct arena arena;

	arena_init(&arena);
	if (token_verify(&arena, keys, n_keys, token, size, ISSUER, ISSUER, NOW, &claims, &reason) == 0) {
		check(claims.principal.expires_at > NOW && claims.issued_at <= NOW + TOKEN_SKEW);
		sign_again(&arena, keys, &claims);
	} else
		check(reason);
	arena_reset(&arena);
}

static void verify_signed(const struct signing_key *key, const void *header, size_t header_size, const void *claims,
			  size_t claims_size)
{
	_cleanup_(buffer_free) struct buffer token = { 0 };
	unsigned char signature[SIGNATURE_SIZE];
	size_t size;

	base64url_add(&token, header, header_size);
	buffer_add_char(&token, '.');
	base64url_add(&token, claims, claims_size);
	size = signing_key_sign(key, token.data, token.size, signature);
	buffer_add_char(&token, '.');
	base64url_add(&token, signature, size);
	verify(key, 1, token.data, token.size);
}

static void verify_claims(const struct signing_key *key, const void *claims, size_t size)
{
	char header[256];

	snprintf(header, sizeof(header), "{\"alg\":\"%s\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}",
		 algorithm_name(key->algorithm), key->id);
	verify_signed(key, header, strlen(header), claims, size);
}

static void decode(const char *text, size_t size)
{
	_cleanup_(freep) unsigned char *bytes = allocate(size);
	_cleanup_(buffer_free) struct buffer again = { 0 };
	size_t n_bytes;

	if (base64url_decode(text, size, bytes, size, &n_bytes) < 0)
		return;
	base64url_add(&again, bytes, n_bytes);
	check(again.size == size && memcmp(again.data, text, size) == 0);
}

/* Always the same ones, so that what the fuzzer found is found again. */
static const struct signing_key *make_keys(void)
{
	static struct signing_key keys[N_KEYS];
	const unsigned char secret[SIGNING_SECRET_SIZE] = { 1 };

	check(sodium_init() >= 0);
	for (size_t i = 0; i < N_KEYS; i++)
		check(signing_key_open((enum algorithm)i, secret, sizeof(secret), &keys[i]) == 0);
	return keys;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct signing_key *keys;

	if (!keys)
		keys = make_keys();
	if (size == 0)
		return 0;
	if (data[0] == 'T')
		verify(keys, N_KEYS, (const char *)data + 1, size - 1);
	else if (data[0] == 'B')
		decode((const char *)data + 1, size - 1);
	for (size_t i = 0; i < N_KEYS; i++) {
		if (data[0] == 'H')
			verify_signed(&keys[i], data + 1, size - 1, CLAIMS, strlen(CLAIMS));
		else if (data[0] == 'C')
			verify_claims(&keys[i], data + 1, size - 1);
	}
	return 0;
}
