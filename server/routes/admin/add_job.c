#include "common/context.h"
#include "common/jobs/job_payload.h"
#include "common/jobs/job_queue.h"
#include "server/routes/admin/admin.h"

/* The payload's errors, as those of the body that it is a part of. */
static int refuse_payload(struct prong_ctx *ctx, struct schema_errors *errors)
{
	int r;

	for (size_t i = 0; i < errors->count; i++)
		errors->items[i].pointer = prong_format(ctx, "/payload%s", errors->items[i].pointer);
	r = prong_fail(ctx, 422, "invalid_body", "The body does not fit: see errors.");
	ctx->problem.errors = errors;
	return r;
}

static int bind_payload(struct prong_ctx *ctx, const struct prong_job *job, const char *text, void **ret_record)
{
	struct schema_errors *errors = prong_alloc(ctx, sizeof(*errors));
	const char *detail;

	/* The text is a part of a body that was well-formed. */
	if (job_payload_bind(job, text, text ? strlen(text) : 0, &ctx->arena, ret_record, &detail, errors) < 0)
		return refuse_payload(ctx, errors);
	return 0;
}

static prong_duration duration(prong_opt_double seconds)
{
	return seconds.set ? (prong_duration)(seconds.value * (double)PRONG_SECONDS(1)) : 0;
}

int admin_add_job(struct prong_ctx *ctx)
{
	const struct admin_new_job *in = prong_body(ctx, admin_new_job);
	const struct prong_job *job = registry_job(ctx->runtime->registry, in->name);
	struct admin_added_job added = { 0 };
	struct prong_enqueue_options options;
	const char *mistake;
	void *record;
	int r;

	if (!job)
		return prong_fail(ctx, 404, "unknown_job", "No list of the application has the job %s.", in->name);
	r = bind_payload(ctx, job, in->payload.text, &record);
	if (r < 0)
		return r;
	options = (struct prong_enqueue_options){
		.delay = duration(in->delay),
		.at = in->at.set ? in->at.value : (prong_time){ 0 },
		.priority = in->priority.set ? in->priority.value : 0,
		.key = in->key,
		.expires = duration(in->expires),
		.unique = in->unique,
		.unique_until = in->unique_until,
		.throttle = duration(in->throttle),
		.debounce = duration(in->debounce),
		.durable = in->durable,
		.ret_id = &added.id,
	};
	mistake = job_options_mistake(job, &options);
	if (mistake)
		return prong_fail_field(ctx, "", "value", "The options are wrong: %s.", mistake);
	r = prong_job_enqueue(ctx, job, record, job->payload ? job->payload->size : 0, &options);
	if (r < 0)
		return r;
	added.existing = r == 1;
	added.queue = job_queue_name(job);
	if (!added.existing)
		admin_log(ctx, "enqueued the job %s of the queue %s", job->name, added.queue);
	return prong_reply(ctx, added.existing ? 200 : 201, admin_added_job, &added);
}
