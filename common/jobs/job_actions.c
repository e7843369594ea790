#include "common/jobs/job_actions.h"

#include <json-c/json.h>

#include "common/context.h"
#include "common/jobs/job_engine.h"
#include "common/jobs/outbox.h"
#include "common/json.h"

#define FINISH_TRIES 5 /* each waits a second for the relay */

/* ---- retry ---- */

/* A dead one that Redis does not have any more is put there again by the relay. */
static int retry_lost(struct prong_ctx *ctx, const char *id)
{
	int r = outbox_revive(ctx, &id, 1);

	return r == 0 ? -ENOENT : r < 0 ? r : 0;
}

int job_retry(struct prong_ctx *ctx, const char *queue, const char *id)
{
	struct job_detail detail;
	int r = job_queue_show(ctx->runtime->jobs, queue, id, &ctx->arena, &detail), revived = 0;

	if (r == -ENOENT)
		return retry_lost(ctx, id);
	if (r == 0)
		r = job_queue_retry(ctx->runtime->jobs, queue, &id, 1);
	/* Also of one that is not dead: a retry may have been cut off here. */
	if (r >= 0 && detail.listing.durable)
		revived = outbox_revive(ctx, &id, 1);
	if (r < 0 || revived < 0)
		return r < 0 ? r : revived;
	return r > 0 || revived > 0 ? 0 : -EALREADY;
}

/* What job_retry_dead() is about. */
struct dead_filter {
	const char *queue, *name, *code;
	prong_time until; /* who died later is left */
};

static bool has_code(struct prong_ctx *ctx, const char *error, const char *code)
{
	_cleanup_(json_object_putp) struct json_object *object = NULL;
	struct json_object *value;
	const char *detail;

	return error && json_parse(error, strlen(error), &ctx->arena, &object, &detail) == 0 &&
	       json_object_object_get_ex(object, "code", &value) && string_equal(json_object_get_string(value), code);
}

static bool matches(struct prong_ctx *ctx, const struct dead_filter *filter, const struct job_listing *job)
{
	if (job->at.us > filter->until.us || (filter->name && !string_equal(filter->name, job->name)))
		return false;
	return !filter->code || has_code(ctx, job->error, filter->code);
}

/* Redis first: what is dead there and living in the outbox is found by the reconciler, the other way would be lost. */
static int retry_some(struct prong_ctx *ctx, const char *queue, const struct job_listing *const jobs[], size_t count)
{
	const char **ids = prong_alloc(ctx, (count + 1) * sizeof(*ids));
	size_t n_durable = 0;
	int retried, r = 0;

	for (size_t i = 0; i < count; i++)
		ids[i] = jobs[i]->id;
	retried = job_queue_retry(ctx->runtime->jobs, queue, ids, count);
	if (retried < 0)
		return retried;
	for (size_t i = 0; i < count; i++)
		if (jobs[i]->durable)
			ids[n_durable++] = jobs[i]->id;
	if (n_durable)
		r = outbox_revive(ctx, ids, n_durable);
	return r < 0 ? r : retried;
}

/* One page of the dead; `*offset` is where the next begins: behind those that stayed. */
static int retry_page(struct prong_ctx *ctx, struct dead_filter *filter, int64_t limit, size_t *offset,
		      size_t *ret_listed)
{
	const struct job_listing **chosen = prong_alloc(ctx, JOB_BATCH * sizeof(*chosen));
	struct job_listing *jobs;
	size_t listed, count = 0;
	int r = job_queue_list(ctx->runtime->jobs, filter->queue, JOB_STATE_DEAD, *offset, JOB_BATCH, &ctx->arena,
			       &jobs, &listed);

	if (r < 0)
		return r;
	for (size_t i = 0; i < listed && (int64_t)count < limit; i++)
		if (matches(ctx, filter, &jobs[i]))
			chosen[count++] = &jobs[i];
	*offset += listed - count;
	*ret_listed = listed;
	return count ? retry_some(ctx, filter->queue, chosen, count) : 0;
}

/* The server's clock, by which jobs are buried. */
static int read_clock(struct prong_ctx *ctx, prong_time *ret_time)
{
	_cleanup_(reply_freep) redisReply *reply = NULL;
	int r = redis_commandf(ctx->runtime->redis, JOB_TIMEOUT, &reply, "TIME");

	if (r < 0)
		return r;
	if (!reply_is_list(reply, 2) || reply->elements != 2)
		return -EIO;
	ret_time->us =
		PRONG_SECONDS(strtoll(reply->element[0]->str, NULL, 10)) + strtoll(reply->element[1]->str, NULL, 10);
	return 0;
}

int64_t job_retry_dead(struct prong_ctx *ctx, const char *queue, const char *name, const char *code, int64_t limit)
{
	struct dead_filter filter = { .queue = queue, .name = name, .code = code };
	size_t offset = 0, listed = JOB_BATCH;
	int64_t retried = 0;
	int r = read_clock(ctx, &filter.until);

	while (r >= 0 && retried < limit && listed == JOB_BATCH) {
		r = retry_page(ctx, &filter, limit - retried, &offset, &listed);
		retried += r > 0 ? r : 0;
	}
	return r < 0 ? r : retried;
}

/* ---- cancel ---- */

int job_cancel(struct prong_ctx *ctx, const char *queue, const char *id)
{
	struct job_detail detail;
	int r = job_queue_show(ctx->runtime->jobs, queue, id, &ctx->arena, &detail), finished = 0;

	if (r < 0 && r != -ENOENT)
		return r;
	/* What is not in Redis may be on its way from the outbox. */
	if (r == -ENOENT || detail.listing.durable)
		finished = outbox_finish(ctx, &id, 1);
	if (finished < 0)
		return finished;
	r = job_queue_cancel(ctx->runtime->jobs, queue, id);
	return r == -ENOENT && finished > 0 ? 0 : r;
}

/* ---- drain ---- */

struct draining {
	struct prong_ctx *ctx;
	const char *queue;
};

/* The reconciler was quick and has had them put back before their rows went: nobody does so any more. */
static int remove_again(const struct draining *draining, const char *const ids[], size_t count)
{
	struct job_queue *jobs = draining->ctx->runtime->jobs;
	bool *missing = prong_alloc(draining->ctx, count);
	int r = job_queue_missing(jobs, draining->queue, ids, count, missing);

	for (size_t i = 0; r >= 0 && i < count; i++)
		if (!missing[i]) {
			r = job_queue_cancel(jobs, draining->queue, ids[i]);
			r = r == -ENOENT ? 0 : r;
		}
	return r < 0 ? r : 0;
}

static int on_drained(void *argument, const char *const ids[], size_t count)
{
	const struct draining *draining = argument;
	int r = -EAGAIN;

	for (int i = 0; i < FINISH_TRIES && r == -EAGAIN; i++)
		r = outbox_finish(draining->ctx, ids, count);
	return r < 0 ? r : remove_again(draining, ids, count);
}

int64_t job_drain(struct prong_ctx *ctx, const char *queue, enum job_state state)
{
	struct draining draining = { ctx, queue };

	return job_queue_drain(ctx->runtime->jobs, queue, state, on_drained, &draining);
}
