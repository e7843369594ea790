#include "common/context.h"
#include "common/loop.h"
#include "tests/unit/test.h"

#include <pthread.h>
#include <semaphore.h>

enum { QUEUED = 256 }; /* works that may wait for the one thread */

static struct runtime *runtime_of_one_thread(void)
{
	static const struct settings settings = { .threads = 1, .max_requests = QUEUED, .job_concurrency = 1 };
	static const struct registry registry = { 0 };

	return runtime_new(&settings, &registry, NULL, "compute", -1, 0);
}

struct gate {
	sem_t begun, may_end;
	pthread_t thread;
};

static void gate_init(struct gate *gate)
{
	sem_init(&gate->begun, 0, 0);
	sem_init(&gate->may_end, 0, 0);
}

static int pass(void *argument)
{
	struct gate *gate = argument;

	gate->thread = pthread_self();
	sem_post(&gate->begun);
	sem_wait(&gate->may_end);
	return 42;
}

/* A request of its own that computes until the gate is opened. */
struct computing {
	struct prong_ctx ctx;
	struct gate gate;
	struct coroutine *coroutine;
	int64_t deadline;
	int result;
	bool returned;
};

static void compute(void *argument)
{
	struct computing *computing = argument;

	if (computing->deadline)
		coroutine_set_deadline(coroutine_current(), computing->deadline);
	computing->result = prong_compute(&computing->ctx, pass, &computing->gate);
	computing->returned = true;
	context_end(&computing->ctx);
	loop_stop(computing->ctx.runtime->loop);
}

static void start(struct computing *computing, struct runtime *runtime)
{
	gate_init(&computing->gate);
	context_init(&computing->ctx, runtime);
	CU_ASSERT_FATAL(coroutine_start(runtime->loop, compute, computing, &computing->coroutine) == 0);
}

static void finish(struct computing *computing)
{
	sem_post(&computing->gate.may_end);
	while (!computing->returned)
		loop_run(computing->ctx.runtime->loop);
}

TEST(compute, runs_beside_the_loop)
{
	struct runtime *runtime = runtime_of_one_thread();
	struct computing computing = { 0 };

	start(&computing, runtime);
	sem_wait(&computing.gate.begun); /* it runs, and so does this thread */
	CU_ASSERT(!computing.returned);
	CU_ASSERT(!pthread_equal(computing.gate.thread, pthread_self()));
	finish(&computing);
	CU_ASSERT_EQUAL(computing.result, 42);
	runtime_free(runtime);
}

TEST(compute, only_the_wait_for_a_thread_ends_early)
{
	struct runtime *runtime = runtime_of_one_thread();
	struct computing running = { 0 }, late = { .deadline = 1 }, cancelled = { 0 };

	start(&running, runtime);
	sem_wait(&running.gate.begun);
	start(&late, runtime);
	start(&cancelled, runtime);
	coroutine_cancel(running.coroutine);
	coroutine_cancel(cancelled.coroutine);
	while (!late.returned || !cancelled.returned)
		loop_run(runtime->loop);
	CU_ASSERT_EQUAL(late.result, -ETIMEDOUT);
	CU_ASSERT_EQUAL(cancelled.result, -ECANCELED);
	CU_ASSERT(sem_trywait(&late.gate.begun) < 0);
	CU_ASSERT(!running.returned);
	finish(&running);
	CU_ASSERT_EQUAL(running.result, 42);
	runtime_free(runtime);
}

TEST(compute, too_much_at_once_is_told_to_try_again)
{
	struct runtime *runtime = runtime_of_one_thread();
	struct computing *many = allocate_array(QUEUED + 1, sizeof(*many)), refused = { 0 };

	for (int i = 0; i <= QUEUED; i++)
		start(&many[i], runtime);
	start(&refused, runtime);
	CU_ASSERT(refused.returned);
	CU_ASSERT_EQUAL(refused.result, -EAGAIN);
	CU_ASSERT_EQUAL(context_problem(&refused.ctx, refused.result).status, 503);
	CU_ASSERT(context_problem(&refused.ctx, refused.result).retry_after > 0);
	for (int i = 0; i <= QUEUED; i++)
		finish(&many[i]);
	free(many);
	runtime_free(runtime);
}
