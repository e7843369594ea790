#include <json-c/json.h>
#include <sodium.h>
#include <stdio.h>

#include "common/buffer.h"
#include "common/json.h"
#include "common/security/token.h"
#include "tests/unit/test.h"

#define ISSUER "https://api.example.com"
#define NOW 1800000000
#define SUB "0190a5d4-0000-7000-8000-000000000001"
#define SID "0190a5d4-0000-7000-8000-000000000002"
#define JTI "0190a5d4-0000-7000-8000-000000000003"
#define HEADER "{\"alg\":\"EdDSA\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}"
#define WHO "\"iss\":\"" ISSUER "\",\"aud\":\"" ISSUER "\",\"sub\":\"" SUB "\",\"sid\":\"" SID "\",\"jti\":\"" JTI "\""
#define CLAIMS "{" WHO ",\"iat\":1799999990,\"exp\":1800000590}"

static struct signing_key key_of(unsigned char filling)
{
	struct signing_key key;
	unsigned char seed[32];

	memset(seed, filling, sizeof(seed));
	CU_ASSERT_EQUAL_FATAL(signing_key_open(ALGORITHM_EDDSA, seed, sizeof(seed), &key), 0);
	return key;
}

static char *encode(const void *data, size_t size)
{
	size_t text_size = sodium_base64_ENCODED_LEN(size, sodium_base64_VARIANT_URLSAFE_NO_PADDING);

	return sodium_bin2base64(allocate(text_size), text_size, data, size, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

/* A token of any header and claims, rightly signed: what is refused is refused for what it says. */
static char *forge(const struct signing_key *key, const char *header, size_t header_size, const char *claims,
		   size_t claims_size)
{
	_cleanup_(freep) char *header_text = encode(header, header_size);
	_cleanup_(freep) char *claims_text = encode(claims, claims_size);
	_cleanup_(freep) char *signed_text = format_text("%s.%s", header_text, claims_text);
	unsigned char signature[SIGNATURE_SIZE];
	size_t size = signing_key_sign(key, signed_text, strlen(signed_text), signature);

	_cleanup_(freep) char *signature_text = encode(signature, size);
	return format_text("%s.%s", signed_text, signature_text);
}

static char *sign(struct arena *arena, const struct signing_key *key, const struct token_claims *claims)
{
	const char *reason = NULL;
	char *token = NULL;

	CU_ASSERT_EQUAL_FATAL(token_sign(arena, key, claims, &token, &reason), 0);
	return token;
}

static int verify_sized(const struct signing_key *keys, size_t n_keys, const char *token, size_t size,
			const char **ret_reason)
{
	struct token_claims claims;
	struct arena arena;
	int r;

	arena_init(&arena);
	r = token_verify(&arena, keys, n_keys, token, size, ISSUER, ISSUER, NOW, &claims, ret_reason);
	arena_reset(&arena);
	return r;
}

static const char *reason_of(const struct signing_key *key, const char *token)
{
	const char *reason = "accepted";
	int r = verify_sized(key, 1, token, strlen(token), &reason);

	if (string_equal(reason, "unknown kid"))
		CU_ASSERT_EQUAL(r, -ENOKEY)
	else
		CU_ASSERT_EQUAL(r, string_equal(reason, "accepted") ? 0 : -EACCES);
	return reason;
}

static const char *reason_of_parts(const struct signing_key *key, const char *header, const char *claims)
{
	_cleanup_(freep) char *token = NULL;
	_cleanup_(buffer_free) struct buffer text = { 0 };
	const char *hole = strstr(header, "%s");

	buffer_add(&text, header, hole ? (size_t)(hole - header) : strlen(header));
	if (hole) {
		buffer_add_string(&text, key->id);
		buffer_add_string(&text, hole + 2);
	}
	token = forge(key, text.data ? text.data : "", text.size, claims, strlen(claims));
	return reason_of(key, token);
}

TEST(token, verifies_what_it_signed)
{
	struct signing_key keys[2] = { key_of(1), key_of(2) };
	struct token_claims in = {
		.issuer = ISSUER, .audience = ISSUER, .issued_at = NOW, .principal.expires_at = NOW + 600
	};
	struct token_claims out;
	const char *reason = NULL;
	struct arena arena;

	in.principal.account_id = prong_uuid_make();
	in.principal.session_id = prong_uuid_make();
	in.token_id = prong_uuid_make();
	arena_init(&arena);
	char *token = sign(&arena, &keys[1], &in);
	CU_ASSERT_EQUAL(token_verify(&arena, keys, 2, token, strlen(token), ISSUER, ISSUER, NOW, &out, &reason), 0);
	CU_ASSERT(prong_uuid_equal(in.principal.account_id, out.principal.account_id));
	CU_ASSERT(prong_uuid_equal(in.principal.session_id, out.principal.session_id));
	CU_ASSERT(prong_uuid_equal(in.token_id, out.token_id));
	CU_ASSERT_EQUAL(out.issued_at, NOW);
	CU_ASSERT_EQUAL(out.principal.expires_at, NOW + 600);
	CU_ASSERT_STRING_EQUAL(out.issuer, ISSUER);
	CU_ASSERT_STRING_EQUAL(out.principal.scope, "");

	CU_ASSERT_EQUAL(token_verify(&arena, keys, 1, token, strlen(token), ISSUER, ISSUER, NOW, &out, &reason),
			-ENOKEY);
	CU_ASSERT_STRING_EQUAL(reason, "unknown kid");
	CU_ASSERT_EQUAL(token_verify(&arena, NULL, 0, token, strlen(token), ISSUER, ISSUER, NOW, &out, &reason),
			-ENOKEY);
	CU_ASSERT_EQUAL(token_verify(&arena, keys, 2, token, strlen(token), ISSUER, ISSUER, NOW + 600, &out, &reason),
			-EACCES);
	CU_ASSERT_STRING_EQUAL(reason, "expired");
	CU_ASSERT_EQUAL(token_verify(&arena, keys, 2, token, strlen(token), "https://other.example", ISSUER, NOW, &out,
				     &reason),
			-EACCES);
	CU_ASSERT_EQUAL(token_verify(&arena, keys, 2, token, strlen(token), ISSUER, "https://other.example", NOW, &out,
				     &reason),
			-EACCES);
	arena_reset(&arena);
}

TEST(token, serves_each_algorithm)
{
	struct signing_key keys[3];
	struct arena arena;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		signing_key_generate((enum algorithm)i, &keys[i]);
	arena_init(&arena);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		struct token_claims in = {
			.issuer = ISSUER, .audience = ISSUER, .issued_at = NOW, .principal.expires_at = NOW + 600
		};
		char *token = sign(&arena, &keys[i], &in);
		const char *reason;

		CU_ASSERT_EQUAL(verify_sized(keys, ARRAY_SIZE(keys), token, strlen(token), &reason), 0);
		for (size_t j = 0; j < ARRAY_SIZE(keys); j++)
			if (i != j)
				CU_ASSERT_EQUAL(verify_sized(&keys[j], 1, token, strlen(token), &reason), -ENOKEY);
	}
	arena_reset(&arena);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		signing_key_close(&keys[i]);
}

/* Rightly made by another algorithm than the key's: whoever has a public key must not be able to sign with it. */
TEST(token, an_algorithm_stands_for_no_other)
{
	static const char *const names[] = { "EdDSA", "ES256", "HS256", "RS256", "none", "HS512", "ES256K" };
	struct signing_key keys[3];

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		signing_key_generate((enum algorithm)i, &keys[i]);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		for (size_t name = 0; name < ARRAY_SIZE(names); name++) {
			_cleanup_(freep) char *header = format_text(
				"{\"alg\":\"%s\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}", names[name], keys[i].id);

			/* By its own key, and by each of the others in its name. */
			for (size_t by = 0; by < ARRAY_SIZE(keys); by++) {
				_cleanup_(freep) char *token =
					forge(&keys[by], header, strlen(header), CLAIMS, strlen(CLAIMS));

				CU_ASSERT_STRING_EQUAL(reason_of(&keys[i], token), name != i ? "wrong alg"
										   : by == i ? "accepted"
											     : "wrong signature");
			}
			/* By its public half as an HMAC's secret. */
			struct signing_key confused = { .algorithm = ALGORITHM_HS256, .secret_size = 32 };

			memcpy(confused.secret_key, keys[i].public_key, 32);
			_cleanup_(freep) char *token = forge(&confused, header, strlen(header), CLAIMS, strlen(CLAIMS));
			CU_ASSERT_STRING_EQUAL(reason_of(&keys[i], token), name == i ? "wrong signature" : "wrong alg");
		}
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		signing_key_close(&keys[i]);
}

static const char *claims_of(struct arena *arena, const char *json)
{
	struct signing_key key = key_of(1);
	_cleanup_(freep) char *header = format_text(HEADER, key.id);
	_cleanup_(freep) char *token = forge(&key, header, strlen(header), json, strlen(json));
	struct token_claims claims;
	const char *reason;

	CU_ASSERT_EQUAL_FATAL(token_verify(arena, &key, 1, token, strlen(token), ISSUER, ISSUER, NOW, &claims, &reason),
			      0);
	return claims.principal.claims;
}

TEST(token, carries_further_claims)
{
	static const char further[] =
		"{\"org\": {\"id\":7 , \"x\":[1.50, null]},\"\\u0061\\\"\":\"\\u00e9\\\\\",\"subs\":1e2}";
	struct signing_key key = key_of(1);
	struct token_claims in = { .issuer = ISSUER,
				   .audience = ISSUER,
				   .issued_at = NOW,
				   .principal.expires_at = NOW + 1 },
			    out;
	const char *reason;
	struct arena arena;

	arena_init(&arena);
	in.principal.claims = " { } ";
	in.principal.epoch = 3;
	in.principal.authenticated_at = NOW - 5;
	char *token = sign(&arena, &key, &in);
	CU_ASSERT_EQUAL(token_verify(&arena, &key, 1, token, strlen(token), ISSUER, ISSUER, NOW, &out, &reason), 0);
	CU_ASSERT_PTR_NULL(out.principal.claims);
	CU_ASSERT_EQUAL(out.principal.epoch, 3);
	CU_ASSERT_EQUAL(out.principal.authenticated_at, NOW - 5);
	in.principal.claims = further;
	token = sign(&arena, &key, &in);
	CU_ASSERT_EQUAL(token_verify(&arena, &key, 1, token, strlen(token), ISSUER, ISSUER, NOW, &out, &reason), 0);
	CU_ASSERT_STRING_EQUAL(out.principal.claims, further);

	/* Of before there were any, and with the library's own between them under odd names. */
	CU_ASSERT_PTR_NULL(claims_of(&arena, CLAIMS));
	CU_ASSERT_STRING_EQUAL(
		claims_of(&arena, "{\"a\":1," WHO ",\"\\u0069at\":1799999990 , \"b\" : [ ] ,\"exp\":1800000590}"),
		"{\"a\":1,\"b\" : [ ]}");
	arena_reset(&arena);
}

TEST(token, signs_no_claims_that_are_the_librarys)
{
	static const char *const wrong[][2] = {
		{ "{\"iss\":\"x\"}", "the claim \"iss\" is the library's own" },
		{ "{\"a\":1,\"\\u0061ud\":\"x\"}", "the claim \"aud\" is the library's own" },
		{ "{\"sub\":1}", "\"sub\"" },
		{ "{\"sid\":1}", "\"sid\"" },
		{ "{\"jti\":1}", "\"jti\"" },
		{ "{\"iat\":1}", "\"iat\"" },
		{ "{\"exp\":1}", "\"exp\"" },
		{ "{\"nbf\":1}", "\"nbf\"" },
		{ "{\"scope\":\"admin\"}", "\"scope\"" },
		{ "{\"epoch\":9}", "\"epoch\"" },
		{ "{\"auth_time\":9}", "\"auth_time\"" },
		{ "[1]", "no JSON object" },
		{ "null", "no JSON object" },
		{ "", "not valid JSON" },
		{ "{", "not valid JSON" },
		{ "{}{}", "not valid JSON" },
		{ "{},\"iss\":\"x\"", "not valid JSON" },
		{ "{\"a\":1,\"a\":2}", "not valid JSON" },
		{ "{\"a\":99999999999999999999}", "not valid JSON" },
		{ "{\"a\":\"\xff\"}", "not valid JSON" },
	};
	struct signing_key key = key_of(1);
	struct token_claims in = {
		.issuer = ISSUER, .audience = ISSUER, .issued_at = NOW, .principal.expires_at = NOW + 1
	};
	_cleanup_(buffer_free) struct buffer large = { 0 };
	struct arena arena;
	const char *reason;
	char *token = NULL;

	arena_init(&arena);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		in.principal.claims = wrong[i][0];
		reason = "none";
		CU_ASSERT_EQUAL(token_sign(&arena, &key, &in, &token, &reason), -EINVAL);
		if (!strstr(reason, wrong[i][1]))
			printf("\n%s: %s\n", wrong[i][0], reason);
		CU_ASSERT_PTR_NOT_NULL(strstr(reason, wrong[i][1]));
	}
	/* 2048 bytes and no more. */
	buffer_add_string(&large, "{\"a\":\"");
	while (large.size < 2046)
		buffer_add_char(&large, 'x');
	buffer_add_string(&large, "\"}");
	in.principal.claims = buffer_text(&large);
	CU_ASSERT_EQUAL(large.size, 2048);
	CU_ASSERT_EQUAL(token_sign(&arena, &key, &in, &token, &reason), 0);
	large.size -= 2;
	buffer_add_string(&large, "x\"}");
	in.principal.claims = buffer_text(&large);
	CU_ASSERT_EQUAL(token_sign(&arena, &key, &in, &token, &reason), -EINVAL);
	CU_ASSERT_STRING_EQUAL(reason, "the claims have 2049 bytes, more than 2048");

	/* What nobody could read is not made. */
	in.principal.claims = NULL;
	while (large.size < 6200)
		buffer_add_char(&large, 'x');
	in.issuer = buffer_text(&large);
	CU_ASSERT_EQUAL(token_sign(&arena, &key, &in, &token, &reason), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(reason, "the token would have"));
	arena_reset(&arena);
}

TEST(token, carries_a_scope)
{
	struct signing_key key = key_of(1);
	struct token_claims in = { .issuer = ISSUER,
				   .audience = ISSUER,
				   .issued_at = NOW,
				   .principal.expires_at = NOW + 1 },
			    out;
	const char *reason;
	struct arena arena;

	in.principal.scope = "admin billing:read";
	arena_init(&arena);
	char *token = sign(&arena, &key, &in);
	CU_ASSERT_EQUAL(token_verify(&arena, &key, 1, token, strlen(token), ISSUER, ISSUER, NOW, &out, &reason), 0);
	CU_ASSERT_STRING_EQUAL(out.principal.scope, "admin billing:read");
	arena_reset(&arena);
}

TEST(token, writes_claims_that_need_escaping)
{
	struct signing_key key = key_of(1);
	const char *odd = "https://\"quoted\\\"\xc3\xa9/";
	struct token_claims in = { .issuer = odd, .audience = odd, .issued_at = NOW, .principal.expires_at = NOW + 1 },
			    out;
	const char *reason;
	struct arena arena;

	arena_init(&arena);
	char *token = sign(&arena, &key, &in);
	CU_ASSERT_EQUAL(token_verify(&arena, &key, 1, token, strlen(token), odd, odd, NOW, &out, &reason), 0);
	arena_reset(&arena);
}

TEST(token, refuses_other_headers)
{
	struct signing_key key = key_of(1), other = key_of(2);
	static const char *const cases[][2] = {
		{ HEADER, "accepted" },
		{ "{\"kid\":\"%s\",\"typ\":\"at+jwt\",\"alg\":\"EdDSA\"}", "accepted" },
		{ "", "malformed header" },
		{ "x", "malformed header" },
		{ "[]", "malformed header" },
		{ "\"EdDSA\"", "malformed header" },
		{ "null", "malformed header" },
		{ "\xff", "malformed header" },
		{ HEADER "x", "malformed header" },
		{ "{\"alg\":\"none\",\"alg\":\"EdDSA\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}", "malformed header" },
		{ "{\"typ\":\"at+jwt\",\"kid\":\"%s\"}", "header other than alg, typ, kid" },
		{ "{\"alg\":\"EdDSA\",\"kid\":\"%s\"}", "header other than alg, typ, kid" },
		{ "{\"alg\":\"EdDSA\",\"typ\":\"at+jwt\"}", "header other than alg, typ, kid" },
		{ "{\"alg\":\"EdDSA\",\"typ\":\"at+jwt\",\"kid\":\"%s\",\"crit\":[\"exp\"]}",
		  "header other than alg, typ, kid" },
		{ "{\"alg\":\"EdDSA\",\"typ\":\"at+jwt\",\"kid\":\"%s\",\"jku\":\"https://evil.example/jwks\"}",
		  "header other than alg, typ, kid" },
		{ "{\"alg\":\"EdDSA\",\"typ\":\"at+jwt\",\"kid\":\"%s\",\"jwk\":{}}",
		  "header other than alg, typ, kid" },
		{ "{\"alg\":\"EdDSA\",\"typ\":\"at+jwt\",\"kid\":\"%s\",\"x5u\":\"https://evil.example/c\"}",
		  "header other than alg, typ, kid" },
		{ "{\"alg\":\"EdDSA\",\"typ\":\"at+jwt\",\"kid\":\"%s\",\"x5c\":[]}",
		  "header other than alg, typ, kid" },
		{ "{\"alg\":\"EdDSA\",\"typ\":\"at+jwt\",\"jwk\":{}}", "unknown kid" },
		{ "{\"alg\":\"none\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}", "wrong alg" },
		{ "{\"alg\":\"NONE\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}", "wrong alg" },
		{ "{\"alg\":\"nOnE\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}", "wrong alg" },
		{ "{\"alg\":\"\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}", "wrong alg" },
		{ "{\"alg\":\"HS256\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}", "wrong alg" },
		{ "{\"alg\":\"RS256\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}", "wrong alg" },
		{ "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}", "wrong alg" },
		{ "{\"alg\":\"Ed25519\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}", "wrong alg" },
		{ "{\"alg\":\"eddsa\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}", "wrong alg" },
		{ "{\"alg\":\"EdDSA\\u0000\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}", "wrong alg" },
		{ "{\"alg\":null,\"typ\":\"at+jwt\",\"kid\":\"%s\"}", "wrong alg" },
		{ "{\"alg\":[\"EdDSA\"],\"typ\":\"at+jwt\",\"kid\":\"%s\"}", "wrong alg" },
		{ "{\"alg\":\"EdDSA\",\"typ\":\"JWT\",\"kid\":\"%s\"}", "wrong typ" },
		{ "{\"alg\":\"EdDSA\",\"typ\":\"refresh+jwt\",\"kid\":\"%s\"}", "wrong typ" },
		{ "{\"alg\":\"EdDSA\",\"typ\":\"AT+JWT\",\"kid\":\"%s\"}", "wrong typ" },
		{ "{\"alg\":\"EdDSA\",\"typ\":1,\"kid\":\"%s\"}", "wrong typ" },
		{ "{\"alg\":\"EdDSA\",\"typ\":\"at+jwt\",\"kid\":\"\"}", "unknown kid" },
		{ "{\"alg\":\"EdDSA\",\"typ\":\"at+jwt\",\"kid\":\"../../dev/null\"}", "unknown kid" },
		{ "{\"alg\":\"EdDSA\",\"typ\":\"at+jwt\",\"kid\":\"%s\\u0000\"}", "unknown kid" },
		{ "{\"alg\":\"EdDSA\",\"typ\":\"at+jwt\",\"kid\":[\"%s\"]}", "unknown kid" },
		{ "{\"alg\":\"EdDSA\",\"typ\":\"at+jwt\",\"kid\":null}", "unknown kid" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *reason = reason_of_parts(&key, cases[i][0], CLAIMS);

		if (strcmp(reason, cases[i][1]) != 0)
			printf("\n%s: %s, expected %s\n", cases[i][0], reason, cases[i][1]);
		CU_ASSERT_STRING_EQUAL(reason, cases[i][1]);
	}
	/* Signed by somebody else's key under our key's name. */
	memcpy(other.id, key.id, sizeof(key.id));
	_cleanup_(freep) char *header = format_text(HEADER, key.id);
	_cleanup_(freep) char *token = forge(&other, header, strlen(header), CLAIMS, strlen(CLAIMS));
	CU_ASSERT_STRING_EQUAL(reason_of(&key, token), "wrong signature");
}

TEST(token, refuses_other_claims)
{
	struct signing_key key = key_of(1);
	static const char *const cases[][2] = {
		{ CLAIMS, "accepted" },
		{ "{" WHO ",\"iat\":1800000030,\"exp\":1800000031}", "accepted" },
		{ "{" WHO ",\"iat\":1800000000,\"nbf\":1800000030,\"exp\":1800000600}", "accepted" },
		{ "{" WHO ",\"iat\":1800000000,\"exp\":1800000600,\"scope\":\"later\"}", "accepted" },
		{ "{" WHO ",\"iat\":1800000000,\"exp\":1800000600,\"scope\":null}", "wrong scope" },
		{ "{" WHO ",\"iat\":1800000000,\"exp\":1800000600,\"epoch\":2147483646}", "accepted" },
		{ "{" WHO ",\"iat\":1800000000,\"exp\":1800000600,\"epoch\":2147483647}", "wrong epoch" },
		{ "{" WHO ",\"iat\":1800000000,\"exp\":1800000600,\"epoch\":-1}", "wrong epoch" },
		{ "{" WHO ",\"iat\":1800000000,\"exp\":1800000600,\"epoch\":\"1\"}", "wrong epoch" },
		{ "{" WHO ",\"iat\":1800000000,\"exp\":1800000600,\"epoch\":null}", "wrong epoch" },
		{ "{" WHO ",\"iat\":1800000000,\"exp\":1800000600,\"auth_time\":\"1\"}", "wrong auth_time" },
		{ "{" WHO ",\"iat\":1800000000,\"exp\":1800000600,\"auth_time\":1.5}", "wrong auth_time" },
		{ "{" WHO ",\"iat\":1800000000,\"exp\":1800000600,\"scope\":[\"admin\"]}", "wrong scope" },
		{ "{" WHO ",\"iat\":1800000000,\"exp\":1800000600,\"scope\":\"admin\\u0000x\"}", "wrong scope" },
		{ "", "malformed claims" },
		{ "[]", "malformed claims" },
		{ "\"x\"", "malformed claims" },
		{ CLAIMS CLAIMS, "malformed claims" },
		{ "{" WHO ",\"exp\":1800000600,\"exp\":1900000000,\"iat\":1800000000}", "malformed claims" },
		{ "{" WHO ",\"sub\":\"" JTI "\",\"iat\":1800000000,\"exp\":1800000600}", "malformed claims" },
		{ "{" WHO ",\"iat\":1800000000}", "wrong exp" },
		{ "{" WHO ",\"iat\":1800000000,\"exp\":\"1800000600\"}", "wrong exp" },
		{ "{" WHO ",\"iat\":1800000000,\"exp\":1800000600.5}", "wrong exp" },
		{ "{" WHO ",\"iat\":1800000000,\"exp\":1e20}", "wrong exp" },
		{ "{" WHO ",\"iat\":1800000000,\"exp\":253402300800}", "wrong exp" },
		{ "{" WHO ",\"iat\":1800000000,\"exp\":9223372036854775808}", "wrong exp" },
		{ "{" WHO ",\"iat\":1800000000,\"exp\":99999999999999999999999999}", "malformed claims" },
		{ "{" WHO ",\"iat\":1800000000,\"exp\":-1}", "wrong exp" },
		{ "{" WHO ",\"iat\":1800000000,\"exp\":null}", "wrong exp" },
		{ "{" WHO ",\"iat\":1800000000,\"exp\":true}", "wrong exp" },
		{ "{" WHO ",\"iat\":1799999000,\"exp\":1799999600}", "expired" },
		{ "{" WHO ",\"iat\":1799999000,\"exp\":1800000000}", "expired" },
		{ "{" WHO ",\"iat\":0,\"exp\":0}", "expired" },
		{ "{" WHO ",\"exp\":1800000600}", "wrong iat" },
		{ "{" WHO ",\"iat\":1800000031,\"exp\":1800000600}", "wrong iat" },
		{ "{" WHO ",\"iat\":\"1800000000\",\"exp\":1800000600}", "wrong iat" },
		{ "{" WHO ",\"iat\":99999999999999999999,\"exp\":1800000600}", "malformed claims" },
		{ "{" WHO ",\"iat\":1800000000,\"nbf\":1800000031,\"exp\":1800000600}", "wrong nbf" },
		{ "{" WHO ",\"iat\":1800000000,\"nbf\":\"0\",\"exp\":1800000600}", "wrong nbf" },
		{ "{" WHO ",\"iat\":1800000000,\"nbf\":null,\"exp\":1800000600}", "wrong nbf" },
		{ "{" WHO ",\"iat\":1800000000,\"nbf\":99999999999999999999,\"exp\":1800000600}", "malformed claims" },
		{ "{\"iss\":\"https://evil.example\",\"aud\":\"" ISSUER "\",\"iat\":1,\"exp\":1800000600}",
		  "wrong iss" },
		{ "{\"iss\":\"" ISSUER "\\u0000\",\"aud\":\"" ISSUER "\",\"iat\":1,\"exp\":1800000600}", "wrong iss" },
		{ "{\"iss\":[\"" ISSUER "\"],\"aud\":\"" ISSUER "\",\"iat\":1,\"exp\":1800000600}", "wrong iss" },
		{ "{\"aud\":\"" ISSUER "\",\"iat\":1,\"exp\":1800000600}", "wrong iss" },
		{ "{\"iss\":\"" ISSUER "\",\"iat\":1,\"exp\":1800000600}", "wrong aud" },
		{ "{\"iss\":\"" ISSUER "\",\"aud\":\"" ISSUER "/\",\"iat\":1,\"exp\":1800000600}", "wrong aud" },
		{ "{\"iss\":\"" ISSUER "\",\"aud\":[\"" ISSUER "\"],\"iat\":1,\"exp\":1800000600}", "wrong aud" },
		{ "{\"iss\":\"" ISSUER "\",\"aud\":\"" ISSUER "\",\"iat\":1,\"exp\":1800000600}",
		  "wrong sub, sid or jti" },
		{ "{\"iss\":\"" ISSUER "\",\"aud\":\"" ISSUER "\",\"sub\":\"1\",\"sid\":\"" SID "\",\"jti\":\"" JTI
		  "\",\"iat\":1,\"exp\":1800000600}",
		  "wrong sub, sid or jti" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *reason = reason_of_parts(&key, HEADER, cases[i][0]);

		if (strcmp(reason, cases[i][1]) != 0)
			printf("\n%s: %s, expected %s\n", cases[i][0], reason, cases[i][1]);
		CU_ASSERT_STRING_EQUAL(reason, cases[i][1]);
	}
}

/* `shape` with H, C and S replaced by the token's header, claims and signature. */
static char *reshape(const char *shape, const char *header, const char *claims, const char *signature)
{
	struct buffer out = { 0 };

	for (; *shape; shape++) {
		if (*shape == 'H')
			buffer_add_string(&out, header);
		else if (*shape == 'C')
			buffer_add_string(&out, claims);
		else if (*shape == 'S')
			buffer_add_string(&out, signature);
		else
			buffer_add_char(&out, *shape);
	}
	buffer_text(&out);
	return out.data;
}

TEST(token, refuses_other_shapes)
{
	static const char *const shapes[] = {
		"H.C",	  "H.C.",   ".H.C.S",  "H..C.S", "H.C.S.",    "H.C.S=", "H=.C.S",	 "H.C=.S",
		" H.C.S", "H.C.S ", "H.C.S\n", "H. C.S", "H.S.C",     "C.H.S",	"H.C.Saa",	 "H..S",
		".C.S",	  "..",	    "",	       ".",	 "H.C.S.x.y", "H,C,S",	"H.C.S\xc3\xa9",
	};
	struct signing_key key = key_of(1);
	_cleanup_(freep) char *header = format_text(HEADER, key.id);
	_cleanup_(freep) char *token = forge(&key, header, strlen(header), CLAIMS, strlen(CLAIMS));
	char *first = strchr(token, '.'), *second = strrchr(token, '.');
	const char *reason;

	CU_ASSERT_STRING_EQUAL(reason_of(&key, token), "accepted");
	*first = *second = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
		_cleanup_(freep) char *shaped = reshape(shapes[i], token, first + 1, second + 1);

		CU_ASSERT_STRING_NOT_EQUAL(reason_of(&key, shaped), "accepted");
	}
	_cleanup_(freep) char *whole = reshape("H.C.S", token, first + 1, second + 1);
	CU_ASSERT_STRING_EQUAL(reason_of(&key, whole), "accepted");
	*first = *second = '.';
	CU_ASSERT_EQUAL(verify_sized(&key, 1, token, strlen(token) + 1, &reason), -EACCES); /* its NUL */

	/* Every shorter one, and every single character changed. */
	for (size_t size = 0, length = strlen(token); size < length; size++)
		CU_ASSERT_EQUAL(verify_sized(&key, 1, token, size, &reason), -EACCES);
	for (size_t i = 0, length = strlen(token); i < length; i++) {
		char kept = token[i];

		token[i] = kept == 'A' ? 'B' : 'A';
		CU_ASSERT(verify_sized(&key, 1, token, length, &reason) < 0);
		token[i] = kept;
	}
}

TEST(token, is_at_most_8_kib)
{
	struct signing_key key = key_of(1);
	_cleanup_(freep) char *header = format_text(HEADER, key.id);
	_cleanup_(buffer_free) struct buffer claims = { 0 };

	buffer_add_string(&claims, "{" WHO ",\"iat\":1800000000,\"exp\":1800000600,\"x\":\"");
	for (int i = 0; i < 5000; i++)
		buffer_add_char(&claims, 'x');
	buffer_add_string(&claims, "\"}");
	_cleanup_(freep) char *fits = forge(&key, header, strlen(header), claims.data, claims.size);
	CU_ASSERT(strlen(fits) <= TOKEN_MAX_SIZE);
	CU_ASSERT_STRING_EQUAL(reason_of(&key, fits), "accepted");

	claims.size -= 2;
	for (int i = 0; i < 1000; i++)
		buffer_add_char(&claims, 'x');
	buffer_add_string(&claims, "\"}");
	_cleanup_(freep) char *exceeds = forge(&key, header, strlen(header), claims.data, claims.size);
	CU_ASSERT(strlen(exceeds) > TOKEN_MAX_SIZE);
	CU_ASSERT_STRING_EQUAL(reason_of(&key, exceeds), "too long");
}
