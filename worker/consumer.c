#include "worker/consumer.h"

#include "common/log.h"
#include "worker/burial.h"

#define RENEW_EVERY PRONG_SECONDS(1) /* with jobs: cancellations come and reports go with it */
#define LOOK_EVERY PRONG_SECONDS(5)  /* without: keeps the name; and tokens are lost with the worker that took them */
#define REPORT_EVERY PRONG_SECONDS(1)

/*
 * A request that was given up for lost may lie in the socket of a server that does not run, and be executed later than
 * what asks what came of it.
 */
#define AUDIT_EVERY JOB_LEASE

/* ---- batches ---- */

static struct batch *batch_new(void)
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

static void add_batch(struct consumer *consumer, struct batch *batch)
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

static void forget_verdicts(const struct pending_verdict *verdicts, size_t count)
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

/* All that was taken under the name is others' now, and so is what becomes of it. */
static void lose(struct consumer *consumer, size_t n_given)
{
	size_t lost = n_given + consumer->n_verdicts + consumer->n_waiting + consumer->n_running;

	if (lost > 0)
		log_warning(
			"queue %s: the lease of this worker ended before it could be renewed, or Redis was emptied: "
			"%zu jobs run again elsewhere, those that still run here are cancelled",
			consumer->shard->queue->name, lost);
	set_number(consumer, consumer->number + 1);
	forget_verdicts(consumer->verdicts, consumer->n_verdicts);
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

/* Gives back what was taken for this owner in a reply that never came. No other exchange is under way. */
static int audit(struct consumer *consumer, struct arena *arena)
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
		struct pending_verdict verdict = { .verdict = held[i] };

		if (bsearch(&id, known, n_known, sizeof(*known), compare_ids))
			continue;
		verdict.verdict.outcome = JOB_RETURN;
		consumer_give(consumer, &verdict);
		n_unknown++;
	}
	if (n_unknown > 0)
		log_warning("queue %s: %zu jobs came in a reply that was lost and go back",
			    consumer->shard->queue->name, n_unknown);
	consumer->unsure = false;
	consumer->audit_at = monotonic_us() + AUDIT_EVERY;
	return 0;
}

static bool audit_is_due(const struct consumer *consumer)
{
	return consumer->under_way == 1 && (consumer->unsure || consumer->audit_at <= monotonic_us());
}

/* ---- an exchange ---- */

/* What one exchange carries. */
struct parcel {
	struct job_exchange exchange;
	struct pending_verdict *verdicts; /* taken from the consumer */
	size_t n_verdicts;
	unsigned number;
	bool repeated; /* an exchange before it failed, so some of the verdicts may have been given already */
};

static void add_report(struct parcel *parcel, struct job_report *reports, const char *id, int attempt, const char *text)
{
	struct job_report *report = &reports[parcel->exchange.n_reports++];

	memcpy(report->id, id, sizeof(report->id));
	report->attempt = attempt;
	report->text = text;
}

static const char *report_text(const struct job_notes *notes, struct arena *arena)
{
	struct buffer text = { 0 };
	const char *copy;

	job_notes_write(notes, &text);
	copy = arena_strndup(arena, text.data, text.size);
	buffer_free(&text);
	return copy;
}

static void pack_reports(struct consumer *consumer, struct arena *arena, struct parcel *parcel)
{
	size_t room = parcel->n_verdicts + consumer->n_running;
	struct job_report *reports = arena_alloc(arena, (room < JOB_BATCH ? room : JOB_BATCH) * sizeof(*reports));
	int64_t now = monotonic_us();

	parcel->exchange.reports = reports;
	for (size_t i = 0; i < parcel->n_verdicts; i++)
		if (parcel->verdicts[i].report)
			add_report(parcel, reports, parcel->verdicts[i].verdict.id, parcel->verdicts[i].verdict.attempt,
				   parcel->verdicts[i].report);
	if (now < consumer->report_at)
		return;
	consumer->report_at = now + REPORT_EVERY;
	for (struct running *job = consumer->jobs.next; job != &consumer->jobs; job = job->next) {
		if (!job->notes.changed || job->number != consumer->number)
			continue;
		if (parcel->exchange.n_reports == JOB_BATCH)
			break;
		add_report(parcel, reports, job->delivery.id, job->delivery.attempt, report_text(&job->notes, arena));
		job->notes.changed = false;
		job->reported = true;
	}
}

static void pack_verdicts(struct consumer *consumer, struct arena *arena, struct parcel *parcel)
{
	size_t n = consumer->n_verdicts < JOB_BATCH ? consumer->n_verdicts : JOB_BATCH;
	struct job_verdict *verdicts = arena_alloc(arena, n * sizeof(*verdicts));

	parcel->n_verdicts = n;
	parcel->verdicts = arena_alloc(arena, n * sizeof(*parcel->verdicts));
	if (n == 0)
		return;
	memcpy(parcel->verdicts, consumer->verdicts, n * sizeof(*parcel->verdicts));
	consumer->n_verdicts -= n;
	memmove(consumer->verdicts, consumer->verdicts + n, consumer->n_verdicts * sizeof(*consumer->verdicts));
	for (size_t i = 0; i < n; i++) {
		verdicts[i] = parcel->verdicts[i].verdict;
		verdicts[i].error = parcel->verdicts[i].error;
		verdicts[i].result = parcel->verdicts[i].result;
	}
	parcel->exchange.verdicts = verdicts;
	parcel->exchange.n_verdicts = n;
}

static void pack(struct consumer *consumer, struct arena *arena, struct parcel *parcel)
{
	*parcel = (struct parcel){
		.exchange = { .shard = consumer->shard,
			      .owner = arena_strdup(arena, consumer->owner),
			      .identity = consumer->registered ? NULL : consumer->worker->identity,
			      .fetch = dispatch_places(consumer) }, /* hungry or not: the trip is made anyway */
		.number = consumer->number,
		.repeated = consumer->failures > 0,
	};
	pack_verdicts(consumer, arena, parcel);
	pack_reports(consumer, arena, parcel);
}

/* The reply is lost: what was said may not have been heard, and what was asked for may have been given. */
static void unpack(struct consumer *consumer, const struct parcel *parcel)
{
	consumer->poked = true;
	if (parcel->number != consumer->number) {
		forget_verdicts(parcel->verdicts, parcel->n_verdicts);
		return;
	}
	consumer->unsure = consumer->unsure || parcel->exchange.fetch > 0;
	for (size_t i = 0; i < parcel->n_verdicts; i++)
		consumer_give(consumer, &parcel->verdicts[i]);
	for (struct running *job = consumer->jobs.next; job != &consumer->jobs; job = job->next)
		job->notes.changed = job->notes.changed || job->reported;
}

static void take_deliveries(struct consumer *consumer, struct batch *batch, const struct job_exchange_result *result)
{
	batch->deliveries = result->deliveries;
	batch->n_deliveries = result->n_deliveries;
	batch->now = result->now;
	batch->at = monotonic_us();
	if (batch->n_deliveries == 0)
		return;
	add_batch(consumer, batch);
	if (consumer->worker->draining)
		consumer_return_waiting(consumer);
	else
		dispatch_charge(consumer, batch->n_deliveries);
}

/* Those that wait here come with the next exchange again, when they run or have gone back. */
static void cancel_jobs(struct consumer *consumer, const struct job_exchange_result *result)
{
	for (size_t i = 0; i < result->n_cancelled; i++)
		for (struct running *job = consumer->jobs.next; job != &consumer->jobs; job = job->next)
			if (!job->cancelled && string_equal(job->delivery.id, result->cancelled[i])) {
				job->cancelled = true;
				runner_cancel(job);
			}
}

static void take(struct consumer *consumer, struct batch *batch, const struct parcel *parcel,
		 const struct job_exchange_result *result)
{
	prong_duration pause;

	metric_add(consumer->metrics->expired, result->expired);
	if (parcel->number != consumer->number)
		return;
	if (result->reclaimed) {
		lose(consumer, parcel->n_verdicts);
		return;
	}
	consumer->registered = true;
	if (result->refused > 0 && !parcel->repeated)
		log_warning("queue %s: %zu results came too late and were refused: other workers have the jobs",
			    consumer->shard->queue->name, result->refused);
	take_deliveries(consumer, batch, result);
	cancel_jobs(consumer, result);
	consumer->hungry = result->ready > 0;
	pause = consumer->n_running + consumer->n_waiting > 0 ? RENEW_EVERY : LOOK_EVERY;
	consumer->due = monotonic_us() + (result->next < pause ? result->next : pause);
}

/* Owners whose lease is over: what they held runs again. */
static void reclaim(struct consumer *consumer, struct arena *arena, const struct job_exchange_result *result)
{
	for (size_t i = 0; i < result->n_lapsed; i++) {
		struct job_reclaimed reclaimed;

		if (job_queue_reclaim(consumer->worker->runtime->jobs, consumer->shard, result->lapsed[i], arena,
				      &reclaimed) < 0)
			return; /* they are told of again */
		if (reclaimed.returned > 0)
			log_warning("queue %s: the lease of %s ended: %zu jobs run again", consumer->shard->queue->name,
				    result->lapsed[i], reclaimed.returned);
		burial_of_lost(consumer->worker->runtime, consumer->shard->queue_index, reclaimed.buried,
			       reclaimed.n_buried);
	}
}

static int exchange(struct consumer *consumer, struct batch *batch, struct parcel *parcel,
		    struct job_exchange_result *result)
{
	struct worker *worker = consumer->worker;
	int r;

	pack(consumer, &batch->arena, parcel);
	consumer->asked += parcel->exchange.fetch;
	worker->n_asked += parcel->exchange.fetch;
	consumer->poked = false;
	r = job_queue_exchange(worker->runtime->jobs, &batch->arena, &parcel->exchange, result);
	consumer->asked -= parcel->exchange.fetch;
	worker->n_asked -= parcel->exchange.fetch;
	if (r < 0)
		unpack(consumer, parcel);
	else
		take(consumer, batch, parcel, result);
	return r;
}

/* What can wait until the jobs that were brought have begun. */
static void attend(struct consumer *consumer, struct batch *batch, const struct parcel *parcel,
		   const struct job_exchange_result *result)
{
	struct runtime *runtime = consumer->worker->runtime;

	for (size_t i = 0; i < parcel->n_verdicts && !result->reclaimed; i++)
		if (parcel->verdicts[i].durable && parcel->verdicts[i].verdict.outcome == JOB_DEAD)
			burial_of_durable(runtime, parcel->verdicts[i].verdict.id, parcel->verdicts[i].error);
	burial_of_lost(runtime, consumer->shard->queue_index, result->buried, result->n_buried);
	reclaim(consumer, &batch->arena, result);
	forget_verdicts(parcel->verdicts, parcel->n_verdicts);
}

static void settle(struct consumer *consumer, int result)
{
	consumer->retry_at = result < 0 ? monotonic_us() + reconnect_delay(consumer->failures) : 0;
	consumer->failures = result < 0 ? consumer->failures + 1 : 0;
	consumer->under_way--;
	worker_changed(consumer->worker);
}

void consumer_exchange(void *argument)
{
	struct consumer *consumer = argument;
	struct worker *worker = consumer->worker;
	struct batch *batch = batch_new();
	struct job_exchange_result result;
	struct parcel parcel;
	int r = 0;

	consumer->under_way++;
	worker->n_helpers++;
	if (audit_is_due(consumer))
		r = audit(consumer, &batch->arena);
	if (r == 0)
		r = exchange(consumer, batch, &parcel, &result);
	settle(consumer, r);
	if (r == 0)
		attend(consumer, batch, &parcel, &result);
	batch_release(batch);
	worker->n_helpers--;
	worker_progressed(worker);
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
		audit(consumer, &arena);
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
	forget_verdicts(consumer->verdicts, consumer->n_verdicts);
	free(consumer->verdicts);
}
