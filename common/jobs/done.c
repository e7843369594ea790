/* prong_job_done() of include/prong/job.h. */
#include "common/context.h"
#include "common/jobs/job_queue.h"
#include "common/jobs/running.h"
#include "common/log.h"
#include "common/postgres/pool.h"

/*
 * The row of a durable job goes with the same commit. Where another delivery of this job has its row here but has not
 * committed yet, the insert waits for it.
 */
#define NOTE_DONE                                               \
	"WITH gone AS (DELETE FROM prong_outbox WHERE id = $1)" \
	" INSERT INTO prong_finished_jobs (id) VALUES ($1) ON CONFLICT DO NOTHING"

int prong_job_done(struct prong_ctx *ctx)
{
	struct job_notes *notes = job_notes_of(ctx, "prong_job_done()");
	int r;

	if (!ctx->transaction || ctx->transaction->pinned) {
		log_error("job %s: prong_job_done() outside a transaction: call prong_begin() before it",
			  ctx->delivery->name);
		return prong_fail(ctx, 500, "no_transaction", "prong_job_done() was called outside a transaction.");
	}
	r = prong_exec(ctx, NOTE_DONE, ctx->delivery->id);
	if (r < 0)
		return r;
	notes->already_done = r == 0;
	return r == 0 ? -EALREADY : 0;
}
