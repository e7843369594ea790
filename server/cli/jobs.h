/* What the verbs of the commands `jobs` and `queues` share: their table, the servers they need, and names and times. */
#ifndef CLI_JOBS_H
#define CLI_JOBS_H

#include "common/context.h"
#include "common/jobs/job_queue.h"
#include "server/cli/cli.h"

/*
 * Runs `work` on a coroutine with Redis and, where `needs` has NEEDS_DATABASE, PostgreSQL. It returns an exit status,
 * having said what is wrong, or a negative errno, which is explained here.
 */
int jobs_run(struct invocation *invocation, unsigned needs, int (*work)(struct prong_ctx *ctx, void *argument),
	     void *argument);

/* STATUS_OK, also for NULL; or STATUS_USAGE, having said which queues there are. */
int jobs_check_queue(struct invocation *invocation, const char *name);

/* An option's value, NULL: left as it is. STATUS_OK, or STATUS_USAGE after having said what is wrong. */
int jobs_read_state(const struct invocation *invocation, const char *text, int *ret_state);
int jobs_read_count(const struct invocation *invocation, const char *name, const char *text, int64_t low, int64_t high,
		    int64_t *ret_value);

/* The id of a job as Redis has it: STATUS_OK, or STATUS_USAGE after having said that it is none. */
int jobs_read_id(const struct invocation *invocation, const char *text, char ret_id[PRONG_UUID_TEXT_SIZE]);

/* A job by its id, in the queue or, NULL, in all. Errors as job_queue_show(). */
int jobs_find(struct prong_ctx *ctx, const char *id, const char *queue, const char **ret_queue,
	      struct job_detail *ret_detail);

/* STATUS_FAILURE, having said it: no queue that was looked at has the job. */
int jobs_unknown(const struct invocation *invocation, const char *id, const char *queue);

int jobs_add(struct invocation *invocation); /* jobs_add.c */
int jobs_ls(struct invocation *invocation);  /* jobs_look.c, as the next */
int jobs_stats(struct invocation *invocation);
int jobs_show(struct invocation *invocation);  /* jobs_show.c */
int jobs_retry(struct invocation *invocation); /* jobs_act.c, as the next two */
int jobs_cancel(struct invocation *invocation);
int jobs_drain(struct invocation *invocation);
int jobs_fsck(struct invocation *invocation); /* jobs_fsck.c */

#endif
