#include <stdio.h>

#include "common/schema/schema.h"
#include "worker/consumer.h"

/* A newer version of the application may have enqueued it, and its workers may be about to start. */
static int run_unknown(struct prong_ctx *ctx)
{
	return prong_fail(ctx, 500, "unknown_job", "No list of the application has a job of this name.");
}
static const struct prong_job unknown_job = { .name = "unknown", .run = run_unknown };

/* Mostly the same one again and again. */
static const struct prong_job *find(const struct worker *worker, const char *name)
{
	static const struct prong_job *last;

	if (!last || !string_equal(last->name, name))
		last = registry_job(worker->runtime->registry, name);
	return last ? last : &unknown_job;
}

static int bind(struct running *job)
{
	static struct schema_errors errors; /* nothing here suspends */
	const struct delivery *delivery = &job->delivery;
	struct arena *arena = &job->ctx.arena;
	const char *detail = NULL;
	void *record = NULL;
	int r;

	if (!job->job->payload)
		return 0;
	errors.count = 0;
	r = schema_bind_json(job->job->payload, SCHEMA_PAYLOAD, delivery->payload ? delivery->payload : "",
			     delivery->payload_size, arena, &record, &detail, &errors);
	if (r == -EINVAL)
		detail = arena_format(arena, "%s: %s", errors.items[0].pointer, errors.items[0].detail);
	if (r < 0)
		return prong_fail_for_good(&job->ctx, "invalid_payload", "Its payload does not fit the job: %s",
					   detail);
	job->ctx.input_schema = job->job->payload;
	job->ctx.input = record;
	return 0;
}

static struct running *running_new(struct consumer *consumer, const struct delivery *delivery)
{
	struct worker *worker = consumer->worker;
	struct running *job = worker->spare;

	if (job)
		worker->spare = job->next;
	else
		job = allocate(sizeof(*job));
	job->consumer = consumer;
	job->number = consumer->number;
	job->job = find(worker, delivery->name);
	job->delivery = *delivery;
	job->notes = (struct job_notes){ 0 };
	job->started = worker->clock;
	job->end = ISOLATION_RETURNED;
	job->cancelled = job->interrupted = job->reported = false;
	return job;
}

static void running_free(struct running *job)
{
	struct worker *worker = job->consumer->worker;

	job->next = worker->spare;
	worker->spare = job;
}

static void enter(struct running *job)
{
	struct consumer *consumer = job->consumer;
	struct running *head = &consumer->jobs;

	job->next = head;
	job->previous = head->previous;
	job->previous->next = head->previous = job;
	consumer->n_running++;
	consumer->worker->n_running++;
	consumer_advance(consumer);
}

static void leave(struct running *job)
{
	struct consumer *consumer = job->consumer;
	struct worker *worker = consumer->worker;

	job->previous->next = job->next;
	job->next->previous = job->previous;
	consumer->n_running--;
	worker->n_running--;
	worker->n_ended++;
	worker_changed(worker);
}

static const char *keep(struct arena *arena, const char *text)
{
	return text[0] ? arena_strdup(arena, text) : "";
}

/* The batch goes when the last job of it has begun: copies what is needed longer. */
static void init_context(struct running *job)
{
	struct prong_ctx *ctx = &job->ctx;
	struct delivery *delivery = &job->delivery;

	context_init(ctx, job->consumer->worker->runtime);
	ctx->delivery = delivery;
	ctx->notes = &job->notes;
	snprintf(ctx->request_id, sizeof(ctx->request_id), "%s", delivery->request_id);
	snprintf(ctx->trace_id, sizeof(ctx->trace_id), "%s", delivery->trace_id);
	delivery->request_id = ctx->request_id;
	delivery->trace_id = ctx->trace_id;
	delivery->key = keep(&ctx->arena, delivery->key);
	if (delivery->payload && job->job->isolation == PRONG_PROCESS)
		delivery->payload = arena_strndup(&ctx->arena, delivery->payload, delivery->payload_size);
	delivery->name = job->job == &unknown_job ? keep(&ctx->arena, delivery->name) : job->job->name;
}

static int attempt(struct running *job)
{
	int64_t started;
	int r = bind(job);

	if (r < 0)
		return r;
	if (job->job->isolation != PRONG_PROCESS)
		return job->job->run(&job->ctx);
	r = isolation_run(job->consumer->worker->isolation, &job->ctx, &job->end, &started);
	if (started)
		job->started = started;
	return r;
}

static void run(void *argument)
{
	struct running *job = argument;
	prong_uuid id = { 0 };

	enter(job);
	init_context(job);
	prong_uuid_parse(job->delivery.id, &id);
	coroutine_set_mark(job->coroutine, id);
	coroutine_set_deadline(job->coroutine, job->started + job->delivery.timeout);
	verdict_reach(job, attempt(job));
	context_end(&job->ctx);
	job_notes_free(&job->notes);
	leave(job);
	running_free(job);
}

/* From enqueue, of the first attempt. */
static void observe_wait(const struct consumer *consumer, const struct batch *batch, const struct delivery *delivery)
{
	if (delivery->attempt == 1)
		metric_observe(consumer->metrics->wait,
			       batch->now.us - delivery->enqueued_at.us + consumer->worker->clock - batch->at);
}

bool runner_start(struct consumer *consumer)
{
	struct batch *batch = consumer->batches;
	const struct delivery *delivery = &batch->deliveries[batch->n_started];
	struct running *job = running_new(consumer, delivery);
	int r;

	batch->users++; /* for its texts: the job copies what it needs longer than its first turn */
	r = coroutine_start(consumer->worker->runtime->loop, run, job, &job->coroutine);
	if (r < 0)
		running_free(job);
	else
		observe_wait(consumer, batch, delivery);
	batch_release(batch);
	return r == 0;
}

void runner_cancel(struct running *job)
{
	coroutine_cancel(job->coroutine);
}

void runner_close(struct worker *worker)
{
	while (worker->spare) {
		struct running *job = worker->spare;

		worker->spare = job->next;
		free(job);
	}
}
