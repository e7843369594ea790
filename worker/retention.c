/*
 * Retention, a part of the scheduler: deletes from PostgreSQL what has been kept long enough, in small batches, and
 * vacuums the outbox. Every durable job leaves two dead rows there; autovacuum looks once a minute and at a fifth of
 * the table, which a busy application would have blown up by gigabytes until then.
 */
#include "common/context.h"
#include "common/postgres/postgres.h"
#include "worker/scheduler.h"

#define EVERY PRONG_SECONDS(10)
#define BATCH 1000
#define KEEP_FINISHED PRONG_DAYS(7) /* as include/prong/job.h promises */

/* Deletes until nothing is left: `sql` at most BATCH rows at a time. */
static int delete_all(struct scheduler *scheduler, const char *sql, struct prong_parameters parameters)
{
	struct prong_ctx ctx;
	int r;

	do {
		context_init(&ctx, scheduler->runtime);
		r = prong_database_exec(&ctx, sql, parameters);
		context_end(&ctx);
	} while (r == BATCH && scheduler_sleep(scheduler, 0));
	return r;
}

static int forget_finished(struct scheduler *scheduler)
{
	return delete_all(scheduler,
			  "DELETE FROM prong_finished_jobs WHERE id IN (SELECT id FROM prong_finished_jobs"
			  " WHERE finished_at < now() - $1::bigint * interval '1 microsecond'"
			  " ORDER BY finished_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
			  PRONG_PARAMETERS(KEEP_FINISHED, BATCH));
}

static int forget_history(struct scheduler *scheduler)
{
	return delete_all(scheduler,
			  "DELETE FROM prong_job_history WHERE ctid = ANY (ARRAY(SELECT ctid FROM prong_job_history"
			  " WHERE finished_at < now() - $1::bigint * interval '1 microsecond'"
			  " ORDER BY finished_at LIMIT $2 FOR UPDATE SKIP LOCKED))",
			  PRONG_PARAMETERS(scheduler->process->settings->job_history_age, BATCH));
}

/* As Redis forgets its own: by the queue's rules. */
static int forget_dead(struct scheduler *scheduler, const struct prong_queue *queue)
{
	return delete_all(scheduler,
			  "DELETE FROM prong_outbox WHERE id IN (SELECT id FROM prong_outbox WHERE queue = $1"
			  " AND dead_at < greatest(now() - $2::bigint * interval '1 microsecond',"
			  " (SELECT dead_at FROM prong_outbox WHERE queue = $1 AND dead_at IS NOT NULL"
			  " ORDER BY dead_at DESC OFFSET $3 - 1 LIMIT 1))"
			  " ORDER BY dead_at LIMIT $4 FOR UPDATE SKIP LOCKED)",
			  PRONG_PARAMETERS(queue->name, queue->dead_age, queue->max_dead, BATCH));
}

/* Whoever owns the table may; for others PostgreSQL skips it, and autovacuum has to do. */
static int vacuum_outbox(struct scheduler *scheduler)
{
	_cleanup_(postgres_result_freep) struct postgres_result *rows = NULL;
	struct prong_ctx ctx;
	int r;

	context_init(&ctx, scheduler->runtime);
	r = postgres_run(&ctx,
			 "SELECT FROM pg_stat_user_tables WHERE relid = 'prong_outbox'::regclass"
			 " AND n_dead_tup > 10000 + n_live_tup / 10",
			 PRONG_PARAMETERS(), &rows);
	if (r == 0 && postgres_result_rows(rows) > 0)
		r = postgres_pin(&ctx);
	if (r == 0 && ctx.transaction)
		r = prong_exec(&ctx, "VACUUM (SKIP_LOCKED) prong_outbox");
	context_end(&ctx);
	return r;
}

static void retain(struct scheduler *scheduler)
{
	const struct registry *registry = scheduler->runtime->registry;
	int r = vacuum_outbox(scheduler);

	if (r >= 0)
		r = forget_finished(scheduler);
	if (r >= 0)
		r = forget_history(scheduler);
	for (size_t i = 0; i < registry->n_queues && r >= 0; i++)
		r = forget_dead(scheduler, &registry->queues[i]);
}

void retention_main(struct scheduler *scheduler)
{
	do
		retain(scheduler);
	while (scheduler_sleep(scheduler, EVERY));
}
