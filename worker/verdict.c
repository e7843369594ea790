#include <prong/database.h>

#include "common/jobs/history.h"
#include "common/jobs/outbox.h"
#include "common/log.h"
#include "worker/consumer.h"
#include "worker/retry.h"

#define DEFAULT_KEEP_RESULT PRONG_HOURS(1)
#define FINISH_FOR PRONG_MINUTES(1)

struct judgement {
	enum job_outcome outcome;
	prong_duration delay;
	struct problem problem; /* of what failed */
};

/* Whatever the handler made of it when its waits ended. */
static bool is_overdue(const struct running *job, int result, int64_t ended)
{
	return result == -ETIMEDOUT && ended - job->started >= job->delivery.timeout;
}

static struct problem problem_of(struct running *job, int result, int64_t ended)
{
	if (is_overdue(job, result, ended))
		return (struct problem){
			.code = "timeout",
			.detail = arena_format(&job->ctx.arena, "It did not end within its timeout of %g s.",
					       (double)job->delivery.timeout / 1e6),
		};
	return context_problem(&job->ctx, result);
}

static struct judgement judge_failure(struct running *job, int result, int64_t ended)
{
	const struct job_notes *notes = &job->notes;
	struct judgement judgement = { .outcome = JOB_RETRY, .problem = problem_of(job, result, ended) };

	if (job->end == ISOLATION_CRASHED)
		judgement.outcome = JOB_CRASHED; /* the engine counts crashes, and knows when it was the last */
	else if (notes->final || job->delivery.attempt >= job->delivery.max_attempts)
		judgement.outcome = JOB_DEAD;
	if (judgement.outcome != JOB_DEAD)
		judgement.delay =
			notes->postponed ? notes->retry_after : job_retry_delay(job->job, job->delivery.attempt);
	return judgement;
}

static struct judgement judge(struct running *job, int result, int64_t ended)
{
	if (result >= 0 || (result == -EALREADY && job->notes.already_done))
		return (struct judgement){ .outcome = JOB_DONE };
	if (job->interrupted || job->end == ISOLATION_NOT_RUN)
		return (struct judgement){ .outcome = JOB_RETURN };
	if (job->cancelled)
		return (struct judgement){ .outcome = JOB_CANCELLED };
	return judge_failure(job, result, ended);
}

static void log_end(const struct running *job, enum prong_log_level level, prong_duration duration, const char *what,
		    const struct problem *problem)
{
	const struct delivery *delivery = &job->delivery;
	const char *reason = problem ? problem->detail ? problem->detail : problem->code : NULL;
	const struct log_field fields[] = {
		{ .name = "job.name", .text = delivery->name },
		{ .name = "job.id", .text = delivery->id },
		{ .name = "job.queue", .text = delivery->queue },
		{ .name = "job.attempt", .number = delivery->attempt },
		{ .name = "event.duration", .number = (double)duration * 1000 }, /* ns, as ECS has it */
	};

	if (log_enabled(level))
		log_line(level, &(struct log_cause){ delivery->request_id, delivery->trace_id }, fields,
			 ARRAY_SIZE(fields), "job %s %s%s%s", delivery->name, what, reason ? ": " : "",
			 reason ? reason : "");
}

static void tell(const struct running *job, const struct judgement *judgement, prong_duration duration)
{
	const struct job_metrics *metrics = job->consumer->metrics;

	switch (judgement->outcome) {
	case JOB_DONE:
		metric_add(metrics->done, 1);
		log_end(job, PRONG_LOG_INFO, duration, "done", NULL);
		break;
	case JOB_RETRY:
	case JOB_CRASHED:
		metric_add(metrics->failed, 1);
		log_end(job, PRONG_LOG_WARNING, duration, judgement->outcome == JOB_CRASHED ? "crashed" : "failed",
			&judgement->problem);
		break;
	case JOB_DEAD:
		metric_add(metrics->dead, 1);
		log_end(job, PRONG_LOG_ERROR, duration,
			job->notes.final ? "failed for good and is dead" : "failed for the last time and is dead",
			&judgement->problem);
		break;
	case JOB_RETURN:
		log_end(job, PRONG_LOG_INFO, duration,
			job->interrupted ? "was interrupted by the shutdown and goes back" : "goes back, not begun",
			NULL);
		break;
	case JOB_CANCELLED:
		metric_add(metrics->cancelled, 1);
		log_end(job, PRONG_LOG_INFO, duration, "was cancelled", NULL);
		break;
	}
}

static char *error_json(const struct problem *problem)
{
	const char *detail = problem->detail ? problem->detail : problem->code;
	struct buffer out = { 0 };

	buffer_add_literal(&out, "{\"code\":");
	buffer_add_json_string(&out, problem->code, strlen(problem->code));
	buffer_add_literal(&out, ",\"message\":");
	buffer_add_json_string(&out, detail, strlen(detail));
	buffer_add_char(&out, '}');
	buffer_text(&out);
	return out.data;
}

static char *take_result(struct running *job)
{
	char *text;

	if (job->notes.result.size == 0)
		return NULL;
	buffer_text(&job->notes.result);
	text = job->notes.result.data;
	job->notes.result = (struct buffer){ 0 };
	return text;
}

/* What was not sent yet is worth it where the job lives on. */
static char *last_report(const struct running *job, enum job_outcome outcome)
{
	struct buffer out = { 0 };

	if (!job->notes.changed || outcome == JOB_DONE || outcome == JOB_CANCELLED)
		return NULL;
	job_notes_write(&job->notes, &out);
	buffer_text(&out);
	return out.data;
}

/* A row of the history where the job asks for one. What goes back has not been an attempt. */
static void record(const struct running *job, const struct judgement *judgement, prong_duration duration,
		   const char *error)
{
	static const char *const words[] = {
		[JOB_DONE] = "done", [JOB_RETRY] = "failed",	    [JOB_CRASHED] = "crashed",
		[JOB_DEAD] = "dead", [JOB_CANCELLED] = "cancelled",
	};
	prong_time now;

	if (!job->delivery.history || judgement->outcome == JOB_RETURN)
		return;
	now = prong_time_now();
	history_add(job->consumer->worker->history, &(struct history_entry){
							    .delivery = &job->delivery,
							    .outcome = words[judgement->outcome],
							    .error = error,
							    .started_at = { now.us - duration },
							    .finished_at = now,
						    });
}

static void give(struct running *job, const struct judgement *judgement, prong_duration duration)
{
	struct pending_verdict pending = consumer_verdict(&job->delivery, judgement->outcome);

	pending.verdict.delay = judgement->delay;
	pending.report = last_report(job, judgement->outcome);
	if (job->reported)
		pending.verdict.plain = false;
	if (judgement->outcome == JOB_DONE) {
		pending.result = take_result(job);
		pending.verdict.keep_result = job->job->keep_result ? job->job->keep_result : DEFAULT_KEEP_RESULT;
	} else if (judgement->problem.code) {
		pending.error = error_json(&judgement->problem);
	}
	record(job, judgement, duration, pending.error);
	consumer_give(job->consumer, &pending);
}

static bool is_lost(const struct running *job)
{
	return job->number != job->consumer->number;
}

/*
 * A durable job that is over: its row goes first, then Redis is told. While PostgreSQL is away the job waits here, with
 * its lease renewed; in the end it counts as failed, and runs again.
 */
static int finish_row(struct running *job)
{
	const char *id = job->delivery.id;
	int64_t give_up = monotonic_us() + FINISH_FOR;
	size_t failures = 0;
	int r;

	prong_rollback(&job->ctx);
	coroutine_shield(job->coroutine);
	for (;;) {
		r = outbox_finish(&job->ctx, &id, 1);
		if (r >= 0 || is_lost(job) || job->interrupted || monotonic_us() >= give_up)
			break;
		coroutine_sleep_until(monotonic_us() + reconnect_delay(failures++));
	}
	coroutine_unshield(job->coroutine);
	return r;
}

static struct judgement judge_unfinished(struct running *job, int result)
{
	if (job->interrupted)
		return (struct judgement){ .outcome = JOB_RETURN };
	prong_fail(&job->ctx, 503, "unfinished", "It ended, but PostgreSQL could not be told: %s.", strerror(-result));
	return judge_failure(job, -EHOSTDOWN, job->started);
}

void verdict_reach(struct running *job, int result)
{
	int64_t ended = job->consumer->worker->clock = monotonic_us();
	prong_duration duration = ended - job->started;
	struct judgement judgement = judge(job, result, ended);

	metric_observe(job->consumer->metrics->run, duration);
	if (job->delivery.durable && !is_lost(job) &&
	    (judgement.outcome == JOB_DONE || judgement.outcome == JOB_CANCELLED)) {
		int r = finish_row(job);

		if (r < 0)
			judgement = judge_unfinished(job, r);
	}
	if (is_lost(job)) {
		log_end(job, PRONG_LOG_WARNING, duration, "ended without its lease", NULL);
		return;
	}
	tell(job, &judgement, duration);
	give(job, &judgement, duration);
}
