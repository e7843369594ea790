#include <prong/database.h>
#include <stdio.h>

#include "common/jobs/running.h"
#include "common/loop.h"
#include "tests/unit/common/durable_fixture.h"
#include "tests/unit/test.h"

#define FINISHED "SELECT count(*) FROM prong_finished_jobs"

/* A job that counts its effects in a table. */
struct world {
	struct durable durable;
	struct delivery delivery;
	struct job_notes notes;
	int running, results[2];
};

static void open_world(struct world *world)
{
	*world = (struct world){ .delivery = { .name = "count", .queue = "things", .attempt = 1 } };
	durable_open(&world->durable);
	prong_uuid_format(prong_uuid_make(), world->delivery.id);
	free(durable_sql("DROP TABLE IF EXISTS effects; CREATE TABLE effects (n int)"));
}

static void close_world(struct world *world)
{
	free(durable_sql("DROP TABLE effects"));
	durable_close(&world->durable);
}

static void become_job(struct prong_ctx *ctx, struct world *world)
{
	world->notes = (struct job_notes){ 0 };
	ctx->delivery = &world->delivery;
	ctx->notes = &world->notes;
}

static int count_once(struct prong_ctx *ctx, void *argument)
{
	struct world *world = argument;
	int r = prong_begin(ctx);

	become_job(ctx, world);
	if (r >= 0)
		r = prong_exec(ctx, "INSERT INTO effects VALUES (1)");
	if (r >= 0)
		r = prong_job_done(ctx);
	return r < 0 ? r : prong_commit(ctx);
}

TEST(job_done, is_told_once)
{
	struct world world;

	open_world(&world);
	CU_ASSERT_EQUAL(durable_run(&world.durable, count_once, &world), 0);
	CU_ASSERT_FALSE(world.notes.already_done);
	CU_ASSERT_EQUAL(durable_run(&world.durable, count_once, &world), -EALREADY);
	CU_ASSERT_TRUE(world.notes.already_done);
	CU_ASSERT_EQUAL(durable_count("SELECT count(*) FROM effects"), 1);
	CU_ASSERT_EQUAL(durable_count(FINISHED), 1);
	/* Another job. */
	prong_uuid_format(prong_uuid_make(), world.delivery.id);
	CU_ASSERT_EQUAL(durable_run(&world.durable, count_once, &world), 0);
	CU_ASSERT_EQUAL(durable_count("SELECT count(*) FROM effects"), 2);
	close_world(&world);
}

TEST(job_done, ends_the_durable_jobs_row)
{
	_cleanup_(freep) char *sql = NULL;
	struct world world;

	open_world(&world);
	sql = format_text("INSERT INTO prong_outbox (id, queue, job, record) VALUES ('%s', 'things', 'count', '')",
			  world.delivery.id);
	free(durable_sql(sql));
	CU_ASSERT_EQUAL(durable_run(&world.durable, count_once, &world), 0);
	CU_ASSERT_EQUAL(durable_count("SELECT count(*) FROM prong_outbox"), 0);
	close_world(&world);
}

static int count_and_roll_back(struct prong_ctx *ctx, void *argument)
{
	struct world *world = argument;
	int r = prong_begin(ctx);

	become_job(ctx, world);
	if (r >= 0)
		r = prong_exec(ctx, "INSERT INTO effects VALUES (1)");
	if (r >= 0)
		r = prong_job_done(ctx);
	prong_rollback(ctx);
	return r;
}

TEST(job_done, is_undone_with_its_transaction)
{
	struct world world;

	open_world(&world);
	CU_ASSERT_EQUAL(durable_run(&world.durable, count_and_roll_back, &world), 0);
	CU_ASSERT_EQUAL(durable_count(FINISHED), 0);
	CU_ASSERT_EQUAL(durable_run(&world.durable, count_once, &world), 0);
	close_world(&world);
}

/* ---- two deliveries of one job at the same time ---- */

static int count_slowly(struct prong_ctx *ctx, struct world *world)
{
	int r = prong_begin(ctx);

	become_job(ctx, world);
	if (r >= 0)
		r = prong_exec(ctx, "INSERT INTO effects VALUES (1)");
	if (r >= 0)
		r = prong_job_done(ctx);
	if (r >= 0)
		r = prong_exec(ctx, "SELECT pg_sleep(0.2)");
	return r < 0 ? r : prong_commit(ctx);
}

struct rival {
	struct world *world;
	int index;
};

static void rival_main(void *argument)
{
	const struct rival *rival = argument;
	struct world *world = rival->world;
	struct prong_ctx ctx;

	context_init(&ctx, world->durable.runtime);
	world->results[rival->index] = count_slowly(&ctx, world);
	context_end(&ctx);
	if (--world->running == 0)
		loop_stop(world->durable.runtime->loop);
}

TEST(job_done, lets_one_of_two_rivals_win)
{
	struct world world;

	open_world(&world);
	for (int round = 0; round < 5; round++) {
		struct rival rivals[2] = { { &world, 0 }, { &world, 1 } };

		prong_uuid_format(prong_uuid_make(), world.delivery.id);
		world.running = 2;
		for (int i = 0; i < 2; i++)
			CU_ASSERT_EQUAL(coroutine_start(world.durable.runtime->loop, rival_main, &rivals[i], NULL), 0);
		loop_run(world.durable.runtime->loop);
		CU_ASSERT_EQUAL(world.results[0] + world.results[1], -EALREADY);
		CU_ASSERT_EQUAL(durable_count("SELECT count(*) FROM effects"), round + 1);
	}
	close_world(&world);
}

/* ---- mistakes ---- */

static int note_outside(struct prong_ctx *ctx, void *argument)
{
	struct world *world = argument;
	int r;

	become_job(ctx, world);
	r = prong_job_done(ctx);
	CU_ASSERT_EQUAL(ctx->problem.status, 500);
	CU_ASSERT_STRING_EQUAL(ctx->problem.code, "no_transaction");
	return r;
}

TEST(job_done, needs_a_transaction)
{
	struct world world;

	open_world(&world);
	CU_ASSERT_EQUAL(durable_run(&world.durable, note_outside, &world), -EINVAL);
	CU_ASSERT_EQUAL(durable_count(FINISHED), 0);
	close_world(&world);
}
