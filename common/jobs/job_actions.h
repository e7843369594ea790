/*
 * What is done to jobs wherever they are: in Redis and, durable ones, in the outbox as well. For applications, people's
 * commands, and routes of admins. All calls suspend; errors as those of job_queue.h and, where a job is durable or is
 * not in Redis, of database.h. Ids are texts of prong_uuid_format(), queues are the registry's.
 */
#ifndef JOB_ACTIONS_H
#define JOB_ACTIONS_H

#include "common/jobs/job_queue.h"

/* 0: a dead job is ready again with all its attempts. -ENOENT: there is no such job; -EALREADY: it is not dead. */
int job_retry(struct prong_ctx *ctx, const char *queue, const char *id);

/*
 * Likewise the dead ones of a queue, the latest first, at most `limit`; of a name and with a code of their error, where
 * these are not NULL. Ones that die meanwhile are left dead. Returns how many.
 */
int64_t job_retry_dead(struct prong_ctx *ctx, const char *queue, const char *name, const char *code, int64_t limit);

/* 0: a job that waits or is dead is gone, one that runs is told within about a second. -ENOENT. */
int job_cancel(struct prong_ctx *ctx, const char *queue, const char *id);

/*
 * Removes all jobs of a state, not those that run; ones that come meanwhile may stay. Returns how many. A process that
 * dies in between leaves up to some thousand durable ones in the outbox, which come back.
 */
int64_t job_drain(struct prong_ctx *ctx, const char *queue, enum job_state state);

#endif
