/* The relay and the reconciler as parts of a scheduler in the test's own process. */
#include <prong/database.h>
#include <signal.h>
#include <stdio.h>

#include "common/jobs/outbox.h"
#include "common/loop.h"
#include "common/redis/redis.h"
#include "tests/unit/common/durable_fixture.h"
#include "tests/unit/common/servers.h"
#include "tests/unit/test.h"
#include "worker/scheduler.h"

#define TO_RELAY "SELECT count(*) FROM prong_outbox WHERE relayed_at IS NULL"

/* Parts that run beside the test's coroutine. */
struct world {
	struct durable durable;
	struct scheduler schedulers[2];
	struct part {
		struct world *world;
		struct scheduler *scheduler;
		scheduler_part_main *main;
		struct coroutine *coroutine; /* NULL: it has ended */
	} parts[4];
	size_t n_parts, n_running;
};

static void part_main(void *argument)
{
	struct part *part = argument;

	part->main(part->scheduler);
	part->coroutine = NULL;
	if (--part->world->n_running == 0)
		loop_stop(part->scheduler->runtime->loop);
}

static void start(struct world *world, struct scheduler *scheduler, scheduler_part_main *main)
{
	struct part *part = &world->parts[world->n_parts++];

	scheduler->runtime = world->durable.runtime;
	*part = (struct part){ .world = world, .scheduler = scheduler, .main = main };
	world->n_running++;
	if (coroutine_start(world->durable.runtime->loop, part_main, part, &part->coroutine) < 0)
		panic("no coroutine");
}

static void open_world(struct world *world)
{
	*world = (struct world){ 0 };
	durable_open(&world->durable);
}

static void stop_parts(struct world *world)
{
	for (size_t i = 0; i < world->n_parts; i++) {
		world->parts[i].scheduler->draining = true;
		if (world->parts[i].coroutine)
			coroutine_cancel(world->parts[i].coroutine);
	}
	if (world->n_running > 0)
		loop_run(world->durable.runtime->loop);
	world->n_parts = 0;
}

static void close_world(struct world *world)
{
	stop_parts(world);
	durable_close(&world->durable);
}

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

static void enqueue(struct world *world, const struct prong_job *job, size_t count)
{
	struct bulk bulk = { .job = job, .count = count };

	CU_ASSERT_EQUAL(durable_run(&world->durable, enqueue_bulk, &bulk), 0);
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

static bool comes_to(struct world *world, const char *queue, enum job_state state, uint64_t count)
{
	struct expected expected = { queue, state, count };

	return durable_run(&world->durable, wait_for_state, &expected) == 0;
}

static int wait_for_sql(struct prong_ctx *ctx, void *argument)
{
	int r = 0;

	(void)ctx;
	while (r == 0 && durable_count(argument) > 0)
		r = coroutine_sleep_until(monotonic_us() + PRONG_MILLISECONDS(5));
	return r;
}

static bool comes_to_nothing(struct world *world, const char *sql)
{
	return durable_run(&world->durable, wait_for_sql, (char *)sql) == 0;
}

/* ---- the relay ---- */

TEST(relay, moves_rows_into_redis)
{
	struct world world;

	open_world(&world);
	enqueue(&world, &durable_thing_job, 3);
	start(&world, &world.schedulers[0], relay_main);
	CU_ASSERT(comes_to(&world, "things", JOB_STATE_READY, 3));
	/* While it listens. */
	enqueue(&world, &durable_thing_job, 1200);
	enqueue(&world, &other_thing_job, 1);
	CU_ASSERT(comes_to(&world, "things", JOB_STATE_READY, 1203));
	CU_ASSERT(comes_to(&world, "others", JOB_STATE_READY, 1));
	CU_ASSERT(comes_to_nothing(&world, TO_RELAY));
	CU_ASSERT_EQUAL(durable_count("SELECT count(*) FROM prong_outbox"), 1204);
	close_world(&world);
}

TEST(relay, keeps_delays)
{
	struct bulk bulk = { .job = &durable_thing_job, .count = 2, .options.delay = PRONG_HOURS(1) };
	struct world world;

	open_world(&world);
	start(&world, &world.schedulers[0], relay_main);
	CU_ASSERT_EQUAL(durable_run(&world.durable, enqueue_bulk, &bulk), 0);
	CU_ASSERT(comes_to(&world, "things", JOB_STATE_DELAYED, 2));
	close_world(&world);
}

TEST(relay, moves_large_records)
{
	struct bulk bulk = { .job = &durable_thing_job, .count = 45, .text = 1000000 };
	struct world world;

	open_world(&world);
	CU_ASSERT_EQUAL(durable_run(&world.durable, enqueue_bulk, &bulk), 0);
	start(&world, &world.schedulers[0], relay_main);
	CU_ASSERT(comes_to(&world, "things", JOB_STATE_READY, 45));
	CU_ASSERT(comes_to_nothing(&world, TO_RELAY));
	close_world(&world);
}

TEST(relay, shares_the_work_with_others)
{
	struct world world;

	open_world(&world);
	enqueue(&world, &durable_thing_job, 4000);
	start(&world, &world.schedulers[0], relay_main);
	start(&world, &world.schedulers[1], relay_main);
	CU_ASSERT(comes_to(&world, "things", JOB_STATE_READY, 4000));
	CU_ASSERT(comes_to_nothing(&world, TO_RELAY));
	close_world(&world);
}

/* As if it had died between Redis and its commit. */
TEST(relay, adds_no_job_twice)
{
	struct world world;

	open_world(&world);
	enqueue(&world, &durable_thing_job, 700);
	start(&world, &world.schedulers[0], relay_main);
	CU_ASSERT(comes_to(&world, "things", JOB_STATE_READY, 700));
	CU_ASSERT(comes_to_nothing(&world, TO_RELAY));
	free(durable_sql("UPDATE prong_outbox SET relayed_at = NULL"));
	free(durable_sql("NOTIFY " OUTBOX_CHANNEL));
	CU_ASSERT(comes_to_nothing(&world, TO_RELAY));
	CU_ASSERT_EQUAL(durable_in_state(&world.durable, "things", JOB_STATE_READY), 700);
	close_world(&world);
}

TEST(relay, waits_for_redis)
{
	struct world world;

	open_world(&world);
	start(&world, &world.schedulers[0], relay_main);
	redis_server_kill(world.durable.server);
	enqueue(&world, &durable_thing_job, 10);
	redis_server_launch(world.durable.server);
	redis_server_wait(world.durable.server);
	CU_ASSERT(comes_to_nothing(&world, TO_RELAY));
	CU_ASSERT(comes_to(&world, "things", JOB_STATE_READY, 10));
	close_world(&world);
}

TEST(relay, waits_for_postgresql)
{
	struct world world;

	if (!server_is_private(SERVER_POSTGRES))
		return;
	open_world(&world);
	start(&world, &world.schedulers[0], relay_main);
	enqueue(&world, &durable_thing_job, 1);
	CU_ASSERT(comes_to(&world, "things", JOB_STATE_READY, 1));
	server_stop(SERVER_POSTGRES);
	server_start(SERVER_POSTGRES);
	free(durable_sql("UPDATE prong_outbox SET relayed_at = NULL, id = gen_random_uuid()"));
	CU_ASSERT(comes_to_nothing(&world, TO_RELAY));
	CU_ASSERT_EQUAL(durable_in_state(&world.durable, "things", JOB_STATE_READY), 2);
	close_world(&world);
}

TEST(relay, leaves_what_no_job_of_the_application_has)
{
	struct world world;

	open_world(&world);
	enqueue(&world, &durable_thing_job, 1);
	free(durable_sql("UPDATE prong_outbox SET queue = 'of another version'"));
	enqueue(&world, &durable_thing_job, 1);
	start(&world, &world.schedulers[0], relay_main);
	CU_ASSERT(comes_to(&world, "things", JOB_STATE_READY, 1));
	CU_ASSERT_EQUAL(durable_count(TO_RELAY), 1);
	close_world(&world);
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
	struct world world;

	open_world(&world);
	start(&world, &world.schedulers[0], relay_main);
	start(&world, &world.schedulers[0], reconciler_main);
	enqueue(&world, &durable_thing_job, 2500);
	enqueue(&world, &other_thing_job, 3);
	CU_ASSERT(comes_to(&world, "things", JOB_STATE_READY, 2500));
	for (int i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(durable_run(&world.durable, flush, NULL), 0);
		CU_ASSERT(comes_to(&world, "things", JOB_STATE_READY, 2500));
		CU_ASSERT(comes_to(&world, "others", JOB_STATE_READY, 3));
	}
	close_world(&world);
}

TEST(reconciler, looks_at_its_start)
{
	struct world world;

	open_world(&world);
	enqueue(&world, &durable_thing_job, 5);
	free(durable_sql("UPDATE prong_outbox SET relayed_at = now()"));
	start(&world, &world.schedulers[0], relay_main);
	start(&world, &world.schedulers[0], reconciler_main);
	CU_ASSERT(comes_to(&world, "things", JOB_STATE_READY, 5));
	close_world(&world);
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
	struct world world;

	open_world(&world);
	start(&world, &world.schedulers[0], relay_main);
	enqueue(&world, &other_thing_job, 3);
	CU_ASSERT(comes_to(&world, "others", JOB_STATE_READY, 3));
	CU_ASSERT_EQUAL(durable_run(&world.durable, bury_all, NULL), 0);
	CU_ASSERT_EQUAL(durable_in_state(&world.durable, "others", JOB_STATE_DEAD), 3);
	start(&world, &world.schedulers[0], reconciler_main);
	CU_ASSERT(comes_to_nothing(&world, "SELECT count(*) FROM prong_outbox WHERE dead_at IS NULL"));
	CU_ASSERT_EQUAL(durable_count("SELECT count(*) FROM prong_outbox WHERE error ->> 'code' = 'broken'"), 3);
	enqueue(&world, &durable_thing_job, 1);
	CU_ASSERT(comes_to(&world, "things", JOB_STATE_READY, 1));
	CU_ASSERT_EQUAL(durable_run(&world.durable, flush, NULL), 0);
	CU_ASSERT(comes_to(&world, "things", JOB_STATE_READY, 1));
	CU_ASSERT_EQUAL(durable_in_state(&world.durable, "others", JOB_STATE_READY), 0);
	close_world(&world);
}

static int revive_all(struct prong_ctx *ctx, void *argument)
{
	_cleanup_(freep) char *id = durable_sql("SELECT id FROM prong_outbox");

	(void)argument;
	return outbox_revive(ctx, (const char *const[]){ id }, 1);
}

TEST(reconciler, a_dead_one_that_redis_lost_can_be_revived)
{
	struct world world;

	open_world(&world);
	enqueue(&world, &other_thing_job, 1);
	free(durable_sql("UPDATE prong_outbox SET relayed_at = now(), dead_at = now()"));
	start(&world, &world.schedulers[0], relay_main);
	start(&world, &world.schedulers[0], reconciler_main);
	CU_ASSERT_EQUAL(durable_run(&world.durable, revive_all, NULL), 1);
	CU_ASSERT(comes_to(&world, "others", JOB_STATE_READY, 1));
	close_world(&world);
}
