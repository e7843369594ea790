#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <sodium.h>

#include "common/loop.h"
#include "common/security/issuers.h"
#include "common/security/jwks.h"
#include "common/security/token.h"
#include "tests/unit/common/jwks_server.h"
#include "tests/unit/test.h"

#define A "https://a.example"
#define B "https://b.example"
#define AUDIENCE "my-api"
#define NOW 1800000000
#define WHO "\"iss\":\"" A "\",\"aud\":\"" AUDIENCE "\",\"sub\":\"ada\""
#define CLAIMS "{" WHO ",\"iat\":1799999990,\"exp\":1800000590}"

/* ---- the setting ---- */

TEST(issuers, checks_the_setting)
{
	static const char *const good[] = {
		A " " AUDIENCE " https://a.example/jwks",
		"  " A "  " AUDIENCE "\thttps://a.example:8443/x?y=z  ",
		A " x https://a.example/jwks," B " y http://localhost:9000/jwks",
		"a b http://127.0.0.1/",
		"a b http://[::1]:80/",
		"a b HTTPS://EXAMPLE.COM/",
	};
	static const char *const wrong[][2] = {
		{ "", "it is ISSUER AUDIENCE JWKS_URL" },
		{ A, "it is ISSUER AUDIENCE JWKS_URL" },
		{ A " x", "it is ISSUER AUDIENCE JWKS_URL" },
		{ A " x https://a.example/jwks,", "after '" A "', it is ISSUER AUDIENCE JWKS_URL" },
		{ A " x https://a.example/jwks more", "put a comma between two issuers" },
		{ A " x y", "no URL" },
		{ A " x ftp://a.example/jwks", "is not https://" },
		{ A " x file:///etc/passwd", "JWKS URL" },
		{ A " x http://a.example/jwks",
		  "is not https:// (http:// serves localhost, 127.0.0.1 and [::1] only)" },
		{ A " x http://localhost.example/jwks", "is not https://" },
		{ A " x http://127.0.0.1.example/jwks", "is not https://" },
		{ A " x http://localhost@evil.example/jwks", "has a user or password" },
		{ A " x https://user:password@a.example/jwks", "has a user or password" },
		{ A " x http://evil.example#@localhost/", "is not https://" },
		{ A " x https://a.example/1," A " y https://a.example/2", "an issuer is there twice" },
		{ "1 x https://a/,2 x https://a/,3 x https://a/,4 x https://a/,5 x https://a/,6 x https://a/,7 x "
		  "https://a/,"
		  "8 x https://a/,9 x https://a/,10 x https://a/,11 x https://a/,12 x https://a/,13 x https://a/,"
		  "14 x https://a/,15 x https://a/,16 x https://a/,17 x https://a/",
		  "there are more than 16" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		_cleanup_(freep) char *reason = NULL;

		if (issuers_check(good[i], &reason) < 0)
			printf("\n%s: %s\n", good[i], reason);
		CU_ASSERT_PTR_NULL(reason);
	}
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		_cleanup_(freep) char *reason = NULL;

		CU_ASSERT_EQUAL(issuers_check(wrong[i][0], &reason), -EINVAL);
		if (!reason || !strstr(reason, wrong[i][1]))
			printf("\n%s: %s\n", wrong[i][0], reason);
		CU_ASSERT(reason && strstr(reason, wrong[i][1]));
	}
}

/* ---- a process that trusts two issuers ---- */

/* Issuer A has a key of each algorithm with the kids e, p and r; B has its own Ed25519 key, called e too. */
struct scene {
	struct jwks_server a, b;
	struct loop *loop;
	struct issuers *issuers;
	struct signing_key eddsa, es256, other;
	EVP_PKEY *rsa;
	char *jwks_a, *jwks_b;
};

static EVP_PKEY *rsa_key(void)
{
	static EVP_PKEY *key; /* costly to make */

	if (!key)
		key = EVP_RSA_gen(2048);
	return key;
}

static void add_rsa(struct buffer *out, EVP_PKEY *key)
{
	unsigned char bytes[256];
	BIGNUM *n = NULL;

	CU_ASSERT_FATAL(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &n) == 1);
	CU_ASSERT_FATAL(BN_bn2binpad(n, bytes, sizeof(bytes)) == sizeof(bytes));
	BN_free(n);
	buffer_add_string(out, "{\"kty\":\"RSA\",\"kid\":\"r\",\"e\":\"AQAB\",\"n\":\"");
	base64url_add(out, bytes, sizeof(bytes));
	buffer_add_string(out, "\"}");
}

static char *jwks_of(struct signing_key *keys, size_t count, EVP_PKEY *rsa)
{
	struct buffer out = { 0 };

	jwks_add(&out, keys, count);
	if (rsa) {
		out.size -= 2;
		buffer_add_char(&out, ',');
		add_rsa(&out, rsa);
		buffer_add_string(&out, "]}");
	}
	buffer_text(&out);
	return out.data;
}

static void scene_start_at(struct scene *scene, const struct issuers_times *times)
{
	_cleanup_(freep) char *setting = NULL, *reason = NULL;

	setting = format_text(A " " AUDIENCE " http://127.0.0.1:%d/a," B " " AUDIENCE " http://127.0.0.1:%d/b",
			      scene->a.port, scene->b.port);
	CU_ASSERT_EQUAL_FATAL(issuers_check(setting, &reason), 0);
	scene->loop = loop_new(128);
	scene->issuers = issuers_new(scene->loop, setting, times);
}

/* The servers do not answer yet. */
static void scene_prepare(struct scene *scene)
{
	memset(scene, 0, sizeof(*scene));
	CU_ASSERT_FATAL(sodium_init() >= 0);
	jwks_server_start(&scene->a);
	jwks_server_start(&scene->b);
	signing_key_generate(ALGORITHM_EDDSA, &scene->eddsa);
	signing_key_generate(ALGORITHM_ES256, &scene->es256);
	signing_key_generate(ALGORITHM_EDDSA, &scene->other);
	strcpy(scene->eddsa.id, "e");
	strcpy(scene->es256.id, "p");
	strcpy(scene->other.id, "e");
	scene->rsa = rsa_key();
	struct signing_key keys[2] = { scene->eddsa, scene->es256 };
	scene->jwks_a = jwks_of(keys, 2, scene->rsa);
	scene->jwks_b = jwks_of(&scene->other, 1, NULL);
}

static void scene_start(struct scene *scene)
{
	scene_prepare(scene);
	jwks_server_say(&scene->a, "200 OK", scene->jwks_a);
	jwks_server_say(&scene->b, "200 OK", scene->jwks_b);
	scene_start_at(scene, &issuers_times);
}

static void scene_end(struct scene *scene)
{
	issuers_free(scene->issuers);
	loop_free(scene->loop);
	jwks_server_end(&scene->a);
	jwks_server_end(&scene->b);
	signing_key_close(&scene->eddsa);
	signing_key_close(&scene->es256);
	signing_key_close(&scene->other);
	free(scene->jwks_a);
	free(scene->jwks_b);
}

/* ---- their tokens ---- */

/* `key` NULL: by RSA. */
static char *forge(const struct signing_key *key, EVP_PKEY *rsa, const char *header, const char *claims)
{
	struct buffer token = { 0 };
	unsigned char signature[256];
	size_t size = sizeof(signature);

	base64url_add(&token, header, strlen(header));
	buffer_add_char(&token, '.');
	base64url_add(&token, claims, strlen(claims));
	if (key)
		size = signing_key_sign(key, token.data, token.size, signature);
	else {
		EVP_MD_CTX *context = EVP_MD_CTX_new();

		CU_ASSERT_FATAL(EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, rsa) == 1);
		CU_ASSERT_FATAL(
			EVP_DigestSign(context, signature, &size, (const unsigned char *)token.data, token.size) == 1);
		EVP_MD_CTX_free(context);
	}
	buffer_add_char(&token, '.');
	base64url_add(&token, signature, size);
	buffer_text(&token);
	return token.data;
}

#define HEADER(alg, kid) "{\"alg\":\"" alg "\",\"typ\":\"at+jwt\",\"kid\":\"" kid "\"}"

/* One call of issuers_verify() on a coroutine. */
struct asking {
	struct scene *scene;
	const char *token;
	struct arena arena;
	struct principal principal;
	const char *reason;
	int result;
	size_t *left; /* of those that run at once */
};

static void ask(void *argument)
{
	struct asking *asking = argument;

	asking->result = issuers_verify(asking->scene->issuers, &asking->arena, asking->token, strlen(asking->token),
					NOW, &asking->principal, &asking->reason);
	if (--*asking->left == 0)
		loop_stop(asking->scene->loop);
}

static int verify(struct scene *scene, const char *token, struct principal *ret_principal, struct arena *arena)
{
	size_t left = 1;
	struct asking asking = { .scene = scene, .token = token, .left = &left };

	arena_init(&asking.arena);
	CU_ASSERT_EQUAL_FATAL(coroutine_start(scene->loop, ask, &asking, NULL), 0);
	while (left) /* it may have ended before the loop ran */
		loop_run(scene->loop);
	if (asking.result < 0)
		CU_ASSERT_PTR_NOT_NULL(asking.reason);
	if (ret_principal && asking.result == 0) {
		*ret_principal = asking.principal;
		ret_principal->scope = arena_strdup(arena, asking.principal.scope);
		ret_principal->claims = asking.principal.claims ? arena_strdup(arena, asking.principal.claims) : NULL;
		ret_principal->issuer = arena_strdup(arena, asking.principal.issuer);
		ret_principal->subject = arena_strdup(arena, asking.principal.subject);
	}
	arena_reset(&asking.arena);
	return asking.result;
}

static int verify_forged(struct scene *scene, const struct signing_key *key, const char *header, const char *claims)
{
	_cleanup_(freep) char *token = forge(key, scene->rsa, header, claims);

	return verify(scene, token, NULL, NULL);
}

TEST(issuers, takes_their_tokens)
{
	struct principal principal, again;
	struct scene scene;
	struct arena arena;
	const char *reason;

	scene_start(&scene);
	arena_init(&arena);
	_cleanup_(freep) char *token = forge(&scene.eddsa, NULL, HEADER("EdDSA", "e"),
					     "{" WHO ",\"exp\":1800000600,\"scope\":\"read admin  write\","
					     "\"auth_time\":1799999000,\"org\":{\"id\": 7},\"jti\":\"x\"}");
	CU_ASSERT_EQUAL(issuers_find(scene.issuers, &arena, token, strlen(token), NOW, &principal, &reason), -EAGAIN);
	CU_ASSERT_EQUAL_FATAL(verify(&scene, token, &principal, &arena), 0);
	CU_ASSERT_STRING_EQUAL(principal.issuer, A);
	CU_ASSERT_STRING_EQUAL(principal.subject, "ada");
	CU_ASSERT_STRING_EQUAL(principal.scope, "read write");
	CU_ASSERT_STRING_EQUAL(principal.claims, "{\"org\":{\"id\": 7}}");
	CU_ASSERT_EQUAL(principal.authenticated_at, 1799999000);
	CU_ASSERT_EQUAL(principal.expires_at, 1800000600);
	CU_ASSERT_EQUAL(principal.epoch, 0);
	CU_ASSERT(prong_uuid_equal(principal.session_id, (prong_uuid){ 0 }));
	CU_ASSERT(prong_uuid_equal(principal.api_key_id, (prong_uuid){ 0 }));
	CU_ASSERT_EQUAL(principal.account_id.bytes[6] >> 4, 8);
	CU_ASSERT_EQUAL(principal.account_id.bytes[8] >> 6, 2);

	/* Now without waiting, and always the same account; another subject or issuer is another. */
	CU_ASSERT_EQUAL(issuers_find(scene.issuers, &arena, token, strlen(token), NOW, &again, &reason), 0);
	CU_ASSERT(prong_uuid_equal(again.account_id, principal.account_id));
	_cleanup_(freep) char *es256 = forge(&scene.es256, NULL, HEADER("ES256", "p"),
					     "{" WHO ",\"exp\":1800000600,\"scp\":[\"a\",\"b admin c\"]}");
	CU_ASSERT_EQUAL_FATAL(verify(&scene, es256, &again, &arena), 0);
	CU_ASSERT(prong_uuid_equal(again.account_id, principal.account_id));
	CU_ASSERT_STRING_EQUAL(again.scope, "a b c");
	CU_ASSERT_EQUAL(again.authenticated_at, 0);
	CU_ASSERT_STRING_EQUAL(again.claims, "{\"scp\":[\"a\",\"b admin c\"]}");
	_cleanup_(freep) char *rs256 = forge(NULL, scene.rsa, HEADER("RS256", "r"),
					     "{\"iss\":\"" A "\",\"aud\":[\"other\",\"" AUDIENCE
					     "\"],\"sub\":\"bob\",\"exp\":1800000600.5,\"scp\":\"x\"}");
	CU_ASSERT_EQUAL_FATAL(verify(&scene, rs256, &again, &arena), 0);
	CU_ASSERT_FALSE(prong_uuid_equal(again.account_id, principal.account_id));
	CU_ASSERT_STRING_EQUAL(again.scope, "x");
	_cleanup_(freep) char *of_b =
		forge(&scene.other, NULL, HEADER("EdDSA", "e"),
		      "{\"iss\":\"" B "\",\"aud\":\"" AUDIENCE "\",\"sub\":\"ada\",\"exp\":1800000600}");
	CU_ASSERT_EQUAL_FATAL(verify(&scene, of_b, &again, &arena), 0);
	CU_ASSERT_FALSE(prong_uuid_equal(again.account_id, principal.account_id));
	CU_ASSERT_STRING_EQUAL(again.scope, "");
	CU_ASSERT_EQUAL(jwks_server_asked(&scene.a), 1);

	CU_ASSERT_EQUAL(issuers_find(NULL, &arena, token, strlen(token), NOW, &again, &reason), -ENOENT);
	arena_reset(&arena);
	scene_end(&scene);
}

TEST(issuers, refuses_other_tokens)
{
	static const char *const headers[] = {
		"{\"alg\":\"EdDSA\",\"kid\":\"e\"}",
		"{\"alg\":\"EdDSA\",\"typ\":\"at+jwt\"}",
		"{\"alg\":\"EdDSA\",\"typ\":\"refresh+jwt\",\"kid\":\"e\"}",
		"{\"alg\":\"EdDSA\",\"typ\":\"dpop+jwt\",\"kid\":\"e\"}",
		"{\"alg\":\"none\",\"typ\":\"JWT\",\"kid\":\"e\"}",
		"{\"alg\":\"NONE\",\"typ\":\"JWT\",\"kid\":\"e\"}",
		"{\"alg\":\"\",\"typ\":\"JWT\",\"kid\":\"e\"}",
		"{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"e\"}",
		"{\"alg\":\"ES256\",\"typ\":\"JWT\",\"kid\":\"e\"}",
		"{\"alg\":\"RS256\",\"typ\":\"JWT\",\"kid\":\"e\"}",
		"{\"alg\":\"EdDSA\",\"typ\":\"JWT\",\"kid\":\"p\"}",
		"{\"alg\":\"EdDSA\",\"typ\":\"JWT\",\"kid\":\"r\"}",
		"{\"alg\":\"EdDSA\",\"typ\":\"JWT\",\"kid\":\"E\"}",
		"{\"alg\":\"EdDSA\",\"typ\":\"JWT\",\"kid\":\"e\\u0000\"}",
		"{\"alg\":\"EdDSA\",\"typ\":\"JWT\",\"kid\":[\"e\"]}",
		"{\"alg\":\"EdDSA\",\"typ\":\"JWT\",\"kid\":\"e\",\"crit\":[\"exp\"]}",
		"{\"alg\":\"EdDSA\",\"typ\":\"JWT\",\"kid\":\"e\",\"crit\":[\"b64\"],\"b64\":false}",
		"{\"alg\":\"EdDSA\",\"typ\":\"JWT\",\"kid\":\"e\",\"jku\":\"https://evil.example/jwks\"}",
		"{\"alg\":\"EdDSA\",\"typ\":\"JWT\",\"kid\":\"e\",\"jwk\":{}}",
		"{\"alg\":\"EdDSA\",\"typ\":\"JWT\",\"kid\":\"e\",\"x5u\":\"https://evil.example/c\"}",
		"{\"alg\":\"EdDSA\",\"typ\":\"JWT\",\"kid\":\"e\",\"x5c\":[]}",
		"{\"alg\":\"none\",\"alg\":\"EdDSA\",\"typ\":\"JWT\",\"kid\":\"e\"}",
		"x",
		"",
	};
	static const char *const claims[] = {
		"{" WHO "}",
		"{" WHO ",\"exp\":1800000000}",
		"{" WHO ",\"exp\":\"1800000600\"}",
		"{" WHO ",\"exp\":1e300}",
		"{" WHO ",\"exp\":-1}",
		"{" WHO ",\"exp\":null}",
		"{" WHO ",\"exp\":1800000600,\"nbf\":1800000031}",
		"{" WHO ",\"exp\":1800000600,\"nbf\":\"0\"}",
		"{" WHO ",\"exp\":1800000600,\"iat\":1800000031}",
		"{" WHO ",\"exp\":1800000600,\"iat\":true}",
		"{" WHO ",\"exp\":1800000600,\"auth_time\":1800000031}",
		"{" WHO ",\"exp\":1800000600,\"scope\":7}",
		"{" WHO ",\"exp\":1800000600,\"scope\":{}}",
		"{" WHO ",\"exp\":1800000600,\"scope\":\"a\\u0000b\"}",
		"{" WHO ",\"exp\":1800000600,\"scp\":[7]}",
		"{" WHO ",\"exp\":1800000600,\"exp\":1800000700}",
		"{\"iss\":\"" A "\",\"sub\":\"ada\",\"exp\":1800000600}",
		"{\"iss\":\"" A "\",\"aud\":\"other\",\"sub\":\"ada\",\"exp\":1800000600}",
		"{\"iss\":\"" A "\",\"aud\":[],\"sub\":\"ada\",\"exp\":1800000600}",
		"{\"iss\":\"" A "\",\"aud\":[\"other\",7,[\"" AUDIENCE "\"]],\"sub\":\"ada\",\"exp\":1800000600}",
		"{\"iss\":\"" A "\",\"aud\":\"" AUDIENCE "\\u0000\",\"sub\":\"ada\",\"exp\":1800000600}",
		"{\"iss\":\"" A "\",\"aud\":[\"" AUDIENCE "\\u0000\"],\"sub\":\"ada\",\"exp\":1800000600}",
		"{\"iss\":\"" A "\",\"aud\":\"" AUDIENCE "\",\"exp\":1800000600}",
		"{\"iss\":\"" A "\",\"aud\":\"" AUDIENCE "\",\"sub\":\"\",\"exp\":1800000600}",
		"{\"iss\":\"" A "\",\"aud\":\"" AUDIENCE "\",\"sub\":7,\"exp\":1800000600}",
		"{\"iss\":\"" A "\",\"aud\":\"" AUDIENCE "\",\"sub\":\"a\\u0000\",\"exp\":1800000600}",
	};
	static const char *const of_nobody[] = {
		"{\"aud\":\"" AUDIENCE "\",\"sub\":\"ada\",\"exp\":1800000600}",
		"{\"iss\":\"" A "/\",\"aud\":\"" AUDIENCE "\",\"sub\":\"ada\",\"exp\":1800000600}",
		"{\"iss\":\"HTTPS://a.example\",\"aud\":\"" AUDIENCE "\",\"sub\":\"ada\",\"exp\":1800000600}",
		"{\"iss\":\"" A "\\u0000\",\"aud\":\"" AUDIENCE "\",\"sub\":\"ada\",\"exp\":1800000600}",
		"{\"iss\":[\"" A "\"],\"aud\":\"" AUDIENCE "\",\"sub\":\"ada\",\"exp\":1800000600}",
		"[]",
		"",
	};
	struct scene scene;

	scene_start(&scene);
	CU_ASSERT_EQUAL(verify_forged(&scene, &scene.eddsa, HEADER("EdDSA", "e"), CLAIMS), 0);
	CU_ASSERT_EQUAL(verify_forged(&scene, &scene.eddsa,
				      "{\"x5t\":\"y\",\"alg\":\"EdDSA\",\"typ\":\"jwt\",\"kid\":\"e\"}", CLAIMS),
			0);
	for (size_t i = 0; i < ARRAY_SIZE(headers); i++) {
		int r = verify_forged(&scene, &scene.eddsa, headers[i], CLAIMS);

		/* Where there is no JSON to read, there is no iss. */
		if (r != -EACCES && !(i + 3 >= ARRAY_SIZE(headers) && r == -ENOENT))
			printf("\n%s\n", headers[i]);
		CU_ASSERT(r == -EACCES || (i + 3 >= ARRAY_SIZE(headers) && r == -ENOENT));
	}
	for (size_t i = 0; i < ARRAY_SIZE(claims); i++) {
		int r = verify_forged(&scene, &scene.eddsa, HEADER("EdDSA", "e"), claims[i]);

		if (r != -EACCES && i != 15)
			printf("\n%s\n", claims[i]);
		CU_ASSERT(r == -EACCES || (i == 15 && r == -ENOENT)); /* duplicate members: likewise */
	}
	for (size_t i = 0; i < ARRAY_SIZE(of_nobody); i++)
		CU_ASSERT_EQUAL(verify_forged(&scene, &scene.eddsa, HEADER("EdDSA", "e"), of_nobody[i]), -ENOENT);
	CU_ASSERT_EQUAL(jwks_server_asked(&scene.a), 1); /* made-up kids bring no second question so soon */
	scene_end(&scene);
}

/* By A's key in B's name, by B's in A's, under the same kid; and by a public key as an HMAC's secret. */
TEST(issuers, an_issuer_speaks_for_itself_alone)
{
	struct scene scene;
	struct signing_key confused = { .algorithm = ALGORITHM_HS256, .secret_size = 32 };

	scene_start(&scene);
	CU_ASSERT_EQUAL(verify_forged(&scene, &scene.eddsa, HEADER("EdDSA", "e"), CLAIMS), 0);
	CU_ASSERT_EQUAL(verify_forged(&scene, &scene.other, HEADER("EdDSA", "e"), CLAIMS), -EACCES);
	CU_ASSERT_EQUAL(verify_forged(&scene, &scene.eddsa, HEADER("EdDSA", "e"),
				      "{\"iss\":\"" B "\",\"aud\":\"" AUDIENCE
				      "\",\"sub\":\"ada\",\"exp\":1800000600}"),
			-EACCES);
	memcpy(confused.secret_key, scene.eddsa.public_key, 32);
	CU_ASSERT_EQUAL(verify_forged(&scene, &confused, HEADER("HS256", "e"), CLAIMS), -EACCES);
	CU_ASSERT_EQUAL(verify_forged(&scene, &confused, HEADER("EdDSA", "e"), CLAIMS), -EACCES);
	scene_end(&scene);
}

/* ---- fetching ---- */

#define MANY 8

TEST(issuers, many_wait_for_one_fetch)
{
	struct asking askings[MANY];
	struct scene scene;
	size_t left = MANY;

	scene_prepare(&scene);
	scene_start_at(&scene, &issuers_times);
	_cleanup_(freep) char *token = forge(&scene.eddsa, NULL, HEADER("EdDSA", "e"), CLAIMS);
	for (size_t i = 0; i < MANY; i++) {
		askings[i] = (struct asking){ .scene = &scene, .token = token, .left = &left };
		arena_init(&askings[i].arena);
		CU_ASSERT_EQUAL_FATAL(coroutine_start(scene.loop, ask, &askings[i], NULL), 0);
	}
	CU_ASSERT_EQUAL(left, MANY);
	jwks_server_say(&scene.a, "200 OK", scene.jwks_a);
	jwks_server_say(&scene.b, "200 OK", scene.jwks_b);
	loop_run(scene.loop);
	CU_ASSERT_EQUAL(left, 0);
	for (size_t i = 0; i < MANY; i++) {
		CU_ASSERT_EQUAL(askings[i].result, 0);
		arena_reset(&askings[i].arena);
	}
	CU_ASSERT_EQUAL(jwks_server_asked(&scene.a), 1);
	scene_end(&scene);
}

TEST(issuers, answers_that_are_no_keys)
{
	static const char *const statuses[][2] = {
		{ "404 Not Found", "{\"keys\":[]}" },
		{ "500 Internal Server Error", "" },
		{ "302 Found\r\nLocation: /keys", "" },
		{ "204 No Content", "" },
		{ "200 OK", "" },
		{ "200 OK", "<html>" },
		{ "200 OK", "{\"keys\":7}" },
		{ "200 OK", "{\"keys\":[]}" },
	};
	struct scene scene;

	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
		scene_prepare(&scene);
		jwks_server_say(&scene.a, statuses[i][0], statuses[i][1]);
		jwks_server_say(&scene.b, "200 OK", scene.jwks_b);
		scene_start_at(&scene, &issuers_times);
		CU_ASSERT_EQUAL(verify_forged(&scene, &scene.eddsa, HEADER("EdDSA", "e"), CLAIMS), -EHOSTDOWN);
		CU_ASSERT_EQUAL(verify_forged(&scene, &scene.eddsa, HEADER("EdDSA", "e"), CLAIMS), -EHOSTDOWN);
		CU_ASSERT_EQUAL(jwks_server_asked(&scene.a), 1);
		/* One that is down is nobody else's trouble. */
		CU_ASSERT_EQUAL(verify_forged(&scene, &scene.other, HEADER("EdDSA", "e"),
					      "{\"iss\":\"" B "\",\"aud\":\"" AUDIENCE
					      "\",\"sub\":\"ada\",\"exp\":1800000600}"),
				0);
		scene_end(&scene);
	}
}

TEST(issuers, an_answer_has_at_most_256_kib)
{
	struct scene scene;

	for (size_t size = 256 * 1024; size <= 256 * 1024 + 1; size++) {
		scene_prepare(&scene);
		_cleanup_(freep) char *body = allocate(size + 1);
		memset(body, ' ', size);
		memcpy(body, scene.jwks_a, strlen(scene.jwks_a));
		jwks_server_say(&scene.a, "200 OK", body);
		scene_start_at(&scene, &issuers_times);
		CU_ASSERT_EQUAL(verify_forged(&scene, &scene.eddsa, HEADER("EdDSA", "e"), CLAIMS),
				size == 256 * 1024 ? 0 : -EHOSTDOWN);
		scene_end(&scene);
	}
}

/* Waits until the server was asked so often, while the loop runs. */
struct watching {
	struct scene *scene;
	int asked;
};

static void watch(void *argument)
{
	struct watching *watching = argument;

	while (jwks_server_asked(&watching->scene->a) < watching->asked)
		CU_ASSERT_EQUAL_FATAL(coroutine_sleep_until(monotonic_us() + PRONG_MILLISECONDS(1)), 0);
	loop_stop(watching->scene->loop);
}

static void await(struct scene *scene, int asked)
{
	struct watching watching = { scene, asked };

	if (jwks_server_asked(&scene->a) >= asked)
		return;
	CU_ASSERT_EQUAL_FATAL(coroutine_start(scene->loop, watch, &watching, NULL), 0);
	loop_run(scene->loop);
}

/* Keys come and go with the issuer's own, and stay while it is away. */
TEST(issuers, keeps_up_with_their_keys)
{
	const struct issuers_times times = { .refresh = PRONG_MILLISECONDS(20),
					     .pause = PRONG_MILLISECONDS(5),
					     .keep = PRONG_HOURS(1) };
	struct signing_key fresh;
	struct scene scene;
	uint64_t generation;
	int asked;

	scene_prepare(&scene);
	jwks_server_say(&scene.a, "200 OK", scene.jwks_a);
	jwks_server_say(&scene.b, "200 OK", scene.jwks_b);
	scene_start_at(&scene, &times);
	CU_ASSERT_EQUAL(verify_forged(&scene, &scene.eddsa, HEADER("EdDSA", "e"), CLAIMS), 0);
	CU_ASSERT_EQUAL(verify_forged(&scene, &scene.other, HEADER("EdDSA", "e"),
				      "{\"iss\":\"" B "\",\"aud\":\"" AUDIENCE
				      "\",\"sub\":\"ada\",\"exp\":1800000600}"),
			0);
	generation = issuers_generation(scene.issuers);
	await(&scene, jwks_server_asked(&scene.a) + 2);
	CU_ASSERT_EQUAL(issuers_generation(scene.issuers), generation);

	jwks_server_say(&scene.a, "500 Oh", "");
	await(&scene, jwks_server_asked(&scene.a) + 3);
	CU_ASSERT_EQUAL(verify_forged(&scene, &scene.eddsa, HEADER("EdDSA", "e"), CLAIMS), 0);
	CU_ASSERT_EQUAL(issuers_generation(scene.issuers), generation);

	signing_key_generate(ALGORITHM_EDDSA, &fresh);
	strcpy(fresh.id, "f");
	_cleanup_(freep) char *jwks = jwks_of(&fresh, 1, NULL);
	jwks_server_say(&scene.a, "200 OK", jwks);
	asked = jwks_server_asked(&scene.a);
	CU_ASSERT_EQUAL(verify_forged(&scene, &scene.eddsa, HEADER("EdDSA", "unknown"), CLAIMS), -EACCES);
	await(&scene, asked + 3);
	CU_ASSERT_EQUAL(verify_forged(&scene, &fresh, HEADER("EdDSA", "f"), CLAIMS), 0);
	CU_ASSERT_EQUAL(verify_forged(&scene, &scene.eddsa, HEADER("EdDSA", "e"), CLAIMS), -EACCES);
	CU_ASSERT_NOT_EQUAL(issuers_generation(scene.issuers), generation);
	signing_key_close(&fresh);
	scene_end(&scene);
}

TEST(issuers, keys_do_not_serve_for_ever)
{
	const struct issuers_times times = { .refresh = PRONG_MILLISECONDS(50),
					     .pause = PRONG_MILLISECONDS(5),
					     .keep = PRONG_MILLISECONDS(300) };
	struct scene scene;
	uint64_t generation;
	int64_t start;
	int r = 0;

	scene_prepare(&scene);
	jwks_server_say(&scene.a, "200 OK", scene.jwks_a);
	scene_start_at(&scene, &times);
	CU_ASSERT_EQUAL(verify_forged(&scene, &scene.eddsa, HEADER("EdDSA", "e"), CLAIMS), 0);
	generation = issuers_generation(scene.issuers);
	jwks_server_say(&scene.a, "500 Oh", "");
	for (start = monotonic_us(); r == 0 && monotonic_us() < start + PRONG_SECONDS(20);) {
		await(&scene, jwks_server_asked(&scene.a) + 1);
		r = verify_forged(&scene, &scene.eddsa, HEADER("EdDSA", "e"), CLAIMS);
	}
	CU_ASSERT_EQUAL(r, -EHOSTDOWN);
	CU_ASSERT_NOT_EQUAL(issuers_generation(scene.issuers), generation);
	scene_end(&scene);
}

/* A fetch that hangs does not hold up the end, nor does a caller's deadline wait for it. */
static void ask_briefly(void *argument)
{
	coroutine_set_deadline(coroutine_current(), monotonic_us() + PRONG_MILLISECONDS(20));
	ask(argument);
}

TEST(issuers, a_server_may_hang)
{
	struct scene scene;
	size_t left = 1;
	struct asking asking = { .scene = &scene, .left = &left };

	scene_prepare(&scene);
	jwks_server_hang(&scene.a);
	scene_start_at(&scene, &issuers_times);
	_cleanup_(freep) char *token = forge(&scene.eddsa, NULL, HEADER("EdDSA", "e"), CLAIMS);
	asking.token = token;
	arena_init(&asking.arena);
	CU_ASSERT_EQUAL_FATAL(coroutine_start(scene.loop, ask_briefly, &asking, NULL), 0);
	while (left)
		loop_run(scene.loop);
	CU_ASSERT_EQUAL(asking.result, -ETIMEDOUT);
	arena_reset(&asking.arena);
	scene_end(&scene);
}

#define MOST 64 /* may wait at once */

TEST(issuers, a_crowd_does_not_wait_for_a_server_that_hangs)
{
	_cleanup_(freep) struct asking *askings = allocate_array(MOST + 1, sizeof(*askings));
	struct scene scene;
	size_t left = MOST + 1;

	scene_prepare(&scene);
	jwks_server_hang(&scene.a);
	scene_start_at(&scene, &issuers_times);
	_cleanup_(freep) char *token = forge(&scene.eddsa, NULL, HEADER("EdDSA", "e"), CLAIMS);
	for (size_t i = 0; i <= MOST; i++) {
		askings[i] = (struct asking){ .scene = &scene, .token = token, .left = &left };
		arena_init(&askings[i].arena);
		CU_ASSERT_EQUAL_FATAL(coroutine_start(scene.loop, ask, &askings[i], NULL), 0);
	}
	CU_ASSERT_EQUAL(left, MOST);
	CU_ASSERT_EQUAL(askings[MOST].result, -EHOSTDOWN);
	jwks_server_say(&scene.a, "200 OK", scene.jwks_a);
	jwks_server_say(&scene.b, "200 OK", scene.jwks_b);
	while (left)
		loop_run(scene.loop);
	for (size_t i = 0; i <= MOST; i++) {
		CU_ASSERT_EQUAL(askings[i].result, i < MOST ? 0 : -EHOSTDOWN);
		arena_reset(&askings[i].arena);
	}
	scene_end(&scene);
}
