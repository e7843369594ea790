/*
 * The table prong_schedules: how far each schedule is. It is what makes a tick happen once: whoever moves last_tick on
 * from the value that they read enqueues the jobs in the same transaction.
 *
 * Its times are those of PostgreSQL's clock. All calls suspend; errors as in include/prong/database.h.
 */
#ifndef SCHEDULE_STATE_H
#define SCHEDULE_STATE_H

#include "common/schedule.h"

struct schedule_state {
	const char *name;
	const char *plan;
	prong_time last_tick;
	bool paused;
	prong_opt_time last_run;
	prong_opt_uuid last_job;
	prong_time clock; /* PostgreSQL's, when this was read */
};

/* The rows of all schedules of the registry, in its order and in the context's arena. Makes those that are missing. */
int schedule_state_read(struct prong_ctx *ctx, struct schedule_state **ret_states);

/*
 * Moves a schedule that is not paused from `last` to `newest`, and enqueues a job for each of the ticks. 1; 0 where it
 * is not at `last` any more, or paused: then nothing has happened.
 */
int schedule_state_advance(struct prong_ctx *ctx, const struct schedule *schedule, prong_time last, prong_time newest,
			   const prong_time *ticks, size_t n_ticks);

/* Enqueues its job now, besides its ticks. */
int schedule_state_run(struct prong_ctx *ctx, const struct schedule *schedule, prong_uuid *ret_id);

/* 1; 0: it was paused already. */
int schedule_state_pause(struct prong_ctx *ctx, const struct schedule *schedule);

/* It goes on from now: what would have ticked meanwhile does not. 1; 0: it was not paused. */
int schedule_state_resume(struct prong_ctx *ctx, const struct schedule *schedule);

#endif
