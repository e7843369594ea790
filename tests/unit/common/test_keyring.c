#include <prong/database.h>
#include <sodium.h>
#include <sys/wait.h>

#include "common/context.h"
#include "common/loop.h"
#include "common/postgres/postgres.h"
#include "common/security/keyring.h"
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

#define RACERS 16

/* Connects first, so that all are at the line when it opens. */
static void race(int line, int finish)
{
	struct runtime *runtime = bench_new();
	struct keyring *keyring = keyring_new(SECRET, ALGORITHM_EDDSA);
	char byte;

	if (run(runtime, execute, "SELECT 1") != 1 || write(finish, "r", 1) != 1 || read(line, &byte, 1) != 0)
		_exit(1);
	if (run(runtime, load, keyring) < 0 || count(keyring) != 1)
		_exit(2);
	if (write(finish, keyring_current(keyring)->id, SIGNING_KEY_ID_SIZE) != SIGNING_KEY_ID_SIZE)
		_exit(3);
	_exit(0);
}

TEST(keyring, sixteen_processes_make_one_key)
{
	_cleanup_(bench_freep) struct runtime *runtime = bench_with_table();
	char ids[RACERS][SIGNING_KEY_ID_SIZE], ready;
	pid_t racers[RACERS];
	int line[2], finish[2], status;

	CU_ASSERT_FATAL(pipe(line) == 0 && pipe(finish) == 0);
	for (size_t i = 0; i < RACERS; i++) {
		racers[i] = fork();
		CU_ASSERT_FATAL(racers[i] >= 0);
		if (racers[i] == 0) {
			close(line[1]);
			close(finish[0]);
			race(line[0], finish[1]);
		}
	}
	close(line[0]);
	close(finish[1]);
	for (size_t i = 0; i < RACERS; i++)
		CU_ASSERT_EQUAL_FATAL(read(finish[0], &ready, 1), 1);
	close(line[1]);
	for (size_t i = 0; i < RACERS; i++) {
		CU_ASSERT_EQUAL_FATAL(read(finish[0], ids[i], SIGNING_KEY_ID_SIZE), SIGNING_KEY_ID_SIZE);
		CU_ASSERT_STRING_EQUAL(ids[i], ids[0]);
	}
	close(finish[0]);
	for (size_t i = 0; i < RACERS; i++) {
		CU_ASSERT_EQUAL(waitpid(racers[i], &status, 0), racers[i]);
		CU_ASSERT_EQUAL(status, 0);
	}
	CU_ASSERT_EQUAL(run(runtime, execute, "SELECT 1 FROM prong_signing_keys"), 1);
}
