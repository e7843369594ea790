#include <prong/database.h>
#include <sodium.h>
#include <sys/wait.h>

#include "common/buffer.h"
#include "common/context.h"
#include "common/loop.h"
#include "common/postgres/postgres.h"
#include "common/redis/redis.h"
#include "common/security/feed.h"
#include "common/security/key_rotation.h"
#include "tests/unit/common/servers.h"
#include "tests/unit/test.h"

#define SECRET "a secret for tests, 32 bytes or more"
#define MADE "migrations/accounts/0003_signing_keys.up.sql"
#define ROTATES "migrations/accounts/0010_key_rotation"

/* A process's worth of what loading keys needs. */
static struct runtime *bench_new(void)
{
	struct runtime *runtime = allocate(sizeof(*runtime));

	CU_ASSERT_FATAL(sodium_init() >= 0);
	runtime->loop = loop_new(16);
	runtime->postgres = postgres_new(runtime->loop, &(struct postgres_options){
								.url = server_url(SERVER_POSTGRES),
								.shared = 1,
								.owned = 1,
								.statement_timeout = PRONG_SECONDS(20),
								.application_name = "test_keyring",
							});
	return runtime;
}

static void bench_freep(struct runtime **runtime)
{
	postgres_free((*runtime)->postgres);
	loop_free((*runtime)->loop);
	free(*runtime);
}

static void keyring_freep(struct keyring **keyring)
{
	keyring_free(*keyring);
}

static int run_file(struct prong_ctx *ctx, void *path)
{
	_cleanup_(freep) char *script = NULL;
	struct postgres_error error;
	size_t size;
	int r;

	r = file_read(path, 65536, &script, &size);
	return r < 0 ? r : postgres_run_script(ctx, script, &error);
}

static int execute(struct prong_ctx *ctx, void *argument)
{
	return prong_exec(ctx, argument);
}

static int load(struct prong_ctx *ctx, void *argument)
{
	return keyring_load(argument, ctx);
}

static int run(struct runtime *runtime, int (*function)(struct prong_ctx *ctx, void *argument), void *argument)
{
	return context_run(runtime, PRONG_SECONDS(30), function, argument);
}

static void make_table(struct runtime *runtime)
{
	CU_ASSERT_FATAL(run(runtime, execute, "DROP TABLE IF EXISTS prong_signing_keys") >= 0);
	CU_ASSERT_EQUAL_FATAL(run(runtime, run_file, MADE), 0);
	CU_ASSERT_EQUAL_FATAL(run(runtime, run_file, ROTATES ".up.sql"), 0);
}

static struct runtime *bench_with_table(void)
{
	struct runtime *runtime = bench_new();

	make_table(runtime);
	return runtime;
}

static size_t count(const struct keyring *keyring)
{
	size_t n;

	keyring_all(keyring, &n);
	return n;
}

TEST(keyring, makes_the_first_key_and_finds_it_again)
{
	_cleanup_(bench_freep) struct runtime *runtime = bench_with_table();
	_cleanup_(keyring_freep) struct keyring *first = keyring_new(SECRET, ALGORITHM_EDDSA);
	_cleanup_(keyring_freep) struct keyring *second = keyring_new(SECRET, ALGORITHM_EDDSA);
	const struct signing_key *a, *b;

	CU_ASSERT_PTR_NULL(keyring_current(first));
	CU_ASSERT_EQUAL(count(first), 0);
	CU_ASSERT_EQUAL_FATAL(run(runtime, load, first), 0);
	CU_ASSERT_EQUAL_FATAL(run(runtime, load, second), 0);
	a = keyring_current(first);
	b = keyring_current(second);
	CU_ASSERT_STRING_EQUAL(a->id, b->id);
	CU_ASSERT_EQUAL(count(first), 1);

	struct token_claims claims = { .issuer = "i", .audience = "a", .issued_at = 1, .principal.expires_at = 9 };
	const char *reason;
	struct arena arena;

	arena_init(&arena);
	char *token;
	CU_ASSERT_EQUAL_FATAL(token_sign(&arena, a, &claims, &token, &reason), 0);
	CU_ASSERT_EQUAL(token_verify(&arena, b, 1, token, strlen(token), "i", "a", 2, &claims, &reason), 0);
	arena_reset(&arena);
}

TEST(keyring, keeps_the_secret_sealed)
{
	_cleanup_(bench_freep) struct runtime *runtime = bench_with_table();
	_cleanup_(keyring_freep) struct keyring *keyring = keyring_new(SECRET, ALGORITHM_EDDSA);
	_cleanup_(keyring_freep) struct keyring *stranger = keyring_new(SECRET "!", ALGORITHM_EDDSA);
	_cleanup_(freep) char *statement = NULL;
	char seed[65];

	CU_ASSERT_EQUAL_FATAL(run(runtime, load, keyring), 0);
	sodium_bin2hex(seed, sizeof(seed), keyring_current(keyring)->secret_key, 32);
	statement = format_text(
		"SELECT 1 FROM prong_signing_keys WHERE position(decode('%s', 'hex') IN sealed_secret) > 0", seed);
	CU_ASSERT_EQUAL(run(runtime, execute, statement), 0);

	CU_ASSERT_EQUAL(run(runtime, load, stranger), -EBADMSG);
	CU_ASSERT_PTR_NULL(keyring_current(stranger));
	CU_ASSERT_EQUAL(count(stranger), 0);
}

TEST(keyring, refuses_rows_that_were_changed)
{
	static const char *const changes[] = {
		"UPDATE prong_signing_keys SET public_key = set_byte(public_key, 0, get_byte(public_key, 0) # 1)",
		"UPDATE prong_signing_keys SET sealed_secret = set_byte(sealed_secret, 3, get_byte(sealed_secret, 3) # "
		"1)",
		"UPDATE prong_signing_keys SET sealed_secret = set_byte(sealed_secret, 30, get_byte(sealed_secret, 30) "
		"# 1)",
		"UPDATE prong_signing_keys SET sealed_secret = substring(sealed_secret FROM 1 FOR 71)",
		"UPDATE prong_signing_keys SET sealed_secret = sealed_secret || '\\x00'",
		"UPDATE prong_signing_keys SET sealed_secret = ''",
		"UPDATE prong_signing_keys SET public_key = ''",
		"UPDATE prong_signing_keys SET id = 'another'",
	};
	_cleanup_(bench_freep) struct runtime *runtime = bench_new();

	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		_cleanup_(keyring_freep) struct keyring *keyring = keyring_new(SECRET, ALGORITHM_EDDSA);
		_cleanup_(keyring_freep) struct keyring *other = keyring_new(SECRET, ALGORITHM_EDDSA);

		make_table(runtime);
		CU_ASSERT_EQUAL(run(runtime, load, keyring), 0);
		CU_ASSERT_EQUAL(run(runtime, execute, (void *)changes[i]), 1);
		CU_ASSERT_EQUAL(run(runtime, load, other), -EBADMSG);
		CU_ASSERT_EQUAL(run(runtime, load, keyring), -EBADMSG);
		CU_ASSERT_EQUAL(count(keyring), 1); /* what it had, it keeps */
	}
}

/* ---- turns ---- */

struct rotation {
	struct keyring *keyring;
	enum algorithm algorithm;
	prong_duration age, lead;
	char id[SIGNING_KEY_ID_SIZE];
};

static int rotate(struct prong_ctx *ctx, void *argument)
{
	struct rotation *rotation = argument;
	const char *id;
	int r = keys_rotate(ctx, rotation->keyring, rotation->algorithm, rotation->age, rotation->lead, &id);

	if (r > 0)
		memcpy(rotation->id, id, sizeof(rotation->id));
	return r;
}

/* Keys' states, oldest first, with a space between. */
static int list(struct prong_ctx *ctx, void *argument)
{
	struct listed_key *keys;
	struct buffer *out = argument;
	size_t n;
	int r = keys_list(ctx, &keys, &n);

	out->size = 0;
	for (size_t i = 0; r == 0 && i < n; i++) {
		buffer_add_format(out, "%s%s", i ? " " : "", keys[i].state);
		CU_ASSERT_EQUAL(keys[i].signs_to.set, i + 1 < n);
	}
	return r;
}

static void expect_states(struct runtime *runtime, const char *expected)
{
	_cleanup_(buffer_free) struct buffer states = { 0 };

	CU_ASSERT_EQUAL(run(runtime, list, &states), 0);
	CU_ASSERT_STRING_EQUAL(buffer_text(&states), expected);
}

static int retire(struct prong_ctx *ctx, void *id)
{
	int r;

	if (prong_begin(ctx) < 0)
		return -EIO;
	r = keys_retire(ctx, id);
	if (r < 0) {
		prong_rollback(ctx);
		return r;
	}
	return prong_commit(ctx);
}

static int forget(struct prong_ctx *ctx, void *argument)
{
	(void)argument;
	return keys_forget(ctx, PRONG_MINUTES(10));
}

/* As if all that was done so far had been that much earlier. */
static void pass(struct runtime *runtime, const char *interval)
{
	_cleanup_(freep) char *statement =
		format_text("UPDATE prong_signing_keys SET active_from = active_from - interval '%s'", interval);

	CU_ASSERT_FATAL(run(runtime, execute, statement) > 0);
}

static char *sign(struct arena *arena, const struct signing_key *key)
{
	struct token_claims claims = { .issuer = "i", .audience = "a", .issued_at = 1, .principal.expires_at = 9 };
	const char *reason;
	char *token;

	CU_ASSERT_EQUAL_FATAL(token_sign(arena, key, &claims, &token, &reason), 0);
	return token;
}

static int verify(const struct keyring *keyring, const char *token)
{
	struct token_claims claims;
	const struct signing_key *keys;
	struct arena arena;
	const char *reason;
	size_t n;
	int r;

	arena_init(&arena);
	keys = keyring_all(keyring, &n);
	r = token_verify(&arena, keys, n, token, strlen(token), "i", "a", 2, &claims, &reason);
	arena_reset(&arena);
	return r;
}

TEST(keyring, keys_take_turns)
{
	_cleanup_(bench_freep) struct runtime *runtime = bench_with_table();
	_cleanup_(keyring_freep) struct keyring *keyring = keyring_new(SECRET, ALGORITHM_EDDSA);
	_cleanup_(keyring_freep) struct keyring *stranger = keyring_new(SECRET "!", ALGORITHM_EDDSA);
	struct rotation rotation = { keyring, ALGORITHM_ES256, 0, PRONG_SECONDS(30), "" };
	char first[SIGNING_KEY_ID_SIZE], next[SIGNING_KEY_ID_SIZE];
	struct arena arena;

	arena_init(&arena);
	CU_ASSERT_EQUAL_FATAL(run(runtime, load, keyring), 0);
	memcpy(first, keyring_current(keyring)->id, sizeof(first));
	char *token = sign(&arena, keyring_current(keyring));
	CU_ASSERT_EQUAL(run(runtime, rotate, &(struct rotation){ stranger, ALGORITHM_ES256, 0, 0, "" }), -EBADMSG);

	CU_ASSERT_EQUAL(run(runtime, rotate, &rotation), 1);
	memcpy(next, rotation.id, sizeof(next));
	CU_ASSERT_EQUAL(run(runtime, rotate, &rotation), 0); /* it has its follower */
	expect_states(runtime, "current next");
	CU_ASSERT_EQUAL_FATAL(run(runtime, load, keyring), 0);
	CU_ASSERT_EQUAL(count(keyring), 2);
	CU_ASSERT_STRING_EQUAL(keyring_current(keyring)->id, first);
	CU_ASSERT_EQUAL(run(runtime, retire, first), -EBUSY);
	CU_ASSERT_EQUAL(run(runtime, retire, "no such key"), -ENOENT);

	pass(runtime, "31 seconds");
	expect_states(runtime, "previous current");
	CU_ASSERT_EQUAL_FATAL(run(runtime, load, keyring), 0);
	CU_ASSERT_STRING_EQUAL(keyring_current(keyring)->id, next);
	CU_ASSERT_EQUAL(keyring_current(keyring)->algorithm, ALGORITHM_ES256);
	CU_ASSERT_EQUAL(verify(keyring, token), 0);
	CU_ASSERT_EQUAL(verify(keyring, sign(&arena, keyring_current(keyring))), 0);
	CU_ASSERT_EQUAL(run(runtime, retire, next), -EBUSY);

	/* The third is HMAC's; the second stays for as long as its tokens may live. */
	rotation.algorithm = ALGORITHM_HS256;
	rotation.lead = 0;
	CU_ASSERT_EQUAL(run(runtime, rotate, &rotation), 1);
	CU_ASSERT_EQUAL_FATAL(run(runtime, load, keyring), 0);
	CU_ASSERT_EQUAL(keyring_current(keyring)->algorithm, ALGORITHM_HS256);
	CU_ASSERT_EQUAL(verify(keyring, sign(&arena, keyring_current(keyring))), 0);
	pass(runtime, "14 minutes");
	CU_ASSERT_EQUAL(run(runtime, forget, NULL), 0);
	pass(runtime, "2 minutes");
	CU_ASSERT_EQUAL(run(runtime, forget, NULL), 2);
	expect_states(runtime, "current");
	CU_ASSERT_EQUAL(run(runtime, forget, NULL), 0);
	arena_reset(&arena);
}

TEST(keyring, takes_the_next_key_while_postgresql_is_away)
{
	_cleanup_(bench_freep) struct runtime *runtime = bench_with_table();
	_cleanup_(keyring_freep) struct keyring *keyring = keyring_new(SECRET, ALGORITHM_EDDSA);
	struct rotation rotation = { keyring, ALGORITHM_EDDSA, 0, PRONG_MILLISECONDS(300), "" };
	int64_t start;

	CU_ASSERT_EQUAL_FATAL(run(runtime, load, keyring), 0);
	CU_ASSERT_EQUAL(run(runtime, rotate, &rotation), 1);
	CU_ASSERT_EQUAL_FATAL(run(runtime, load, keyring), 0);
	CU_ASSERT_EQUAL(run(runtime, execute, "ALTER TABLE prong_signing_keys RENAME TO away"), 0);
	CU_ASSERT(run(runtime, load, keyring) < 0);
	CU_ASSERT_EQUAL(count(keyring), 2);
	for (start = monotonic_us(); monotonic_us() < start + PRONG_SECONDS(20);)
		if (string_equal(keyring_current(keyring)->id, rotation.id))
			break;
	CU_ASSERT_STRING_EQUAL(keyring_current(keyring)->id, rotation.id);
	CU_ASSERT_EQUAL(run(runtime, execute, "DROP TABLE away"), 0);
}

/* As one that had to wait: for the table's lock, say. */
static int rotate_late(struct prong_ctx *ctx, void *argument)
{
	const struct rotation *rotation = argument;
	int r = prong_begin(ctx), later;

	if (r < 0 || prong_exec(ctx, "SELECT pg_sleep(0.01)") < 0)
		return -EIO;
	r = rotate(ctx, argument);
	later = prong_exec(
		ctx,
		"SELECT 1 FROM prong_signing_keys"
		" WHERE active_from >= now() + interval '10 milliseconds' + $1::bigint * interval '1 microsecond'",
		rotation->lead);
	CU_ASSERT_EQUAL(later, 1);
	return prong_commit(ctx) < 0 ? -EIO : r;
}

TEST(keyring, a_key_is_known_for_its_lead_from_when_it_was_made)
{
	_cleanup_(bench_freep) struct runtime *runtime = bench_with_table();
	_cleanup_(keyring_freep) struct keyring *keyring = keyring_new(SECRET, ALGORITHM_EDDSA);
	struct rotation rotation = { keyring, ALGORITHM_EDDSA, 0, PRONG_SECONDS(30), "" };

	CU_ASSERT_EQUAL_FATAL(run(runtime, load, keyring), 0);
	CU_ASSERT_EQUAL(run(runtime, rotate_late, &rotation), 1);
}

TEST(keyring, rotates_by_age)
{
	_cleanup_(bench_freep) struct runtime *runtime = bench_with_table();
	_cleanup_(keyring_freep) struct keyring *keyring = keyring_new(SECRET, ALGORITHM_EDDSA);
	struct rotation rotation = { keyring, ALGORITHM_EDDSA, PRONG_DAYS(90), PRONG_MINUTES(10), "" };

	CU_ASSERT_EQUAL(run(runtime, rotate, &rotation), 0);
	CU_ASSERT_EQUAL(count(keyring), 1);
	pass(runtime, "89 days 23 hours 49 minutes");
	CU_ASSERT_EQUAL(run(runtime, rotate, &rotation), 0);
	pass(runtime, "2 minutes");
	CU_ASSERT_EQUAL(run(runtime, rotate, &rotation), 1);
	CU_ASSERT_EQUAL(run(runtime, rotate, &rotation), 0);
	pass(runtime, "9 minutes");
	expect_states(runtime, "current next");
	pass(runtime, "2 minutes");
	expect_states(runtime, "previous current");
	CU_ASSERT_EQUAL(run(runtime, rotate, &rotation), 0);
}

TEST(keyring, a_retired_key_is_gone)
{
	_cleanup_(bench_freep) struct runtime *runtime = bench_with_table();
	_cleanup_(keyring_freep) struct keyring *keyring = keyring_new(SECRET, ALGORITHM_EDDSA);
	struct rotation rotation = { keyring, ALGORITHM_EDDSA, 0, 0, "" };
	uint64_t generation;
	struct arena arena;

	arena_init(&arena);
	CU_ASSERT_EQUAL_FATAL(run(runtime, load, keyring), 0);
	char *token = sign(&arena, keyring_current(keyring));
	char *first = arena_strdup(&arena, keyring_current(keyring)->id);
	generation = keyring_generation(keyring);
	CU_ASSERT_EQUAL(run(runtime, rotate, &rotation), 1);
	CU_ASSERT_EQUAL_FATAL(run(runtime, load, keyring), 0);
	CU_ASSERT_EQUAL(keyring_generation(keyring), generation); /* nothing has become void */
	CU_ASSERT_EQUAL(verify(keyring, token), 0);
	CU_ASSERT_EQUAL(run(runtime, retire, first), 0);
	CU_ASSERT_EQUAL(verify(keyring, token), 0);
	CU_ASSERT_EQUAL_FATAL(run(runtime, load, keyring), 0);
	CU_ASSERT_EQUAL(verify(keyring, token), -ENOKEY);
	CU_ASSERT_NOT_EQUAL(keyring_generation(keyring), generation);

	/* One that does not sign yet can be taken back, and then another can follow. */
	rotation.lead = PRONG_SECONDS(30);
	CU_ASSERT_EQUAL(run(runtime, rotate, &rotation), 1);
	CU_ASSERT_EQUAL(run(runtime, retire, rotation.id), 0);
	CU_ASSERT_EQUAL(run(runtime, rotate, &rotation), 1);
	expect_states(runtime, "current next");
	arena_reset(&arena);
}

static int look(struct prong_ctx *ctx, void *argument)
{
	return keyring_look(argument, ctx);
}

TEST(keyring, looks_for_unknown_keys_at_most_once_a_second)
{
	_cleanup_(bench_freep) struct runtime *runtime = bench_with_table();
	_cleanup_(keyring_freep) struct keyring *keyring = keyring_new(SECRET, ALGORITHM_EDDSA);
	_cleanup_(keyring_freep) struct keyring *other = keyring_new(SECRET, ALGORITHM_EDDSA);
	struct rotation rotation = { other, ALGORITHM_EDDSA, 0, 0, "" };
	struct arena arena;

	arena_init(&arena);
	CU_ASSERT_EQUAL_FATAL(run(runtime, load, keyring), 0);
	CU_ASSERT_EQUAL(run(runtime, rotate, &rotation), 1);
	CU_ASSERT_EQUAL_FATAL(run(runtime, load, other), 0);
	char *token = sign(&arena, keyring_current(other));
	CU_ASSERT_EQUAL(verify(keyring, token), -ENOKEY);
	CU_ASSERT_EQUAL(run(runtime, look, keyring), 0);
	CU_ASSERT_EQUAL(verify(keyring, token), 0);
	CU_ASSERT_EQUAL(run(runtime, look, keyring), -EAGAIN);
	arena_reset(&arena);
}

TEST(keyring, makes_the_first_key_by_the_setting)
{
	_cleanup_(bench_freep) struct runtime *runtime = bench_new();

	for (enum algorithm algorithm = ALGORITHM_EDDSA; algorithm <= ALGORITHM_HS256; algorithm++) {
		_cleanup_(keyring_freep) struct keyring *keyring = keyring_new(SECRET, algorithm);
		_cleanup_(keyring_freep) struct keyring *second = keyring_new(SECRET, ALGORITHM_EDDSA);

		make_table(runtime);
		CU_ASSERT_EQUAL_FATAL(run(runtime, load, keyring), 0);
		CU_ASSERT_EQUAL(keyring_current(keyring)->algorithm, algorithm);
		CU_ASSERT_EQUAL_FATAL(run(runtime, load, second), 0);
		CU_ASSERT_STRING_EQUAL(keyring_current(keyring)->id, keyring_current(second)->id);
		CU_ASSERT_EQUAL(run(runtime, execute, "UPDATE prong_signing_keys SET algorithm = 'RS256'"), 1);
		CU_ASSERT_EQUAL(run(runtime, load, second), -EBADMSG);
	}
}

/* ---- keeping up ---- */

struct keeping {
	struct keyring *keyring;
	int64_t deadline; /* from now, µs */
	int waits;	  /* that have ended */
};

/* Waits as often as it can until the deadline. */
static int keep_up(struct prong_ctx *ctx, void *argument)
{
	struct keeping *keeping = argument;
	int r;

	(void)ctx;
	coroutine_set_deadline(coroutine_current(), monotonic_us() + keeping->deadline);
	while ((r = keyring_wait(keeping->keyring)) == 0)
		keeping->waits++;
	return r;
}

static void note_event(void *argument, const char *kind, const char *text)
{
	(void)argument, (void)kind, (void)text;
}

static void note_gap(void *argument, bool connected)
{
	*(bool *)argument = connected;
}

static int wait_for_feed(struct prong_ctx *ctx, void *argument)
{
	const bool *connected = argument;
	int r = 0;

	(void)ctx;
	while (!*connected && r == 0)
		r = coroutine_sleep_until(monotonic_us() + PRONG_MILLISECONDS(1));
	return r;
}

static int publish_and_wait(struct prong_ctx *ctx, void *argument)
{
	struct keeping *keeping = argument;
	int r;

	coroutine_set_deadline(coroutine_current(), monotonic_us() + keeping->deadline);
	r = feed_publish(ctx, "others", "x");
	if (r >= 0)
		r = feed_publish(ctx, KEYRING_EVENT, "x");
	return r < 0 ? r : keyring_wait(keeping->keyring);
}

/* Without the feed every second, so that it is seen within two; with it when it says so, long before ten are over. */
TEST(keyring, hears_of_new_keys)
{
	static const struct prong_app app = { .name = "keyring test" };
	static const struct registry registry = { .app = &app };
	const struct settings settings = { .redis_url = server_url(SERVER_REDIS) };
	struct runtime runtime = { .settings = &settings, .registry = &registry, .loop = loop_new(16) };
	_cleanup_(keyring_freep) struct keyring *keyring = keyring_new(SECRET, ALGORITHM_EDDSA);
	struct keeping keeping = { .keyring = keyring, .deadline = PRONG_MILLISECONDS(1500) };
	bool connected = false;
	struct feed *feed;

	CU_ASSERT_EQUAL(run(&runtime, keep_up, &keeping), -ETIMEDOUT);
	CU_ASSERT_EQUAL(keeping.waits, 1);

	runtime.redis = redis_new(runtime.loop, settings.redis_url, "keyring test");
	feed = feed_new(&runtime);
	keyring_listen(keyring, feed);
	feed_listen(feed, &(struct feed_listener){ note_event, note_gap, &connected });
	CU_ASSERT_EQUAL(run(&runtime, wait_for_feed, &connected), 0);
	/* What came before it was connected may have been missed. */
	keeping = (struct keeping){ .keyring = keyring, .deadline = PRONG_MILLISECONDS(1500) };
	CU_ASSERT_EQUAL(run(&runtime, keep_up, &keeping), -ETIMEDOUT);
	CU_ASSERT_EQUAL(keeping.waits, 1);
	keeping.deadline = PRONG_SECONDS(8);
	CU_ASSERT_EQUAL(run(&runtime, publish_and_wait, &keeping), 0);
	feed_free(feed);
	redis_free(runtime.redis);
	loop_free(runtime.loop);
}

/* One that is current and one that only verifies, as installations had them. */
TEST(keyring, keeps_its_keys_through_the_migration)
{
	_cleanup_(bench_freep) struct runtime *runtime = bench_with_table();
	_cleanup_(keyring_freep) struct keyring *keyring = keyring_new(SECRET, ALGORITHM_EDDSA);
	struct rotation rotation = { keyring, ALGORITHM_EDDSA, 0, 0, "" };
	char current[SIGNING_KEY_ID_SIZE];

	CU_ASSERT_EQUAL(run(runtime, rotate, &rotation), 1);
	CU_ASSERT_EQUAL_FATAL(run(runtime, run_file, ROTATES ".down.sql"), 0);
	CU_ASSERT_EQUAL(run(runtime, execute, "SELECT 1 FROM prong_signing_keys WHERE is_current"), 1);
	/* The older one signs: which that is does not depend on their ages. */
	CU_ASSERT_EQUAL(run(runtime, execute, "UPDATE prong_signing_keys SET is_current = false"), 2);
	CU_ASSERT_EQUAL(run(runtime, execute,
			    "UPDATE prong_signing_keys SET is_current = true"
			    " WHERE created_at = (SELECT min(created_at) FROM prong_signing_keys)"),
			1);
	CU_ASSERT_EQUAL_FATAL(run(runtime, run_file, ROTATES ".up.sql"), 0);
	CU_ASSERT_EQUAL_FATAL(run(runtime, load, keyring), 0);
	CU_ASSERT_EQUAL(count(keyring), 2);
	CU_ASSERT_STRING_NOT_EQUAL(keyring_current(keyring)->id, rotation.id);
	memcpy(current, keyring_current(keyring)->id, sizeof(current));
	expect_states(runtime, "previous current");
	CU_ASSERT_EQUAL(run(runtime, rotate, &rotation), 1);

	/* Back, with a key that those before do not know, and forth. */
	rotation.algorithm = ALGORITHM_HS256;
	CU_ASSERT_EQUAL(run(runtime, rotate, &rotation), 1);
	CU_ASSERT_EQUAL_FATAL(run(runtime, run_file, ROTATES ".down.sql"), 0);
	CU_ASSERT_EQUAL(run(runtime, execute, "SELECT 1 FROM prong_signing_keys"), 3);
	CU_ASSERT_EQUAL_FATAL(run(runtime, run_file, ROTATES ".up.sql"), 0);
	expect_states(runtime, "previous previous current");
}

/* ---- races ---- */

#define RACERS 16

/* Connects first, so that all are at the line when it opens. `work` returns what it says at the finish. */
static void race(int line, int finish, void (*work)(struct runtime *runtime, char ret_id[SIGNING_KEY_ID_SIZE]))
{
	struct runtime *runtime = bench_new();
	char byte, id[SIGNING_KEY_ID_SIZE] = "";

	if (run(runtime, execute, "SELECT 1") != 1 || write(finish, "r", 1) != 1 || read(line, &byte, 1) != 0)
		_exit(1);
	work(runtime, id);
	_exit(write(finish, id, sizeof(id)) == sizeof(id) ? 0 : 3);
}

/* What each of the racers says. */
static void run_race(void (*work)(struct runtime *runtime, char ret_id[SIGNING_KEY_ID_SIZE]),
		     char ret_ids[RACERS][SIGNING_KEY_ID_SIZE])
{
	pid_t racers[RACERS];
	int line[2], finish[2], status;
	char ready;

	CU_ASSERT_FATAL(pipe(line) == 0 && pipe(finish) == 0);
	for (size_t i = 0; i < RACERS; i++) {
		racers[i] = fork();
		CU_ASSERT_FATAL(racers[i] >= 0);
		if (racers[i] == 0) {
			close(line[1]);
			close(finish[0]);
			race(line[0], finish[1], work);
		}
	}
	close(line[0]);
	close(finish[1]);
	for (size_t i = 0; i < RACERS; i++)
		CU_ASSERT_EQUAL_FATAL(read(finish[0], &ready, 1), 1);
	close(line[1]);
	for (size_t i = 0; i < RACERS; i++)
		CU_ASSERT_EQUAL_FATAL(read(finish[0], ret_ids[i], SIGNING_KEY_ID_SIZE), SIGNING_KEY_ID_SIZE);
	close(finish[0]);
	for (size_t i = 0; i < RACERS; i++) {
		CU_ASSERT_EQUAL(waitpid(racers[i], &status, 0), racers[i]);
		CU_ASSERT_EQUAL(status, 0);
	}
}

static void make_first(struct runtime *runtime, char ret_id[SIGNING_KEY_ID_SIZE])
{
	struct keyring *keyring = keyring_new(SECRET, ALGORITHM_EDDSA);

	if (run(runtime, load, keyring) < 0 || count(keyring) != 1)
		_exit(2);
	memcpy(ret_id, keyring_current(keyring)->id, SIGNING_KEY_ID_SIZE);
}

TEST(keyring, sixteen_processes_make_one_key)
{
	_cleanup_(bench_freep) struct runtime *runtime = bench_with_table();
	char ids[RACERS][SIGNING_KEY_ID_SIZE];

	run_race(make_first, ids);
	for (size_t i = 0; i < RACERS; i++)
		CU_ASSERT_STRING_EQUAL(ids[i], ids[0]);
	CU_ASSERT_EQUAL(run(runtime, execute, "SELECT 1 FROM prong_signing_keys"), 1);
}

static void make_next(struct runtime *runtime, char ret_id[SIGNING_KEY_ID_SIZE])
{
	struct rotation rotation = { keyring_new(SECRET, ALGORITHM_ES256), ALGORITHM_ES256, 0, PRONG_SECONDS(30), "" };

	if (run(runtime, rotate, &rotation) < 0)
		_exit(2);
	memcpy(ret_id, rotation.id, SIGNING_KEY_ID_SIZE);
}

TEST(keyring, sixteen_processes_rotate_once)
{
	_cleanup_(bench_freep) struct runtime *runtime = bench_with_table();
	_cleanup_(keyring_freep) struct keyring *keyring = keyring_new(SECRET, ALGORITHM_EDDSA);
	char ids[RACERS][SIGNING_KEY_ID_SIZE];
	size_t made = 0;

	CU_ASSERT_EQUAL_FATAL(run(runtime, load, keyring), 0);
	run_race(make_next, ids);
	for (size_t i = 0; i < RACERS; i++)
		made += ids[i][0] != '\0';
	CU_ASSERT_EQUAL(made, 1);
	expect_states(runtime, "current next");
}
