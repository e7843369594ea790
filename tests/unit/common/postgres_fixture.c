#include "tests/unit/common/postgres_fixture.h"

#include <sodium.h>

#include "common/log.h"
#include "common/loop.h"
#include "tests/unit/common/servers.h"

void fixture_open(struct fixture *fixture, size_t shared, size_t owned, prong_duration timeout)
{
	if (sodium_init() < 0)
		panic("libsodium cannot start");
	/* Most tests provoke errors, and would log thousands. */
	log_open("test", "test", PRONG_LOG_ERROR + 1, false);
	*fixture = (struct fixture){ 0 };
	fixture->runtime.loop = loop_new(300);
	fixture->runtime.postgres = postgres_new(fixture->runtime.loop, &(struct postgres_options){
										.url = server_url(SERVER_POSTGRES),
										.shared = shared,
										.owned = owned,
										.statement_timeout = timeout,
										.application_name = "prong test",
									});
}

void fixture_close(struct fixture *fixture)
{
	fixture->runtime.postgres = postgres_free(fixture->runtime.postgres);
	fixture->runtime.loop = loop_free(fixture->runtime.loop);
}

int fixture_run_within(struct fixture *fixture, prong_duration timeout, fixture_function *function, void *argument)
{
	return context_run(&fixture->runtime, timeout, function, argument);
}

int fixture_run(struct fixture *fixture, fixture_function *function, void *argument)
{
	return fixture_run_within(fixture, PRONG_SECONDS(60), function, argument);
}

struct started {
	struct fixture *fixture;
	fixture_function *function;
	void *argument;
	int *result;
};

static void run_started(void *argument)
{
	struct started started = *(struct started *)argument;
	struct prong_ctx ctx;

	free(argument);
	context_init(&ctx, &started.fixture->runtime);
	*started.result = started.function(&ctx, started.argument);
	context_end(&ctx);
	if (--started.fixture->running == 0)
		loop_stop(started.fixture->runtime.loop);
}

struct coroutine *fixture_start(struct fixture *fixture, fixture_function *function, void *argument, int *ret_result)
{
	struct started *started = allocate(sizeof(*started));
	struct coroutine *coroutine;

	*started = (struct started){ fixture, function, argument, ret_result };
	fixture->running++;
	if (coroutine_start(fixture->runtime.loop, run_started, started, &coroutine) < 0)
		panic("no coroutine");
	return coroutine;
}

void fixture_wait(struct fixture *fixture)
{
	if (fixture->running > 0)
		loop_run(fixture->runtime.loop);
}

static void ignore_notice(void *argument, const PGresult *result)
{
	(void)argument;
	(void)result;
}

char *fixture_sql(const char *sql)
{
	PGconn *pg = PQconnectdb(server_url(SERVER_POSTGRES));
	char *text = NULL;
	PGresult *result;

	PQsetNoticeReceiver(pg, ignore_notice, NULL);
	result = PQexec(pg, sql);
	if (PQresultStatus(result) != PGRES_TUPLES_OK && PQresultStatus(result) != PGRES_COMMAND_OK)
		panic("%s: %s", sql, PQerrorMessage(pg));
	if (PQntuples(result) > 0)
		text = duplicate(PQgetvalue(result, 0, 0));
	PQclear(result);
	PQfinish(pg);
	return text;
}
