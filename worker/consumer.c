#include "worker/consumer.h"

#include "common/log.h"
#include "common/loop.h"

/* Tokens can be lost with the worker that took them: look without one now and then. */
#define LOOK_AFTER PRONG_SECONDS(5)

/* Places that are neither taken nor asked for. */
static size_t free_places(const struct worker *worker)
{
	size_t taken = worker->n_jobs;

	for (size_t i = 0; i < worker->n_consumers; i++)
		taken += worker->consumers[i].asked;
	return taken < worker->concurrency ? worker->concurrency - taken : 0;
}

/* Queues that want more share the places evenly, so that a long queue does not shut out another. */
static size_t fair_share(const struct consumer *consumer)
{
	const struct worker *worker = consumer->worker;
	size_t wanting = 1;

	for (size_t i = 0; i < worker->n_consumers; i++)
		wanting += worker->consumers[i].hungry && &worker->consumers[i] != consumer;
	return (worker->concurrency + wanting - 1) / wanting;
}

/* How many jobs the queue may fetch now. */
static size_t places_for(const struct consumer *consumer)
{
	size_t places = free_places(consumer->worker), share = fair_share(consumer);

	if (consumer->worker->draining || consumer->running >= share)
		return 0;
	if (places > share - consumer->running)
		places = share - consumer->running;
	return places < JOB_BATCH ? places : JOB_BATCH;
}

static bool has_work(const struct consumer *consumer)
{
	return consumer->n_verdicts > 0 || (consumer->poked && !consumer->worker->draining) ||
	       (consumer->hungry && places_for(consumer) > 0);
}

static bool has_ended(const struct consumer *consumer)
{
	return consumer->worker->draining && consumer->running == 0 && consumer->n_verdicts == 0;
}

bool worker_is_calm(const struct worker *worker)
{
	for (size_t i = 0; i < worker->n_consumers; i++)
		if (worker->consumers[i].hungry || worker->consumers[i].poked)
			return false;
	return true;
}

void consumer_poke(struct consumer *consumer)
{
	consumer->hungry = consumer->poked = true;
}

void worker_changed(struct worker *worker)
{
	for (size_t i = 0; i < worker->n_consumers; i++) {
		struct consumer *consumer = &worker->consumers[i];

		if (consumer->sleeping && (has_work(consumer) || has_ended(consumer))) {
			consumer->sleeping = false;
			coroutine_wake(consumer->coroutine, 0);
		}
	}
	if (worker->waiter_sleeping && worker_is_calm(worker)) {
		worker->waiter_sleeping = false;
		coroutine_wake(worker->waiter, 0);
	}
}

void consumer_give(struct consumer *consumer, const struct job_verdict *verdict, char *error)
{
	struct pending_verdict *pending;

	if (consumer->n_verdicts == consumer->capacity) {
		consumer->capacity = consumer->capacity ? 2 * consumer->capacity : 64;
		consumer->verdicts = reallocate(consumer->verdicts, consumer->capacity * sizeof(*consumer->verdicts));
	}
	pending = &consumer->verdicts[consumer->n_verdicts++];
	*pending = (struct pending_verdict){ .verdict = *verdict, .error = error };
	pending->verdict.error = error;
}

static void forget_verdicts(struct consumer *consumer, size_t count)
{
	if (!count)
		return; /* there may be no array yet */
	for (size_t i = 0; i < count; i++)
		free(consumer->verdicts[i].error);
	consumer->n_verdicts -= count;
	memmove(consumer->verdicts, consumer->verdicts + count, consumer->n_verdicts * sizeof(*consumer->verdicts));
}

static bool is_known(const struct consumer *consumer, const struct job_verdict *owned)
{
	const struct running *head = &consumer->worker->jobs;

	for (const struct running *job = head->next; job != head; job = job->next)
		if (job->delivery.attempt == owned->attempt && string_equal(job->delivery.id, owned->id))
			return true;
	for (size_t i = 0; i < consumer->n_verdicts; i++)
		if (consumer->verdicts[i].verdict.attempt == owned->attempt &&
		    string_equal(consumer->verdicts[i].verdict.id, owned->id))
			return true;
	return false;
}

/* Gives back what was leased to this process in a reply that never came. */
static int find_unknown(struct consumer *consumer, struct arena *arena)
{
	struct runtime *runtime = consumer->worker->runtime;
	struct job_verdict *owned;
	size_t count;
	int r;

	r = job_queue_held(runtime->jobs, consumer->shard, consumer->owner, arena, &owned, &count);
	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++) {
		if (is_known(consumer, &owned[i]))
			continue;
		owned[i].outcome = JOB_RETURN;
		consumer_give(consumer, &owned[i], NULL);
	}
	consumer->unsure = false;
	return 0;
}

static void take(struct consumer *consumer, const struct job_exchange *exchange,
		 const struct job_exchange_result *result)
{
	if (result->refused > 0)
		log_warning("queue %s: %zu results came too late and were refused: other workers have the jobs",
			    consumer->queue, result->refused);
	forget_verdicts(consumer, exchange->n_verdicts);
	consumer->hungry = consumer->poked || result->ready > 0 || result->next == 0;
	consumer->due = monotonic_us() + (result->next < LOOK_AFTER ? result->next : LOOK_AFTER);
	for (size_t i = 0; i < result->n_deliveries; i++) {
		const struct delivery *delivery = &result->deliveries[i];

		if (delivery->attempt == 1)
			metric_observe(consumer->metrics->wait, result->now.us - delivery->enqueued_at.us);
		runner_start(consumer, delivery);
	}
}

/* Somebody else has all that this consumer held. */
static void lose_all(struct consumer *consumer)
{
	struct worker *worker = consumer->worker;

	log_warning(
		"queue %s: the lease ended before it could be renewed: its jobs run elsewhere and are cancelled here",
		consumer->queue);
	job_owner_format(worker->runtime->incarnation, ++consumer->owner_number, consumer->owner);
	for (struct running *job = worker->jobs.next; job != &worker->jobs; job = job->next)
		if (job->consumer == consumer) {
			job->lost = true;
			coroutine_cancel(job->coroutine);
		}
}

static int reclaim_lapsed(struct consumer *consumer, struct arena *arena, const struct job_exchange_result *result)
{
	int r = 0;

	for (size_t i = 0; i < result->n_lapsed && r == 0; i++) {
		struct job_reclaimed reclaimed;

		r = job_queue_reclaim(consumer->worker->runtime->jobs, consumer->shard, result->lapsed[i], arena,
				      &reclaimed);
	}
	return r;
}

static int exchange(struct consumer *consumer, struct arena *arena)
{
	struct runtime *runtime = consumer->worker->runtime;
	struct job_exchange_result result;
	struct job_exchange exchange;
	struct job_verdict *verdicts;
	int r = consumer->unsure ? find_unknown(consumer, arena) : 0;

	if (r < 0)
		return r;
	exchange = (struct job_exchange){
		.shard = consumer->shard,
		.owner = consumer->owner,
		.identity = consumer->registered ? NULL : "worker",
		.n_verdicts = consumer->n_verdicts < JOB_BATCH ? consumer->n_verdicts : JOB_BATCH,
		.fetch = places_for(consumer), /* whether hungry or not: the trip is made anyway */
	};
	verdicts = arena_alloc(arena, exchange.n_verdicts * sizeof(*verdicts));
	for (size_t i = 0; i < exchange.n_verdicts; i++)
		verdicts[i] = consumer->verdicts[i].verdict;
	exchange.verdicts = verdicts;
	consumer->asked = exchange.fetch;
	consumer->poked = false;
	r = job_queue_exchange(runtime->jobs, arena, &exchange, &result);
	consumer->asked = 0;
	if (r < 0) {
		consumer->poked = true;
		consumer->unsure = consumer->unsure || exchange.fetch > 0;
		return r;
	}
	consumer->registered = !result.reclaimed;
	if (result.reclaimed)
		lose_all(consumer);
	take(consumer, &exchange, &result);
	return reclaim_lapsed(consumer, arena, &result);
}

/* Sleeps until there is work, or the queue is due. */
static void sleep_until_work(struct consumer *consumer)
{
	int r;

	consumer->sleeping = true;
	r = coroutine_wait(consumer->worker->draining ? INT64_MAX : consumer->due);
	consumer->sleeping = false;
	if (r == -ETIMEDOUT)
		consumer_poke(consumer);
}

static void back_off(size_t failures)
{
	coroutine_sleep_until(monotonic_us() + reconnect_delay(failures));
}

/* What the process that died in this place had running goes back at once. */
static void reclaim_predecessor(struct consumer *consumer)
{
	const struct process *process = consumer->worker->process;
	uint64_t predecessor = atomic_load(&process->scoreboard->slots[process->slot].predecessor);
	struct job_reclaimed reclaimed = { 0 };
	struct arena arena;
	size_t failures = 0;
	int r;

	if (predecessor == 0)
		return;
	arena_init(&arena);
	for (;;) {
		r = job_queue_reclaim_process(consumer->worker->runtime->jobs, consumer->queue, predecessor,
					      (prong_uuid){ 0 }, &arena, &reclaimed);
		if (r == 0 || consumer->worker->draining)
			break;
		back_off(failures++);
	}
	arena_reset(&arena);
	if (r == 0 && reclaimed.returned > 0)
		log_warning("queue %s: %zu jobs of the worker that died here run again", consumer->queue,
			    reclaimed.returned);
}

void consumer_main(void *argument)
{
	struct consumer *consumer = argument;
	struct worker *worker = consumer->worker;
	size_t failures = 0;
	struct arena arena;

	arena_init(&arena);
	consumer->hungry = true;
	reclaim_predecessor(consumer);
	while (!has_ended(consumer)) {
		if (!has_work(consumer)) {
			sleep_until_work(consumer);
			continue;
		}
		if (exchange(consumer, &arena) < 0)
			back_off(failures++);
		else
			failures = 0;
		arena_reset(&arena);
		worker_changed(worker);
	}
	free(consumer->verdicts);
	worker_ended(worker, &consumer->coroutine);
}
