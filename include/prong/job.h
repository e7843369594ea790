/*
 * Jobs: functions that run later, in a job worker, with a record as their payload.
 *
 *     static int index_note(struct prong_ctx *ctx)
 *     {
 *         const struct note *note = prong_payload(ctx, note);
 *         …
 *     }
 *     PRONG_JOB(index_note, .payload = &note_schema, .queue = "search", .max_attempts = 5);
 *
 * An enqueue that returned 0 is kept in Redis and runs at least once, whatever process dies: make a job's effects safe
 * to repeat. A job fails when it returns a negative value, exceeds its timeout, or its worker dies; it is then retried
 * with exponential backoff and jitter, and after max_attempts kept with its error as dead (`jobs ls --state dead`).
 */
#ifndef PRONG_JOB_H
#define PRONG_JOB_H

#include <prong/context.h>
#include <prong/schema.h>

#pragma GCC visibility push(default)

struct prong_job {
	const char *name;
	prong_handler *run;
	const struct prong_schema *payload; /* NULL: none */
	const char *queue;		    /* letters, digits, '_' and '-'; NULL: "default" */
	int max_attempts;		    /* 0: 20 */
	prong_duration timeout;		    /* of one attempt; 0: 60 seconds */
	prong_duration backoff;		    /* before the second attempt, doubled for each further one; 0: 1 second */
	prong_duration max_backoff;	    /* 0: 1 hour */
};

/* Defines `<function>_job`, static to its file, to list in struct prong_app and to enqueue by. */
#define PRONG_JOB(function, ...)                                                                    \
	__attribute__((unused)) static const struct prong_job function##_job = { .name = #function, \
										 .run = function,   \
										 ##__VA_ARGS__ }

/*
 * Enqueues a job with a record of its payload's schema. Suspends. Returns 0 once Redis has it; -EHOSTDOWN or -ETIMEDOUT
 * when Redis cannot be reached in time (503, 504): the job may or may not have been enqueued. -EBUSY, -ENOMEM, -EROFS
 * when it is loading, full, or takes no writes (503): it was not. -EINVAL: the record does not fit its schema (422).
 * Mistakes of the program answer 500 and are told in the log: no list of the application has the job, or the record is
 * of another size than the payload's struct; the compiler cannot see that it is of another type. A job without a
 * payload takes NULL.
 */
#define prong_enqueue(ctx, job, record) prong_job_enqueue((ctx), &job##_job, (record), sizeof(*(record)))

/* The running job's payload; aborts in a handler or for another schema than the job's. */
#define prong_payload(ctx, type) ((const struct type *)prong_payload_of((ctx), &type##_schema))

/* The running attempt, from 1. */
int prong_job_attempt(const struct prong_ctx *ctx);

int prong_job_enqueue(struct prong_ctx *ctx, const struct prong_job *job, const void *record, size_t record_size);
const void *prong_payload_of(const struct prong_ctx *ctx, const struct prong_schema *schema);

#pragma GCC visibility pop

#endif
