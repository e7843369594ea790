/*
 * The reconciler, a part of the scheduler: has durable jobs that Redis lost put there again. It goes through the outbox
 * page by page, asks Redis for the ids that were relayed, and gives those that it does not have back to the relay. It
 * does so at its start, as soon as the epoch of a queue says that Redis was emptied, and each minute for what was lost
 * without a trace, such as the last second before a crash of Redis' host.
 *
 * It may ask without a lock. A job that ended has lost its row before Redis forgot the id, so the update below does not
 * find it. One that another scheduler put back meanwhile is relayed once more and stays as it is in Redis.
 *
 * Jobs that Redis has among its dead are marked in the outbox, where the worker that buried them could not: they are
 * not put back by themselves. The row is locked while Redis is asked, because somebody may be retrying the job: who
 * retries tells Redis first and the outbox then.
 */
#include "common/context.h"
#include "common/jobs/outbox.h"
#include "common/log.h"
#include "common/postgres/listen.h"
#include "worker/scheduler.h"

#define EVERY PRONG_SECONDS(1)	     /* looks at the epochs */
#define PASS_EVERY PRONG_MINUTES(1)  /* from the end of one pass to the next */
#define PASS_AGAIN PRONG_SECONDS(5)  /* after Redis was emptied: the relay may have been between it and its commit */
#define PAUSE PRONG_MILLISECONDS(20) /* between pages, where there is no hurry */
#define PAGE 1000

#define NIL_UUID "00000000-0000-0000-0000-000000000000"

struct reconciler {
	struct scheduler *scheduler;
	char (*epochs)[PRONG_UUID_TEXT_SIZE]; /* of the registry's queues; "" before they were read */
	int64_t look_at, pass_at;	      /* the next look at the epochs; the next pass */
	bool emptied;			      /* an epoch has changed; the pass for it has not begun */
	bool passing, hurrying;
	char last[PRONG_UUID_TEXT_SIZE]; /* id of the page before */
	int64_t n_foreign;		 /* rows of this pass whose queue no job of the application has */
	int64_t told_foreign;		 /* as many were logged */
};

/* ---- what is missing ---- */

static int give_to_relay(struct prong_ctx *ctx, const char *queue, const char *const ids[], size_t count)
{
	int r = prong_exec(ctx,
			   "UPDATE prong_outbox SET relayed_at = NULL"
			   " WHERE id = ANY ($1::uuid[]) AND relayed_at IS NOT NULL AND dead_at IS NULL",
			   postgres_array(ctx, ids, count));

	if (r <= 0)
		return r;
	log_warning("queue %s: Redis has lost %d durable jobs: they are enqueued again", queue, r);
	postgres_notify(ctx, OUTBOX_CHANNEL);
	return 0;
}

static int put_missing_back(struct prong_ctx *ctx, const char *queue, const char *ids[], size_t count)
{
	bool *missing = arena_alloc(&ctx->arena, count * sizeof(*missing));
	size_t n_missing = 0;
	int r = job_queue_missing(ctx->runtime->jobs, queue, ids, count, missing);

	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++)
		if (missing[i])
			ids[n_missing++] = ids[i];
	return n_missing > 0 ? give_to_relay(ctx, queue, ids, n_missing) : 0;
}

/* The ids of a page that are of one queue. */
static size_t ids_of_queue(const struct postgres_result *page, const char *queue, const char *ret_ids[])
{
	size_t count = 0;

	for (size_t i = 0; i < postgres_result_rows(page); i++)
		if (string_equal(postgres_result_text(page, i, 1), queue))
			ret_ids[count++] = postgres_result_text(page, i, 0);
	return count;
}

static int look_at_page(struct reconciler *reconciler, struct prong_ctx *ctx, const struct postgres_result *page)
{
	const struct registry *registry = ctx->runtime->registry;
	const char **ids = arena_alloc(&ctx->arena, PAGE * sizeof(*ids));
	size_t known = 0;
	int r = 0;

	for (size_t i = 0; i < registry->n_queues && r == 0; i++) {
		const char *queue = registry->queues[i].name;
		size_t count = ids_of_queue(page, queue, ids);

		known += count;
		if (count > 0)
			r = put_missing_back(ctx, queue, ids, count);
	}
	reconciler->n_foreign += (int64_t)(postgres_result_rows(page) - known);
	return r;
}

/* Returns 1 when there are more pages. */
static int look_at_next_page(struct reconciler *reconciler, struct prong_ctx *ctx)
{
	_cleanup_(postgres_result_freep) struct postgres_result *page = NULL;
	size_t count;
	int r = postgres_run(ctx,
			     "SELECT id, queue FROM prong_outbox"
			     " WHERE id > $1 AND relayed_at IS NOT NULL AND dead_at IS NULL ORDER BY id LIMIT $2",
			     PRONG_PARAMETERS((const char *)reconciler->last, PAGE), &page);

	if (r == 0)
		r = look_at_page(reconciler, ctx, page);
	if (r < 0)
		return r;
	count = postgres_result_rows(page);
	if (count < PAGE)
		return 0;
	memcpy(reconciler->last, postgres_result_text(page, count - 1, 0), sizeof(reconciler->last));
	return 1;
}

/* Those that the relay leaves where they are. */
static int count_foreign(struct reconciler *reconciler)
{
	_cleanup_(postgres_result_freep) struct postgres_result *row = NULL;
	const struct registry *registry = reconciler->scheduler->runtime->registry;
	struct prong_ctx ctx;
	const char **names;
	int r;

	context_init(&ctx, reconciler->scheduler->runtime);
	names = arena_alloc(&ctx.arena, registry->n_queues * sizeof(*names));
	for (size_t i = 0; i < registry->n_queues; i++)
		names[i] = registry->queues[i].name;
	r = postgres_run(&ctx,
			 "SELECT count(*) FROM prong_outbox WHERE relayed_at IS NULL AND queue <> ALL ($1::text[])",
			 PRONG_PARAMETERS(postgres_array(&ctx, names, registry->n_queues)), &row);
	context_end(&ctx);
	if (r == 0)
		reconciler->n_foreign += strtoll(postgres_result_text(row, 0, 0), NULL, 10);
	return r;
}

static void tell_of_foreign(struct reconciler *reconciler)
{
	if (reconciler->n_foreign > 0 && reconciler->n_foreign != reconciler->told_foreign)
		log_warning("%lld durable jobs wait for queues that no job of the application has: SELECT queue, job "
			    "FROM prong_outbox",
			    (long long)reconciler->n_foreign);
	reconciler->told_foreign = reconciler->n_foreign;
}

/* ---- what is dead ---- */

/* One that Redis called dead. */
static int bury(struct prong_ctx *ctx, const char *queue, const char *id)
{
	_cleanup_(postgres_result_freep) struct postgres_result *row = NULL;
	struct job_detail detail;
	int r = prong_begin(ctx);

	if (r == 0)
		r = postgres_run(ctx,
				 "SELECT FROM prong_outbox WHERE id = $1 AND dead_at IS NULL FOR UPDATE SKIP LOCKED",
				 PRONG_PARAMETERS(id), &row);
	if (r == 0 && postgres_result_rows(row) > 0)
		r = job_queue_show(ctx->runtime->jobs, queue, id, &ctx->arena, &detail);
	if (r == 0 && postgres_result_rows(row) > 0 && detail.listing.state == JOB_STATE_DEAD)
		r = outbox_bury(ctx, id, detail.listing.error);
	if (r == 0)
		r = prong_commit(ctx);
	prong_rollback(ctx);
	return r == -ENOENT ? 0 : r;
}

/* Of these dead jobs, those that the outbox takes for living. */
static int bury_unmarked(struct prong_ctx *ctx, const char *queue, const struct job_listing *dead, size_t count)
{
	_cleanup_(postgres_result_freep) struct postgres_result *rows = NULL;
	const char **ids = arena_alloc(&ctx->arena, count * sizeof(*ids));
	int r;

	for (size_t i = 0; i < count; i++)
		ids[i] = dead[i].id;
	r = postgres_run(ctx, "SELECT id FROM prong_outbox WHERE id = ANY ($1::uuid[]) AND dead_at IS NULL",
			 PRONG_PARAMETERS(postgres_array(ctx, ids, count)), &rows);
	for (size_t i = 0; r == 0 && i < postgres_result_rows(rows); i++)
		r = bury(ctx, queue, postgres_result_text(rows, i, 0));
	return r;
}

static int bury_dead_of(struct runtime *runtime, const char *queue)
{
	size_t offset = 0, count;
	int r;

	do {
		struct job_listing *dead;
		struct prong_ctx ctx;

		context_init(&ctx, runtime);
		r = job_queue_list(runtime->jobs, queue, JOB_STATE_DEAD, offset, PAGE, &ctx.arena, &dead, &count);
		if (r == 0 && count > 0)
			r = bury_unmarked(&ctx, queue, dead, count);
		context_end(&ctx);
		offset += PAGE;
	} while (r == 0 && count == PAGE);
	return r;
}

static int bury_dead(struct runtime *runtime)
{
	int r = 0;

	for (size_t i = 0; i < runtime->registry->n_queues && r == 0; i++)
		r = bury_dead_of(runtime, runtime->registry->queues[i].name);
	return r;
}

/* ---- when ---- */

/* Notes whether Redis was emptied since the last look, or it is the first. */
static int look_at_epochs(struct reconciler *reconciler)
{
	const struct runtime *runtime = reconciler->scheduler->runtime;

	for (size_t i = 0; i < runtime->registry->n_queues; i++) {
		char epoch[PRONG_UUID_TEXT_SIZE];
		int r = job_queue_epoch(runtime->jobs, runtime->registry->queues[i].name, epoch);

		if (r < 0)
			return r;
		if (string_equal(epoch, reconciler->epochs[i]))
			continue;
		memcpy(reconciler->epochs[i], epoch, sizeof(epoch));
		reconciler->emptied = true;
	}
	return 0;
}

static void begin_pass(struct reconciler *reconciler)
{
	reconciler->passing = true;
	reconciler->hurrying = reconciler->emptied;
	reconciler->emptied = false;
	reconciler->n_foreign = 0;
	strcpy(reconciler->last, NIL_UUID);
}

static int end_pass(struct reconciler *reconciler)
{
	int r = bury_dead(reconciler->scheduler->runtime);

	if (r == 0)
		r = count_foreign(reconciler);
	if (r < 0)
		return r;
	tell_of_foreign(reconciler);
	reconciler->passing = false;
	reconciler->pass_at = monotonic_us() + (reconciler->hurrying ? PASS_AGAIN : PASS_EVERY);
	return 0;
}

static int proceed(struct reconciler *reconciler)
{
	struct prong_ctx ctx;
	int r;

	context_init(&ctx, reconciler->scheduler->runtime);
	r = look_at_next_page(reconciler, &ctx);
	context_end(&ctx);
	return r == 0 ? end_pass(reconciler) : r;
}

/* Does the next step; returns how long to sleep then. */
static prong_duration step(struct reconciler *reconciler)
{
	int64_t now = monotonic_us();

	if (now >= reconciler->look_at) {
		if (look_at_epochs(reconciler) < 0)
			return EVERY;
		reconciler->look_at = now + EVERY;
	}
	if (reconciler->emptied || (!reconciler->passing && now >= reconciler->pass_at))
		begin_pass(reconciler);
	if (!reconciler->passing)
		return EVERY;
	if (proceed(reconciler) < 0)
		return EVERY;
	return reconciler->hurrying ? 0 : PAUSE;
}

void reconciler_main(struct scheduler *scheduler)
{
	struct reconciler reconciler = {
		.scheduler = scheduler,
		.epochs = allocate_array(scheduler->runtime->registry->n_queues, sizeof(*reconciler.epochs)),
	};

	while (scheduler_sleep(scheduler, step(&reconciler)))
		continue;
	free(reconciler.epochs);
}
