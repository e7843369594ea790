#include <signal.h>

#include "tests/unit/worker/fixture.h"
#include "worker/scheduler.h"

#define SCHEDULER 2 /* its slot */

/* A job that failed and is due again soon, and one whose worker is gone. */
static int leave_behind(struct prong_ctx *ctx, void *argument)
{
	size_t n_shards;
	struct job_exchange exchange = { .shard = job_queue_shards(ctx->runtime->jobs, "work", &n_shards),
					 .owner = "000000000000002a-0",
					 .identity = "gone",
					 .fetch = 2,
					 .lease = PRONG_MILLISECONDS(100) };
	struct job_exchange_result result;
	struct job_verdict verdict = { .outcome = JOB_RETRY, .delay = PRONG_MILLISECONDS(100), .error = "{}" };
	int r = job_queue_exchange(ctx->runtime->jobs, &ctx->arena, &exchange, &result);

	(void)argument;
	if (r < 0 || result.n_deliveries != 2)
		return -EIO;
	memcpy(verdict.id, result.deliveries[0].id, sizeof(verdict.id));
	verdict.attempt = 1;
	exchange.fetch = 0;
	exchange.verdicts = &verdict;
	exchange.n_verdicts = 1;
	return job_queue_exchange(ctx->runtime->jobs, &ctx->arena, &exchange, &result);
}

TEST(scheduler, moves_jobs_on_where_no_worker_looks)
{
	struct fixture fixture;
	pid_t pid;

	fixture_open(&fixture, NULL);
	fixture_enqueue_many(&fixture, &count_job, 2, 0);
	CU_ASSERT_EQUAL(fixture_run(&fixture, leave_behind, NULL), 0);
	CU_ASSERT(fixture_counts_are(&fixture, "work", 0, 1, 1, 0));
	pid = fixture_start(&fixture, scheduler_main, SCHEDULER);
	CU_ASSERT(EVENTUALLY(fixture_counts_are(&fixture, "work", 2, 0, 0, 0)));
	CU_ASSERT_EQUAL(fixture_terminate(&fixture, pid, SCHEDULER), 0);
	fixture_close(&fixture);
}

TEST(scheduler, starts_and_leaves_without_redis)
{
	struct fixture fixture;
	pid_t pid;

	fixture_open(&fixture, NULL);
	redis_server_kill(fixture.server);
	pid = fixture_start(&fixture, scheduler_main, SCHEDULER);
	CU_ASSERT_EQUAL(fixture_terminate(&fixture, pid, SCHEDULER), 0);
	fixture_close(&fixture);
}
