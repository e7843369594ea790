#include "common/context.h"
#include "common/jobs/job_payload.h"
#include "common/jobs/job_queue.h"
#include "common/schema/schema.h"
#include "server/routes/admin/admin.h"

#define DEFAULT_LIMIT 50

/* JSON that processes of ours wrote, as a record; NULL where it is absent or not to be understood. */
static void *read_record(struct prong_ctx *ctx, const struct prong_schema *schema, const char *text)
{
	struct schema_errors errors;
	void *record = NULL;
	const char *detail;

	if (text)
		schema_bind_json(schema, SCHEMA_PAYLOAD, text, strlen(text), &ctx->arena, &record, &detail, &errors);
	return record;
}

static prong_opt_time optional_time(prong_time time)
{
	return (prong_opt_time){ time.us != 0, time };
}

static const char *optional_text(const char *text)
{
	return text && *text ? text : NULL;
}

static void describe(struct prong_ctx *ctx, const struct job_listing *listing, struct admin_job *ret_job)
{
	struct admin_job job = {
		.queue = listing->queue,
		.name = listing->name,
		.state = job_state_names[listing->state],
		.attempt = { true, listing->attempt },
		.max_attempts = { true, listing->max_attempts },
		.crashes = { true, listing->crashes },
		.enqueued_at = optional_time(listing->enqueued_at),
		.at = optional_time(listing->at),
		.key = optional_text(listing->key),
		.durable = { true, listing->durable },
		.owner = optional_text(listing->owner),
		.error = read_record(ctx, &admin_job_error_schema, listing->error),
	};

	prong_uuid_parse(listing->id, &job.id);
	*ret_job = job;
}

/* ---- the list ---- */

struct list {
	struct admin_job *jobs;
	size_t count, limit, offset;
};

static int add_state(struct prong_ctx *ctx, struct list *list, const char *queue, enum job_state state)
{
	struct job_listing *listings;
	size_t count;
	int r;

	if (list->count == list->limit)
		return 0;
	r = job_queue_list(ctx->runtime->jobs, queue, state, list->offset, list->limit - list->count, &ctx->arena,
			   &listings, &count);
	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++)
		describe(ctx, &listings[i], &list->jobs[list->count++]);
	return 0;
}

static int add_queue(struct prong_ctx *ctx, struct list *list, const char *queue, const char *state)
{
	int r = 0;

	for (int i = 0; i < JOB_STATES && r == 0; i++)
		if (!state || string_equal(state, job_state_names[i]))
			r = add_state(ctx, list, queue, (enum job_state)i);
	return r;
}

int admin_list_jobs(struct prong_ctx *ctx)
{
	const struct admin_job_filter *filter = prong_query_string(ctx, admin_job_filter);
	const struct registry *registry = ctx->runtime->registry;
	struct list list = { .limit = filter->limit.set ? (size_t)filter->limit.value : DEFAULT_LIMIT };
	int r = filter->queue ? admin_check_queue(ctx, filter->queue) : 0;

	if (r < 0)
		return r;
	if (filter->offset.set) {
		if (!filter->queue || !filter->state)
			return prong_fail(ctx, 400, "invalid_query", "Give offset only with queue and state.");
		list.offset = (size_t)filter->offset.value;
	}
	list.jobs = prong_alloc(ctx, list.limit * sizeof(*list.jobs));
	for (size_t i = 0; i < registry->n_queues && r == 0; i++)
		if (!filter->queue || string_equal(filter->queue, registry->queues[i].name))
			r = add_queue(ctx, &list, registry->queues[i].name, filter->state);
	if (r < 0)
		return r;
	return prong_reply_list(ctx, 200, admin_job, list.jobs, list.count);
}

/* ---- one job ---- */

int admin_show_job(struct prong_ctx *ctx)
{
	const struct registry *registry = ctx->runtime->registry;
	struct job_detail detail;
	struct admin_job job;
	const char *queue;
	char id[PRONG_UUID_TEXT_SIZE];
	int r;

	r = admin_path_job(ctx, &queue, id);
	if (r < 0)
		return r;
	r = job_queue_show(ctx->runtime->jobs, queue, id, &ctx->arena, &detail);
	if (r == -ENOENT)
		return admin_no_job(ctx);
	if (r < 0)
		return r;

	if (detail.finished) {
		job = (struct admin_job){ .queue = queue, .state = "done" };
		prong_uuid_parse(id, &job.id);
	} else {
		describe(ctx, &detail.listing, &job);
	}
	job.report = read_record(ctx, &admin_job_report_schema, detail.report);
	job.header.text = detail.header;
	job.payload.text = job_payload_shown(registry, job.name, detail.payload, &ctx->arena);
	job.result.text = job_result_shown(registry, queue, job.name, detail.result, &ctx->arena);
	return prong_reply(ctx, 200, admin_job, &job);
}
