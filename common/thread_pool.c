#include "common/thread_pool.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

#include "common/crash.h"

#define NICER 10 /* a tenth of the loop's share, when both want the processor */

enum work_state { WORK_QUEUED, WORK_STARTED };

/* On the stack of the coroutine that waits for it. */
struct work {
	int (*function)(void *argument);
	void *argument;
	int result;
	struct coroutine *coroutine;
	prong_uuid mark; /* the coroutine's */
	bool done;	 /* only the loop's thread looks */
	enum work_state state;
	struct work *next;
};

struct thread_pool {
	struct loop *loop;
	size_t n_threads, max_queued;
	pthread_t *threads;
	size_t started;	    /* threads; only the loop's thread looks */
	size_t outstanding; /* works queued or running; likewise */

	pthread_mutex_t lock; /* for the rest, and for the works' state */
	pthread_cond_t change;
	struct work *queue, **queue_end;
	bool stopping;
};

struct thread_pool *thread_pool_new(struct loop *loop, size_t threads, size_t max_queued)
{
	struct thread_pool *pool = allocate(sizeof(*pool));

	check(threads > 0);
	pool->loop = loop;
	pool->n_threads = threads;
	pool->max_queued = max_queued;
	pool->threads = allocate_array(threads, sizeof(*pool->threads));
	pool->queue_end = &pool->queue;
	check(pthread_mutex_init(&pool->lock, NULL) == 0);
	check(pthread_cond_init(&pool->change, NULL) == 0);
	return pool;
}

struct thread_pool *thread_pool_free(struct thread_pool *pool)
{
	if (!pool)
		return NULL;
	check(pool->outstanding == 0);
	pthread_mutex_lock(&pool->lock);
	pool->stopping = true;
	pthread_cond_broadcast(&pool->change);
	pthread_mutex_unlock(&pool->lock);
	for (size_t i = 0; i < pool->started; i++)
		pthread_join(pool->threads[i], NULL);
	pthread_cond_destroy(&pool->change);
	pthread_mutex_destroy(&pool->lock);
	free(pool->threads);
	free(pool);
	return NULL;
}

/* The coroutine may have been woken by its deadline already; it then sees `done` when it runs. */
static void work_done(void *argument)
{
	struct work *work = argument;

	work->done = true;
	coroutine_wake(work->coroutine, 0);
}

static struct work *take_work(struct thread_pool *pool)
{
	struct work *work;

	pthread_mutex_lock(&pool->lock);
	while (!pool->queue && !pool->stopping)
		pthread_cond_wait(&pool->change, &pool->lock);
	work = pool->queue;
	if (work) {
		pool->queue = work->next;
		if (!pool->queue)
			pool->queue_end = &pool->queue;
		work->state = WORK_STARTED;
	}
	pthread_mutex_unlock(&pool->lock);
	return work;
}

/*
 * Work computes; the loop wakes for a moment and must not wait until a computation's slice of the processor is over. On
 * Linux this is the thread's own priority. Without it requests take several times as long while passwords are hashed.
 */
static void yield_to_loop(void)
{
	setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + NICER);
}

static void *thread_main(void *argument)
{
	struct thread_pool *pool = argument;
	struct work *work;

	crash_attend();
	yield_to_loop();
	while ((work = take_work(pool))) {
		crash_set_mark(work->mark);
		work->result = work->function(work->argument);
		crash_set_mark((prong_uuid){ 0 });
		loop_post(pool->loop, work_done, work);
	}
	return NULL;
}

/* Signals are for the loop's thread, but for those that a thread causes itself. */
static int start_thread(struct thread_pool *pool)
{
	sigset_t most, before;
	int r;

	sigfillset(&most);
	sigdelset(&most, SIGSEGV);
	sigdelset(&most, SIGBUS);
	sigdelset(&most, SIGFPE);
	sigdelset(&most, SIGILL);
	pthread_sigmask(SIG_SETMASK, &most, &before);
	r = pthread_create(&pool->threads[pool->started], NULL, thread_main, pool);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r == 0)
		pool->started++;
	return -r;
}

static void push_work(struct thread_pool *pool, struct work *work)
{
	pthread_mutex_lock(&pool->lock);
	*pool->queue_end = work;
	pool->queue_end = &work->next;
	pthread_mutex_unlock(&pool->lock);
	pthread_cond_signal(&pool->change);
}

/* Whether no thread had started it, and none will. */
static bool take_back(struct thread_pool *pool, struct work *work)
{
	bool queued;

	pthread_mutex_lock(&pool->lock);
	queued = work->state == WORK_QUEUED;
	if (queued) {
		struct work **place = &pool->queue;

		while (*place != work)
			place = &(*place)->next;
		*place = work->next;
		if (!work->next)
			pool->queue_end = place;
	}
	pthread_mutex_unlock(&pool->lock);
	return queued;
}

static int wait_for(struct thread_pool *pool, struct work *work, int64_t deadline)
{
	int r = coroutine_wait(deadline);

	if (!work->done && r < 0 && take_back(pool, work))
		return r;
	coroutine_shield(work->coroutine);
	while (!work->done)
		coroutine_wait(INT64_MAX);
	coroutine_unshield(work->coroutine);
	return work->result;
}

int thread_pool_run(struct thread_pool *pool, int (*function)(void *argument), void *argument, int64_t deadline)
{
	struct work work = { .function = function, .argument = argument, .coroutine = coroutine_current() };
	int r;

	check(work.coroutine);
	work.mark = coroutine_mark(work.coroutine);
	if (pool->outstanding >= pool->n_threads + pool->max_queued)
		return -EAGAIN;
	if (pool->outstanding >= pool->started && pool->started < pool->n_threads && start_thread(pool) < 0 &&
	    pool->started == 0)
		return -EAGAIN;
	pool->outstanding++;
	push_work(pool, &work);
	r = wait_for(pool, &work, deadline);
	pool->outstanding--;
	return r;
}
