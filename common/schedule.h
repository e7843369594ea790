/*
 * A schedule of the registry, read and ready: when it ticks, and which ticks are run. Pure; the table prong_schedules
 * is common/jobs/schedule_state.h, the process that runs ticks is worker/ticker.c.
 *
 * A tick is an instant, the same on all hosts: a time of the line in its zone, or a whole multiple of the interval
 * since 1970-01-01T00:00:00Z.
 */
#ifndef SCHEDULE_H
#define SCHEDULE_H

#include <prong/job.h>

#include "common/buffer.h"
#include "common/cron.h"

/* A tick that is run no later than this has not been missed. */
#define SCHEDULE_LATE PRONG_SECONDS(5)

#define SCHEDULE_MAX_BACKFILL 1000

struct schedule {
	const struct prong_schedule *entry;
	char *plan;	   /* when it ticks, as people read it: "0 3 * * * Europe/Berlin" or "every 1m30s" */
	struct zone *zone; /* NULL where it has an interval */
	struct cron cron;  /* likewise empty */
};

/*
 * Reads an entry whose job, if there is one, has been checked. 0; or -EINVAL with one line per mistake: neither or both
 * of cron and every, a wrong line, an unknown zone, a payload that does not fit.
 */
int schedule_load(const struct prong_schedule *entry, struct schedule *ret_schedule, struct buffer *mistakes);
void schedule_unload(struct schedule *schedule);

const char *schedule_zone_name(const struct schedule *schedule);    /* "UTC" where it has none */
const char *schedule_misfire_name(const struct schedule *schedule); /* skip, once, backfill */

/* The first tick after `after`; INT64_MAX µs: there is none. */
prong_time schedule_next(const struct schedule *schedule, prong_time after);

/*
 * The ticks after `last` up to `now` that are to be run, oldest first: those that are at most SCHEDULE_LATE late, and
 * of the others, which were missed, what the misfire policy says. `ret_newest`: the newest tick of all, run or not;
 * `last` where there is none. `ret_ticks` is malloc'ed. Returns their number.
 */
size_t schedule_due(const struct schedule *schedule, prong_time last, prong_time now, prong_time *ret_newest,
		    prong_time **ret_ticks);

#endif
