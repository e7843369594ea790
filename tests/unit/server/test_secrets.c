#include "server/routes/accounts/secrets.h"

#include "common/loop.h"
#include "tests/unit/server/accounts_fixture.h"
#include "tests/unit/test.h"

static void play(int (*work)(struct prong_ctx *ctx, void *argument))
{
	struct accounts_fixture fixture;

	accounts_open(&fixture);
	CU_ASSERT_EQUAL(accounts_run(&fixture, work, NULL), 0);
	accounts_close(&fixture);
}

static void expect_use(struct prong_ctx *ctx, enum secret_purpose purpose, const char *text, prong_uuid owner,
		       const char *address)
{
	const char *kept = "untouched";
	prong_uuid id;

	CU_ASSERT_EQUAL_FATAL(secret_use(ctx, purpose, text, &id, &kept), 0);
	CU_ASSERT_TRUE(prong_uuid_equal(id, owner));
	CU_ASSERT_TRUE(address ? kept && string_equal(kept, address) : !kept);
}

static void expect_refused(struct prong_ctx *ctx, enum secret_purpose purpose, const char *text)
{
	const char *address = "untouched";
	prong_uuid id;

	CU_ASSERT_EQUAL(secret_find(ctx, purpose, text, &id), -ENOENT);
	CU_ASSERT_EQUAL(secret_use(ctx, purpose, text, &id, &address), -ENOENT);
	CU_ASSERT_STRING_EQUAL(address, "untouched");
}

static int use_and_misuse(struct prong_ctx *ctx, void *argument)
{
	prong_uuid ada = accounts_add("Ada@example.com"), grace = accounts_add("grace@example.com"), found;
	char reset[SECRET_TEXT_SIZE], sibling[SECRET_TEXT_SIZE], verify[SECRET_TEXT_SIZE], other[SECRET_TEXT_SIZE];
	(void)argument;

	CU_ASSERT_EQUAL_FATAL(secret_make(ctx, SECRET_RESET, ada, "Ada@example.com", reset), 0);
	CU_ASSERT_EQUAL_FATAL(secret_make(ctx, SECRET_RESET, ada, NULL, sibling), 0);
	CU_ASSERT_EQUAL_FATAL(secret_make(ctx, SECRET_VERIFY, ada, NULL, verify), 0);
	CU_ASSERT_EQUAL_FATAL(secret_make(ctx, SECRET_RESET, grace, NULL, other), 0);
	CU_ASSERT_EQUAL(strlen(reset), SECRET_TEXT_SIZE - 1);
	CU_ASSERT_EQUAL(strspn(reset, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
			SECRET_TEXT_SIZE - 1);
	CU_ASSERT_STRING_NOT_EQUAL(reset, sibling);

	/* Purposes are apart, and what is no secret is none. */
	expect_refused(ctx, SECRET_VERIFY, reset);
	expect_refused(ctx, SECRET_CHANGE_EMAIL, reset);
	expect_refused(ctx, SECRET_RESET, verify);
	expect_refused(ctx, SECRET_RESET, "");
	expect_refused(ctx, SECRET_RESET, "' OR true --");
	reset[0] ^= 1;
	expect_refused(ctx, SECRET_RESET, reset);
	reset[0] ^= 1;

	/* To look is not to use. To prove the address leaves the others alone, another password voids them all. */
	CU_ASSERT_EQUAL(secret_find(ctx, SECRET_RESET, reset, &found), 0);
	CU_ASSERT_TRUE(prong_uuid_equal(found, ada));
	expect_use(ctx, SECRET_VERIFY, verify, ada, NULL);
	expect_refused(ctx, SECRET_VERIFY, verify);
	CU_ASSERT_EQUAL_FATAL(secret_make(ctx, SECRET_VERIFY, ada, NULL, verify), 0);
	expect_use(ctx, SECRET_RESET, reset, ada, "Ada@example.com");
	expect_refused(ctx, SECRET_RESET, reset);
	expect_refused(ctx, SECRET_RESET, sibling);
	expect_refused(ctx, SECRET_VERIFY, verify);
	expect_use(ctx, SECRET_RESET, other, grace, NULL);
	return 0;
}

TEST(secrets, serve_one_purpose_once)
{
	play(use_and_misuse);
}

static int make_and_end(struct prong_ctx *ctx, void *argument)
{
	prong_uuid ada = accounts_add("ada@example.com"), grace = accounts_add("grace@example.com");
	char verify[SECRET_TEXT_SIZE], reset[SECRET_TEXT_SIZE], other[SECRET_TEXT_SIZE], late[SECRET_TEXT_SIZE];
	const char *address;
	prong_uuid id;
	(void)argument;

	CU_ASSERT_EQUAL_FATAL(secret_make(ctx, SECRET_VERIFY, ada, NULL, verify), 0);
	CU_ASSERT_EQUAL_FATAL(secret_make(ctx, SECRET_RESET, ada, NULL, reset), 0);
	CU_ASSERT_EQUAL_FATAL(secret_make(ctx, SECRET_RESET, grace, NULL, other), 0);
	CU_ASSERT_EQUAL(secrets_void(ctx, ada), 0);
	expect_refused(ctx, SECRET_VERIFY, verify);
	expect_refused(ctx, SECRET_RESET, reset);

	/* One that was used in a transaction that is rolled back was not used. */
	CU_ASSERT_EQUAL(prong_begin(ctx), 0);
	CU_ASSERT_EQUAL(secret_use(ctx, SECRET_RESET, other, &id, &address), 0);
	prong_rollback(ctx);
	expect_use(ctx, SECRET_RESET, other, grace, NULL);

	CU_ASSERT_EQUAL_FATAL(secret_make(ctx, SECRET_RESET, ada, NULL, late), 0);
	CU_ASSERT_EQUAL(durable_count("SELECT count(*) FROM prong_secrets WHERE used_at IS NULL AND"
				      " expires_at BETWEEN now() + interval '29 min' AND now() + interval '31 min'"),
			1);
	free(durable_sql("UPDATE prong_secrets SET expires_at = now() - interval '1 s' WHERE used_at IS NULL"));
	expect_refused(ctx, SECRET_RESET, late);

	/* Nobody's. */
	CU_ASSERT_EQUAL(secret_make(ctx, SECRET_RESET, prong_uuid_make(), NULL, late), -EINVAL);
	return 0;
}

TEST(secrets, end_with_time_or_with_a_change)
{
	play(make_and_end);
}

static int look_at_rest(struct prong_ctx *ctx, void *argument)
{
	prong_uuid ada = accounts_add("ada@example.com");
	char text[SECRET_TEXT_SIZE];
	_cleanup_(freep) char *sql = NULL;
	(void)argument;

	CU_ASSERT_EQUAL_FATAL(secret_make(ctx, SECRET_VERIFY, ada, NULL, text), 0);
	sql = format_text("SELECT count(*) FROM prong_secrets WHERE prong_secrets::text LIKE '%%%s%%'"
			  " OR hash <> sha256('%s')",
			  text, text);
	CU_ASSERT_EQUAL(durable_count(sql), 0);
	return 0;
}

TEST(secrets, are_hashed_at_rest)
{
	play(look_at_rest);
}

/* ---- at once ---- */

#define RACERS 64

struct race {
	struct accounts_fixture *fixture;
	char secrets[2][SECRET_TEXT_SIZE]; /* siblings */
	bool transaction;
	int started, running, won, lost, other;
};

static int make_siblings(struct prong_ctx *ctx, void *argument)
{
	struct race *race = argument;
	prong_uuid ada = accounts_add("ada@example.com");

	for (size_t i = 0; i < ARRAY_SIZE(race->secrets); i++)
		CU_ASSERT_EQUAL_FATAL(secret_make(ctx, SECRET_RESET, ada, NULL, race->secrets[i]), 0);
	return 0;
}

static int use_once(struct prong_ctx *ctx, struct race *race)
{
	const char *address;
	prong_uuid id;
	int r = race->transaction ? prong_begin(ctx) : 0;

	if (r == 0)
		r = secret_use(ctx, SECRET_RESET, race->secrets[race->started++ % 2], &id, &address);
	if (r == 0 && race->transaction)
		r = prong_commit(ctx);
	return r;
}

static void run_racer(void *argument)
{
	struct race *race = argument;
	struct prong_ctx ctx;
	int r;

	context_init(&ctx, race->fixture->runtime);
	coroutine_set_deadline(coroutine_current(), monotonic_us() + PRONG_SECONDS(60));
	r = use_once(&ctx, race);
	context_end(&ctx);
	race->won += r == 0;
	race->lost += r == -ENOENT;
	race->other += r != 0 && r != -ENOENT;
	if (--race->running == 0)
		loop_stop(race->fixture->runtime->loop);
}

static void run_race(bool transaction)
{
	struct accounts_fixture fixture;
	struct race race = { .fixture = &fixture, .transaction = transaction, .running = RACERS };

	accounts_open(&fixture);
	CU_ASSERT_EQUAL(accounts_run(&fixture, make_siblings, &race), 0);
	for (int i = 0; i < RACERS; i++) {
		struct coroutine *coroutine;

		CU_ASSERT_EQUAL_FATAL(coroutine_start(fixture.runtime->loop, run_racer, &race, &coroutine), 0);
	}
	loop_run(fixture.runtime->loop);
	CU_ASSERT_EQUAL(race.won, 1);
	CU_ASSERT_EQUAL(race.lost, RACERS - 1);
	CU_ASSERT_EQUAL(race.other, 0);
	accounts_close(&fixture);
}

TEST(secrets, of_many_at_once_one_succeeds)
{
	run_race(false);
}

TEST(secrets, of_many_transactions_at_once_one_succeeds)
{
	run_race(true);
}

static int purge(struct prong_ctx *ctx, void *argument)
{
	prong_uuid ada = accounts_add("ada@example.com");
	char text[SECRET_TEXT_SIZE];
	(void)argument;

	CU_ASSERT_EQUAL_FATAL(secret_make(ctx, SECRET_VERIFY, ada, NULL, text), 0);
	free(durable_sql("INSERT INTO prong_secrets (hash, purpose, account_id, expires_at)"
			 " SELECT sha256(n::text::bytea), 'reset', id, now() - interval '8 days'"
			 " FROM prong_accounts, generate_series(1, 2500) n"));
	free(durable_sql("INSERT INTO prong_secrets (hash, purpose, account_id, expires_at)"
			 " SELECT sha256('recent'), 'reset', id, now() - interval '6 days' FROM prong_accounts"));
	CU_ASSERT_EQUAL(secrets_purge(ctx), 0);
	CU_ASSERT_EQUAL(durable_count("SELECT count(*) FROM prong_secrets"), 2);
	return 0;
}

TEST(secrets, leave_a_week_after_their_end)
{
	play(purge);
}
