/* Durable jobs and what runs exactly once, with PostgreSQL. */
#include <signal.h>

#include "tests/unit/common/durable_fixture.h"
#include "tests/unit/common/servers.h"
#include "tests/unit/worker/fixture.h"
#include "worker/scheduler.h"
#include "worker/worker.h"

#define WORKER 0 /* slots */
#define SCHEDULER 2

#define ROWS "SELECT count(*) FROM prong_outbox"

struct tree {
	struct fixture fixture;
	pid_t worker, scheduler;
};

static void tree_open(struct tree *tree)
{
	fixture_open_durable(&tree->fixture);
	tree->scheduler = fixture_start(&tree->fixture, scheduler_main, SCHEDULER);
	tree->worker = fixture_start(&tree->fixture, worker_main, WORKER);
}

static void tree_close(struct tree *tree)
{
	CU_ASSERT_EQUAL(fixture_terminate(&tree->fixture, tree->worker, WORKER), 0);
	CU_ASSERT_EQUAL(fixture_terminate(&tree->fixture, tree->scheduler, SCHEDULER), 0);
	fixture_close(&tree->fixture);
}

TEST(worker_durable, a_job_that_is_done_leaves_nothing)
{
	struct tree tree;

	tree_open(&tree);
	fixture_enqueue_many(&tree.fixture, &lasting_job, 300, 0);
	CU_ASSERT(EVENTUALLY(atomic_load(&effects->ended) == 300));
	CU_ASSERT(EVENTUALLY(fixture_counts_are(&tree.fixture, "work", 0, 0, 0, 0)));
	CU_ASSERT_EQUAL(durable_count(ROWS), 0);
	CU_ASSERT_EQUAL(atomic_load(&effects->started), 300);
	tree_close(&tree);
}

TEST(worker_durable, a_dead_job_is_dead_in_postgresql)
{
	struct tree tree;

	tree_open(&tree);
	CU_ASSERT(fixture_enqueue(&tree.fixture, &lasting_fail_job, 1, 0) == 0);
	CU_ASSERT(EVENTUALLY(fixture_counts_are(&tree.fixture, "work", 0, 0, 0, 1)));
	CU_ASSERT(EVENTUALLY(durable_count(ROWS " WHERE dead_at IS NOT NULL AND error ->> 'code' = 'no_luck'") == 1));
	tree_close(&tree);
}

static int cancel(struct prong_ctx *ctx, void *id)
{
	return prong_cancel(ctx, lasting_hold, *(prong_uuid *)id);
}

TEST(worker_durable, a_cancelled_job_does_not_come_back)
{
	struct tree tree;
	prong_uuid id;

	tree_open(&tree);
	CU_ASSERT(fixture_enqueue_with(&tree.fixture, &lasting_hold_job, 1, 0,
				       &(struct prong_enqueue_options){ .ret_id = &id }) == 0);
	CU_ASSERT(EVENTUALLY(atomic_load(&effects->started) == 1));
	CU_ASSERT_EQUAL(fixture_run(&tree.fixture, cancel, &id), 0);
	CU_ASSERT(EVENTUALLY(atomic_load(&effects->cancelled) == 1));
	CU_ASSERT(EVENTUALLY(fixture_counts_are(&tree.fixture, "work", 0, 0, 0, 0)));
	CU_ASSERT_EQUAL(durable_count(ROWS), 0);
	tree_close(&tree);
}

/* It is not done before its row is gone: it waits, with its lease renewed. */
TEST(worker_durable, a_job_waits_for_postgresql_to_be_done)
{
	struct tree tree;

	tree_open(&tree);
	if (server_is_private(SERVER_POSTGRES)) {
		CU_ASSERT(fixture_enqueue(&tree.fixture, &lasting_hold_job, 1, 0) == 0);
		CU_ASSERT(EVENTUALLY(atomic_load(&effects->started) == 1));
		server_stop(SERVER_POSTGRES);
		atomic_store(&effects->go, true);
		CU_ASSERT(EVENTUALLY(atomic_load(&effects->ended) == 1));
		CU_ASSERT(fixture_counts_are(&tree.fixture, "work", 0, 0, 1, 0));
		server_start(SERVER_POSTGRES);
		CU_ASSERT(EVENTUALLY(fixture_counts_are(&tree.fixture, "work", 0, 0, 0, 0)));
		CU_ASSERT_EQUAL(durable_count(ROWS), 0);
		CU_ASSERT_EQUAL(atomic_load(&effects->started), 1);
	}
	tree_close(&tree);
}

/* A shutdown does not wait for a PostgreSQL that stays away. */
TEST(worker_durable, an_unfinished_job_goes_back_at_shutdown)
{
	struct tree tree;

	fixture_open_durable(&tree.fixture);
	if (server_is_private(SERVER_POSTGRES)) {
		tree.fixture.settings.drain_timeout = PRONG_MILLISECONDS(300);
		tree.scheduler = fixture_start(&tree.fixture, scheduler_main, SCHEDULER);
		tree.worker = fixture_start(&tree.fixture, worker_main, WORKER);
		CU_ASSERT(fixture_enqueue(&tree.fixture, &lasting_hold_job, 1, 0) == 0);
		CU_ASSERT(EVENTUALLY(atomic_load(&effects->started) == 1));
		server_stop(SERVER_POSTGRES);
		atomic_store(&effects->go, true);
		CU_ASSERT(EVENTUALLY(atomic_load(&effects->ended) == 1));
		CU_ASSERT_EQUAL(fixture_terminate(&tree.fixture, tree.worker, WORKER), 0);
		server_start(SERVER_POSTGRES);
		CU_ASSERT(EVENTUALLY(fixture_counts_are(&tree.fixture, "work", 1, 0, 0, 0)));
		CU_ASSERT_EQUAL(fixture_ask(&tree.fixture, "HLEN prong:{work#0}:state"), 0);
		CU_ASSERT_EQUAL(durable_count(ROWS), 1);
		CU_ASSERT_EQUAL(fixture_terminate(&tree.fixture, tree.scheduler, SCHEDULER), 0);
	}
	fixture_close(&tree.fixture);
}

static void restart(struct tree *tree)
{
	CU_ASSERT_EQUAL(fixture_wait(&tree->fixture, tree->worker, WORKER), -SIGKILL);
	atomic_store(&effects->crash_at, 0);
	tree->worker = fixture_start(&tree->fixture, worker_main, WORKER);
}

/* Killed before its last statement, before its commit, after it: the effect is there once. */
TEST(worker_durable, effects_are_committed_once)
{
	struct tree tree;

	tree_open(&tree);
	for (int step = 1; step <= 3; step++) {
		atomic_store(&effects->crash_at, step);
		CU_ASSERT(fixture_enqueue(&tree.fixture, &transfer_job, step, 0) == 0);
		restart(&tree);
		CU_ASSERT(EVENTUALLY(atomic_load(&effects->of[step]) == 2));
		CU_ASSERT(EVENTUALLY(fixture_counts_are(&tree.fixture, "work", 0, 0, 0, 0)));
		CU_ASSERT_EQUAL(durable_count("SELECT count(*) FROM transfers"), step);
		CU_ASSERT_EQUAL(durable_count("SELECT count(DISTINCT number) FROM transfers"), step);
		CU_ASSERT_EQUAL(durable_count(ROWS), 0);
	}
	CU_ASSERT_EQUAL(atomic_load(&effects->ended_of[3]), 0); /* its second run found it done */
	tree_close(&tree);
}

TEST(worker_durable, history_has_every_attempt)
{
	struct tree tree;

	tree_open(&tree);
	CU_ASSERT(fixture_enqueue(&tree.fixture, &recorded_job, 1, 0) == 0);
	CU_ASSERT(EVENTUALLY(durable_count("SELECT count(*) FROM prong_job_history") == 3));
	_cleanup_(freep) char *outcomes =
		durable_sql("SELECT string_agg(outcome || attempt, ' ' ORDER BY attempt) FROM prong_job_history "
			    "WHERE name = 'recorded' AND queue = 'work' AND finished_at >= started_at");
	CU_ASSERT(outcomes && string_equal(outcomes, "failed1 failed2 done3"));
	CU_ASSERT_EQUAL(durable_count("SELECT count(*) FROM prong_job_history WHERE error IS NOT NULL"), 2);
	tree_close(&tree);
}
