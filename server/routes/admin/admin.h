/*
 * What an admin may see and do over HTTP: the queues and the jobs in them, under /v1/admin. The routes are there where
 * the accounts module is, all with PRONG_ADMIN. Each change is logged with the account that made it.
 */
#ifndef ADMIN_H
#define ADMIN_H

#include <prong/prong.h>

/* ---- records ---- */

struct admin_queue {
	const char *name;
	int64_t ready, delayed, running, dead;
	prong_opt_double oldest_seconds;
	bool paused;
	int64_t bytes;
	int32_t consumers;
};

struct admin_job_error {
	const char *code;
	const char *message;
};

struct admin_job_report {
	prong_opt_int64 done, total;
	PRONG_ARRAY(const char *) log;
};

struct admin_job {
	prong_uuid id;
	const char *queue;
	const char *name;
	const char *state;
	prong_opt_int32 attempt, max_attempts, crashes;
	prong_opt_time enqueued_at;
	prong_opt_time at;
	const char *key;
	prong_opt_bool durable;
	const char *owner;
	struct admin_job_error *error;
	struct admin_job_report *report; /* from here on only where one job is looked at */
	prong_json header;
	prong_json payload;
	prong_json result;
};

struct admin_job_filter {
	const char *queue;
	const char *state;
	prong_opt_int32 limit;
	prong_opt_int32 offset;
};

struct admin_dead_filter {
	const char *queue;
	const char *name;
	const char *code;
};

struct admin_retried {
	int64_t count;
};

struct admin_new_job {
	const char *name;
	prong_json payload;
	prong_opt_double delay;
	prong_opt_time at;
	prong_opt_int32 priority;
	const char *key;
	prong_opt_double expires;
	const char *unique;
	enum prong_unique_until unique_until;
	prong_opt_double throttle;
	prong_opt_double debounce;
	bool durable;
};

struct admin_added_job {
	prong_uuid id;
	const char *queue;
	bool existing;
};

#define ADMIN_MAX_LIMIT 1000
#define ADMIN_MAX_SECONDS 315360000.0					     /* ten years */
#define ADMIN_JOB_STATES PRONG_VALUES("ready", "delayed", "running", "dead") /* job_state_names */

/* clang-format off */
PRONG_SCHEMA(admin_queue,
	PRONG_FIELD(admin_queue, name),
	PRONG_FIELD(admin_queue, ready, .summary = "how many may run now"),
	PRONG_FIELD(admin_queue, delayed, .summary = "how many are due later, retries among them"),
	PRONG_FIELD(admin_queue, running),
	PRONG_FIELD(admin_queue, dead),
	PRONG_FIELD(admin_queue, oldest_seconds, .summary = "since the one that is next was enqueued"),
	PRONG_FIELD(admin_queue, paused),
	PRONG_FIELD(admin_queue, bytes, .summary = "of the records of all its jobs"),
	PRONG_FIELD(admin_queue, consumers, .summary = "worker processes that fetch from it"));

PRONG_SCHEMA(admin_job_error,
	PRONG_FIELD(admin_job_error, code),
	PRONG_FIELD(admin_job_error, message));

PRONG_SCHEMA(admin_job_report,
	PRONG_FIELD(admin_job_report, done),
	PRONG_FIELD(admin_job_report, total),
	PRONG_FIELD_ARRAY(admin_job_report, log, .summary = "the last lines of prong_job_log()"));

PRONG_SCHEMA(admin_job,
	PRONG_FIELD(admin_job, id),
	PRONG_FIELD(admin_job, queue),
	PRONG_FIELD(admin_job, name),
	PRONG_FIELD(admin_job, state, .values = PRONG_VALUES("ready", "delayed", "running", "dead", "done")),
	PRONG_FIELD(admin_job, attempt, .summary = "how many have begun"),
	PRONG_FIELD(admin_job, max_attempts),
	PRONG_FIELD(admin_job, crashes, .summary = "how many of them ended with their process"),
	PRONG_FIELD(admin_job, enqueued_at),
	PRONG_FIELD(admin_job, at, .summary = "when a delayed one is due, when a dead one was buried"),
	PRONG_FIELD(admin_job, key),
	PRONG_FIELD(admin_job, durable),
	PRONG_FIELD(admin_job, owner, .summary = "who runs it"),
	PRONG_FIELD_OBJECT(admin_job, error, admin_job_error, .summary = "of the last failed attempt"),
	PRONG_FIELD_OBJECT(admin_job, report, admin_job_report, .summary = "its progress and its log"),
	PRONG_FIELD(admin_job, header),
	PRONG_FIELD(admin_job, payload, .summary = "without its secrets"),
	PRONG_FIELD(admin_job, result, .summary = "without its secrets"));

PRONG_SCHEMA(admin_job_filter,
	PRONG_FIELD(admin_job_filter, queue, .summary = "all where absent"),
	PRONG_FIELD(admin_job_filter, state, .values = ADMIN_JOB_STATES, .summary = "all where absent"),
	PRONG_FIELD(admin_job_filter, limit, .range = PRONG_RANGE(1, ADMIN_MAX_LIMIT), .summary = "50 where absent"),
	PRONG_FIELD(admin_job_filter, offset, .range = PRONG_RANGE(0, INT32_MAX),
		    .summary = "how many are passed over; with queue and state"));

PRONG_SCHEMA(admin_dead_filter,
	PRONG_FIELD(admin_dead_filter, queue),
	PRONG_FIELD(admin_dead_filter, name, .summary = "of the job"),
	PRONG_FIELD(admin_dead_filter, code, .summary = "of the error"));

PRONG_SCHEMA(admin_retried,
	PRONG_FIELD(admin_retried, count));

PRONG_SCHEMA(admin_new_job,
	PRONG_FIELD(admin_new_job, name, .required = true),
	PRONG_FIELD(admin_new_job, payload, .summary = "as the job's schema says"),
	PRONG_FIELD(admin_new_job, delay, .range = PRONG_RANGE(0.0, ADMIN_MAX_SECONDS), .summary = "seconds"),
	PRONG_FIELD(admin_new_job, at, .summary = "when it may run, instead of delay"),
	PRONG_FIELD(admin_new_job, priority, .range = PRONG_RANGE(-100, 100)),
	PRONG_FIELD(admin_new_job, key, .min_length = 1, .max_length = 200),
	PRONG_FIELD(admin_new_job, expires, .range = PRONG_RANGE(0.0, ADMIN_MAX_SECONDS), .summary = "seconds"),
	PRONG_FIELD(admin_new_job, unique, .min_length = 1, .max_length = 200),
	PRONG_FIELD(admin_new_job, unique_until, .values = PRONG_VALUES("finished", "started")),
	PRONG_FIELD(admin_new_job, throttle, .range = PRONG_RANGE(0.0, ADMIN_MAX_SECONDS), .summary = "seconds"),
	PRONG_FIELD(admin_new_job, debounce, .range = PRONG_RANGE(0.0, ADMIN_MAX_SECONDS), .summary = "seconds"),
	PRONG_FIELD(admin_new_job, durable));

PRONG_SCHEMA(admin_added_job,
	PRONG_FIELD(admin_added_job, id),
	PRONG_FIELD(admin_added_job, queue),
	PRONG_FIELD(admin_added_job, existing, .summary = "another job holds the unique key: it stands for this one"));
/* clang-format on */

/* ---- handlers ---- */

prong_handler admin_list_queues;		     /* GET /v1/admin/queues */
prong_handler admin_pause_queue, admin_resume_queue; /* POST /v1/admin/queues/{queue}/pause, …/resume */
prong_handler admin_list_jobs;			     /* GET /v1/admin/jobs */
prong_handler admin_show_job;			     /* GET /v1/admin/jobs/{queue}/{id} */
prong_handler admin_add_job;			     /* POST /v1/admin/jobs */
prong_handler admin_retry_jobs;			     /* POST /v1/admin/jobs/retry */
prong_handler admin_retry_job, admin_cancel_job;     /* POST /v1/admin/jobs/{queue}/{id}/retry, …/cancel */

extern const struct prong_module http_admin_module;

/* ---- for the handlers ---- */

/* 0, or a negative value to return where no queue of the application has the name: 404. */
int admin_check_queue(struct prong_ctx *ctx, const char *name);

/* The path's {queue} and {id}, which is written into `id`; 404 where they cannot be a job's. */
int admin_path_job(struct prong_ctx *ctx, const char **ret_queue, char id[PRONG_UUID_TEXT_SIZE]);

/* 404: no such job in the queue. */
int admin_no_job(struct prong_ctx *ctx);

/* Logs what the signed-in account did. */
void admin_log(struct prong_ctx *ctx, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
