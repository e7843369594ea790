/*
 * A job worker for tests: worker_main() or scheduler_main() in a forked process, with a Redis of its own, jobs whose
 * effects are seen in shared memory, and the test in the master's place.
 */
#ifndef FIXTURE_H
#define FIXTURE_H

#include <stdatomic.h>
#include <sys/types.h>

#include "common/context.h"
#include "common/jobs/job_queue.h"
#include "common/process.h"
#include "tests/unit/common/redis_server.h"
#include "tests/unit/test.h"

#define MAX_WORK 5000

/* What jobs do to the world. */
struct effects {
	_Atomic int started, ended; /* attempts at any job of the fixture */
	_Atomic int of[MAX_WORK];   /* attempts begun, by the payload's number */
	_Atomic int ended_of[MAX_WORK];
	_Atomic int other_ended; /* of the queue "other" */
	_Atomic int wrong_request_id;
	_Atomic bool stop_crashing;
	_Atomic int crash_at;	  /* `transfer`: which of its steps kills the worker; 0: none */
	_Atomic bool go;	  /* `hold` and `report` may end */
	_Atomic int waiting;	  /* jobs that were fetched and had not begun when the first `oversleep` did */
	_Atomic int started_late; /* `oversleep` of those */
	_Atomic int cancelled;	  /* ends of `hold` by -ECANCELED */
	_Atomic int n_order;
	_Atomic char order[MAX_WORK]; /* of starts in the queues with rules: the first letter of each job's name */
};
extern struct effects *effects;

/* Their payload. */
struct work {
	int32_t number;
	int32_t milliseconds; /* `sleep` and `sleep_other`: how long */
};

extern const struct prong_job count_job, sleep_job, sleep_other_job, crash_job, crash_apart_job, fail_job,
	fail_twice_job, hang_job, hold_job, report_job, come_later_job, despair_job, repeat_job, oversleep_job,
	urgent_job, slow_job, heavy_job, light_job, parted_job, lasting_job, lasting_hold_job, lasting_fail_job,
	transfer_job, recorded_job;

struct fixture {
	struct redis_server *server;
	struct redis_server *masters[REDIS_CLUSTER_MASTERS]; /* of a cluster, whose first one is `server`; else NULL */
	struct settings settings;
	struct registry *registry;
	struct scoreboard *scoreboard;
	struct process process;
	struct runtime *runtime; /* the test's own */
};

/* `options` of redis-server, NULL for none. `fixture->settings` may be changed until the first process starts. */
void fixture_open(struct fixture *fixture, const char *const *options);

void fixture_open_cluster(struct fixture *fixture);

/* With a PostgreSQL (servers.h) that has the tables of the module `jobs`, and `transfers (number int)`, empty. */
void fixture_open_durable(struct fixture *fixture);
void fixture_close(struct fixture *fixture);

/* Forks a process in slot `slot` and waits until it is ready; returns its id. */
pid_t fixture_start(struct fixture *fixture, process_main *main, size_t slot);

/* Waits for a process to end, and tells a scheduler of it; returns its exit status, or minus the signal. */
int fixture_wait(struct fixture *fixture, pid_t pid, size_t slot);
int fixture_terminate(struct fixture *fixture, pid_t pid, size_t slot); /* SIGTERM, then fixture_wait() */

/* Enqueues through the public call; returns what it returned. */
int fixture_enqueue(struct fixture *fixture, const struct prong_job *job, int number, int milliseconds);
int fixture_enqueue_with(struct fixture *fixture, const struct prong_job *job, int number, int milliseconds,
			 const struct prong_enqueue_options *options);
void fixture_enqueue_many(struct fixture *fixture, const struct prong_job *job, int count, int milliseconds);

/* Runs `function` in a coroutine of the test's runtime. */
int fixture_run(struct fixture *fixture, int (*function)(struct prong_ctx *ctx, void *argument), void *argument);

bool fixture_counts_are(struct fixture *fixture, const char *queue, uint64_t ready, uint64_t delayed, uint64_t inflight,
			uint64_t dead);

/* prong_job_status(); strings are malloc'ed. */
struct prong_job_status fixture_status(struct fixture *fixture, const struct prong_job *job, prong_uuid id);

/* The answer of Redis to a command without arguments to be formatted, as a number. */
long long fixture_ask(struct fixture *fixture, const char *command);

/* The first dead job of a queue: its error, malloc'ed, and attempts; NULL when there is none. */
char *fixture_dead_error(struct fixture *fixture, const char *queue, int *ret_attempts);

/* Waits until the condition holds; false after 25 seconds, which is less than a lease. */
#define EVENTUALLY(condition)                                                \
	({                                                                   \
		int64_t give_up_ = monotonic_us() + PRONG_SECONDS(25);       \
		bool holds_;                                                 \
		while (!(holds_ = (condition)) && monotonic_us() < give_up_) \
			usleep(2000);                                        \
		holds_;                                                      \
	})

#endif
