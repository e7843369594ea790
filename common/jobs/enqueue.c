/* The public calls of include/prong/job.h. */
#include "common/context.h"
#include "common/jobs/job_queue.h"
#include "common/log.h"
#include "common/schema/schema.h"

/* A reply lost with the connection, not a server that stayed away for the second that commands wait for one. */
static bool worth_repeating(int result, int64_t started)
{
	return result == -EHOSTDOWN && monotonic_us() - started < PRONG_SECONDS(1);
}

/* With one id, so that what was enqueued although its reply was lost exists once. */
static int add(struct prong_ctx *ctx, const struct prong_job *job, const struct buffer *payload)
{
	prong_uuid id = prong_uuid_make();
	int64_t started = monotonic_us();
	int r;

	do
		r = job_queue_add(ctx->runtime->jobs, job, id, payload->data, payload->size, ctx->request_id, NULL);
	while (worth_repeating(r, started));
	return r;
}

static int refuse_payload(struct prong_ctx *ctx, const struct prong_job *job, const struct schema_error *error)
{
	return prong_fail(ctx, 422, "invalid_payload", "The payload of the job %s does not fit at %s: %s", job->name,
			  error->pointer, error->detail);
}

/* Mostly the address of a pointer, or another job's record. What is behind a void pointer has GNU C's size of 1. */
static bool is_of_size(const struct prong_job *job, size_t record_size)
{
	return !job->payload || record_size == 1 || record_size == job->payload->size;
}

int prong_job_enqueue(struct prong_ctx *ctx, const struct prong_job *job, const void *record, size_t record_size)
{
	struct buffer payload = { 0 };
	int r;

	check(ctx->runtime->jobs);
	if (!registry_job(ctx->runtime->registry, job->name)) {
		log_error("the job %s is in no list: add it to the application's PRONG_JOBS()", job->name);
		return prong_fail(ctx, 500, "unknown_job", "Something went wrong here.");
	}
	if (!is_of_size(job, record_size)) {
		log_error("prong_enqueue(%s): the record has %zu bytes, its payload, struct %s, has %zu", job->name,
			  record_size, job->payload->name, job->payload->size);
		return prong_fail(ctx, 500, "wrong_payload", "Something went wrong here.");
	}
	if (job->payload) {
		struct schema_errors *errors = arena_alloc(&ctx->arena, sizeof(*errors));

		check(record);
		if (schema_validate(job->payload, record, &ctx->arena, errors) < 0)
			return refuse_payload(ctx, job, &errors->items[0]);
		schema_write_json(job->payload, SCHEMA_PAYLOAD, record, &payload);
	}
	r = add(ctx, job, &payload);
	buffer_free(&payload);
	return r;
}

const void *prong_payload_of(const struct prong_ctx *ctx, const struct prong_schema *schema)
{
	if (!ctx->delivery)
		panic("prong_payload() in a handler: it is for jobs");
	if (!schema_is(ctx->input_schema, schema))
		panic("prong_payload() with the schema %s, the job's .payload is %s", schema->name,
		      ctx->input_schema ? ctx->input_schema->name : "none");
	return ctx->input;
}

int prong_job_attempt(const struct prong_ctx *ctx)
{
	if (!ctx->delivery)
		panic("prong_job_attempt() in a handler: it is for jobs");
	return ctx->delivery->attempt;
}
