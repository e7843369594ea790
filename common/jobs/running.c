#include "common/jobs/running.h"

#include <prong/job.h>

#include <inttypes.h>
#include <stdio.h>

#include "common/jobs/job_queue.h"
#include "common/schema/schema.h"

#define MAX_RETRY_AFTER PRONG_DAYS(3660) /* as delays of an enqueue */

struct job_notes *job_notes_of(const struct prong_ctx *ctx, const char *call)
{
	if (!ctx->delivery)
		panic("%s in a handler: it is for jobs", call);
	return ctx->notes;
}

void job_notes_free(struct job_notes *notes)
{
	buffer_free(&notes->result);
}

void job_notes_write(const struct job_notes *notes, struct buffer *out)
{
	unsigned first = notes->n_lines > JOB_LOG_LINES ? notes->n_lines - JOB_LOG_LINES : 0;

	buffer_add_format(out, "{\"done\":%" PRId64 ",\"total\":%" PRId64 ",\"log\":[", notes->done, notes->total);
	for (unsigned i = first; i < notes->n_lines; i++) {
		const char *line = notes->lines[i % JOB_LOG_LINES];

		if (i > first)
			buffer_add_char(out, ',');
		buffer_add_json_string(out, line, strlen(line));
	}
	buffer_add_literal(out, "]}");
}

prong_uuid prong_job_id(const struct prong_ctx *ctx)
{
	prong_uuid id = { 0 };

	job_notes_of(ctx, "prong_job_id()");
	prong_uuid_parse(ctx->delivery->id, &id);
	return id;
}

int prong_job_attempt(const struct prong_ctx *ctx)
{
	job_notes_of(ctx, "prong_job_attempt()");
	return ctx->delivery->attempt;
}

prong_time prong_job_scheduled_for(const struct prong_ctx *ctx)
{
	job_notes_of(ctx, "prong_job_scheduled_for()");
	return ctx->delivery->scheduled_for;
}

static void note_change(struct prong_ctx *ctx)
{
	ctx->notes->changed = true;
	if (ctx->notes->on_change)
		ctx->notes->on_change(ctx);
}

void prong_progress(struct prong_ctx *ctx, int64_t done, int64_t total)
{
	struct job_notes *notes = job_notes_of(ctx, "prong_progress()");

	if (notes->done == done && notes->total == total)
		return;
	notes->done = done;
	notes->total = total;
	note_change(ctx);
}

void job_notes_add_line(struct prong_ctx *ctx, const char *text)
{
	struct job_notes *notes = ctx->notes;
	char *line;

	if (!notes->lines)
		notes->lines = arena_alloc(&ctx->arena, JOB_LOG_LINES * sizeof(*notes->lines));
	line = notes->lines[notes->n_lines++ % JOB_LOG_LINES];
	snprintf(line, sizeof(*notes->lines), "%s", text);
	note_change(ctx);
}

void prong_job_log(struct prong_ctx *ctx, const char *format, ...)
{
	_cleanup_(freep) char *text = NULL;
	va_list arguments;

	job_notes_of(ctx, "prong_job_log()");
	va_start(arguments, format);
	text = vformat_text(format, arguments);
	va_end(arguments);
	prong_log(ctx, PRONG_LOG_INFO, "%s", text);
	job_notes_add_line(ctx, text);
}

/* A schema of the program other than the one that is declared is a mistake of the program. */
static void check_result_schema(const struct prong_ctx *ctx, const struct prong_schema *schema)
{
	const struct prong_job *job = registry_job(ctx->runtime->registry, ctx->delivery->name);
	const struct prong_schema *declared = job ? job->result : NULL;

	if (!schema_is(declared, schema))
		panic("prong_result() with the schema %s, the job's .result is %s", schema->name,
		      declared ? declared->name : "none");
}

int prong_job_result(struct prong_ctx *ctx, const struct prong_schema *schema, const void *record)
{
	struct job_notes *notes = job_notes_of(ctx, "prong_result()");
	struct schema_errors *errors = arena_alloc(&ctx->arena, sizeof(*errors));

	check_result_schema(ctx, schema);
	if (schema_validate(schema, record, &ctx->arena, errors) < 0)
		return prong_fail(ctx, 422, "invalid_result", "The job's result does not fit at %s: %s",
				  errors->items[0].pointer, errors->items[0].detail);
	notes->result.size = 0;
	schema_write_json(schema, SCHEMA_PAYLOAD, record, &notes->result);
	if (notes->result.size <= JOB_MAX_RESULT)
		return 0;
	prong_fail(ctx, 413, "large_result", "The job's result has %zu bytes as JSON, more than the %d that are kept.",
		   notes->result.size, JOB_MAX_RESULT);
	notes->result.size = 0;
	return -EMSGSIZE;
}

/* Records the error of an attempt; a status means nothing to a job. */
static void record_error(struct prong_ctx *ctx, const char *code, const char *format, va_list arguments)
	__attribute__((format(printf, 3, 0)));
static void record_error(struct prong_ctx *ctx, const char *code, const char *format, va_list arguments)
{
	ctx->problem = (struct problem){
		.status = 500,
		.code = arena_strdup(&ctx->arena, code),
		.detail = arena_vformat(&ctx->arena, format, arguments),
	};
}

int prong_retry_after(struct prong_ctx *ctx, prong_duration delay, const char *code, const char *format, ...)
{
	struct job_notes *notes = job_notes_of(ctx, "prong_retry_after()");
	va_list arguments;

	va_start(arguments, format);
	record_error(ctx, code, format, arguments);
	va_end(arguments);
	notes->postponed = true;
	notes->retry_after = delay < 0 ? 0 : delay > MAX_RETRY_AFTER ? MAX_RETRY_AFTER : delay;
	return -EAGAIN;
}

int prong_fail_for_good(struct prong_ctx *ctx, const char *code, const char *format, ...)
{
	struct job_notes *notes = job_notes_of(ctx, "prong_fail_for_good()");
	va_list arguments;

	va_start(arguments, format);
	record_error(ctx, code, format, arguments);
	va_end(arguments);
	notes->final = true;
	return -EINVAL;
}
