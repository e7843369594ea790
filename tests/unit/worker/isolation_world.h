/*
 * A worker's half of isolation (worker/isolation.h) with jobs that try it: in the test's own process, without Redis and
 * without the rest of a worker.
 */
#ifndef ISOLATION_WORLD_H
#define ISOLATION_WORLD_H

#include "common/jobs/running.h"
#include "common/loop.h"
#include "tests/unit/worker/fixture.h"
#include "worker/isolation.h"

#define MANY 100	    /* attempts that have a number */
#define LARGE (1024 * 1024) /* bytes */

/* What the jobs do to the world. */
struct seen {
	_Atomic int started, ended, at_once, most_at_once;
	_Atomic int runs_of[MANY];
	_Atomic pid_t nursery, child, grandchild;
	_Atomic bool may_end;
	_Atomic bool fine; /* what the job looked at */
};
extern struct seen *seen;

/* Shared memory; world_open() makes it where a test has not. */
void seen_open(void);
void seen_close(void);

struct world {
	struct settings settings;
	struct registry *registry;
	struct process process;
	struct isolation *isolation;
	struct runtime *runtime;
	int channel; /* the master's end */
	bool lost;
};

/* Forks a nursery for `places` children. */
void world_open(struct world *world, int64_t places);
void world_close(struct world *world);

/* One attempt, as the worker's runner makes it. */
struct attempt {
	struct world *world;
	struct delivery delivery;
	char payload[64];
	struct prong_ctx ctx;
	struct job_notes notes;
	struct coroutine *coroutine;
	enum isolation_end end;
	int64_t started_at;
	int result;
	bool concluded;
};

/* Begins to run the job of that name, whose payload is `number` and "text" unless the delivery has one. */
void attempt_start(struct attempt *attempt, struct world *world, const char *name, int number);

/* Drives the loop until it is over; attempt_finish() also frees its context. */
void attempt_conclude(struct attempt *attempt);
void attempt_finish(struct attempt *attempt);

/* Starts it with the number 7 and waits until it is over. */
void attempt_run(struct attempt *attempt, struct world *world, const char *name);

/* Dead, though perhaps nobody has asked how. */
bool is_gone(pid_t pid);

#endif
