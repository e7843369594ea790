#include "common/postgres/listen.h"

#include <stdio.h>

#include "common/loop.h"
#include "tests/unit/common/postgres_fixture.h"
#include "tests/unit/common/servers.h"
#include "tests/unit/test.h"

#define CHANNEL "prong_test"

/* A listener of the fixture's own, and how often it was told. */
struct listening {
	struct fixture fixture;
	struct postgres_listener *listener;
	int count, expected;
	struct coroutine *waiter;
};

static void on_notified(void *argument)
{
	struct listening *listening = argument;

	listening->count++;
	if (listening->waiter)
		coroutine_wake(listening->waiter, 0);
}

static int wait_for_count(struct prong_ctx *ctx, void *argument)
{
	struct listening *listening = argument;
	int r = 0;

	(void)ctx;
	listening->waiter = coroutine_current();
	while (listening->count < listening->expected && r == 0)
		r = coroutine_wait(INT64_MAX);
	listening->waiter = NULL;
	return r;
}

/* Waits until it was told once more than at the last call. */
static bool is_told(struct listening *listening)
{
	listening->expected++;
	return fixture_run(&listening->fixture, wait_for_count, listening) == 0;
}

static void listening_open(struct listening *listening)
{
	*listening = (struct listening){ 0 };
	fixture_open(&listening->fixture, 1, 1, PRONG_SECONDS(5));
	listening->listener = postgres_listen(listening->fixture.runtime.postgres, CHANNEL, on_notified, listening);
	CU_ASSERT(is_told(listening)); /* of its connection */
}

static void listening_close(struct listening *listening)
{
	postgres_unlisten(listening->listener);
	fixture_close(&listening->fixture);
}

TEST(listen, is_told_of_notifications)
{
	struct listening listening;

	listening_open(&listening);
	for (int i = 0; i < 3; i++) {
		free(fixture_sql("NOTIFY " CHANNEL));
		CU_ASSERT(is_told(&listening));
	}
	free(fixture_sql("NOTIFY another_channel"));
	free(fixture_sql("NOTIFY " CHANNEL));
	CU_ASSERT(is_told(&listening));
	CU_ASSERT_EQUAL(listening.count, listening.expected);
	listening_close(&listening);
}

/* All listeners' connections, ended by the server. */
static void cut_listeners(void)
{
	free(fixture_sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN %'"
			 " OR query LIKE 'SET client_connection_check_interval%'"));
}

TEST(listen, connects_again)
{
	struct listening listening;

	listening_open(&listening);
	for (int i = 0; i < 3; i++) {
		cut_listeners();
		CU_ASSERT(is_told(&listening)); /* of the new connection */
		free(fixture_sql("NOTIFY " CHANNEL));
		CU_ASSERT(is_told(&listening));
	}
	listening_close(&listening);
}

TEST(listen, waits_for_a_server_that_is_away)
{
	struct listening listening;

	if (!server_is_private(SERVER_POSTGRES))
		return;
	listening_open(&listening);
	server_stop(SERVER_POSTGRES);
	listening.expected++;
	CU_ASSERT_EQUAL(fixture_run_within(&listening.fixture, PRONG_MILLISECONDS(200), wait_for_count, &listening),
			-ETIMEDOUT);
	server_start(SERVER_POSTGRES);
	CU_ASSERT_EQUAL(fixture_run(&listening.fixture, wait_for_count, &listening), 0);
	listening_close(&listening);
}

TEST(listen, can_be_left_at_any_time)
{
	struct fixture fixture;

	fixture_open(&fixture, 1, 1, PRONG_SECONDS(5));
	postgres_unlisten(postgres_listen(fixture.runtime.postgres, CHANNEL, on_notified, NULL));
	postgres_unlisten(NULL);
	fixture_close(&fixture);
}

/* ---- notifying ---- */

static int notify(struct prong_ctx *ctx, void *argument)
{
	(void)argument;
	postgres_notify(ctx, CHANNEL);
	return 0;
}

/* Something must have made a connection first: nothing is dialled for a notification. */
static int notify_after_statement(struct prong_ctx *ctx, void *argument)
{
	int r = prong_exec(ctx, "SELECT 1");

	return r < 0 ? r : notify(ctx, argument);
}

static int notify_in_transaction(struct prong_ctx *ctx, void *argument)
{
	struct listening *listening = argument;
	int r = prong_begin(ctx);

	if (r == 0)
		r = prong_exec(ctx, "SELECT 1");
	postgres_notify(ctx, CHANNEL);
	if (r >= 0)
		r = prong_exec(ctx, "SELECT pg_sleep(0.05)");
	CU_ASSERT_EQUAL(listening->count, listening->expected);
	return r < 0 ? r : prong_commit(ctx);
}

static int notify_and_roll_back(struct prong_ctx *ctx, void *argument)
{
	(void)argument;
	CU_ASSERT_EQUAL(prong_begin(ctx), 0);
	CU_ASSERT(prong_exec(ctx, "SELECT 1") >= 0);
	postgres_notify(ctx, CHANNEL);
	prong_rollback(ctx);
	/* The next one is not to inherit it. */
	CU_ASSERT_EQUAL(prong_begin(ctx), 0);
	CU_ASSERT(prong_exec(ctx, "SELECT 1") >= 0);
	CU_ASSERT_EQUAL(prong_commit(ctx), 0);
	return prong_exec(ctx, "SELECT pg_sleep(0.05)");
}

TEST(listen, notifies_at_once_outside_a_transaction)
{
	struct listening listening;

	listening_open(&listening);
	CU_ASSERT_EQUAL(fixture_run(&listening.fixture, notify_after_statement, &listening), 0);
	CU_ASSERT(is_told(&listening));
	/* Soon after the one before: a little later. */
	CU_ASSERT_EQUAL(fixture_run(&listening.fixture, notify, &listening), 0);
	CU_ASSERT_EQUAL(fixture_run(&listening.fixture, notify, &listening), 0);
	CU_ASSERT(is_told(&listening));
	CU_ASSERT_EQUAL(listening.count, listening.expected);
	listening_close(&listening);
}

TEST(listen, notifies_after_a_commit)
{
	struct listening listening;

	listening_open(&listening);
	CU_ASSERT_EQUAL(fixture_run(&listening.fixture, notify_in_transaction, &listening), 0);
	CU_ASSERT(is_told(&listening));
	/* The connection that it was sent on serves on. */
	CU_ASSERT_EQUAL(fixture_run(&listening.fixture, notify_in_transaction, &listening), 0);
	listening_close(&listening);
}

TEST(listen, notifies_nobody_after_a_rollback)
{
	struct listening listening;

	listening_open(&listening);
	CU_ASSERT(fixture_run(&listening.fixture, notify_and_roll_back, &listening) >= 0);
	CU_ASSERT_EQUAL(listening.count, listening.expected);
	listening_close(&listening);
}
