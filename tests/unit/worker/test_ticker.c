#include <libpq-fe.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "common/jobs/schedule_state.h"
#include "common/log.h"
#include "common/loop.h"
#include "tests/unit/common/servers.h"
#include "tests/unit/worker/fixture.h"
#include "worker/scheduler.h"

#define MANY 50
#define TICK_OF_RECORD "(regexp_match(record, '\"scheduled_for\":([0-9]+)'))[1]::bigint / 1000000"

static int nothing(struct prong_ctx *ctx)
{
	(void)ctx;
	return 0;
}

struct sweeping {
	int32_t number;
};
PRONG_SCHEMA(sweeping, PRONG_FIELD(sweeping, number));

static const struct sweeping payload = { .number = 7 };
static const struct prong_job plain = { .name = "plain", .run = nothing };
static const struct prong_job other = { .name = "other", .run = nothing };
static const struct prong_job loaded = { .name = "loaded", .run = nothing, .payload = &sweeping_schema };

static const struct prong_job *const jobs[] = { &plain, &other, &loaded, NULL };

/* On a busy machine a tick may come late, but none may be dropped. */
#define NONE_DROPPED .misfire = PRONG_MISFIRE_BACKFILL, .backfill = SCHEDULE_MAX_BACKFILL
static const struct prong_schedule second = { .name = "second", .job = &plain, .cron = "* * * * * *", NONE_DROPPED };
static const struct prong_schedule interval = {
	.name = "interval", .job = &other, .every = PRONG_SECONDS(1), NONE_DROPPED
};
static const struct prong_schedule skip = { .name = "skip", .job = &plain, .cron = "@yearly" };
static const struct prong_schedule once = {
	.name = "once", .job = &other, .cron = "@yearly", .misfire = PRONG_MISFIRE_ONCE
};
static const struct prong_schedule backfill = { .name = "backfill",
						.job = &loaded,
						.payload = &payload,
						.cron = "@yearly",
						.misfire = PRONG_MISFIRE_BACKFILL,
						.backfill = 3 };

/* ---- the world: a database of its own and processes that run nothing but the ticker ---- */

static struct world {
	struct prong_app app;
	struct registry *registry;
	struct settings settings;
	char *url;
	pid_t pids[MANY];
	size_t count;
} world;

static void ignore_notice(void *argument, const char *message)
{
	(void)argument, (void)message;
}

/* The first column of the first row as a number. */
static int64_t sql_on(const char *url, const char *statement)
{
	PGconn *connection = PQconnectdb(url);
	PGresult *result;
	int64_t number = 0;

	PQsetNoticeProcessor(connection, ignore_notice, NULL);
	result = PQexec(connection, statement);
	if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
		panic("%s: %s", statement, PQerrorMessage(connection));
	if (PQntuples(result))
		number = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
	PQclear(result);
	PQfinish(connection);
	return number;
}

static int64_t sql(const char *statement)
{
	return sql_on(world.url, statement);
}

static void apply(const char *file)
{
	_cleanup_(freep) char *text = NULL;
	size_t size;

	if (file_read(file, 1 << 20, &text, &size) < 0)
		panic("%s cannot be read", file);
	sql(text);
}

static char *own_database(const char *url)
{
	const char *query = strchr(url, '?');

	check(query && strncmp(query - strlen("/postgres"), "/postgres", strlen("/postgres")) == 0);
	return format_text("%.*s/ticker%s", (int)(query - url - (int)strlen("/postgres")), url, query);
}

static void world_open(const struct prong_schedule *const *schedules)
{
	const char *server = server_url(SERVER_POSTGRES);
	struct buffer mistakes = { 0 };

	log_open("ticker", "test", PRONG_LOG_ERROR + 1, false);
	sql_on(server, "DROP DATABASE IF EXISTS ticker WITH (FORCE)");
	sql_on(server, "CREATE DATABASE ticker");
	world = (struct world){ .url = own_database(server) };
	apply("migrations/jobs/0001_outbox.up.sql");
	apply("migrations/jobs/0002_schedules.up.sql");
	world.app = (struct prong_app){
		.name = "ticker",
		.version = "1",
		.jobs = jobs,
		.schedules = schedules,
	};
	if (registry_new(&world.app, NULL, &world.registry, &mistakes) < 0)
		panic("%s", buffer_text(&mistakes));
	world.settings = (struct settings){
		.redis_url = "unix:///nowhere/redis.sock",
		.database_url = world.url,
		.database_connections = 1,
		.database_transactions = 1,
		.database_timeout = PRONG_SECONDS(20),
		.job_concurrency = 1,
		.max_requests = 10,
		.password_hashes = 1,
		.threads = 1,
	};
}

static void stop_one(size_t index)
{
	kill(world.pids[index], SIGKILL);
	waitpid(world.pids[index], NULL, 0);
	world.pids[index] = world.pids[--world.count];
}

static void world_close(void)
{
	while (world.count)
		stop_one(world.count - 1);
	registry_free(world.registry);
	free(world.url);
}

static void run_ticker(void *scheduler)
{
	ticker_main(scheduler);
}

static _Noreturn void be_ticker(void)
{
	static struct scheduler scheduler;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	scheduler.runtime =
		runtime_new(&world.settings, world.registry, NULL, "ticker", -1, RUNTIME_POSTGRES | RUNTIME_REDIS);
	check(coroutine_start(scheduler.runtime->loop, run_ticker, &scheduler, NULL) == 0);
	loop_run(scheduler.runtime->loop);
	_exit(0);
}

static void start_one(void)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid < 0)
		panic("fork: %m");
	if (pid == 0)
		be_ticker();
	world.pids[world.count++] = pid;
}

static int64_t rows(void)
{
	return sql("SELECT count(*) FROM prong_outbox");
}

/* Rows that are missing between the first and the last tick of a job, or are there twice. */
static int64_t irregular_rows(void)
{
	return sql("SELECT count(*) FROM (SELECT tick - lag(tick) OVER (PARTITION BY job ORDER BY tick) AS distance "
		   "FROM (SELECT job, " TICK_OF_RECORD " AS tick FROM prong_outbox) ticks) distances "
		   "WHERE distance <> 1");
}

/* ---- the tests ---- */

TEST(ticker, enqueues_once_a_tick_though_fifty_run_and_some_die)
{
	int64_t before;

	world_open((const struct prong_schedule *const[]){ &second, &interval, NULL });
	for (int i = 0; i < MANY; i++)
		start_one();
	CU_ASSERT(EVENTUALLY(rows() >= 6));
	for (int i = 0; i < MANY / 2; i++) {
		stop_one(random_u64() % world.count);
		usleep((useconds_t)(random_u64() % 100000));
	}
	before = rows();
	CU_ASSERT(EVENTUALLY(rows() >= before + 6));
	CU_ASSERT_EQUAL(irregular_rows(), 0);
	CU_ASSERT_EQUAL(sql("SELECT count(DISTINCT job) FROM prong_outbox"), 2);
	CU_ASSERT_EQUAL(sql("SELECT count(*) FROM prong_schedules JOIN prong_outbox ON id = last_job "
			    "WHERE extract(epoch FROM last_run) = " TICK_OF_RECORD " AND last_tick = last_run"),
			2);
	world_close();
}

/* What is yearly has been missed for years. */
static void leave_behind(const char *name, const char *plan)
{
	_cleanup_(freep) char *statement =
		format_text("INSERT INTO prong_schedules VALUES ('%s', '%s', '2015-05-05 00:00Z')", name, plan);

	sql(statement);
}

#define YEARS_BACK(column) \
	"extract(year FROM now() AT TIME ZONE 'UTC') - extract(year FROM (" column ") AT TIME ZONE 'UTC')"
#define TICK_TIME "to_timestamp(" TICK_OF_RECORD ")"

TEST(ticker, makes_up_for_what_was_missed)
{
	world_open((const struct prong_schedule *const[]){ &skip, &once, &backfill, NULL });
	leave_behind("skip", "@yearly UTC");
	leave_behind("once", "@yearly UTC");
	leave_behind("backfill", "@yearly UTC");
	start_one();
	start_one();
	CU_ASSERT(EVENTUALLY(sql("SELECT count(*) FROM prong_schedules WHERE last_tick = date_trunc('year', now(), "
				 "'UTC')") == 3));
	CU_ASSERT_EQUAL(sql("SELECT count(*) FROM prong_outbox WHERE job = 'plain'"), 0);
	CU_ASSERT_EQUAL(sql("SELECT count(*) FROM prong_schedules WHERE name = 'skip' AND last_run IS NULL"), 1);
	CU_ASSERT_EQUAL(sql("SELECT count(*) FROM prong_outbox WHERE job = 'other'"), 1);
	CU_ASSERT_EQUAL(sql("SELECT " YEARS_BACK(TICK_TIME) " FROM prong_outbox WHERE job = 'other'"), 0);
	/* The oldest first: ids are what the relay goes by. */
	CU_ASSERT_EQUAL(sql("SELECT string_agg((" YEARS_BACK(
				TICK_TIME) ")::text, '' ORDER BY id) FROM prong_outbox "
					   "WHERE job = 'loaded' AND record LIKE '%\"number\":7%'"),
			210);
	world_close();
}

TEST(ticker, does_not_make_up_for_what_another_plan_would_have_run)
{
	world_open((const struct prong_schedule *const[]){ &once, &second, NULL });
	leave_behind("once", "@monthly UTC");
	start_one();
	CU_ASSERT(EVENTUALLY(rows() >= 2));
	CU_ASSERT_EQUAL(sql("SELECT count(*) FROM prong_outbox WHERE job = 'other'"), 0);
	CU_ASSERT_EQUAL(sql("SELECT extract(year FROM last_tick) FROM prong_schedules WHERE name = 'once'"), 2015);
	world_close();
}

TEST(ticker, goes_on_when_postgres_comes_back)
{
	int64_t before;

	if (!server_is_private(SERVER_POSTGRES))
		return;
	world_open((const struct prong_schedule *const[]){ &second, &interval, NULL });
	for (int i = 0; i < 3; i++)
		start_one();
	CU_ASSERT(EVENTUALLY(rows() >= 4));
	server_stop(SERVER_POSTGRES);
	server_start(SERVER_POSTGRES);
	before = rows();
	CU_ASSERT(EVENTUALLY(rows() >= before + 6));
	CU_ASSERT_EQUAL(irregular_rows(), 0);
	world_close();
}

/* ---- what people do ---- */

struct doing {
	int (*verb)(struct prong_ctx *ctx, const struct schedule *schedule);
	const struct schedule *schedule;
};

static int run_verb(struct prong_ctx *ctx, void *argument)
{
	struct doing *doing = argument;

	return doing->verb(ctx, doing->schedule);
}

static int do_verb(struct runtime *runtime, int (*verb)(struct prong_ctx *ctx, const struct schedule *schedule),
		   const char *name)
{
	struct doing doing = { verb, registry_schedule(world.registry, name) };

	return context_run(runtime, PRONG_SECONDS(20), run_verb, &doing);
}

TEST(ticker, stands_still_while_paused)
{
	struct runtime *runtime;
	int64_t resumed;

	world_open((const struct prong_schedule *const[]){ &second, &interval, NULL });
	runtime = runtime_new(&world.settings, world.registry, NULL, "test", -1, RUNTIME_POSTGRES | RUNTIME_REDIS);
	CU_ASSERT_EQUAL(do_verb(runtime, schedule_state_pause, "interval"), 1); /* before it ever ran */
	CU_ASSERT_EQUAL(do_verb(runtime, schedule_state_pause, "interval"), 0);
	for (int i = 0; i < 3; i++)
		start_one();
	CU_ASSERT(EVENTUALLY(rows() >= 3));
	CU_ASSERT_EQUAL(do_verb(runtime, schedule_state_pause, "second"), 1);
	CU_ASSERT_EQUAL(do_verb(runtime, schedule_state_resume, "interval"), 1);
	CU_ASSERT_EQUAL(do_verb(runtime, schedule_state_resume, "interval"), 0);
	resumed = sql("SELECT 1000000 * extract(epoch FROM last_tick) FROM prong_schedules WHERE name = 'interval'");
	CU_ASSERT(EVENTUALLY(sql("SELECT count(*) FROM prong_outbox WHERE job = 'other'") >= 3));
	CU_ASSERT(sql("SELECT min(" TICK_OF_RECORD ") * 1000000 FROM prong_outbox WHERE job = 'other'") > resumed);
	CU_ASSERT(sql("SELECT max(" TICK_OF_RECORD ") * 1000000 FROM prong_outbox WHERE job = 'plain'") <= resumed);
	CU_ASSERT_EQUAL(irregular_rows(), 0);
	runtime_free(runtime);
	world_close();
}

static int enqueue_now(struct prong_ctx *ctx, const struct schedule *schedule)
{
	prong_uuid id;

	return schedule_state_run(ctx, schedule, &id);
}

TEST(ticker, is_not_needed_to_run_one_now)
{
	struct runtime *runtime;

	world_open((const struct prong_schedule *const[]){ &backfill, NULL });
	runtime = runtime_new(&world.settings, world.registry, NULL, "test", -1, RUNTIME_POSTGRES | RUNTIME_REDIS);
	CU_ASSERT_EQUAL(do_verb(runtime, enqueue_now, "backfill"), 0);
	CU_ASSERT_EQUAL(rows(), 1);
	CU_ASSERT_EQUAL(sql("SELECT count(*) FROM prong_outbox WHERE job = 'loaded' AND record LIKE '%\"number\":7%' "
			    "AND record NOT LIKE '%scheduled_for%'"),
			1);
	runtime_free(runtime);
	world_close();
}
