#include "common/jobs/history.h"

#include <stdio.h>

#include "common/loop.h"
#include "tests/unit/common/durable_fixture.h"
#include "tests/unit/common/servers.h"
#include "tests/unit/test.h"

#define ALL_ROWS "SELECT count(*) FROM prong_job_history"

struct world {
	struct durable durable;
	struct history *history;
	size_t added;
};

static void open_world(struct world *world)
{
	*world = (struct world){ 0 };
	durable_open(&world->durable);
	world->history = history_new(world->durable.runtime, "a host, worker 0", 0);
}

/* Everything of it is borrowed only for the call. */
static void add(struct world *world)
{
	char name[] = "a \"job\"", queue[] = "things", error[] = "{\"code\":\"timeout\",\"message\":\"m\"}";
	char key[] = "tenant 7";
	struct delivery delivery = { .queue = queue,
				     .name = name,
				     .key = world->added % 2 ? key : "",
				     .attempt = 3,
				     .enqueued_at.us = 1000000000000000 };

	prong_uuid_format(prong_uuid_make(), delivery.id);
	history_add(world->history, &(struct history_entry){ .delivery = &delivery,
							     .outcome = world->added % 2 ? "failed" : "done",
							     .error = world->added % 2 ? error : NULL,
							     .started_at.us = 1000000001000000,
							     .finished_at.us = 1000000002000000 });
	memset(name, 'x', sizeof(name) - 1);
	memset(error, 'x', sizeof(error) - 1);
	world->added++;
}

static int close_history(struct prong_ctx *ctx, void *argument)
{
	struct world *world = argument;

	(void)ctx;
	world->history = history_close(world->history, monotonic_us() + PRONG_SECONDS(10));
	return 0;
}

static void close_world(struct world *world)
{
	CU_ASSERT_EQUAL(durable_run(&world->durable, close_history, world), 0);
	durable_close(&world->durable);
}

/* Until there are as many rows as were added. */
static int wait_for_rows(struct prong_ctx *ctx, void *argument)
{
	const struct world *world = argument;
	int r = 0;

	(void)ctx;
	while (r == 0 && durable_count(ALL_ROWS) != (int64_t)world->added)
		r = coroutine_sleep_until(monotonic_us() + PRONG_MILLISECONDS(10));
	return r;
}

TEST(history, writes_a_row_for_each_attempt)
{
	struct world world;

	open_world(&world);
	for (int i = 0; i < 4; i++)
		add(&world);
	CU_ASSERT_EQUAL(durable_run(&world.durable, wait_for_rows, &world), 0);
	CU_ASSERT_EQUAL(durable_count("SELECT count(*) FROM prong_job_history WHERE outcome = 'done'"
				      " AND name = 'a \"job\"' AND queue = 'things' AND key IS NULL AND error IS NULL"
				      " AND attempt = 3 AND worker = 'a host, worker 0'"
				      " AND extract(epoch FROM enqueued_at) = 1000000000"
				      " AND finished_at - started_at = interval '1 second'"),
			2);
	CU_ASSERT_EQUAL(durable_count("SELECT count(*) FROM prong_job_history WHERE outcome = 'failed'"
				      " AND key = 'tenant 7' AND error ->> 'code' = 'timeout'"),
			2);
	/* Again, after its writer has ended. */
	add(&world);
	CU_ASSERT_EQUAL(durable_run(&world.durable, wait_for_rows, &world), 0);
	close_world(&world);
}

TEST(history, writes_what_is_left_when_it_is_closed)
{
	struct world world;

	open_world(&world);
	for (int i = 0; i < 1700; i++)
		add(&world);
	CU_ASSERT_EQUAL(durable_run(&world.durable, close_history, &world), 0);
	CU_ASSERT_EQUAL(durable_count(ALL_ROWS), 1700);
	close_world(&world);
	open_world(&world);
	close_world(&world);
}

static int pass_a_while(struct prong_ctx *ctx, void *argument)
{
	(void)ctx;
	(void)argument;
	return coroutine_sleep_until(monotonic_us() + PRONG_MILLISECONDS(100));
}

TEST(history, keeps_what_it_can_while_postgresql_is_away)
{
	struct world world;

	if (!server_is_private(SERVER_POSTGRES))
		return;
	open_world(&world);
	server_stop(SERVER_POSTGRES);
	for (int i = 0; i < 600; i++)
		add(&world);
	durable_run(&world.durable, pass_a_while, NULL);
	for (int i = 0; i < 5000; i++)
		add(&world);
	server_start(SERVER_POSTGRES);
	world.added = 5000;
	CU_ASSERT_EQUAL(durable_run(&world.durable, wait_for_rows, &world), 0);
	close_world(&world);
}

static int close_at_once(struct prong_ctx *ctx, void *argument)
{
	struct world *world = argument;

	(void)ctx;
	world->history = history_close(world->history, monotonic_us() + PRONG_MILLISECONDS(100));
	return 0;
}

TEST(history, is_left_with_what_could_not_be_written)
{
	struct world world;

	if (!server_is_private(SERVER_POSTGRES))
		return;
	open_world(&world);
	server_stop(SERVER_POSTGRES);
	add(&world);
	CU_ASSERT_EQUAL(durable_run(&world.durable, close_at_once, &world), 0);
	server_start(SERVER_POSTGRES);
	CU_ASSERT_EQUAL(durable_count(ALL_ROWS), 0);
	close_world(&world);
}
