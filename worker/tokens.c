/*
 * Waiting for something to do. Producers leave a token in a shard that has something ready; one consumer takes it.
 *
 * Nothing is known to wait: blocks until a token says otherwise. Whoever takes one must exchange, which passes it on
 * where more is ready: it was meant for one who can run the job, and another may be idler than this process.
 *
 * Some shard has more than can run: its consumer fetches as places become free, and no tokens are taken. The other
 * shards are looked into now and then, so that they get their share.
 */
#include "common/redis/redis.h"
#include "worker/consumer.h"

#define WAIT PRONG_SECONDS(5)		  /* of one blocking command */
#define LOOK_EVERY PRONG_MILLISECONDS(50) /* into quiet shards while others have more than can run */
#define AFTER_ERROR PRONG_MILLISECONDS(200)

static int wait_for_token(struct token_waiter *waiter)
{
	size_t woken = 0;
	int r = job_queue_wait(waiter->redis, waiter->shards, waiter->n_consumers, WAIT, &woken);

	if (r == 0)
		consumer_poke(&waiter->consumers[woken]);
	return r == -ETIMEDOUT ? 0 : r;
}

static int nap(struct token_waiter *waiter)
{
	int r;

	waiter->napping = true;
	r = coroutine_wait(monotonic_us() + LOOK_EVERY);
	waiter->napping = false;
	for (size_t i = 0; r == -ETIMEDOUT && i < waiter->n_consumers; i++)
		if (!waiter->consumers[i].hungry)
			consumer_poke(&waiter->consumers[i]);
	return r == -ETIMEDOUT ? 0 : r;
}

static void waiter_open(struct token_waiter *waiter, struct worker *worker, struct consumer *consumers, size_t count)
{
	const struct runtime *runtime = worker->runtime;

	*waiter = (struct token_waiter){
		.worker = worker,
		.redis = redis_new(runtime->loop, runtime->settings->redis_url, worker->waiting_name),
		.consumers = consumers,
		.n_consumers = count,
		.shards = allocate_array(count, sizeof(*waiter->shards)),
	};
	for (size_t i = 0; i < count; i++)
		waiter->shards[i] = consumers[i].shard;
}

static coroutine_function wait_main;

/* The shards of a Redis Cluster have a slot each, and one command is for one slot: every shard gets its own waiter. */
static void split(struct token_waiter *first)
{
	struct worker *worker = first->worker;

	first->n_consumers = 1;
	for (size_t i = 1; i < worker->n_consumers; i++) {
		struct token_waiter *waiter = &worker->waiters[worker->n_waiters++];

		waiter_open(waiter, worker, &worker->consumers[i], 1);
		check(coroutine_start(worker->runtime->loop, wait_main, waiter, &waiter->coroutine) == 0);
	}
}

static void wait_main(void *argument)
{
	struct token_waiter *waiter = argument;
	struct worker *worker = waiter->worker;

	while (!worker->draining) {
		int r;

		if (waiter->n_consumers > 1 && redis_is_cluster(worker->runtime->redis))
			split(waiter);
		r = worker_is_calm(worker) ? wait_for_token(waiter) : nap(waiter);
		worker_changed(worker);
		if (r < 0)
			coroutine_sleep_until(monotonic_us() + AFTER_ERROR);
	}
	waiter->coroutine = NULL;
	worker_progressed(worker);
}

void tokens_calm(struct worker *worker)
{
	if (!worker_is_calm(worker))
		return;
	for (size_t i = 0; i < worker->n_waiters; i++) {
		struct token_waiter *waiter = &worker->waiters[i];

		if (waiter->napping) {
			waiter->napping = false;
			coroutine_wake(waiter->coroutine, 0);
		}
	}
}

void tokens_open(struct worker *worker)
{
	worker->waiters = allocate_array(worker->n_consumers + 1, sizeof(*worker->waiters));
	worker->n_waiters = 1;
	waiter_open(&worker->waiters[0], worker, worker->consumers, worker->n_consumers);
}

void tokens_close(struct worker *worker)
{
	for (size_t i = 0; i < worker->n_waiters; i++) {
		redis_free(worker->waiters[i].redis);
		free(worker->waiters[i].shards);
	}
	free(worker->waiters);
	worker->waiters = NULL;
	worker->n_waiters = 0;
}

void tokens_start(struct worker *worker)
{
	struct token_waiter *first = &worker->waiters[0];

	if (worker->n_consumers > 0)
		check(coroutine_start(worker->runtime->loop, wait_main, first, &first->coroutine) == 0);
}

void tokens_stop(struct worker *worker)
{
	for (size_t i = 0; i < worker->n_waiters; i++)
		if (worker->waiters[i].coroutine)
			coroutine_cancel(worker->waiters[i].coroutine);
}

bool tokens_stopped(const struct worker *worker)
{
	for (size_t i = 0; i < worker->n_waiters; i++)
		if (worker->waiters[i].coroutine)
			return false;
	return true;
}
