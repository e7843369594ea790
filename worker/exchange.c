/* One round trip of a consumer with its shard. */
#include "common/log.h"
#include "worker/burial.h"
#include "worker/consumer.h"

#define RENEW_EVERY PRONG_SECONDS(1) /* with jobs: cancellations come and reports go with it */
#define LOOK_EVERY PRONG_SECONDS(5)  /* without: keeps the name; and tokens are lost with the worker that took them */
#define REPORT_EVERY PRONG_SECONDS(1)

/* ---- what goes out ---- */

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
	int64_t now = monotonic_us();
	bool due = now >= consumer->report_at;
	size_t room = parcel->n_verdicts + (due ? consumer->n_running : 0);
	struct job_report *reports = arena_alloc(arena, (room < JOB_BATCH ? room : JOB_BATCH) * sizeof(*reports));

	parcel->exchange.reports = reports;
	for (size_t i = 0; i < parcel->n_verdicts; i++)
		if (parcel->verdicts[i].report)
			add_report(parcel, reports, parcel->verdicts[i].verdict.id, parcel->verdicts[i].verdict.attempt,
				   parcel->verdicts[i].report);
	if (!due)
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

/* ---- what comes in ---- */

/* The reply is lost: what was said may not have been heard, and what was asked for may have been given. */
static void unpack(struct consumer *consumer, const struct parcel *parcel)
{
	consumer->poked = true;
	if (parcel->number != consumer->number) {
		verdicts_free(parcel->verdicts, parcel->n_verdicts);
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
	consumer_add_batch(consumer, batch);
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
		consumer_lose(consumer, parcel->n_verdicts);
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

/* ---- the round trip ---- */

static bool audit_is_due(const struct consumer *consumer)
{
	return consumer->under_way == 1 && (consumer->unsure || consumer->audit_at <= monotonic_us());
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
	batch->asked_at = monotonic_us();
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
	verdicts_free(parcel->verdicts, parcel->n_verdicts);
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
	if (audit_is_due(consumer)) {
		consumer->unsure = true; /* nobody exchanges beside it: what is on its way would look lost */
		r = consumer_audit(consumer, &batch->arena);
	}
	if (r == 0)
		r = exchange(consumer, batch, &parcel, &result);
	settle(consumer, r);
	if (r == 0)
		attend(consumer, batch, &parcel, &result);
	batch_release(batch);
	worker->n_helpers--;
	worker_progressed(worker);
}
