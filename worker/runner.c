/* One job from its delivery to its verdict. */
#include <stdio.h>

#include "common/log.h"
#include "common/loop.h"
#include "common/schema/schema.h"
#include "worker/consumer.h"
#include "worker/retry.h"

static char *error_json(const char *code, const char *message)
{
	struct buffer out = { 0 };

	buffer_add_literal(&out, "{\"code\":");
	buffer_add_json_string(&out, code, strlen(code));
	buffer_add_literal(&out, ",\"message\":");
	buffer_add_json_string(&out, message, strlen(message));
	buffer_add_char(&out, '}');
	buffer_text(&out);
	return out.data;
}

static void log_end(const struct delivery *delivery, enum prong_log_level level, prong_duration duration,
		    const char *what, const char *reason)
{
	const struct log_field fields[] = {
		{ .name = "job.name", .text = delivery->name },
		{ .name = "job.id", .text = delivery->id },
		{ .name = "job.queue", .text = delivery->queue },
		{ .name = "job.attempt", .number = delivery->attempt },
		{ .name = "event.duration", .number = (double)duration * 1000 }, /* ns, as ECS has it */
	};

	if (log_enabled(level))
		log_line(level, &(struct log_cause){ .request_id = delivery->request_id }, fields, ARRAY_SIZE(fields),
			 "job %s %s%s%s", delivery->name, what, reason ? ": " : "", reason ? reason : "");
}

static void give(struct consumer *consumer, const struct delivery *delivery, enum job_outcome outcome,
		 prong_duration delay, char *error)
{
	struct job_verdict verdict = {
		.attempt = delivery->attempt, .plain = delivery->plain, .outcome = outcome, .delay = delay
	};

	memcpy(verdict.id, delivery->id, sizeof(verdict.id));
	consumer_give(consumer, &verdict, error);
}

/* A delivery that no attempt can mend. */
static void bury(struct consumer *consumer, const struct delivery *delivery, const char *code, const char *message)
{
	metric_add(consumer->metrics->dead, 1);
	log_end(delivery, PRONG_LOG_ERROR, 0, "is dead", message);
	give(consumer, delivery, JOB_DEAD, 0, error_json(code, message));
}

/* An attempt that came to nothing. `job` says when the next one is. */
static void fail(struct consumer *consumer, const struct delivery *delivery, const struct prong_job *job,
		 prong_duration duration, const char *code, const char *detail)
{
	char *error = error_json(code, detail);

	if (delivery->attempt >= delivery->max_attempts) {
		metric_add(consumer->metrics->dead, 1);
		log_end(delivery, PRONG_LOG_ERROR, duration, "failed for the last time and is dead", detail);
		give(consumer, delivery, JOB_DEAD, 0, error);
		return;
	}
	metric_add(consumer->metrics->failed, 1);
	log_end(delivery, PRONG_LOG_WARNING, duration, "failed", detail);
	give(consumer, delivery, JOB_RETRY, job_retry_delay(job, delivery->attempt), error);
}

static void judge_failure(struct running *job, int result, prong_duration duration)
{
	const struct problem problem = context_problem(&job->ctx, result);

	fail(job->consumer, &job->delivery, job->job, duration, problem.code,
	     problem.detail ? problem.detail : problem.code);
}

/* A newer version of the application may have enqueued it, and its workers may be about to start. */
static void fail_unknown(struct consumer *consumer, const struct delivery *delivery)
{
	static const struct prong_job unknown = { 0 };

	fail(consumer, delivery, &unknown, 0, "unknown_job", "No list of the application has a job of this name.");
}

static void judge(struct running *job, int result, prong_duration duration)
{
	metric_observe(job->consumer->metrics->run, duration);
	if (job->lost) {
		log_end(&job->delivery, PRONG_LOG_WARNING, duration, "ended without its lease", NULL);
	} else if (result >= 0) {
		metric_add(job->consumer->metrics->done, 1);
		log_end(&job->delivery, PRONG_LOG_INFO, duration, "done", NULL);
		give(job->consumer, &job->delivery, JOB_DONE, 0, NULL);
	} else if (job->interrupted) {
		log_end(&job->delivery, PRONG_LOG_INFO, duration, "was interrupted by the shutdown and goes back",
			NULL);
		give(job->consumer, &job->delivery, JOB_RETURN, 0, NULL);
	} else {
		judge_failure(job, result, duration);
	}
}

static void running_free(struct running *job)
{
	struct worker *worker = job->consumer->worker;

	job->previous->next = job->next;
	job->next->previous = job->previous;
	job->consumer->running--;
	worker->n_jobs--;
	free(job);
	worker_changed(worker);
}

static void run(void *argument)
{
	struct running *job = argument;
	int64_t started = monotonic_us();
	int r;

	job->coroutine = coroutine_current();
	coroutine_set_deadline(job->coroutine, started + job->delivery.timeout);
	r = job->job->run(&job->ctx);
	judge(job, r, monotonic_us() - started);
	context_end(&job->ctx);
	running_free(job);
}

/* Binds the payload; gives the verdict and returns false where it does not fit the job. */
static bool bind(struct running *job, const struct delivery *delivery)
{
	struct arena *arena = &job->ctx.arena;
	struct schema_errors *errors = arena_alloc(arena, sizeof(*errors));
	const char *detail = NULL;
	void *record = NULL;
	int r;

	if (!job->job->payload)
		return true;
	r = schema_bind_json(job->job->payload, SCHEMA_PAYLOAD, delivery->payload ? delivery->payload : "",
			     delivery->payload_size, arena, &record, &detail, errors);
	if (r == -EINVAL)
		detail = arena_format(arena, "%s: %s", errors->items[0].pointer, errors->items[0].detail);
	if (r < 0) {
		bury(job->consumer, delivery, "invalid_payload",
		     arena_format(arena, "Its payload does not fit the job: %s", detail));
		return false;
	}
	job->ctx.input_schema = job->job->payload;
	job->ctx.input = record;
	return true;
}

static struct running *running_new(struct consumer *consumer, const struct prong_job *definition,
				   const struct delivery *delivery)
{
	struct running *job = allocate(sizeof(*job)), *head = &consumer->worker->jobs;

	job->consumer = consumer;
	job->job = definition;
	context_init(&job->ctx, consumer->worker->runtime);
	snprintf(job->ctx.request_id, sizeof(job->ctx.request_id), "%s", delivery->request_id);
	job->delivery = *delivery;
	job->delivery.name = definition->name;
	job->delivery.request_id = job->ctx.request_id;
	job->delivery.payload = NULL; /* it is bound, and its text goes with the batch */
	job->delivery.payload_size = 0;
	job->ctx.delivery = &job->delivery;
	job->next = head;
	job->previous = head->previous;
	job->previous->next = head->previous = job;
	consumer->running++;
	consumer->worker->n_jobs++;
	return job;
}

void runner_start(struct consumer *consumer, const struct delivery *delivery)
{
	struct worker *worker = consumer->worker;
	const struct prong_job *definition = registry_job(worker->runtime->registry, delivery->name);
	struct running *job;

	if (worker->draining) {
		give(consumer, delivery, JOB_RETURN, 0, NULL);
		return;
	}
	if (!definition) {
		fail_unknown(consumer, delivery);
		return;
	}
	job = running_new(consumer, definition, delivery);
	if (bind(job, delivery) && coroutine_start(worker->runtime->loop, run, job, &job->coroutine) == 0)
		return;
	if (job->ctx.input || !definition->payload) /* no coroutine was to be had */
		give(consumer, delivery, JOB_RETURN, 0, NULL);
	context_end(&job->ctx);
	running_free(job);
}
