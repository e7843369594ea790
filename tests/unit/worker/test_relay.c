/* The relay and the reconciler as parts of a scheduler in the test's own process. */
#include <prong/database.h>
#include <signal.h>
#include <stdio.h>

#include "common/jobs/outbox.h"
#include "common/loop.h"
#include "common/redis/redis.h"
#include "tests/unit/common/servers.h"
#include "tests/unit/test.h"
#include "tests/unit/worker/parts.h"

#define TO_RELAY "SELECT count(*) FROM prong_outbox WHERE relayed_at IS NULL"

struct bulk {
	const struct prong_job *job;
	size_t count;
	struct prong_enqueue_options options;
	size_t text; /* bytes */
};

static int enqueue_bulk(struct prong_ctx *ctx, void *argument)
{
	const struct bulk *bulk = argument;
	struct prong_enqueue_options *options = prong_alloc(ctx, bulk->count * sizeof(*options));
	struct thing *things = prong_alloc(ctx, bulk->count * sizeof(*things));
	char *text = prong_alloc(ctx, bulk->text + 1);

	memset(text, 'x', bulk->text);
	for (size_t i = 0; i < bulk->count; i++) {
		things[i] = (struct thing){ .number = (int32_t)i, .text = text };
		options[i] = bulk->options;
	}
	return prong_job_enqueue_many(ctx, bulk->job, things, sizeof(*things), bulk->count, options);
}

static void enqueue(struct parts *parts, const struct prong_job *job, size_t count)
{
	struct bulk bulk = { .job = job, .count = count };

	CU_ASSERT_EQUAL(durable_run(&parts->durable, enqueue_bulk, &bulk), 0);
}

/* What is waited for: as many jobs in a state of a queue. */
struct expected {
	const char *queue;
	enum job_state state;
	uint64_t count;
};

static int wait_for_state(struct prong_ctx *ctx, void *argument)
{
	const struct expected *expected = argument;
	struct job_stats stats;
	int r;

	do {
		r = coroutine_sleep_until(monotonic_us() + PRONG_MILLISECONDS(5));
		if (r == 0)
			r = job_queue_stats(ctx->runtime->jobs, expected->queue, &stats);
	} while (r == 0 && stats.states[expected->state] != expected->count);
	return r;
}

static bool comes_to(struct parts *parts, const char *queue, enum job_state state, uint64_t count)
{
	struct expected expected = { queue, state, count };

	return durable_run(&parts->durable, wait_for_state, &expected) == 0;
}

/* ---- the relay ---- */

TEST(relay, moves_rows_into_redis)
{
	struct parts parts;

	parts_open(&parts);
	enqueue(&parts, &durable_thing_job, 3);
	parts_start(&parts, 0, relay_main);
	CU_ASSERT(comes_to(&parts, "things", JOB_STATE_READY, 3));
	/* While it listens. */
	enqueue(&parts, &durable_thing_job, 1200);
	enqueue(&parts, &other_thing_job, 1);
	CU_ASSERT(comes_to(&parts, "things", JOB_STATE_READY, 1203));
	CU_ASSERT(comes_to(&parts, "others", JOB_STATE_READY, 1));
	CU_ASSERT(parts_come_to_nothing(&parts, TO_RELAY));
	CU_ASSERT_EQUAL(durable_count("SELECT count(*) FROM prong_outbox"), 1204);
	parts_close(&parts);
}

TEST(relay, keeps_delays)
{
	struct bulk bulk = { .job = &durable_thing_job, .count = 2, .options.delay = PRONG_HOURS(1) };
	struct parts parts;

	parts_open(&parts);
	parts_start(&parts, 0, relay_main);
	CU_ASSERT_EQUAL(durable_run(&parts.durable, enqueue_bulk, &bulk), 0);
	CU_ASSERT(comes_to(&parts, "things", JOB_STATE_DELAYED, 2));
	parts_close(&parts);
}

TEST(relay, moves_large_records)
{
	struct bulk bulk = { .job = &durable_thing_job, .count = 45, .text = 1000000 };
	struct parts parts;

	parts_open(&parts);
	CU_ASSERT_EQUAL(durable_run(&parts.durable, enqueue_bulk, &bulk), 0);
	parts_start(&parts, 0, relay_main);
	CU_ASSERT(comes_to(&parts, "things", JOB_STATE_READY, 45));
	CU_ASSERT(parts_come_to_nothing(&parts, TO_RELAY));
	parts_close(&parts);
}

TEST(relay, shares_the_work_with_others)
{
	struct parts parts;

	parts_open(&parts);
	enqueue(&parts, &durable_thing_job, 4000);
	parts_start(&parts, 0, relay_main);
	parts_start(&parts, 1, relay_main);
	CU_ASSERT(comes_to(&parts, "things", JOB_STATE_READY, 4000));
	CU_ASSERT(parts_come_to_nothing(&parts, TO_RELAY));
	parts_close(&parts);
}

/* As if it had died between Redis and its commit. */
TEST(relay, adds_no_job_twice)
{
	struct parts parts;

	parts_open(&parts);
	enqueue(&parts, &durable_thing_job, 700);
	parts_start(&parts, 0, relay_main);
	CU_ASSERT(comes_to(&parts, "things", JOB_STATE_READY, 700));
	CU_ASSERT(parts_come_to_nothing(&parts, TO_RELAY));
	free(durable_sql("UPDATE prong_outbox SET relayed_at = NULL"));
	free(durable_sql("NOTIFY " OUTBOX_CHANNEL));
	CU_ASSERT(parts_come_to_nothing(&parts, TO_RELAY));
	CU_ASSERT_EQUAL(durable_in_state(&parts.durable, "things", JOB_STATE_READY), 700);
	parts_close(&parts);
}

TEST(relay, waits_for_redis)
{
	struct parts parts;

	parts_open(&parts);
	parts_start(&parts, 0, relay_main);
	redis_server_kill(parts.durable.server);
	enqueue(&parts, &durable_thing_job, 10);
	redis_server_launch(parts.durable.server);
	redis_server_wait(parts.durable.server);
	CU_ASSERT(parts_come_to_nothing(&parts, TO_RELAY));
	CU_ASSERT(comes_to(&parts, "things", JOB_STATE_READY, 10));
	parts_close(&parts);
}

TEST(relay, waits_for_postgresql)
{
	struct parts parts;

	if (!server_is_private(SERVER_POSTGRES))
		return;
	parts_open(&parts);
	parts_start(&parts, 0, relay_main);
	enqueue(&parts, &durable_thing_job, 1);
	CU_ASSERT(comes_to(&parts, "things", JOB_STATE_READY, 1));
	server_stop(SERVER_POSTGRES);
	server_start(SERVER_POSTGRES);
	free(durable_sql("UPDATE prong_outbox SET relayed_at = NULL, id = gen_random_uuid()"));
	CU_ASSERT(parts_come_to_nothing(&parts, TO_RELAY));
	CU_ASSERT_EQUAL(durable_in_state(&parts.durable, "things", JOB_STATE_READY), 2);
	parts_close(&parts);
}

TEST(relay, leaves_what_no_job_of_the_application_has)
{
	struct parts parts;

	parts_open(&parts);
	enqueue(&parts, &durable_thing_job, 1);
	free(durable_sql("UPDATE prong_outbox SET queue = 'of another version'"));
	enqueue(&parts, &durable_thing_job, 1);
	parts_start(&parts, 0, relay_main);
	CU_ASSERT(comes_to(&parts, "things", JOB_STATE_READY, 1));
	CU_ASSERT(parts_come_to_nothing(&parts, "SELECT count(*) - 1 FROM prong_outbox WHERE relayed_at IS NULL"));
	CU_ASSERT_EQUAL(durable_count(TO_RELAY), 1);
	parts_close(&parts);
}

/* ---- the reconciler ---- */

/* Empties Redis, behind everybody's back. */
static int flush(struct prong_ctx *ctx, void *argument)
{
	redisReply *reply;
	int r = redis_commandf(ctx->runtime->redis, PRONG_SECONDS(5), &reply, "FLUSHALL");

	(void)argument;
	if (r == 0)
		freeReplyObject(reply);
	return r;
}

TEST(reconciler, puts_back_what_redis_lost)
{
	struct parts parts;

	parts_open(&parts);
	parts_start(&parts, 0, relay_main);
	parts_start(&parts, 0, reconciler_main);
	enqueue(&parts, &durable_thing_job, 2500);
	enqueue(&parts, &other_thing_job, 3);
	CU_ASSERT(comes_to(&parts, "things", JOB_STATE_READY, 2500));
	for (int i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(durable_run(&parts.durable, flush, NULL), 0);
		CU_ASSERT(comes_to(&parts, "things", JOB_STATE_READY, 2500));
		CU_ASSERT(comes_to(&parts, "others", JOB_STATE_READY, 3));
	}
	parts_close(&parts);
}

TEST(reconciler, leaves_what_no_job_of_the_application_has)
{
	struct parts parts;

	parts_open(&parts);
	enqueue(&parts, &durable_thing_job, 2);
	free(durable_sql("UPDATE prong_outbox SET queue = 'of another version'"));
	free(durable_sql("UPDATE prong_outbox SET relayed_at = now() WHERE id = (SELECT min(id::text)::uuid FROM"
			 " prong_outbox)"));
	enqueue(&parts, &durable_thing_job, 1);
	free(durable_sql("UPDATE prong_outbox SET relayed_at = now() WHERE queue = 'things'"));
	parts_start(&parts, 0, reconciler_main);
	parts_start(&parts, 0, relay_main);
	CU_ASSERT(comes_to(&parts, "things", JOB_STATE_READY, 1));
	CU_ASSERT(parts_come_to_nothing(&parts, "SELECT count(*) - 1 FROM prong_outbox WHERE relayed_at IS NULL"));
	CU_ASSERT_EQUAL(durable_count("SELECT count(*) FROM prong_outbox WHERE queue = 'of another version'"), 2);
	parts_close(&parts);
}

TEST(reconciler, looks_at_its_start)
{
	struct parts parts;

	parts_open(&parts);
	enqueue(&parts, &durable_thing_job, 5);
	free(durable_sql("UPDATE prong_outbox SET relayed_at = now()"));
	parts_start(&parts, 0, relay_main);
	parts_start(&parts, 0, reconciler_main);
	CU_ASSERT(comes_to(&parts, "things", JOB_STATE_READY, 5));
	parts_close(&parts);
}

static int bury_all(struct prong_ctx *ctx, void *argument)
{
	struct job_listing *listings;
	struct job_exchange_result result;
	struct job_verdict verdict = { .attempt = 1,
				       .outcome = JOB_DEAD,
				       .error = "{\"code\":\"broken\",\"message\":\"m\"}" };
	size_t n;
	struct job_exchange exchange = { .owner = "00000000000000aa-1", .identity = "me", .fetch = 10 };
	int r;

	(void)argument;
	r = job_queue_list(ctx->runtime->jobs, "others", JOB_STATE_READY, 0, 10, &ctx->arena, &listings, &n);
	if (r < 0 || n == 0)
		return -EIO;
	exchange.shard = job_shard_of_id(ctx->runtime->jobs, "others", listings[0].id);
	r = job_queue_exchange(ctx->runtime->jobs, &ctx->arena, &exchange, &result);
	exchange.verdicts = &verdict;
	exchange.n_verdicts = 1;
	exchange.fetch = 0;
	for (size_t i = 0; i < n && r == 0; i++) {
		memcpy(verdict.id, listings[i].id, sizeof(verdict.id));
		r = job_queue_exchange(ctx->runtime->jobs, &ctx->arena, &exchange, &result);
	}
	return r;
}

TEST(reconciler, marks_the_dead_and_leaves_them)
{
	struct parts parts;

	parts_open(&parts);
	parts_start(&parts, 0, relay_main);
	enqueue(&parts, &other_thing_job, 3);
	CU_ASSERT(comes_to(&parts, "others", JOB_STATE_READY, 3));
	CU_ASSERT_EQUAL(durable_run(&parts.durable, bury_all, NULL), 0);
	CU_ASSERT_EQUAL(durable_in_state(&parts.durable, "others", JOB_STATE_DEAD), 3);
	parts_start(&parts, 0, reconciler_main);
	CU_ASSERT(parts_come_to_nothing(&parts, "SELECT count(*) FROM prong_outbox WHERE dead_at IS NULL"));
	CU_ASSERT_EQUAL(durable_count("SELECT count(*) FROM prong_outbox WHERE error ->> 'code' = 'broken'"), 3);
	enqueue(&parts, &durable_thing_job, 1);
	CU_ASSERT(comes_to(&parts, "things", JOB_STATE_READY, 1));
	CU_ASSERT_EQUAL(durable_run(&parts.durable, flush, NULL), 0);
	CU_ASSERT(comes_to(&parts, "things", JOB_STATE_READY, 1));
	CU_ASSERT_EQUAL(durable_in_state(&parts.durable, "others", JOB_STATE_READY), 0);
	parts_close(&parts);
}

static int revive_all(struct prong_ctx *ctx, void *argument)
{
	_cleanup_(freep) char *id = durable_sql("SELECT id FROM prong_outbox");

	(void)argument;
	return outbox_revive(ctx, (const char *const[]){ id }, 1);
}

TEST(reconciler, a_dead_one_that_redis_lost_can_be_revived)
{
	struct parts parts;

	parts_open(&parts);
	enqueue(&parts, &other_thing_job, 1);
	free(durable_sql("UPDATE prong_outbox SET relayed_at = now(), dead_at = now()"));
	parts_start(&parts, 0, relay_main);
	parts_start(&parts, 0, reconciler_main);
	CU_ASSERT_EQUAL(durable_run(&parts.durable, revive_all, NULL), 1);
	CU_ASSERT(comes_to(&parts, "others", JOB_STATE_READY, 1));
	parts_close(&parts);
}
