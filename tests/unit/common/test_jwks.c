#include <sodium.h>

#include "common/security/jwks.h"
#include "tests/unit/test.h"

#define N                                                                                          \
	"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_"  \
	"BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_" \
	"FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-"        \
	"bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
#define ED "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
#define X "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
#define Y "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
#define OKP "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" ED "\""
#define EC "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" X "\",\"y\":\"" Y "\""
#define RSA "\"kty\":\"RSA\",\"n\":\"" N "\",\"e\":\"AQAB\""

/* Reads a set; -1: it is none. The first key's kid and algorithm, "kid EdDSA", into `ret_first`. */
static int count_of(const char *text, char ret_first[64])
{
	struct arena arena;
	const char *detail = NULL;
	struct jwk *keys;
	size_t count;
	int r;

	arena_init(&arena);
	ret_first[0] = '\0';
	r = jwks_read(text, strlen(text), &arena, &keys, &count, &detail);
	if (r == 0) {
		if (count)
			snprintf(ret_first, 64, "%s %s", keys[0].kid, algorithm_name(keys[0].key.algorithm));
		jwks_free(keys, count);
		r = (int)count;
	} else {
		CU_ASSERT_EQUAL(r, -EBADMSG);
		CU_ASSERT_PTR_NOT_NULL(detail);
		r = -1;
	}
	arena_reset(&arena);
	return r;
}

/* RFC 7638 §3.1, RFC 8037 A.2, RFC 7515 A.3. */
TEST(jwks, reads_the_keys_of_the_rfcs)
{
	char first[64];

	CU_ASSERT_EQUAL(count_of("{\"keys\":[{" RSA ",\"alg\":\"RS256\",\"kid\":\"2011-04-29\"}]}", first), 1);
	CU_ASSERT_STRING_EQUAL(first, "2011-04-29 RS256");
	CU_ASSERT_EQUAL(count_of("{\"keys\":[{" OKP ",\"kid\":\"a\"},{" EC ",\"kid\":\"b\"}]}", first), 2);
	CU_ASSERT_STRING_EQUAL(first, "a EdDSA");
	CU_ASSERT_EQUAL(count_of("{\"keys\":[{" EC ",\"kid\":\"b\"}],\"more\":1}", first), 1);
	CU_ASSERT_STRING_EQUAL(first, "b ES256");
}

TEST(jwks, leaves_out_what_does_not_serve)
{
	static const char *const useless[] = {
		OKP,
		OKP ",\"kid\":\"\"",
		OKP ",\"kid\":7",
		OKP ",\"kid\":\"a\\u0000\"",
		OKP ",\"kid\":\"a\",\"use\":\"enc\"",
		OKP ",\"kid\":\"a\",\"use\":null",
		OKP ",\"kid\":\"a\",\"key_ops\":[]",
		OKP ",\"kid\":\"a\",\"key_ops\":[\"sign\"]",
		OKP ",\"kid\":\"a\",\"key_ops\":\"verify\"",
		OKP ",\"kid\":\"a\",\"alg\":\"ES256\"",
		OKP ",\"kid\":\"a\",\"alg\":null",
		EC ",\"kid\":\"a\",\"alg\":\"EdDSA\"",
		EC ",\"kid\":\"a\",\"alg\":\"ES384\"",
		RSA ",\"kid\":\"a\",\"alg\":\"PS256\"",
		RSA ",\"kid\":\"a\",\"alg\":\"HS256\"",
		RSA ",\"kid\":\"a\",\"alg\":\"none\"",
		"\"kty\":\"oct\",\"k\":\"" X "\",\"kid\":\"a\",\"alg\":\"HS256\"",
		"\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"" ED "\",\"kid\":\"a\"",
		"\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"a\"",
		"\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" ED "=\",\"kid\":\"a\"",
		"\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\",\"kid\":\"a\"",
		"\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":7,\"kid\":\"a\"",
		"\"kty\":\"okp\",\"crv\":\"Ed25519\",\"x\":\"" ED "\",\"kid\":\"a\"",
		"\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"" X "\",\"y\":\"" Y "\",\"kid\":\"a\"",
		"\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" X "\",\"kid\":\"a\"",
		"\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" X "\",\"y\":\"" X "\",\"kid\":\"a\"",
		"\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\",\"kid\":\"a\"",
		"\"kty\":\"RSA\",\"n\":\"" N "\",\"e\":\"AQ\",\"kid\":\"a\"",
		"\"kty\":\"RSA\",\"n\":\"" N "\",\"kid\":\"a\"",
		"\"kid\":\"a\"",
		"",
	};
	char first[64];

	for (size_t i = 0; i < ARRAY_SIZE(useless); i++) {
		_cleanup_(freep) char *text =
			format_text("{\"keys\":[{%s},7,null,[],{" EC ",\"kid\":\"good\",\"use\":\"sig\","
				    "\"key_ops\":[\"verify\"],\"alg\":\"ES256\",\"x5t\":\"x\"}]}",
				    useless[i]);

		if (count_of(text, first) != 1)
			printf("\n%s\n", useless[i]);
		CU_ASSERT_STRING_EQUAL(first, "good ES256");
	}
	CU_ASSERT_EQUAL(count_of("{\"keys\":[]}", first), 0);
}

TEST(jwks, refuses_what_is_no_set)
{
	static const char *const others[] = { "",
					      "x",
					      "[]",
					      "null",
					      "{}",
					      "{\"keys\":{}}",
					      "{\"keys\":null}",
					      "{\"keys\":[]}x",
					      "{\"keys\":[],\"keys\":[]}",
					      "<!DOCTYPE html>",
					      "{\"keys\":[{\"kid\":\"a\",\"kid\":\"b\"}]}" };
	char first[64];

	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		CU_ASSERT_EQUAL(count_of(others[i], first), -1);
}

TEST(jwks, takes_64_keys)
{
	_cleanup_(buffer_free) struct buffer text = { 0 };
	char first[64];

	buffer_add_string(&text, "{\"keys\":[");
	for (int i = 0; i < 70; i++)
		buffer_add_format(&text, "{" OKP ",\"kid\":\"%d\"},", i);
	buffer_add_string(&text, "7]}");
	CU_ASSERT_EQUAL(count_of(buffer_text(&text), first), JWKS_MAX_KEYS);
}

TEST(jwks, reads_what_it_writes)
{
	struct signing_key keys[3];
	_cleanup_(buffer_free) struct buffer text = { 0 };
	unsigned char signature[SIGNATURE_SIZE];
	struct arena arena;
	const char *detail;
	struct jwk *read;
	size_t count, size;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		signing_key_generate((enum algorithm)i, &keys[i]);
	jwks_add(&text, keys, ARRAY_SIZE(keys));
	CU_ASSERT_PTR_NULL(strstr(buffer_text(&text), keys[ALGORITHM_HS256].id));
	arena_init(&arena);
	CU_ASSERT_EQUAL_FATAL(jwks_read(text.data, text.size, &arena, &read, &count, &detail), 0);
	CU_ASSERT_EQUAL_FATAL(count, 2);
	for (size_t i = 0; i < count; i++) {
		CU_ASSERT_STRING_EQUAL(read[i].kid, keys[i].id);
		CU_ASSERT_EQUAL(read[i].key.algorithm, keys[i].algorithm);
		CU_ASSERT_EQUAL(read[i].key.secret_size, 0);
		size = signing_key_sign(&keys[i], "data", 4, signature);
		CU_ASSERT_TRUE(signing_key_verify(&read[i].key, "data", 4, signature, size));
	}
	jwks_free(read, count);
	arena_reset(&arena);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		signing_key_close(&keys[i]);
	text.size = 0;
	jwks_add(&text, NULL, 0);
	CU_ASSERT_STRING_EQUAL(buffer_text(&text), "{\"keys\":[]}");
}
