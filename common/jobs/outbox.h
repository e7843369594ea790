/*
 * The outbox: durable jobs, each a row of prong_outbox from the commit of its enqueue until it is done. The relay
 * (worker/relay.c) puts rows into Redis under their own ids, where the jobs wait and run like all others; the
 * reconciler (worker/reconciler.c) has those put there again that Redis has lost.
 *
 * What holds it together: whoever ends a durable job deletes its row first and only then tells Redis. So a row that
 * exists means a job that is not done, and one that is not in Redis then has never been there or was lost. The relay
 * holds the row's lock while it asks Redis to add the id, and Redis leaves an id that it has as it is.
 *
 * All calls suspend; errors as in include/prong/database.h. Ids are texts of prong_uuid_format().
 */
#ifndef OUTBOX_H
#define OUTBOX_H

#include "common/jobs/job_queue.h"

#define OUTBOX_CHANNEL "prong_outbox" /* of NOTIFY: rows have come that are to be relayed */

/*
 * Adds durable jobs: rows of the context's transaction, if there is one, else all in one statement. Their options are
 * right as job_options_mistake() sees it.
 */
int outbox_add(struct prong_ctx *ctx, const struct job_draft *drafts, size_t count);

/*
 * Durable jobs that are over: done, cancelled, or drained. Before Redis is told: until it has succeeded the job must
 * stay in Redis as it is. Returns how many had a row (still). -EAGAIN: the relay is at one of them; try again.
 */
int outbox_finish(struct prong_ctx *ctx, const char *const ids[], size_t count);

/*
 * A durable job that is dead, with its error as JSON text: it is not put into Redis again by itself. Best after Redis
 * was told: a dead job that is not marked so is found by the reconciler, one that was marked but lives on would be lost
 * together with Redis. 0 also where there is no row.
 */
int outbox_bury(struct prong_ctx *ctx, const char *id, const char *error);

/*
 * Dead durable jobs shall run again; also those that Redis does not have any more. After job_queue_retry(). Returns how
 * many there were.
 */
int outbox_revive(struct prong_ctx *ctx, const char *const ids[], size_t count);

#endif
