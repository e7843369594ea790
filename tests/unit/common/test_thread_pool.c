#include "common/thread_pool.h"
#include "tests/unit/test.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/resource.h>

/* Work that says when it has begun, and ends when it may. */
struct task {
	struct loop *loop;
	struct thread_pool *pool;
	struct coroutine *coroutine;
	sem_t begun, may_end;
	int64_t deadline, queue_deadline; /* the coroutine's; the one given; 0: none */
	pthread_t thread;
	bool signals_blocked, saw_coroutine;
	int result;
	bool returned;
};

static int gated(void *argument)
{
	struct task *task = argument;
	sigset_t blocked;

	task->thread = pthread_self();
	task->saw_coroutine = coroutine_current() != NULL;
	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	task->signals_blocked = sigismember(&blocked, SIGTERM) == 1;
	sem_post(&task->begun);
	sem_wait(&task->may_end);
	return 7;
}

static void run_gated(void *argument)
{
	struct task *task = argument;

	if (task->deadline)
		coroutine_set_deadline(coroutine_current(), task->deadline);
	task->result =
		thread_pool_run(task->pool, gated, task, task->queue_deadline ? task->queue_deadline : INT64_MAX);
	task->returned = true;
	loop_stop(task->loop);
}

static void task_start(struct task *task, struct loop *loop, struct thread_pool *pool)
{
	task->loop = loop;
	task->pool = pool;
	sem_init(&task->begun, 0, 0);
	sem_init(&task->may_end, 0, 0);
	CU_ASSERT_FATAL(coroutine_start(loop, run_gated, task, &task->coroutine) == 0);
}

static void run_until_returned(struct task *task)
{
	while (!task->returned)
		loop_run(task->loop);
}

static void let_end(struct task *task)
{
	sem_post(&task->may_end);
	run_until_returned(task);
}

TEST(thread_pool, runs_on_another_thread_without_signals)
{
	struct loop *loop = loop_new(1);
	struct thread_pool *pool = thread_pool_new(loop, 1, 0);
	struct task task = { 0 };

	task_start(&task, loop, pool);
	CU_ASSERT(!task.returned);
	let_end(&task);
	CU_ASSERT(task.result == 7);
	CU_ASSERT(!pthread_equal(task.thread, pthread_self()));
	CU_ASSERT(task.signals_blocked);
	CU_ASSERT(!task.saw_coroutine);
	CU_ASSERT_PTR_NULL(thread_pool_free(pool));
	CU_ASSERT_PTR_NULL(thread_pool_free(NULL));
	loop_free(loop);
}

static int own_priority(void *argument)
{
	*(int *)argument = getpriority(PRIO_PROCESS, 0);
	return 0;
}

struct asking {
	struct loop *loop;
	struct thread_pool *pool;
	int priority;
};

static void ask_priority(void *argument)
{
	struct asking *asking = argument;

	CU_ASSERT_EQUAL(thread_pool_run(asking->pool, own_priority, &asking->priority, INT64_MAX), 0);
	loop_stop(asking->loop);
}

TEST(thread_pool, yields_to_the_loop)
{
	struct asking asking = { .loop = loop_new(4), .priority = -100 };
	int priority = getpriority(PRIO_PROCESS, 0);

	asking.pool = thread_pool_new(asking.loop, 1, 1);
	CU_ASSERT_EQUAL(coroutine_start(asking.loop, ask_priority, &asking, NULL), 0);
	loop_run(asking.loop);
	CU_ASSERT_EQUAL(asking.priority, priority + 10 < 19 ? priority + 10 : 19);
	CU_ASSERT_EQUAL(getpriority(PRIO_PROCESS, 0), priority);
	thread_pool_free(asking.pool);
	loop_free(asking.loop);
}

TEST(thread_pool, runs_as_many_at_once_as_it_has_threads)
{
	struct loop *loop = loop_new(3);
	struct thread_pool *pool = thread_pool_new(loop, 3, 0);
	struct task tasks[3] = { 0 };

	for (int i = 0; i < 3; i++)
		task_start(&tasks[i], loop, pool);
	for (int i = 0; i < 3; i++)
		sem_wait(&tasks[i].begun); /* all three, though none may end yet */
	for (int i = 2; i >= 0; i--)
		let_end(&tasks[i]);
	thread_pool_free(pool);
	loop_free(loop);
}

TEST(thread_pool, refuses_when_the_queue_is_full)
{
	struct loop *loop = loop_new(4);
	struct thread_pool *pool = thread_pool_new(loop, 1, 1);
	struct task running = { 0 }, queued = { 0 }, refused = { 0 }, later = { 0 };

	task_start(&running, loop, pool);
	task_start(&queued, loop, pool);
	task_start(&refused, loop, pool);
	CU_ASSERT(refused.returned);
	CU_ASSERT(refused.result == -EAGAIN);
	let_end(&running);
	CU_ASSERT(running.result == 7);
	task_start(&later, loop, pool);
	CU_ASSERT(!later.returned);
	let_end(&queued);
	let_end(&later);
	CU_ASSERT(queued.result == 7);
	CU_ASSERT(later.result == 7);
	thread_pool_free(pool);
	loop_free(loop);
}

TEST(thread_pool, gives_up_what_is_queued)
{
	struct loop *loop = loop_new(6);
	struct thread_pool *pool = thread_pool_new(loop, 1, 5);
	struct task running = { 0 }, cancelled = { 0 }, late = { .deadline = monotonic_us() + 1000 }, last = { 0 },
		    impatient = { .queue_deadline = monotonic_us() + 1000 };

	task_start(&running, loop, pool);
	sem_wait(&running.begun);
	task_start(&cancelled, loop, pool);
	task_start(&impatient, loop, pool);
	task_start(&last, loop, pool);
	task_start(&late, loop, pool);
	coroutine_cancel(cancelled.coroutine);
	run_until_returned(&cancelled);
	run_until_returned(&late);
	run_until_returned(&impatient);
	CU_ASSERT(cancelled.result == -ECANCELED);
	CU_ASSERT(late.result == -ETIMEDOUT);
	CU_ASSERT(impatient.result == -ETIMEDOUT);
	CU_ASSERT(!running.returned);
	let_end(&running);
	let_end(&last); /* the queue is whole though its middle and its end were taken out */
	CU_ASSERT(last.result == 7);
	CU_ASSERT(sem_trywait(&cancelled.begun) < 0);
	CU_ASSERT(sem_trywait(&late.begun) < 0);
	CU_ASSERT(sem_trywait(&impatient.begun) < 0);
	thread_pool_free(pool);
	loop_free(loop);
}

TEST(thread_pool, waits_for_what_has_begun)
{
	struct loop *loop = loop_new(3);
	struct thread_pool *pool = thread_pool_new(loop, 3, 0);
	struct task cancelled = { 0 }, late = { .deadline = 1 }, impatient = { .queue_deadline = 1 };

	task_start(&cancelled, loop, pool);
	task_start(&late, loop, pool);
	task_start(&impatient, loop, pool);
	sem_wait(&cancelled.begun);
	sem_wait(&late.begun);
	sem_wait(&impatient.begun);
	coroutine_cancel(cancelled.coroutine);
	loop_post(loop, (void (*)(void *))loop_stop, loop);
	loop_run(loop);
	CU_ASSERT(!cancelled.returned);
	CU_ASSERT(!late.returned);
	CU_ASSERT(!impatient.returned);
	let_end(&cancelled);
	let_end(&late);
	let_end(&impatient);
	CU_ASSERT(cancelled.result == 7);
	CU_ASSERT(late.result == 7);
	CU_ASSERT(impatient.result == 7);
	thread_pool_free(pool);
	loop_free(loop);
}

enum { MANY = 200, RUNS = 20 };

struct crowd {
	struct loop *loop;
	struct thread_pool *pool;
	size_t completed, given_up, alive;
};

static int spin(void *argument)
{
	volatile unsigned *sum = argument;

	for (unsigned i = 0; i < 200; i++)
		*sum += i;
	return 1;
}

/* Deadlines fall before, while and after a thread takes the work, which lies on this stack. */
static void run_with_deadlines(void *argument)
{
	struct crowd *crowd = argument;

	for (int i = 0; i < RUNS; i++) {
		volatile unsigned sum = 0;
		int r;

		coroutine_set_deadline(coroutine_current(), monotonic_us() + (int64_t)(random_u64() % 3000));
		r = thread_pool_run(crowd->pool, spin, (void *)&sum, INT64_MAX);
		if (r == 1)
			crowd->completed += sum == 199 * 100;
		else
			crowd->given_up += r == -ETIMEDOUT && sum == 0;
	}
	if (--crowd->alive == 0)
		loop_stop(crowd->loop);
}

TEST(thread_pool, many_with_short_deadlines)
{
	struct crowd crowd = { .loop = loop_new(MANY), .alive = MANY };

	crowd.pool = thread_pool_new(crowd.loop, 3, MANY);
	for (int i = 0; i < MANY; i++)
		CU_ASSERT_FATAL(coroutine_start(crowd.loop, run_with_deadlines, &crowd, NULL) == 0);
	loop_run(crowd.loop);
	CU_ASSERT_EQUAL(crowd.completed + crowd.given_up, MANY * RUNS);
	thread_pool_free(crowd.pool);
	loop_free(crowd.loop);
}
