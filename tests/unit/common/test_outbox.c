#include "common/jobs/outbox.h"

#include <prong/database.h>
#include <stdio.h>

#include "common/loop.h"
#include "common/postgres/listen.h"
#include "tests/unit/common/durable_fixture.h"
#include "tests/unit/common/servers.h"
#include "tests/unit/test.h"

#define ALL_ROWS "SELECT count(*) FROM prong_outbox"

static struct durable durable;

static int enqueue_one(struct prong_ctx *ctx, void *argument)
{
	const struct thing thing = { .number = 7, .text = argument };

	return prong_job_enqueue(ctx, &durable_thing_job, &thing, sizeof(thing),
				 &(const struct prong_enqueue_options){ 0 });
}

/* ---- adding ---- */

TEST(outbox, keeps_a_job_as_a_row)
{
	_cleanup_(freep) char *record = NULL;

	durable_open(&durable);
	CU_ASSERT_EQUAL(durable_run(&durable, enqueue_one, (char *)"quotes \" ' \\ {,} ü 𝄞 and\nlines"), 0);
	CU_ASSERT_EQUAL(durable_count("SELECT count(*) FROM prong_outbox WHERE queue = 'things' AND due IS NULL"
				      " AND job = 'durable_thing' AND relayed_at IS NULL AND dead_at IS NULL"),
			1);
	record = durable_sql("SELECT split_part(record, E'\\n', 3)::json ->> 'text' FROM prong_outbox");
	CU_ASSERT_STRING_EQUAL(record, "quotes \" ' \\ {,} ü 𝄞 and\nlines");
	CU_ASSERT_EQUAL(durable_in_state(&durable, "things", JOB_STATE_READY), 0);
	durable_close(&durable);
}

static int enqueue_at_times(struct prong_ctx *ctx, void *argument)
{
	const struct thing thing = { .number = 1 };
	prong_uuid *ids = argument;
	int r = prong_enqueue(ctx, durable_thing, &thing, .delay = PRONG_HOURS(1), .ret_id = &ids[0]);

	if (r == 0)
		r = prong_enqueue(ctx, durable_thing, &thing, .at = { .us = INT64_C(4102444800123456) },
				  .key = "tenant", .ret_id = &ids[1]);
	if (r == 0)
		r = prong_enqueue(ctx, plain_thing, &thing, .durable = true, .priority = 5, .ret_id = &ids[2]);
	return r;
}

TEST(outbox, keeps_times_and_options)
{
	char text[PRONG_UUID_TEXT_SIZE];
	prong_uuid ids[3];

	durable_open(&durable);
	CU_ASSERT_EQUAL(durable_run(&durable, enqueue_at_times, ids), 0);
	CU_ASSERT_EQUAL(durable_count(ALL_ROWS), 3);
	CU_ASSERT_EQUAL(durable_count("SELECT count(*) FROM prong_outbox WHERE due"
				      " BETWEEN now() + interval '59 min' AND now() + interval '61 min'"),
			1);
	CU_ASSERT_EQUAL(durable_count("SELECT count(*) FROM prong_outbox WHERE due = '2100-01-01T00:00:00.123456Z'"
				      " AND record LIKE '% x%\"key\":\"tenant\"%'"),
			1);
	CU_ASSERT_EQUAL(durable_count("SELECT count(*) FROM prong_outbox WHERE job = 'plain_thing'"
				      " AND record LIKE '%\"durable\":true%\"priority\":5%'"),
			1);
	for (int i = 0; i < 3; i++) {
		_cleanup_(freep) char *sql = format_text("SELECT count(*) FROM prong_outbox WHERE id = '%s'",
							 prong_uuid_format(ids[i], text));

		CU_ASSERT_EQUAL(durable_count(sql), 1);
	}
	durable_close(&durable);
}

static int enqueue_with(struct prong_ctx *ctx, void *argument)
{
	const struct thing thing = { .number = 1 };
	int r = prong_job_enqueue(ctx, &durable_thing_job, &thing, sizeof(thing), argument);

	if (r < 0)
		CU_ASSERT_EQUAL(ctx->problem.status, 500);
	return r;
}

TEST(outbox, refuses_what_only_redis_keeps)
{
	struct prong_enqueue_options wrong[] = {
		{ .unique = "key" },
		{ .unique = "key", .throttle = 1 },
		{ .unique = "key", .debounce = 1 },
		{ .expires = 1 },
	};

	durable_open(&durable);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		CU_ASSERT_EQUAL(durable_run(&durable, enqueue_with, &wrong[i]), -EINVAL);
	CU_ASSERT_EQUAL(durable_count(ALL_ROWS), 0);
	durable_close(&durable);
}

struct bulk {
	const char *text;
	size_t count;
};

static int enqueue_bulk(struct prong_ctx *ctx, void *argument)
{
	const struct bulk *bulk = argument;
	struct thing *things = prong_alloc(ctx, bulk->count * sizeof(*things));

	for (size_t i = 0; i < bulk->count; i++)
		things[i] = (struct thing){ .number = (int32_t)i, .text = bulk->text };
	return prong_enqueue_many(ctx, durable_thing, things, bulk->count, NULL);
}

TEST(outbox, takes_many_at_once)
{
	_cleanup_(freep) char *large = allocate(100001);
	struct bulk bulk = { .count = 2500 };

	durable_open(&durable);
	CU_ASSERT_EQUAL(durable_run(&durable, enqueue_bulk, &bulk), 0);
	CU_ASSERT_EQUAL(durable_count(ALL_ROWS), 2500);
	/* More than one statement holds: in a transaction of its own. */
	memset(large, '"', 100000);
	bulk = (struct bulk){ .text = large, .count = 300 };
	CU_ASSERT_EQUAL(durable_run(&durable, enqueue_bulk, &bulk), 0);
	CU_ASSERT_EQUAL(durable_count(ALL_ROWS), 2800);
	CU_ASSERT_EQUAL(durable_count("SELECT count(DISTINCT xmin::text) FROM prong_outbox"), 2);
	durable_close(&durable);
}

static int enqueue_and_roll_back(struct prong_ctx *ctx, void *argument)
{
	int r = prong_begin(ctx);

	if (r == 0)
		r = enqueue_one(ctx, argument);
	prong_rollback(ctx);
	return r;
}

static int enqueue_and_commit(struct prong_ctx *ctx, void *argument)
{
	int r = prong_begin(ctx);

	if (r == 0)
		r = enqueue_one(ctx, argument);
	CU_ASSERT_EQUAL(durable_count(ALL_ROWS), 0);
	return r < 0 ? r : prong_commit(ctx);
}

TEST(outbox, belongs_to_the_callers_transaction)
{
	durable_open(&durable);
	CU_ASSERT_EQUAL(durable_run(&durable, enqueue_and_roll_back, NULL), 0);
	CU_ASSERT_EQUAL(durable_count(ALL_ROWS), 0);
	CU_ASSERT_EQUAL(durable_run(&durable, enqueue_and_commit, NULL), 0);
	CU_ASSERT_EQUAL(durable_count(ALL_ROWS), 1);
	durable_close(&durable);
}

static void wake_loop(void *argument)
{
	loop_stop(((struct runtime *)argument)->loop);
}

TEST(outbox, notifies_the_relay)
{
	struct postgres_listener *listener;

	durable_open(&durable);
	listener = postgres_listen(durable.runtime->postgres, OUTBOX_CHANNEL, wake_loop, durable.runtime);
	loop_run(durable.runtime->loop); /* until it listens */
	CU_ASSERT_EQUAL(durable_run(&durable, enqueue_one, NULL), 0);
	loop_run(durable.runtime->loop);
	CU_ASSERT_EQUAL(durable_run(&durable, enqueue_and_roll_back, NULL), 0);
	free(durable_sql("DELETE FROM prong_outbox"));
	CU_ASSERT_EQUAL(durable_run(&durable, enqueue_and_commit, NULL), 0);
	loop_run(durable.runtime->loop);
	postgres_unlisten(listener);
	durable_close(&durable);
}

/* ---- what becomes of them ---- */

static int end_them(struct prong_ctx *ctx, void *argument)
{
	const struct thing thing = { .number = 1 };
	char texts[3][PRONG_UUID_TEXT_SIZE];
	const char *ids[3];

	(void)argument;
	for (int i = 0; i < 3; i++) {
		prong_uuid id;

		CU_ASSERT_EQUAL(prong_enqueue(ctx, durable_thing, &thing, .ret_id = &id), 0);
		ids[i] = prong_uuid_format(id, texts[i]);
	}
	CU_ASSERT_EQUAL(outbox_bury(ctx, ids[0], "{\"code\":\"x\",\"message\":\"y\"}"), 0);
	CU_ASSERT_EQUAL(durable_count("SELECT count(*) FROM prong_outbox WHERE dead_at IS NOT NULL"
				      " AND error ->> 'code' = 'x'"),
			1);
	free(durable_sql("UPDATE prong_outbox SET relayed_at = now()"));
	CU_ASSERT_EQUAL(outbox_revive(ctx, ids, 3), 1);
	CU_ASSERT_EQUAL(durable_count("SELECT count(*) FROM prong_outbox WHERE dead_at IS NULL AND error IS NULL"), 3);
	CU_ASSERT_EQUAL(durable_count("SELECT count(*) FROM prong_outbox WHERE relayed_at IS NULL"), 1);
	CU_ASSERT_EQUAL(outbox_finish(ctx, ids, 2), 2);
	CU_ASSERT_EQUAL(outbox_finish(ctx, ids, 2), 0);
	CU_ASSERT_EQUAL(outbox_bury(ctx, ids[0], "{}"), 0);
	CU_ASSERT_EQUAL(outbox_finish(ctx, NULL, 0), 0);
	CU_ASSERT_EQUAL(durable_count(ALL_ROWS), 1);
	return 0;
}

TEST(outbox, finishes_buries_and_revives)
{
	durable_open(&durable);
	CU_ASSERT_EQUAL(durable_run(&durable, end_them, NULL), 0);
	durable_close(&durable);
}

static int cancel_before_relay(struct prong_ctx *ctx, void *argument)
{
	const struct thing thing = { .number = 1 };
	prong_uuid id;

	(void)argument;
	CU_ASSERT_EQUAL(prong_enqueue(ctx, durable_thing, &thing, .ret_id = &id), 0);
	CU_ASSERT_EQUAL(prong_cancel(ctx, durable_thing, id), 0);
	CU_ASSERT_EQUAL(prong_cancel(ctx, durable_thing, id), -ENOENT);
	return 0;
}

TEST(outbox, forgets_what_is_cancelled)
{
	durable_open(&durable);
	CU_ASSERT_EQUAL(durable_run(&durable, cancel_before_relay, NULL), 0);
	CU_ASSERT_EQUAL(durable_count(ALL_ROWS), 0);
	durable_close(&durable);
}
