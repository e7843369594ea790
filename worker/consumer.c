#include "worker/consumer.h"

#include "common/log.h"

/*
 * A request that was given up for lost may lie in the socket of a server that does not run, and be executed later than
 * what asks what came of it.
 */
#define AUDIT_EVERY JOB_LEASE

/* ---- batches ---- */

struct batch *batch_new(void)
{
	struct batch *batch = allocate(sizeof(*batch));

	arena_init(&batch->arena);
	batch->users = 1;
	return batch;
}

void batch_release(struct batch *batch)
{
	if (--batch->users > 0)
		return;
	arena_reset(&batch->arena);
	free(batch);
}

void consumer_add_batch(struct consumer *consumer, struct batch *batch)
{
	batch->users++;
	batch->next = NULL;
	*consumer->batches_end = batch;
	consumer->batches_end = &batch->next;
	consumer->n_waiting += batch->n_deliveries;
	consumer->worker->n_waiting += batch->n_deliveries;
}

void consumer_advance(struct consumer *consumer)
{
	struct batch *batch = consumer->batches;

	consumer->n_waiting--;
	consumer->worker->n_waiting--;
	if (++batch->n_started < batch->n_deliveries)
		return;
	consumer->batches = batch->next;
	if (!batch->next)
		consumer->batches_end = &consumer->batches;
	batch_release(batch);
}

/* ---- verdicts ---- */

struct pending_verdict consumer_verdict(const struct delivery *delivery, enum job_outcome outcome)
{
	struct pending_verdict pending = {
		.verdict = { .attempt = delivery->attempt, .plain = delivery->plain, .outcome = outcome },
		.durable = delivery->durable,
	};

	memcpy(pending.verdict.id, delivery->id, sizeof(pending.verdict.id));
	return pending;
}

void consumer_give(struct consumer *consumer, const struct pending_verdict *verdict)
{
	if (consumer->n_verdicts == consumer->capacity) {
		consumer->capacity = consumer->capacity ? 2 * consumer->capacity : 64;
		consumer->verdicts = reallocate(consumer->verdicts, consumer->capacity * sizeof(*consumer->verdicts));
	}
	consumer->verdicts[consumer->n_verdicts++] = *verdict;
}

void verdicts_free(const struct pending_verdict *verdicts, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(verdicts[i].error);
		free(verdicts[i].result);
		free(verdicts[i].report);
	}
}

/* The last first: each goes to the front. */
static void return_from(struct consumer *consumer, const struct batch *batch)
{
	if (batch->next)
		return_from(consumer, batch->next);
	for (size_t i = batch->n_deliveries; i > batch->n_started; i--) {
		struct pending_verdict verdict = consumer_verdict(&batch->deliveries[i - 1], JOB_RETURN);

		consumer_give(consumer, &verdict);
	}
}

static void forget_waiting(struct consumer *consumer)
{
	while (consumer->batches)
		consumer_advance(consumer);
}

void consumer_return_waiting(struct consumer *consumer)
{
	if (consumer->batches)
		return_from(consumer, consumer->batches);
	forget_waiting(consumer);
}

/* ---- the owner's name ---- */

static void set_number(struct consumer *consumer, unsigned number)
{
	consumer->number = number;
	consumer->registered = false;
	job_owner_format(consumer->worker->runtime->incarnation, number, consumer->owner);
}

void consumer_lose(struct consumer *consumer, size_t n_given)
{
	size_t lost = n_given + consumer->n_verdicts + consumer->n_waiting + consumer->n_running;

	if (lost > 0)
		log_warning(
			"queue %s: the lease of this worker ended before it could be renewed, or Redis was emptied: "
			"%zu jobs run again elsewhere, those that still run here are cancelled",
			consumer->shard->queue->name, lost);
	set_number(consumer, consumer->number + 1);
	verdicts_free(consumer->verdicts, consumer->n_verdicts);
	consumer->n_verdicts = 0;
	forget_waiting(consumer);
	for (struct running *job = consumer->jobs.next; job != &consumer->jobs; job = job->next)
		runner_cancel(job);
	consumer->poked = true;
	consumer->unsure = false;
}

/* ---- what the shard holds for us ---- */

static int compare_ids(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static const char **known_ids(const struct consumer *consumer, struct arena *arena, size_t *ret_count)
{
	const char **ids = arena_alloc(arena, (consumer->n_running + consumer->n_waiting + consumer->n_verdicts + 1) *
						      sizeof(*ids));
	size_t n = 0;

	for (const struct running *job = consumer->jobs.next; job != &consumer->jobs; job = job->next)
		if (job->number == consumer->number)
			ids[n++] = job->delivery.id;
	for (const struct batch *batch = consumer->batches; batch; batch = batch->next)
		for (size_t i = batch->n_started; i < batch->n_deliveries; i++)
			ids[n++] = batch->deliveries[i].id;
	for (size_t i = 0; i < consumer->n_verdicts; i++)
		ids[n++] = consumer->verdicts[i].verdict.id;
	qsort(ids, n, sizeof(*ids), compare_ids);
	*ret_count = n;
	return ids;
}

int consumer_audit(struct consumer *consumer, struct arena *arena)
{
	struct job_verdict *held;
	const char **known;
	size_t n_held, n_known, n_unknown = 0;
	int r;

	r = job_queue_held(consumer->worker->runtime->jobs, consumer->shard, consumer->owner, arena, &held, &n_held);
	if (r < 0)
		return r;
	known = known_ids(consumer, arena, &n_known);
	for (size_t i = 0; i < n_held; i++) {
		const char *id = held[i].id;

		if (!bsearch(&id, known, n_known, sizeof(*known), compare_ids))
			held[n_unknown++] = held[i];
	}
	/* Only now: what is known may lie among the verdicts, which move as they become more. */
	for (size_t i = 0; i < n_unknown; i++) {
		held[i].outcome = JOB_RETURN;
		consumer_give(consumer, &(struct pending_verdict){ .verdict = held[i] });
	}
	if (n_unknown > 0)
		log_warning("queue %s: %zu jobs came in a reply that was lost and go back",
			    consumer->shard->queue->name, n_unknown);
	consumer->unsure = false;
	consumer->audit_at = monotonic_us() + AUDIT_EVERY;
	return 0;
}

/* ---- life ---- */

bool consumer_is_idle(const struct consumer *consumer)
{
	return consumer->n_running == 0 && consumer->n_waiting == 0 && consumer->n_verdicts == 0 &&
	       consumer->under_way == 0;
}

void consumer_poke(struct consumer *consumer)
{
	consumer->hungry = consumer->poked = true;
}

void consumer_leave(void *argument)
{
	struct consumer *consumer = argument;
	struct worker *worker = consumer->worker;
	struct arena arena;

	arena_init(&arena);
	worker->n_helpers++;
	consumer->under_way++;
	if (consumer->unsure)
		consumer_audit(consumer, &arena);
	if (consumer->n_verdicts == 0) {
		consumer->left = true;
		job_queue_leave(worker->runtime->jobs, consumer->shard, consumer->owner);
	}
	consumer->under_way--;
	arena_reset(&arena);
	worker->n_helpers--;
	worker_changed(worker);
	worker_progressed(worker);
}

void consumer_open(struct consumer *consumer, struct worker *worker, const struct job_shard *shard)
{
	*consumer = (struct consumer){
		.worker = worker,
		.shard = shard,
		.metrics = job_metrics_of(shard->queue_index),
		.hungry = true, /* look into every shard before waiting for tokens */
		.poked = true,
		.audit_at = monotonic_us() + AUDIT_EVERY,
		.batches_end = &consumer->batches,
		.jobs = { .next = &consumer->jobs, .previous = &consumer->jobs },
	};
	set_number(consumer, 1);
}

void consumer_close(struct consumer *consumer)
{
	verdicts_free(consumer->verdicts, consumer->n_verdicts);
	free(consumer->verdicts);
}
