#include "common/context.h"
#include "common/jobs/job_actions.h"
#include "server/routes/admin/admin.h"

/* Why there was nothing to cancel. */
static int refuse_cancel(struct prong_ctx *ctx, const char *queue, const char *id)
{
	struct job_detail detail;
	int r = job_queue_show(ctx->runtime->jobs, queue, id, &ctx->arena, &detail);

	if (r < 0)
		return r == -ENOENT ? admin_no_job(ctx) : r;
	return prong_fail(ctx, 409, "finished", "The job is done; only its result is left.");
}

int admin_retry_job(struct prong_ctx *ctx)
{
	char id[PRONG_UUID_TEXT_SIZE];
	const char *queue;
	int r;

	r = admin_path_job(ctx, &queue, id);
	if (r < 0)
		return r;
	r = job_retry(ctx, queue, id);
	if (r == -ENOENT)
		return admin_no_job(ctx);
	if (r == -EALREADY)
		return prong_fail(ctx, 409, "not_dead", "Only dead jobs are retried by hand; this one is not.");
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
	r = job_cancel(ctx, queue, id);
	if (r == -ENOENT)
		return refuse_cancel(ctx, queue, id);
	if (r < 0)
		return r;
	admin_log(ctx, "cancelled the job %s of the queue %s", id, queue);
	return prong_reply_empty(ctx, 204);
}

int admin_retry_jobs(struct prong_ctx *ctx)
{
	const struct admin_dead_filter *filter = prong_body(ctx, admin_dead_filter);
	const struct registry *registry = ctx->runtime->registry;
	struct admin_retried retried = { 0 };
	int64_t r = filter->queue ? admin_check_queue(ctx, filter->queue) : 0;

	if (r < 0)
		return (int)r;
	if (!filter->queue && !filter->name && !filter->code)
		return prong_fail(ctx, 422, "empty_filter", "Say which jobs: by queue, name, or the error's code.");
	for (size_t i = 0; i < registry->n_queues && r >= 0; i++) {
		if (filter->queue && !string_equal(filter->queue, registry->queues[i].name))
			continue;
		r = job_retry_dead(ctx, registry->queues[i].name, filter->name, filter->code, INT64_MAX);
		retried.count += r > 0 ? r : 0;
	}
	if (retried.count)
		admin_log(ctx, "retried %lld dead jobs", (long long)retried.count);
	if (r < 0)
		return (int)r;
	return prong_reply(ctx, 200, admin_retried, &retried);
}
