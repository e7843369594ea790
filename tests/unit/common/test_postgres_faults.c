/* What happens to statements when connections and servers die, stop or fall silent. */
#include <signal.h>

#include "common/loop.h"
#include "tests/unit/common/postgres_fixture.h"
#include "tests/unit/common/servers.h"
#include "tests/unit/test.h"

static int select_one(struct prong_ctx *ctx, void *argument)
{
	(void)argument;
	return prong_exec(ctx, "SELECT 1");
}

static int transaction(struct prong_ctx *ctx, void *argument)
{
	int r = prong_begin(ctx);

	(void)argument;
	if (r == 0)
		r = prong_exec(ctx, "SELECT 1");
	return r < 0 ? r : prong_commit(ctx);
}

/* The lost connection may be noticed only with the first statement; each failure must be the promised one. */
static void expect_recovery(struct fixture *fixture, fixture_function *function, int success)
{
	int64_t give_up = monotonic_us() + PRONG_SECONDS(30);
	int r;

	do {
		r = fixture_run(fixture, function, NULL);
		if (r != success)
			CU_ASSERT_EQUAL_FATAL(r, -EHOSTDOWN);
	} while (r != success && monotonic_us() < give_up);
	CU_ASSERT_EQUAL(r, success);
}

static int sleep_long(struct prong_ctx *ctx, void *argument)
{
	(void)argument;
	return prong_exec(ctx, "SELECT pg_sleep(3600)");
}

static int sleep_in_transaction(struct prong_ctx *ctx, void *argument)
{
	int r = prong_begin(ctx);

	if (r < 0)
		return r;
	CU_ASSERT_EQUAL(sleep_long(ctx, argument), -EHOSTDOWN);
	CU_ASSERT_EQUAL(prong_exec(ctx, "SELECT 1"), -EIO);
	return prong_commit(ctx);
}

#define OTHERS \
	" FROM pg_stat_activity WHERE application_name = 'prong test' AND state = 'active' AND query LIKE '%sleep%'"

struct sabotage {
	const char *sql; /* ends the sleepers' connections */
	int count;
	bool done;
};

/* From outside, once the sleepers sleep. */
static int kill_sleepers(struct prong_ctx *ctx, void *argument)
{
	struct sabotage *sabotage = argument;

	(void)ctx;
	for (;;) {
		_cleanup_(freep) char *count = fixture_sql("SELECT count(*)" OTHERS);

		if (atoi(count) == sabotage->count)
			break;
		coroutine_sleep_until(monotonic_us() + PRONG_MILLISECONDS(10));
	}
	free(fixture_sql(sabotage->sql));
	return 0;
}

TEST(postgres_faults, terminated_backends_fail_what_they_ran)
{
	struct sabotage sabotage = { .sql = "SELECT pg_terminate_backend(pid)" OTHERS, .count = 2 };
	struct fixture fixture;
	int shared, owned, killed;

	fixture_open(&fixture, 2, 2, PRONG_SECONDS(60));
	fixture_start(&fixture, sleep_long, NULL, &shared);
	fixture_start(&fixture, sleep_in_transaction, NULL, &owned);
	fixture_start(&fixture, kill_sleepers, &sabotage, &killed);
	fixture_wait(&fixture);
	CU_ASSERT_EQUAL(shared, -EHOSTDOWN);
	CU_ASSERT_EQUAL(owned, -EIO);
	expect_recovery(&fixture, select_one, 1);
	expect_recovery(&fixture, transaction, 0);
	/* Idle ones, too. */
	free(fixture_sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
			 "WHERE application_name = 'prong test'"));
	expect_recovery(&fixture, select_one, 1);
	expect_recovery(&fixture, transaction, 0);
	fixture_close(&fixture);
}

/* A killed backend stays in the list until the server has started its memory anew. */
static bool is_restarted(const char *pid)
{
	_cleanup_(freep) char *sql = format_text("SELECT 1 FROM pg_stat_activity WHERE pid = %s", pid);
	PGconn *pg = PQconnectdb(server_url(SERVER_POSTGRES));
	PGresult *result = PQexec(pg, sql);
	bool restarted = PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 0;

	PQclear(result);
	PQfinish(pg);
	return restarted;
}

TEST(postgres_faults, a_killed_backend_restarts_the_server)
{
	_cleanup_(freep) char *pid = NULL;
	struct fixture fixture;

	if (!server_is_private(SERVER_POSTGRES))
		return;
	fixture_open(&fixture, 2, 2, PRONG_SECONDS(5));
	CU_ASSERT_EQUAL(fixture_run(&fixture, select_one, NULL), 1);
	CU_ASSERT_EQUAL(fixture_run(&fixture, transaction, NULL), 0);
	pid = fixture_sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'prong test' LIMIT 1");
	CU_ASSERT_EQUAL(kill(atoi(pid), SIGKILL), 0);
	while (!is_restarted(pid))
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	expect_recovery(&fixture, select_one, 1);
	expect_recovery(&fixture, transaction, 0);
	fixture_close(&fixture);
}

TEST(postgres_faults, a_stopped_server_is_found_again)
{
	struct fixture fixture;

	if (!server_is_private(SERVER_POSTGRES))
		return;
	fixture_open(&fixture, 2, 2, PRONG_SECONDS(5));
	CU_ASSERT_EQUAL(fixture_run(&fixture, select_one, NULL), 1);
	CU_ASSERT_EQUAL(fixture_run(&fixture, transaction, NULL), 0);
	server_stop(SERVER_POSTGRES);
	/* The first may still be sent where nobody listens any more, the second waits for a connection. */
	CU_ASSERT_EQUAL(fixture_run(&fixture, select_one, NULL), -EHOSTDOWN);
	CU_ASSERT_EQUAL(fixture_run(&fixture, select_one, NULL), -EHOSTDOWN);
	CU_ASSERT_EQUAL(fixture_run(&fixture, transaction, NULL), -EHOSTDOWN);
	CU_ASSERT_PTR_NOT_NULL(strstr(postgres_last_error(fixture.runtime.postgres), ".s.PGSQL."));
	CU_ASSERT_PTR_NULL(strchr(postgres_last_error(fixture.runtime.postgres), '\n'));
	server_start(SERVER_POSTGRES);
	expect_recovery(&fixture, select_one, 1);
	expect_recovery(&fixture, transaction, 0);
	CU_ASSERT_STRING_EQUAL(postgres_last_error(fixture.runtime.postgres), "");
	fixture_close(&fixture);
}

static int ping(struct prong_ctx *ctx, void *argument)
{
	return postgres_ping(ctx->runtime->postgres, PRONG_MILLISECONDS(200), argument);
}

TEST(postgres_faults, a_silent_server_holds_up_nobody_for_long)
{
	const char *reason = NULL;
	struct fixture fixture;
	int results[20];

	if (!server_is_private(SERVER_POSTGRES))
		return;
	fixture_open(&fixture, 2, 2, PRONG_MILLISECONDS(200));
	CU_ASSERT_EQUAL(fixture_run(&fixture, ping, &reason), 0);
	CU_ASSERT_EQUAL(fixture_run(&fixture, transaction, NULL), 0);
	server_signal(SERVER_POSTGRES, SIGSTOP);
	CU_ASSERT_EQUAL(fixture_run(&fixture, ping, &reason), -ETIMEDOUT);
	CU_ASSERT_STRING_EQUAL(reason, "no answer within 200 ms");
	/* Without any deadline of their own: the connection is given up. */
	for (size_t i = 0; i < ARRAY_SIZE(results); i++)
		fixture_start(&fixture, select_one, NULL, &results[i]);
	fixture_wait(&fixture);
	for (size_t i = 0; i < ARRAY_SIZE(results); i++)
		CU_ASSERT_EQUAL(results[i], -EHOSTDOWN);
	CU_ASSERT_EQUAL(fixture_run_within(&fixture, PRONG_MILLISECONDS(300), transaction, NULL), -ETIMEDOUT);
	server_signal(SERVER_POSTGRES, SIGCONT);
	expect_recovery(&fixture, select_one, 1);
	expect_recovery(&fixture, transaction, 0);
	fixture_close(&fixture);
}

TEST(postgres_faults, an_unreachable_server_is_named)
{
	const char *reason = NULL;
	struct fixture fixture;

	fixture_open(&fixture, 1, 1, PRONG_SECONDS(5));
	postgres_free(fixture.runtime.postgres);
	fixture.runtime.postgres =
		postgres_new(fixture.runtime.loop, &(struct postgres_options){
							   .url = "postgresql://u:geheim@127.0.0.1:1/x",
							   .shared = 1,
							   .owned = 1,
							   .statement_timeout = PRONG_SECONDS(5),
							   .application_name = "prong test",
						   });
	CU_ASSERT_EQUAL(fixture_run(&fixture, select_one, NULL), -EHOSTDOWN);
	CU_ASSERT_EQUAL(fixture_run(&fixture, ping, &reason), -ETIMEDOUT);
	CU_ASSERT_PTR_NOT_NULL(strstr(reason, "127.0.0.1"));
	CU_ASSERT_PTR_NULL(strstr(reason, "geheim"));
	fixture_close(&fixture);
}

TEST(postgres_faults, closing_does_not_wait_for_a_dial)
{
	struct coroutine *coroutine;
	struct fixture fixture;
	int result;

	fixture_open(&fixture, 1, 1, PRONG_SECONDS(5));
	coroutine = fixture_start(&fixture, select_one, NULL, &result);
	coroutine_cancel(coroutine);
	fixture_wait(&fixture);
	CU_ASSERT_EQUAL(result, -ECANCELED);
	fixture_close(&fixture);
}
