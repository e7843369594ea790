/*
 * The scheduler's program, one process a tree. It is made of parts, each a coroutine that runs until the process
 * drains, in a file of its own:
 *
 *     scheduler.c     the process: start, drain, leave
 *     reclaim.c       jobs of processes that died run again at once
 *     housekeeping.c  what became due moves on even where no worker looks; the gauges of the queues' depths
 *     relay.c         puts durable jobs from the outbox into Redis
 *     reconciler.c    has those put there again that Redis lost
 *     retention.c     deletes from PostgreSQL what has been kept long enough
 *     ticker.c        enqueues the jobs of schedules when they tick
 *
 * Everything a part does may be done by several schedulers at once: there is no leader.
 */
#ifndef SCHEDULER_H
#define SCHEDULER_H

#include "common/process.h"
#include "common/runtime.h"

struct scheduler {
	const struct process *process;
	struct runtime *runtime;
	bool draining;
	struct scheduler_part *parts;
	size_t n_running; /* parts that have not ended */
};

int scheduler_main(const struct process *process);

/*
 * Parts. Each suspends until `scheduler->draining`; once that is set it is cancelled, so that its waits end with
 * -ECANCELED, and returns. What must not be left half done is shielded (loop.h).
 */
typedef void scheduler_part_main(struct scheduler *scheduler);
scheduler_part_main housekeeping_main; /* says READY after its first round */
scheduler_part_main reclaim_main;
scheduler_part_main relay_main;
scheduler_part_main reconciler_main;
scheduler_part_main retention_main;
scheduler_part_main ticker_main;

/* Sleeps in a part; false: the process drains, and the part returns. */
bool scheduler_sleep(struct scheduler *scheduler, prong_duration duration);

#endif
