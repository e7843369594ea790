#include "common/context.h"
#include "common/jobs/job_queue.h"
#include "server/routes/admin/admin.h"

#define PAGE 1000

/* Why an action found nothing to act on. */
static int refuse(struct prong_ctx *ctx, const char *queue, const char *id, const char *code, const char *reason)
{
	struct job_detail detail;
	int r = job_queue_show(ctx->runtime->jobs, queue, id, &ctx->arena, &detail);

	if (r < 0)
		return r == -ENOENT ? admin_no_job(ctx) : r;
	return prong_fail(ctx, 409, code, "%s", reason);
}

int admin_retry_job(struct prong_ctx *ctx)
{
	char id[PRONG_UUID_TEXT_SIZE];
	const char *queue;
	int r;

	r = admin_path_job(ctx, &queue, id);
	if (r < 0)
		return r;
	r = job_queue_retry(ctx->runtime->jobs, queue, (const char *const[]){ id }, 1);
	if (r == 0)
		return refuse(ctx, queue, id, "not_dead", "Only dead jobs are retried by hand; this one is not.");
	if (r < 0)
		return r;
	admin_log(ctx, "retried the job %s of the queue %s", id, queue);
	return prong_reply_empty(ctx, 204);
}

int admin_cancel_job(struct prong_ctx *ctx)
{
	char id[PRONG_UUID_TEXT_SIZE];
	const char *queue;
	int r;

	r = admin_path_job(ctx, &queue, id);
	if (r < 0)
		return r;
	r = job_queue_cancel(ctx->runtime->jobs, queue, id);
	if (r == -ENOENT)
		return refuse(ctx, queue, id, "finished", "The job is done; only its result is left.");
	if (r < 0)
		return r;
	admin_log(ctx, "cancelled the job %s of the queue %s", id, queue);
	return prong_reply_empty(ctx, 204);
}

/* ---- the dead of a filter ---- */

static bool matches(struct prong_ctx *ctx, const struct admin_dead_filter *filter, const struct job_listing *listing)
{
	struct admin_job job;

	if (filter->name && !string_equal(filter->name, listing->name))
		return false;
	if (!filter->code)
		return true;
	admin_describe(ctx, listing, &job);
	return job.error && job.error->code && string_equal(job.error->code, filter->code);
}

/* Retries those of one page; `*offset` is where the next one begins: behind those that stayed. */
static int retry_page(struct prong_ctx *ctx, const struct admin_dead_filter *filter, const char *queue, size_t *offset,
		      size_t *ret_listed)
{
	const char **ids = prong_alloc(ctx, PAGE * sizeof(*ids));
	struct job_listing *listings;
	size_t listed, count = 0;
	int r;

	r = job_queue_list(ctx->runtime->jobs, queue, JOB_STATE_DEAD, *offset, PAGE, &ctx->arena, &listings, &listed);
	if (r < 0)
		return r;
	for (size_t i = 0; i < listed; i++)
		if (matches(ctx, filter, &listings[i]))
			ids[count++] = listings[i].id;
	*ret_listed = listed;
	*offset += listed - count;
	return count ? job_queue_retry(ctx->runtime->jobs, queue, ids, count) : 0;
}

static int retry_queue(struct prong_ctx *ctx, const struct admin_dead_filter *filter, const char *queue, int64_t *count)
{
	size_t offset = 0, listed;
	int r;

	do {
		r = retry_page(ctx, filter, queue, &offset, &listed);
		if (r < 0)
			return r;
		*count += r;
	} while (listed == PAGE);
	return 0;
}

int admin_retry_jobs(struct prong_ctx *ctx)
{
	const struct admin_dead_filter *filter = prong_body(ctx, admin_dead_filter);
	const struct registry *registry = ctx->runtime->registry;
	struct admin_retried retried = { 0 };
	int r = filter->queue ? admin_check_queue(ctx, filter->queue) : 0;

	if (r < 0)
		return r;
	if (!filter->queue && !filter->name && !filter->code)
		return prong_fail(ctx, 422, "empty_filter", "Say which jobs: by queue, name, or the error's code.");
	for (size_t i = 0; i < registry->n_queues && r == 0; i++)
		if (!filter->queue || string_equal(filter->queue, registry->queues[i].name))
			r = retry_queue(ctx, filter, registry->queues[i].name, &retried.count);
	if (retried.count)
		admin_log(ctx, "retried %lld dead jobs", (long long)retried.count);
	if (r < 0)
		return r;
	return prong_reply(ctx, 200, admin_retried, &retried);
}
