/*
 * Jobs in processes of their own (PRONG_PROCESS), for code that may crash, block or leak. A worker cannot fork any
 * more once it has threads, so one that has such jobs begins by forking a nursery, which can:
 *
 *     worker ──orders──> nursery ──fork──> one child an attempt
 *        ^──────────────report─────────────────┘
 *
 *     isolation.c          in the worker: places and orders
 *     isolation_report.c   in the worker: what a child reports
 *     nursery.c            the nursery: forks, kills, reaps
 *     isolated.c           the child: one attempt of one job
 *     isolation_wire.c     what the worker and a child say to each other
 *
 * The worker keeps the lease and gives the verdict. A child is killed with all that it has started (its process group)
 * at its deadline, when its job is cancelled, and when the worker or the nursery dies; what it leaves running when it
 * ends is killed too.
 */
#ifndef ISOLATION_H
#define ISOLATION_H

#include "common/context.h"
#include "common/process.h"

struct isolation;

/*
 * Forks the nursery where the registry has a job that needs it; else `ret_isolation` is set to NULL. To be called
 * before the process has a loop, threads or connections. 0, or a negative errno when there can be no further process.
 */
int isolation_start(const struct process *process, struct isolation **ret_isolation);

/*
 * Once the loop exists. `lost(argument)` is called on the loop if the nursery dies: nothing can be run any more, and
 * the process had better leave and be replaced.
 */
void isolation_attach(struct isolation *isolation, struct loop *loop, void (*lost)(void *argument), void *argument);

/* Nobody may be in isolation_run(). Ends the nursery; returns NULL. */
struct isolation *isolation_free(struct isolation *isolation);

/* What became of an attempt. */
enum isolation_end {
	ISOLATION_RETURNED, /* the handler returned, or the attempt was ended at its deadline or cancelled */
	ISOLATION_CRASHED,  /* the process died before the handler returned */
	ISOLATION_NOT_RUN,  /* it never began, or the nursery died: to be given back, and not counted */
};

/*
 * Runs an attempt of the context's delivery, whose payload's text must be there, in a process of its own. Suspends:
 * while as many as JOB_ISOLATED run it waits for a place, without a deadline; then until the process has ended. At the
 * delivery's timeout, from its start, and on cancellation the process is killed.
 *
 * Returns the handler's result, or the negative errno of what ended it. The context's problem and notes are as if the
 * handler had run here; the problem of one that crashed says how. `ret_started_at` is when the process was asked for
 * (monotonic µs), 0: never.
 */
int isolation_run(struct isolation *isolation, struct prong_ctx *ctx, enum isolation_end *ret_end,
		  int64_t *ret_started_at);

/* The worker leaves: what waits for a place returns at once, as not run. */
void isolation_drain(struct isolation *isolation);

#endif
