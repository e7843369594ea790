/* Transactions, deadlines and cancellation, scripts. */
#include "common/jobs/job_queue.h"
#include "tests/unit/common/postgres_fixture.h"
#include "tests/unit/test.h"

struct number {
	int64_t n;
};
PRONG_SCHEMA(number, PRONG_FIELD(number, n));

static int64_t count_kept(void)
{
	_cleanup_(freep) char *text = fixture_sql("SELECT count(*) FROM kept");

	return atoll(text);
}

static void make_table(void)
{
	free(fixture_sql("DROP TABLE IF EXISTS kept"));
	free(fixture_sql("CREATE TABLE kept (n int4 PRIMARY KEY, "
			 "parent int4 REFERENCES kept DEFERRABLE INITIALLY DEFERRED)"));
}

static int insert(struct prong_ctx *ctx, int n)
{
	return prong_exec(ctx, "INSERT INTO kept VALUES ($1)", n);
}

static int commit_two(struct prong_ctx *ctx, void *argument)
{
	(void)argument;
	CU_ASSERT_EQUAL(prong_commit(ctx), -EIO);
	CU_ASSERT_EQUAL(prong_begin(ctx), 0);
	CU_ASSERT_EQUAL(prong_begin(ctx), -EIO);
	CU_ASSERT_EQUAL(insert(ctx, 1), 1);
	CU_ASSERT_EQUAL(insert(ctx, 2), 1);
	CU_ASSERT_EQUAL(count_kept(), 0);
	CU_ASSERT_EQUAL(prong_commit(ctx), 0);
	/* One without a statement. */
	CU_ASSERT_EQUAL(prong_begin(ctx), 0);
	CU_ASSERT_EQUAL(prong_commit(ctx), 0);
	return 0;
}

static int roll_back(struct prong_ctx *ctx, void *argument)
{
	struct number *row;

	(void)argument;
	CU_ASSERT_EQUAL(prong_begin(ctx), 0);
	CU_ASSERT_EQUAL(insert(ctx, 3), 1);
	/* A row that is not there is no failure. */
	CU_ASSERT_EQUAL(prong_query_one(ctx, number, &row, "SELECT n FROM kept WHERE n = 99"), -ENOENT);
	CU_ASSERT_EQUAL(insert(ctx, 3), -EEXIST);
	CU_ASSERT_EQUAL(insert(ctx, 4), -EIO);
	CU_ASSERT_EQUAL(prong_commit(ctx), -EIO);
	prong_rollback(ctx);
	prong_rollback(ctx);
	CU_ASSERT_EQUAL(insert(ctx, 5), 1);
	CU_ASSERT_EQUAL(prong_begin(ctx), 0);
	prong_rollback(ctx);
	/* Constraints that are checked at the end. */
	CU_ASSERT_EQUAL(prong_begin(ctx), 0);
	CU_ASSERT_EQUAL(prong_exec(ctx, "INSERT INTO kept VALUES (6, 66)"), 1);
	CU_ASSERT_EQUAL(prong_commit(ctx), -EINVAL);
	CU_ASSERT_EQUAL(insert(ctx, 6), 1);
	return 0;
}

static int return_within(struct prong_ctx *ctx, void *argument)
{
	(void)argument;
	CU_ASSERT_EQUAL(prong_begin(ctx), 0);
	CU_ASSERT_EQUAL(insert(ctx, 7), 1);
	return -EINVAL;
}

TEST(postgres_transactions, commit_and_roll_back)
{
	struct fixture fixture;

	make_table();
	fixture_open(&fixture, 1, 1, PRONG_SECONDS(5));
	CU_ASSERT_EQUAL(fixture_run(&fixture, commit_two, NULL), 0);
	CU_ASSERT_EQUAL(count_kept(), 2);
	CU_ASSERT_EQUAL(fixture_run(&fixture, roll_back, NULL), 0);
	CU_ASSERT_EQUAL(count_kept(), 4);
	/* The only owned connection must come back clean each time. */
	for (int i = 0; i < 5; i++)
		CU_ASSERT_EQUAL(fixture_run(&fixture, return_within, NULL), -EINVAL);
	CU_ASSERT_EQUAL(count_kept(), 4);
	fixture_close(&fixture);
}

static int transfer(struct prong_ctx *ctx, void *argument)
{
	int n = (int)(intptr_t)argument, r = prong_begin(ctx);

	if (r < 0)
		return r;
	for (int i = 0; i < 3; i++) {
		r = insert(ctx, 100 * n + i);
		if (r < 0)
			return r;
	}
	if (n % 2)
		return 0;
	return prong_commit(ctx);
}

TEST(postgres_transactions, many_take_turns_on_few_connections)
{
	struct fixture fixture;
	int results[50];

	make_table();
	fixture_open(&fixture, 1, 3, PRONG_SECONDS(20));
	for (size_t i = 0; i < ARRAY_SIZE(results); i++)
		fixture_start(&fixture, transfer, (void *)(intptr_t)i, &results[i]);
	fixture_wait(&fixture);
	for (size_t i = 0; i < ARRAY_SIZE(results); i++)
		CU_ASSERT_EQUAL(results[i], 0);
	CU_ASSERT_EQUAL(count_kept(), 75);
	fixture_close(&fixture);
}

static int hold(struct prong_ctx *ctx, void *argument)
{
	int r = prong_begin(ctx);

	(void)argument;
	return r < 0 ? r : coroutine_wait(INT64_MAX);
}

static int want(struct prong_ctx *ctx, void *argument)
{
	(void)argument;
	return prong_begin(ctx);
}

TEST(postgres_transactions, waiting_for_a_connection_is_bounded)
{
	struct coroutine *holder;
	struct fixture fixture;
	int held, wanted;

	fixture_open(&fixture, 1, 1, PRONG_MILLISECONDS(300));
	holder = fixture_start(&fixture, hold, NULL, &held);
	wanted = fixture_run(&fixture, want, NULL);
	CU_ASSERT_EQUAL(wanted, -EHOSTDOWN);
	coroutine_cancel(holder);
	fixture_wait(&fixture);
	CU_ASSERT_EQUAL(held, -ECANCELED);
	CU_ASSERT_EQUAL(fixture_run(&fixture, want, NULL), 0);
	fixture_close(&fixture);
}

static int want_for_a_job(struct prong_ctx *ctx, void *argument)
{
	ctx->delivery = argument;
	return prong_begin(ctx);
}

TEST(postgres_transactions, a_job_waits_longer_for_a_connection)
{
	struct delivery delivery = { .name = "report" };
	struct coroutine *holder;
	struct fixture fixture;
	int held, wanted;

	fixture_open(&fixture, 1, 1, PRONG_MILLISECONDS(300));
	holder = fixture_start(&fixture, hold, NULL, &held);
	fixture_start(&fixture, want_for_a_job, &delivery, &wanted);
	for (int i = 0; i < 2; i++)
		CU_ASSERT_EQUAL(fixture_run(&fixture, want, NULL), -EHOSTDOWN);
	coroutine_cancel(holder);
	fixture_wait(&fixture);
	CU_ASSERT_EQUAL(held, -ECANCELED);
	CU_ASSERT_EQUAL(wanted, 0);
	fixture_close(&fixture);
}

static int sleep_long(struct prong_ctx *ctx, void *argument)
{
	(void)argument;
	return prong_exec(ctx, "SELECT pg_sleep(3600)");
}

static int select_one(struct prong_ctx *ctx, void *argument)
{
	(void)argument;
	return prong_exec(ctx, "SELECT 1");
}

TEST(postgres_transactions, deadlines_and_cancellation_end_waits)
{
	struct coroutine *sleeper;
	struct fixture fixture;
	int result;

	fixture_open(&fixture, 2, 1, PRONG_SECONDS(3600));
	CU_ASSERT_EQUAL(fixture_run_within(&fixture, PRONG_MILLISECONDS(100), sleep_long, NULL), -ETIMEDOUT);
	/* Another connection serves while the abandoned statement holds its own. */
	CU_ASSERT_EQUAL(fixture_run(&fixture, select_one, NULL), 1);
	sleeper = fixture_start(&fixture, sleep_long, NULL, &result);
	coroutine_cancel(sleeper);
	fixture_wait(&fixture);
	CU_ASSERT_EQUAL(result, -ECANCELED);
	fixture_close(&fixture);
}

static int sleep_long_in_transaction(struct prong_ctx *ctx, void *argument)
{
	int r = prong_begin(ctx);

	return r < 0 ? r : sleep_long(ctx, argument);
}

/* COMMIT that takes a while, as with a synchronous replica. */
static void make_slow_table(const char *seconds)
{
	_cleanup_(freep) char *sql =
		format_text("CREATE OR REPLACE FUNCTION take_a_while() RETURNS trigger LANGUAGE plpgsql AS"
			    " $$ BEGIN PERFORM pg_sleep(%s); RETURN NULL; END $$;"
			    "CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON kept DEFERRABLE INITIALLY DEFERRED"
			    " FOR EACH ROW EXECUTE FUNCTION take_a_while()",
			    seconds);

	make_table();
	free(fixture_sql(sql));
}

struct committing {
	struct coroutine *coroutine;
	const char *meanwhile; /* SQL; NULL: it is cancelled */
	int certain, uncertain;
};

static void note_call(struct prong_ctx *ctx, void *argument, bool certain)
{
	struct committing *committing = argument;

	(void)ctx;
	committing->certain += certain;
	committing->uncertain += !certain;
}

static int commit_slowly(struct prong_ctx *ctx, void *argument)
{
	struct committing *committing = argument;

	committing->coroutine = coroutine_current();
	CU_ASSERT_EQUAL(prong_begin(ctx), 0);
	CU_ASSERT_EQUAL(insert(ctx, 1), 1);
	postgres_after_commit(ctx, note_call, committing);
	return prong_commit(ctx);
}

#define COMMITTING " FROM pg_stat_activity WHERE state = 'active' AND query = 'COMMIT'"

static int disturb(struct prong_ctx *ctx, void *argument)
{
	struct committing *committing = argument;

	(void)ctx;
	for (;;) {
		_cleanup_(freep) char *count = fixture_sql("SELECT count(*)" COMMITTING);

		if (atoi(count) > 0)
			break;
		coroutine_sleep_until(monotonic_us() + PRONG_MILLISECONDS(5));
	}
	if (committing->meanwhile)
		free(fixture_sql(committing->meanwhile));
	else
		coroutine_cancel(committing->coroutine);
	return 0;
}

static int commit_disturbed(struct committing *committing)
{
	struct fixture fixture;
	int result, done;

	fixture_open(&fixture, 1, 1, PRONG_SECONDS(30));
	fixture_start(&fixture, commit_slowly, committing, &result);
	fixture_start(&fixture, disturb, committing, &done);
	fixture_wait(&fixture);
	fixture_close(&fixture);
	return result;
}

TEST(postgres_transactions, a_commit_that_is_under_way_is_waited_for)
{
	struct committing committing = { 0 };

	make_slow_table("0.5");
	CU_ASSERT_EQUAL(commit_disturbed(&committing), 0);
	CU_ASSERT_EQUAL(count_kept(), 1);
	CU_ASSERT(committing.certain == 1 && committing.uncertain == 0);
}

TEST(postgres_transactions, a_commit_whose_answer_is_lost_is_told)
{
	struct committing committing = { .meanwhile = "SELECT pg_terminate_backend(pid)" COMMITTING };

	make_slow_table("30");
	CU_ASSERT_EQUAL(commit_disturbed(&committing), -EHOSTDOWN);
	CU_ASSERT(committing.certain == 0 && committing.uncertain == 1);
}

TEST(postgres_transactions, the_server_ends_a_statement_at_its_timeout)
{
	struct fixture fixture;

	fixture_open(&fixture, 1, 1, PRONG_MILLISECONDS(200));
	CU_ASSERT_EQUAL(fixture_run(&fixture, sleep_long, NULL), -ETIMEDOUT);
	CU_ASSERT_EQUAL(fixture_run(&fixture, sleep_long_in_transaction, NULL), -ETIMEDOUT);
	CU_ASSERT_EQUAL(fixture_run(&fixture, select_one, NULL), 1);
	fixture_close(&fixture);
}

static int lock_and_sleep(struct prong_ctx *ctx, void *argument)
{
	int r = prong_begin(ctx);

	(void)argument;
	if (r < 0)
		return r;
	CU_ASSERT_EQUAL(prong_exec(ctx, "UPDATE kept SET parent = NULL WHERE n = 1"), 1);
	return prong_exec(ctx, "SELECT pg_sleep(3600)");
}

static int touch(struct prong_ctx *ctx, void *argument)
{
	(void)argument;
	return prong_exec(ctx, "UPDATE kept SET parent = NULL WHERE n = 1");
}

/* Locks of a transaction that was given up are free as soon as the server has noticed. */
static int touch_until_free(struct prong_ctx *ctx, void *argument)
{
	int r;

	do
		r = touch(ctx, argument);
	while (r == -EAGAIN);
	return r;
}

TEST(postgres_transactions, a_transaction_past_its_deadline_lets_go)
{
	struct fixture fixture;

	make_table();
	free(fixture_sql("INSERT INTO kept VALUES (1)"));
	fixture_open(&fixture, 1, 1, PRONG_SECONDS(3600));
	CU_ASSERT_EQUAL(fixture_run_within(&fixture, PRONG_MILLISECONDS(300), lock_and_sleep, NULL), -ETIMEDOUT);
	CU_ASSERT_EQUAL(fixture_run(&fixture, touch_until_free, NULL), 1);
	CU_ASSERT_EQUAL(fixture_run(&fixture, want, NULL), 0);
	fixture_close(&fixture);
}

TEST(postgres_transactions, a_shared_connection_does_not_wait_long_for_a_lock)
{
	struct coroutine *holder;
	struct fixture fixture;
	int held, r = 0;

	make_table();
	free(fixture_sql("INSERT INTO kept VALUES (1)"));
	fixture_open(&fixture, 1, 1, PRONG_SECONDS(3600));
	holder = fixture_start(&fixture, lock_and_sleep, NULL, &held);
	/* Until the holder has its lock, the row is free. */
	for (int i = 0; i < 1000 && r >= 0; i++)
		r = fixture_run(&fixture, touch, NULL);
	CU_ASSERT_EQUAL(r, -EAGAIN);
	coroutine_cancel(holder);
	fixture_wait(&fixture);
	fixture_close(&fixture);
}

static int scripts(struct prong_ctx *ctx, void *argument)
{
	/* Outside a transaction each statement stands on its own, so that such ones are possible. */
	static const char broken[] = "-- first\nCREATE INDEX CONCURRENTLY kept_parent ON kept (parent);\n"
				     "INSERT INTO kept VALUES (3); SELECT 'ü;', nope;";
	struct postgres_error error;

	(void)argument;
	CU_ASSERT_EQUAL(postgres_run_script(ctx, "INSERT INTO kept VALUES (1); INSERT INTO kept VALUES (2);", &error),
			0);
	CU_ASSERT_PTR_NULL(error.message);
	CU_ASSERT_EQUAL(postgres_run_script(ctx, broken, &error), -EIO);
	CU_ASSERT_STRING_EQUAL(error.sqlstate, "42703");
	CU_ASSERT_STRING_EQUAL(error.message, "column \"nope\" does not exist");
	CU_ASSERT_EQUAL(error.position, (size_t)(strstr(broken, "nope") - broken) + 1);
	CU_ASSERT_EQUAL(count_kept(), 3);

	CU_ASSERT_EQUAL(prong_begin(ctx), 0);
	CU_ASSERT_EQUAL(postgres_run_script(ctx, "INSERT INTO kept VALUES (4); INSERT INTO kept VALUES (4);", &error),
			-EEXIST);
	CU_ASSERT_EQUAL(postgres_run_script(ctx, "SELECT 1", &error), -EIO);
	prong_rollback(ctx);
	CU_ASSERT_EQUAL(count_kept(), 3);

	CU_ASSERT_EQUAL(prong_begin(ctx), 0);
	CU_ASSERT_EQUAL(insert(ctx, 4), 1);
	CU_ASSERT_EQUAL(postgres_run_script(ctx, "INSERT INTO kept VALUES (5); SELECT 1; SELECT 2", &error), 0);
	CU_ASSERT_EQUAL(insert(ctx, 6), 1);
	CU_ASSERT_EQUAL(prong_commit(ctx), 0);
	CU_ASSERT_EQUAL(count_kept(), 6);

	CU_ASSERT_EQUAL(prong_begin(ctx), 0);
	CU_ASSERT_EQUAL(postgres_run_script(ctx, "COMMIT", &error), -EIO);
	CU_ASSERT_PTR_NOT_NULL(error.message);
	prong_rollback(ctx);
	CU_ASSERT_EQUAL(postgres_run_script(ctx, "COPY kept FROM STDIN", &error), -EIO);
	CU_ASSERT_EQUAL(postgres_run_script(ctx, "COPY kept TO STDOUT", &error), -EIO);
	CU_ASSERT_EQUAL(postgres_run_script(ctx, " -- nothing", &error), 0);
	return 0;
}

TEST(postgres_transactions, scripts_run_in_and_outside)
{
	struct fixture fixture;

	make_table();
	fixture_open(&fixture, 1, 1, PRONG_SECONDS(5));
	CU_ASSERT_EQUAL(fixture_run(&fixture, scripts, NULL), 0);
	fixture_close(&fixture);
}

static int pinned(struct prong_ctx *ctx, void *argument)
{
	struct number *row;

	(void)argument;
	CU_ASSERT_EQUAL(postgres_pin(ctx), 0);
	CU_ASSERT_EQUAL(prong_exec(ctx, "SELECT pg_advisory_lock(4711)"), 1);
	CU_ASSERT_EQUAL(prong_exec(ctx, "SELECT no_such_column"), -EIO);
	CU_ASSERT_EQUAL(prong_query_one(ctx, number, &row,
					"SELECT count(*) AS n FROM pg_locks WHERE pid = pg_backend_pid() AND "
					"locktype = 'advisory'"),
			0);
	CU_ASSERT_EQUAL(row->n, 1);
	postgres_unpin(ctx);
	return 0;
}

static int try_lock(struct prong_ctx *ctx, void *argument)
{
	struct number *row;
	int r = prong_query_one(ctx, number, &row, "SELECT pg_try_advisory_lock(4711)::int AS n");

	(void)argument;
	return r < 0 ? r : (int)row->n;
}

TEST(postgres_transactions, a_pinned_connection_keeps_its_session)
{
	struct fixture fixture;
	int r = 0;

	fixture_open(&fixture, 1, 1, PRONG_SECONDS(5));
	CU_ASSERT_EQUAL(fixture_run(&fixture, pinned, NULL), 0);
	for (int i = 0; i < 1000 && r == 0; i++)
		r = fixture_run(&fixture, try_lock, NULL);
	CU_ASSERT_EQUAL(r, 1);
	fixture_close(&fixture);
}
