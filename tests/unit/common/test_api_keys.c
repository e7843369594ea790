#include <sodium.h>
#include <stdio.h>

#include "common/security/api_key.h"
#include "tests/unit/common/postgres_fixture.h"
#include "tests/unit/test.h"

#define ACCOUNT "0190a5d4-0000-7000-8000-000000000001"
#define KEY "0190a5d4-0000-7000-8000-000000000002"

struct scene {
	struct fixture fixture;
	struct api_keys *keys;
	char key[API_KEY_SIZE];
	struct principal principal; /* as it was last found */
	char scope[100];
};

static void migrate(const char *name)
{
	_cleanup_(freep) char *path = format_text("migrations/accounts/%s.up.sql", name), *sql = NULL;
	size_t size;

	check(file_read(path, 65536, &sql, &size) == 0);
	free(fixture_sql(sql));
}

static void scene_open(struct scene *scene)
{
	_cleanup_(freep) char *insert = NULL;
	unsigned char hash[API_KEY_HASH_SIZE];
	char hex[sizeof(hash) * 2 + 1];

	*scene = (struct scene){ .keys = api_keys_new() };
	fixture_open(&scene->fixture, 1, 1, PRONG_SECONDS(20));
	free(fixture_sql("DROP TABLE IF EXISTS prong_accounts CASCADE; DROP TABLE IF EXISTS prong_api_keys"));
	migrate("0001_accounts");
	migrate("0004_scopes");
	migrate("0005_states");
	migrate("0008_api_keys");
	api_key_make(scene->key);
	api_key_hash(scene->key, hash);
	sodium_bin2hex(hex, sizeof(hex), hash, sizeof(hash));
	insert = format_text("INSERT INTO prong_accounts (id, email, email_normalised, password_hash, scopes)"
			     " VALUES ('" ACCOUNT "', 'a@b.example', 'a@b.example', 'none', '{read,write,admin}');"
			     "INSERT INTO prong_api_keys (id, account_id, name, hash, hint, scopes)"
			     " VALUES ('" KEY "', '" ACCOUNT "', 'k', '\\x%s', 'hint', '{write,read,gone}')",
			     hex);
	free(fixture_sql(insert));
}

static void scene_close(struct scene *scene)
{
	api_keys_free(scene->keys);
	fixture_close(&scene->fixture);
}

/* What is found lives in the context's arena. */
static int take(struct scene *scene, int r)
{
	if (r == 0)
		snprintf(scene->scope, sizeof(scene->scope), "%s", scene->principal.scope);
	scene->principal.scope = NULL;
	return r;
}

static int run_find(struct prong_ctx *ctx, void *argument)
{
	struct scene *scene = argument;

	return take(scene, api_keys_find(scene->keys, ctx, scene->key, strlen(scene->key), &scene->principal));
}

static int run_verify(struct prong_ctx *ctx, void *argument)
{
	struct scene *scene = argument;

	return take(scene, api_keys_verify(scene->keys, ctx, scene->key, strlen(scene->key), &scene->principal));
}

static int find(struct scene *scene)
{
	return fixture_run(&scene->fixture, run_find, scene);
}

static int verify(struct scene *scene)
{
	return fixture_run(&scene->fixture, run_verify, scene);
}

static bool is_uuid(prong_uuid uuid, const char *text)
{
	char formatted[PRONG_UUID_TEXT_SIZE];

	return string_equal(prong_uuid_format(uuid, formatted), text);
}

TEST(api_keys, are_looked_up_once_and_then_known)
{
	struct scene scene;

	scene_open(&scene);
	CU_ASSERT_EQUAL(find(&scene), -ENOENT);
	CU_ASSERT_EQUAL(verify(&scene), 0);
	free(fixture_sql("DELETE FROM prong_api_keys"));
	scene.principal = (struct principal){ 0 };
	CU_ASSERT_EQUAL(find(&scene), 0);
	CU_ASSERT(is_uuid(scene.principal.account_id, ACCOUNT));
	CU_ASSERT(is_uuid(scene.principal.api_key_id, KEY));
	CU_ASSERT(is_uuid(scene.principal.session_id, "00000000-0000-0000-0000-000000000000"));
	CU_ASSERT_STRING_EQUAL(scene.scope, "write read"); /* those that the account has too */
	CU_ASSERT_EQUAL(scene.principal.expires_at, INT64_MAX);
	CU_ASSERT_EQUAL(scene.principal.authenticated_at, 0);
	scene_close(&scene);
}

TEST(api_keys, of_none_or_of_those_out_of_use_are_refused)
{
	static const char *const changes[][2] = {
		{ "UPDATE prong_api_keys SET revoked_at = now()", "UPDATE prong_api_keys SET revoked_at = NULL" },
		{ "UPDATE prong_api_keys SET expires_at = now()", "UPDATE prong_api_keys SET expires_at = NULL" },
		{ "UPDATE prong_accounts SET disabled_at = now()", "UPDATE prong_accounts SET disabled_at = NULL" },
		{ "UPDATE prong_accounts SET delete_after = now() + interval '1 day'",
		  "UPDATE prong_accounts SET delete_after = NULL" },
		{ "UPDATE prong_api_keys SET hash = '\\x00' || hash",
		  "UPDATE prong_api_keys SET hash = substring(hash from 2)" },
	};
	struct scene scene;

	scene_open(&scene);
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		free(fixture_sql(changes[i][0]));
		CU_ASSERT_EQUAL(verify(&scene), -EACCES);
		CU_ASSERT_EQUAL(find(&scene), -ENOENT);
		free(fixture_sql(changes[i][1]));
	}
	CU_ASSERT_EQUAL(verify(&scene), 0);
	scene.key[10] ^= 1;
	CU_ASSERT_EQUAL(verify(&scene), -EACCES);
	CU_ASSERT_EQUAL(find(&scene), -ENOENT);
	scene_close(&scene);
}

TEST(api_keys, leave_the_cache_when_they_expire)
{
	struct scene scene;

	scene_open(&scene);
	free(fixture_sql("UPDATE prong_api_keys SET expires_at = now() + interval '1500 ms'"));
	CU_ASSERT_EQUAL(verify(&scene), 0);
	CU_ASSERT(scene.principal.expires_at <= (int64_t)time(NULL) + 2);
	while ((int64_t)time(NULL) < scene.principal.expires_at)
		usleep(1000);
	CU_ASSERT_EQUAL(find(&scene), -ENOENT);
	scene_close(&scene);
}

/* Whoever looks at it waits for the row to change, as nobody waits for the note. */
static bool is_noted(void)
{
	for (int64_t end = monotonic_us() + PRONG_SECONDS(20); monotonic_us() < end; usleep(1000)) {
		_cleanup_(freep) char *noted =
			fixture_sql("SELECT last_used_at > now() - interval '30 s' FROM prong_api_keys");

		if (string_equal(noted, "t"))
			return true;
	}
	return false;
}

TEST(api_keys, note_their_last_use_once_a_minute)
{
	_cleanup_(freep) char *before = NULL, *after = NULL;
	struct scene scene;

	scene_open(&scene);
	CU_ASSERT_EQUAL(verify(&scene), 0);
	CU_ASSERT(is_noted());
	before = fixture_sql("SELECT xmin FROM prong_api_keys");
	CU_ASSERT_EQUAL(verify(&scene), 0);
	CU_ASSERT_EQUAL(verify(&scene), 0); /* the one connection would have carried a note before this */
	after = fixture_sql("SELECT xmin FROM prong_api_keys");
	CU_ASSERT_STRING_EQUAL(before, after);
	free(fixture_sql("UPDATE prong_api_keys SET last_used_at = now() - interval '2 minutes'"));
	CU_ASSERT_EQUAL(verify(&scene), 0);
	CU_ASSERT(is_noted());
	scene_close(&scene);
}

static int fill(struct prong_ctx *ctx, void *argument)
{
	struct scene *scene = argument;
	int r = 0;

	for (int i = 0; i < 20000 && r == 0; i++) {
		char key[API_KEY_SIZE];
		unsigned char hash[API_KEY_HASH_SIZE];
		char hex[sizeof(hash) * 2 + 1];

		api_key_make(key);
		api_key_hash(key, hash);
		sodium_bin2hex(hex, sizeof(hex), hash, sizeof(hash));
		r = prong_exec(ctx, "UPDATE prong_api_keys SET hash = decode($1, 'hex')", hex);
		if (r > 0)
			r = api_keys_verify(scene->keys, ctx, key, strlen(key), &scene->principal);
	}
	return r;
}

TEST(api_keys, fill_the_cache_and_no_more)
{
	struct scene scene;

	scene_open(&scene);
	CU_ASSERT_EQUAL(verify(&scene), 0);
	free(fixture_sql("UPDATE prong_api_keys SET last_used_at = now()"));
	CU_ASSERT_EQUAL(fixture_run(&scene.fixture, fill, &scene), 0);
	CU_ASSERT_EQUAL(find(&scene), -ENOENT); /* the oldest of its set has made room */
	scene_close(&scene);
}
