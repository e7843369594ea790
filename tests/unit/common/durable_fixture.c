#include "tests/unit/common/durable_fixture.h"

#include <libpq-fe.h>

#include "common/jobs/module.h"
#include "common/log.h"
#include "tests/unit/common/servers.h"

PRONG_SCHEMA(thing, PRONG_FIELD(thing, number), PRONG_FIELD(thing, text));

static int nothing(struct prong_ctx *ctx)
{
	(void)ctx;
	return 0;
}

const struct prong_job plain_thing_job = {
	.name = "plain_thing", .run = nothing, .payload = &thing_schema, .queue = "things"
};
const struct prong_job durable_thing_job = {
	.name = "durable_thing", .run = nothing, .payload = &thing_schema, .queue = "things", .durable = true
};
const struct prong_job other_thing_job = {
	.name = "other_thing", .run = nothing, .payload = &thing_schema, .queue = "others", .durable = true
};

static const struct prong_queue things_queue = {
	.name = "things", .shards = 3, .max_dead = 5, .dead_age = PRONG_HOURS(1), .max_results = 100
};

static const struct prong_app app = {
	.name = "durable",
	.version = "1",
	.jobs = PRONG_JOBS(&plain_thing_job, &durable_thing_job, &other_thing_job),
	.queues = PRONG_QUEUES(&things_queue),
};

static void ignore_notice(void *argument, const PGresult *result)
{
	(void)argument;
	(void)result;
}

char *durable_sql(const char *sql)
{
	PGconn *pg = PQconnectdb(server_url(SERVER_POSTGRES));
	char *text = NULL;
	PGresult *result;

	PQsetNoticeReceiver(pg, ignore_notice, NULL);
	result = PQexec(pg, sql);
	if (PQresultStatus(result) != PGRES_TUPLES_OK && PQresultStatus(result) != PGRES_COMMAND_OK)
		panic("%s: %s", sql, PQerrorMessage(pg));
	if (PQntuples(result) > 0 && !PQgetisnull(result, 0, 0))
		text = duplicate(PQgetvalue(result, 0, 0));
	PQclear(result);
	PQfinish(pg);
	return text;
}

int64_t durable_count(const char *sql)
{
	_cleanup_(freep) char *text = durable_sql(sql);

	return text ? strtoll(text, NULL, 10) : 0;
}

void durable_make_tables(void)
{
	free(durable_sql("DROP TABLE IF EXISTS prong_outbox, prong_schedules, prong_finished_jobs, prong_job_history"));
	for (const struct prong_migration *migration = jobs_module.migrations; migration->number; migration++)
		free(durable_sql(migration->up));
}

void durable_open(struct durable *durable)
{
	static const char *const none[] = { NULL };
	struct buffer mistakes = { 0 };

	/* Most tests provoke errors. */
	log_open("test", "test", PRONG_LOG_ERROR + 1, false);
	durable_make_tables();
	*durable = (struct durable){ .server = redis_server_new(none) };
	if (registry_new(&app, PRONG_MODULES(&jobs_module), &durable->registry, &mistakes) < 0)
		panic("%s", buffer_text(&mistakes));
	buffer_free(&mistakes);
	durable->settings = (struct settings){
		.redis_url = redis_server_url(durable->server),
		.database_url = server_url(SERVER_POSTGRES),
		.database_connections = 2,
		.database_transactions = 4,
		.database_timeout = PRONG_SECONDS(5),
		.job_concurrency = 100,
		.job_history_age = PRONG_DAYS(30),
		.max_requests = 10,
		.max_payload = 1048576,
		.threads = 2,
	};
	durable->runtime = runtime_new(&durable->settings, durable->registry, NULL, "durable test", -1,
				       RUNTIME_POSTGRES | RUNTIME_REDIS);
}

void durable_close(struct durable *durable)
{
	runtime_free(durable->runtime);
	registry_free(durable->registry);
	redis_server_free(durable->server);
}

int durable_run(struct durable *durable, int (*function)(struct prong_ctx *ctx, void *argument), void *argument)
{
	return context_run(durable->runtime, PRONG_SECONDS(60), function, argument);
}

struct asking {
	const char *queue;
	struct job_stats stats;
};

static int ask_stats(struct prong_ctx *ctx, void *argument)
{
	struct asking *asking = argument;

	return job_queue_stats(ctx->runtime->jobs, asking->queue, &asking->stats);
}

uint64_t durable_in_state(struct durable *durable, const char *queue, enum job_state state)
{
	struct asking asking = { .queue = queue };

	if (durable_run(durable, ask_stats, &asking) < 0)
		return UINT64_MAX;
	return asking.stats.states[state];
}
