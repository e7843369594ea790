/*
 * Fuzzes what comes from other issuers: the first byte says what the rest is.
 *  - 'K' a set of keys: each that is read verifies no made-up signature, and stands for an algorithm with a public
 * half;
 *  - 'T' a token, 'H' its header, 'C' its claims, around which all is right: an accepted one is within its times, and
 *    nobody is an administrator by it;
 *  - 'S' the setting TRUSTED_ISSUERS: it is taken, or refused with a reason.
 */
#include <sodium.h>

#include "common/buffer.h"
#include "common/scope.h"
#include "common/security/base64url.h"
#include "common/security/issuer_token.h"
#include "common/security/issuers.h"
#include "common/security/token.h"

#define NOW 1800000000
#define AUDIENCE "my-api"
#define HEADER "{\"alg\":\"EdDSA\",\"typ\":\"at+jwt\",\"kid\":\"k\"}"
#define CLAIMS \
	"{\"iss\":\"https://a.example\",\"aud\":\"my-api\",\"sub\":\"ada\",\"exp\":1800000600,\"scope\":\"a admin\"}"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_keys(const char *text, size_t size)
{
	static const unsigned char signature[SIGNATURE_MAX_SIZE] = { 1 };
	struct arena arena;
	const char *detail = NULL;
	struct jwk *keys;
	size_t count;

	arena_init(&arena);
	if (jwks_read(text, size, &arena, &keys, &count, &detail) < 0) {
		check(detail);
	} else {
		check(count <= JWKS_MAX_KEYS);
		for (size_t i = 0; i < count; i++) {
			check(*keys[i].kid && keys[i].key.algorithm != ALGORITHM_HS256 && !keys[i].key.secret_size);
			for (size_t n = 0; n <= sizeof(signature); n += 64)
				check(!signing_key_verify(&keys[i].key, "data", 4, signature, n));
		}
		jwks_free(keys, count);
	}
	arena_reset(&arena);
}

static void verify(const struct jwk *key, const char *text, size_t size)
{
	struct issuer_token token;
	struct principal principal;
	struct arena arena;
	const char *reason;

	arena_init(&arena);
	reason = issuer_token_read(&token, &arena, text, size);
	if (!reason && token.algorithm == key->key.algorithm && string_equal(token.kid, key->kid) &&
	    !issuer_token_check(&token, key, AUDIENCE, NOW, &arena, &principal)) {
		check(principal.expires_at > NOW && principal.authenticated_at <= NOW + TOKEN_SKEW);
		check(*principal.subject && string_equal(principal.issuer, token.issuer));
		check(!scope_list_has(principal.scope, SCOPE_ADMIN));
	}
	issuer_token_end(&token);
	arena_reset(&arena);
}

static void verify_signed(const struct jwk *key, const void *header, size_t header_size, const void *claims,
			  size_t claims_size)
{
	_cleanup_(buffer_free) struct buffer token = { 0 };
	unsigned char signature[SIGNATURE_SIZE];
	size_t size;

	base64url_add(&token, header, header_size);
	buffer_add_char(&token, '.');
	base64url_add(&token, claims, claims_size);
	size = signing_key_sign(&key->key, token.data, token.size, signature);
	buffer_add_char(&token, '.');
	base64url_add(&token, signature, size);
	verify(key, token.data, token.size);
}

static void read_setting(const char *text, size_t size)
{
	_cleanup_(freep) char *copy = format_text("%.*s", (int)size, text);
	_cleanup_(freep) char *reason = NULL;

	check((issuers_check(copy, &reason) == 0) == !reason);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct jwk key;

	if (!key.kid) {
		const unsigned char secret[SIGNING_SECRET_SIZE] = { 1 };

		check(sodium_init() >= 0);
		check(signing_key_open(ALGORITHM_EDDSA, secret, sizeof(secret), &key.key) == 0);
		key.kid = duplicate("k");
	}
	if (size == 0)
		return 0;
	if (data[0] == 'K')
		read_keys((const char *)data + 1, size - 1);
	else if (data[0] == 'T')
		verify(&key, (const char *)data + 1, size - 1);
	else if (data[0] == 'H')
		verify_signed(&key, data + 1, size - 1, CLAIMS, strlen(CLAIMS));
	else if (data[0] == 'C')
		verify_signed(&key, HEADER, strlen(HEADER), data + 1, size - 1);
	else if (data[0] == 'S')
		read_setting((const char *)data + 1, size - 1);
	return 0;
}
