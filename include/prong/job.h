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
 *     r = prong_enqueue(ctx, index_note, note, .delay = PRONG_SECONDS(5), .key = tenant);
 *
 * An enqueue that returned ≥ 0 runs at least once, whatever process dies: make a job's effects safe to repeat, or
 * commit them with prong_job_done(). It is kept in Redis, whose AOF may lose about the last second when its host
 * crashes; a `.durable` job is kept in PostgreSQL until it is done, and is enqueued by the caller's transaction or not
 * at all.
 *
 * A job fails when it returns a negative value, exceeds its timeout, or its worker dies; it is then retried with
 * exponential backoff and jitter, and after max_attempts kept with its error as dead (`jobs ls --state dead`). One that
 * crashes its process max_crashes times is dead at once (`poison`).
 *
 * Jobs of one key (a tenant, an account) run in the order of their enqueue only at key_concurrency 1 and while none
 * fails; across keys and workers there is no order.
 */
#ifndef PRONG_JOB_H
#define PRONG_JOB_H

#include <prong/context.h>
#include <prong/schema.h>

#pragma GCC visibility push(default)

/* ---- what an application lists ---- */

enum prong_isolation {
	PRONG_COROUTINE, /* beside hundreds of others in the worker; heavy computing goes to prong_compute() */
	/*
	 * In a process of its own, for code that may crash, block or leak: a crash is charged to this job alone, and
	 * what it changes in memory is gone afterwards. At its timeout, and when it is cancelled, it is killed, with
	 * all that it has started. JOB_ISOLATED run at once in a worker; others wait. Costs about a millisecond.
	 */
	PRONG_PROCESS,
};

struct prong_job {
	const char *name;
	prong_handler *run;
	const struct prong_schema *payload; /* NULL: none */
	const struct prong_schema *result;  /* of prong_result(); NULL: none */
	const char *queue;		    /* letters, digits, '_' and '-'; NULL: "default" */
	int max_attempts;		    /* 0: 20 */
	int max_crashes;		    /* deaths of its process that a job may cause; 0: 3 */
	prong_duration timeout;		    /* of one attempt; 0: 60 seconds */
	prong_duration backoff;		    /* before the second attempt, doubled for each further one; 0: 1 second */
	prong_duration max_backoff;	    /* 0: 1 hour */
	prong_duration keep_result;	    /* how long after its end a result can be read; 0: 1 hour */
	enum prong_isolation isolation;
	bool durable; /* every enqueue is a row of PostgreSQL until the job is done */
	bool history; /* every attempt leaves a row in prong_job_history */
};

/* Defines `<function>_job`, static to its file, to list in struct prong_app and to enqueue by. */
#define PRONG_JOB(function, ...)                                                                    \
	__attribute__((unused)) static const struct prong_job function##_job = { .name = #function, \
										 .run = function,   \
										 ##__VA_ARGS__ }

/* At most `count` starts in any `per`, evenly spread after a burst of `count` (GCRA). */
struct prong_rate {
	int count; /* 0: no limit */
	prong_duration per;
};

/* The rules of a queue. Queues that are not listed have all defaults. Limits hold across all workers and hosts. */
struct prong_queue {
	const char *name;
	int rank;	 /* workers empty queues of a lower rank first */
	int weight;	 /* share of a worker's places among queues of the same rank; 0: 1 */
	int concurrency; /* jobs at once; 0: no limit */
	struct prong_rate rate;
	int key_concurrency; /* jobs at once of one key; 0: no limit */
	struct prong_rate key_rate;
	int shards;	   /* 1 … 64 parts, for more than one core of a Redis Cluster; 0: 1. Each has its share of
			      concurrency, rate and max_bytes, and the keys that fall to it; of jobs with both, a unique
			      key then holds among those of the same key. Fixed while the queue holds jobs */
	int64_t max_bytes; /* of records waiting or running; beyond, enqueues fail with -ENOSPC. 0: no limit */
	int max_dead;	   /* dead jobs kept, the latest; 0: 10000 */
	prong_duration dead_age; /* how long they are kept; 0: 30 days */
	int max_results;	 /* results kept, in each shard; 0: 10000 */
};

#define PRONG_QUEUE(variable, ...) \
	__attribute__((unused)) static const struct prong_queue variable##_queue = { .name = #variable, ##__VA_ARGS__ }

/* What becomes of ticks that nothing ran in time (within 5 seconds), because all schedulers or PostgreSQL were down. */
enum prong_misfire {
	PRONG_MISFIRE_SKIP,	/* nothing */
	PRONG_MISFIRE_ONCE,	/* one job for all of them */
	PRONG_MISFIRE_BACKFILL, /* one for each of the last `backfill`, the oldest first */
};

/*
 * A job that is enqueued again and again, durably, exactly once a tick however many schedulers run:
 *
 *     PRONG_SCHEDULE(nightly, clean_up, .cron = "0 3 * * *", .zone = "Europe/Berlin", .misfire = PRONG_MISFIRE_ONCE);
 *
 * A line has five fields (minute, hour, day of month, month, day of week) or six (second first), as Debian's cron reads
 * them: lists, ranges, steps, names, @daily. Where day of month and day of week are both restricted, either will do. A
 * time of day that the clocks skip when they change is run once, at the end of the gap, one that they repeat the first
 * time only; a line whose minute or hour begins with * follows the time that passes. PostgreSQL's clock counts.
 *
 * One that is listed for the first time, or with another line, zone or interval than before, starts at that moment.
 */
struct prong_schedule {
	const char *name; /* letters, digits, '_' and '-' */
	const struct prong_job *job;
	const void *payload;  /* a static record of the job's payload; NULL where it takes none */
	const char *cron;     /* the line */
	const char *zone;     /* its zone, of the IANA database; NULL: UTC */
	prong_duration every; /* instead of cron: whole multiples since 1970-01-01T00:00:00Z, at least a second */
	enum prong_misfire misfire;
	int backfill; /* 1 … 1000 */
};

#define PRONG_SCHEDULE(variable, function, ...)                                                                    \
	__attribute__((unused)) static const struct prong_schedule variable##_schedule = { .name = #variable,      \
											   .job = &function##_job, \
											   ##__VA_ARGS__ }

/* ---- enqueueing ---- */

/* How long a unique key refuses another job. */
enum prong_unique_until {
	PRONG_UNTIL_FINISHED, /* while it waits or runs */
	PRONG_UNTIL_STARTED,  /* while it waits */
};

/* All optional. Strings are borrowed until the call returns; keys are UTF-8 of at most 200 bytes. */
struct prong_enqueue_options {
	prong_duration delay; /* before it may run, at most ten years */
	prong_time at;	      /* instead: when it may run; one that has passed is now */
	int priority;	      /* -100 … 100; higher ones run first */
	const char *key;      /* whose job it is: keys take turns, and have the queue's key_concurrency and key_rate */
	prong_duration expires; /* it is dropped if it has not started after that long; 0: never */

	const char *unique; /* at most one job of the queue has this key at a time, see unique_until */
	enum prong_unique_until unique_until;
	prong_duration throttle; /* with unique: the key refuses others for that long from now, finished or not */
	prong_duration debounce; /* with unique: runs that long after the last enqueue, with the last payload */

	bool durable; /* as of the job, for this one */

	prong_uuid *ret_id; /* may be NULL: the job's id, or the id of the one that holds the unique key */
};

/*
 * Enqueues a job with a record of its payload's schema and options by name (.delay = …). Suspends. Returns 0 once Redis
 * has it, or the caller's transaction for a durable one; 1 when the unique key is held by another job, which stands for
 * this one. Errors:
 * -EHOSTDOWN, -ETIMEDOUT (503, 504): Redis cannot be reached in time; the job may or may not have been enqueued.
 * -EBUSY, -ENOMEM, -EROFS (503): Redis is loading, full, or takes no writes; it was not.
 * -ENOSPC (503): the queue holds max_bytes.
 * -EINVAL (422): the record does not fit its schema; -EMSGSIZE (413): it has more than MAX_PAYLOAD bytes as JSON.
 * Mistakes of the program answer 500 and are told in the log: no list of the application has the job, options that
 * exclude each other or are out of range, or the record is of another size than the payload's struct; the compiler
 * cannot see that it is of another type. A job without a payload takes NULL.
 */
#define prong_enqueue(ctx, job, record, ...)                              \
	prong_job_enqueue((ctx), &job##_job, (record), sizeof(*(record)), \
			  &(const struct prong_enqueue_options){ __VA_ARGS__ })

/*
 * Enqueues `count` jobs with an array of records in one round trip for each thousand. `options` is NULL or an array of
 * `count`. Errors as above; all up to a failed round trip are enqueued. Returns how many were not because their unique
 * key is held.
 */
#define prong_enqueue_many(ctx, job, records, count, options) \
	prong_job_enqueue_many((ctx), &job##_job, (records), sizeof(*(records)), (count), (options))

/* ---- in a job ---- */

/* The running job's payload; aborts in a handler or for another schema than the job's. */
#define prong_payload(ctx, type) ((const struct type *)prong_payload_of((ctx), &type##_schema))

prong_uuid prong_job_id(const struct prong_ctx *ctx);

/* The running attempt, from 1. */
int prong_job_attempt(const struct prong_ctx *ctx);

/* The tick of a schedule that it was enqueued for; 0 µs where it was enqueued otherwise. */
prong_time prong_job_scheduled_for(const struct prong_ctx *ctx);

/*
 * Makes the effects happen exactly once: inside a transaction, notes that this job is done, so that it commits with the
 * handler's own rows. Suspends. 0; -EALREADY when an earlier delivery has committed it: return that value, the
 * transaction is rolled back and the job counts as done. Other errors as prong_exec(). Kept for seven days.
 *
 *     r = prong_begin(ctx);
 *     if (r >= 0)
 *         r = prong_exec(ctx, "UPDATE balances SET …");
 *     if (r >= 0)
 *         r = prong_job_done(ctx);
 *     return r < 0 ? r : prong_commit(ctx);
 */
int prong_job_done(struct prong_ctx *ctx);

/* How far it is, for whoever looks; sent with the next renewal, at most once a second. Does not suspend. */
void prong_progress(struct prong_ctx *ctx, int64_t done, int64_t total);

/* A line that is kept with the job while it lives, besides the log: the last 20, each cut at 200 bytes. Does not
 * suspend. */
void prong_job_log(struct prong_ctx *ctx, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * A small result, kept for the job's keep_result after it is done; the last call counts. 0; -EINVAL, -EMSGSIZE (over 64
 * KiB as JSON) with the problem recorded. Does not suspend.
 */
#define prong_result(ctx, type, record) prong_job_result((ctx), &type##_schema, (const struct type *){ (record) })

/* Fails the attempt and says when the next one is, at most ten years; returns a negative value to return. It counts. */
int prong_retry_after(struct prong_ctx *ctx, prong_duration delay, const char *code, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* Fails the job for good: no attempt can mend it. It is dead with this error; returns a negative value to return. */
int prong_fail_for_good(struct prong_ctx *ctx, const char *code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* ---- looking at a job, and stopping it ---- */

enum prong_job_state {
	PRONG_JOB_UNKNOWN, /* never enqueued, finished without a result, cancelled, or its result has gone */
	PRONG_JOB_WAITING,
	PRONG_JOB_DELAYED,
	PRONG_JOB_RUNNING,
	PRONG_JOB_DEAD,
	PRONG_JOB_DONE, /* and its result is kept */
};

struct prong_job_status {
	enum prong_job_state state;
	int attempt;	     /* begun so far; 0 of a job that is done: only its result is left */
	int64_t done, total; /* prong_progress(); 0 of 0 at first */
	const char *result;  /* JSON, in the context's arena; NULL: none */
	const char *error;   /* the last failed attempt's, {"code":…,"message":…}; NULL: none */
};

/* Suspends. 0, errors as prong_enqueue(). */
#define prong_job_status(ctx, job, id, ret_status) prong_job_look((ctx), &job##_job, (id), (ret_status))

/*
 * Cancels a job: one that waits is gone, one that runs gets -ECANCELED at its next wait, within about a second, and is
 * not retried. Suspends. 0; -ENOENT when there is no such job (any more); errors as prong_enqueue().
 */
#define prong_cancel(ctx, job, id) prong_job_cancel((ctx), &job##_job, (id))

int prong_job_enqueue(struct prong_ctx *ctx, const struct prong_job *job, const void *record, size_t record_size,
		      const struct prong_enqueue_options *options);
int prong_job_enqueue_many(struct prong_ctx *ctx, const struct prong_job *job, const void *records, size_t record_size,
			   size_t count, const struct prong_enqueue_options *options);
const void *prong_payload_of(const struct prong_ctx *ctx, const struct prong_schema *schema);
int prong_job_result(struct prong_ctx *ctx, const struct prong_schema *schema, const void *record);
int prong_job_look(struct prong_ctx *ctx, const struct prong_job *job, prong_uuid id,
		   struct prong_job_status *ret_status);
int prong_job_cancel(struct prong_ctx *ctx, const struct prong_job *job, prong_uuid id);

#pragma GCC visibility pop

#endif
