#include "common/context.h"
#include "common/jobs/job_queue.h"
#include "server/routes/admin/admin.h"

static int look(struct prong_ctx *ctx, const char *name, struct admin_queue *ret_queue)
{
	struct job_stats stats;
	int r = job_queue_stats(ctx->runtime->jobs, name, &stats);

	if (r < 0)
		return r;
	*ret_queue = (struct admin_queue){
		.name = name,
		.ready = (int64_t)stats.states[JOB_STATE_READY],
		.delayed = (int64_t)stats.states[JOB_STATE_DELAYED],
		.running = (int64_t)stats.states[JOB_STATE_RUNNING],
		.dead = (int64_t)stats.states[JOB_STATE_DEAD],
		.oldest_seconds = { stats.oldest > 0, (double)stats.oldest / PRONG_SECONDS(1) },
		.paused = stats.paused,
		.bytes = stats.bytes,
		.consumers = (int32_t)stats.consumers,
	};
	return 0;
}

int admin_list_queues(struct prong_ctx *ctx)
{
	const struct registry *registry = ctx->runtime->registry;
	struct admin_queue *queues = prong_alloc(ctx, (registry->n_queues + 1) * sizeof(*queues));
	int r;

	for (size_t i = 0; i < registry->n_queues; i++) {
		r = look(ctx, registry->queues[i].name, &queues[i]);
		if (r < 0)
			return r;
	}
	return prong_reply_list(ctx, 200, admin_queue, queues, registry->n_queues);
}

static int set_paused(struct prong_ctx *ctx, bool paused)
{
	const char *name = prong_path(ctx, "queue");
	struct admin_queue queue;
	int r;

	r = admin_check_queue(ctx, name);
	if (r < 0)
		return r;
	r = job_queue_pause(ctx->runtime->jobs, name, paused);
	if (r < 0)
		return r;
	admin_log(ctx, "%s the queue %s", paused ? "paused" : "resumed", name);
	r = look(ctx, name, &queue);
	if (r < 0)
		return r;
	return prong_reply(ctx, 200, admin_queue, &queue);
}

int admin_pause_queue(struct prong_ctx *ctx)
{
	return set_paused(ctx, true);
}

int admin_resume_queue(struct prong_ctx *ctx)
{
	return set_paused(ctx, false);
}
