#include "common/context.h"

#include <prong/database.h>

#include <stdio.h>

#include "common/jobs/job_queue.h"
#include "common/json.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/schema/schema.h"
#include "common/scope.h"

void context_init(struct prong_ctx *ctx, struct runtime *runtime)
{
	*ctx = (struct prong_ctx){ .runtime = runtime };
	arena_init(&ctx->arena);
}

void context_end(struct prong_ctx *ctx)
{
	prong_rollback(ctx);
	arena_reset(&ctx->arena);
}

void *prong_alloc(struct prong_ctx *ctx, size_t size)
{
	return arena_alloc(&ctx->arena, size);
}

char *prong_strdup(struct prong_ctx *ctx, const char *text)
{
	return arena_strdup(&ctx->arena, text);
}

char *prong_format(struct prong_ctx *ctx, const char *format, ...)
{
	va_list arguments;
	char *text;

	va_start(arguments, format);
	text = arena_vformat(&ctx->arena, format, arguments);
	va_end(arguments);
	return text;
}

/*
 * What a negative result means where nothing better was recorded, and the reverse for prong_fail(): the first row of a
 * status is the errno that stands for it.
 */
static const struct meaning {
	int result;
	struct problem problem;
} meanings[] = {
	{ -ENOENT, { 404, "not_found", "There is no such thing.", NULL, 0 } },
	{ -EEXIST, { 409, "conflict", "It conflicts with something that exists already.", NULL, 0 } },
	{ -EINVAL,
	  { 422, "invalid_value", "A value was refused: out of its range, or referring to nothing.", NULL, 0 } },
	{ -EACCES, { 403, "forbidden", "This is not allowed.", NULL, 0 } },
	{ -EHOSTDOWN, { 503, "unavailable", "Something this depends on is not available. Try again.", NULL, 2 } },
	{ -EAGAIN, { 503, "busy", "Too much is going on at once. Try again.", NULL, 1 } },
	{ -EBUSY, { 503, "busy", "Something this depends on is busy. Try again.", NULL, 2 } },
	{ -ENOMEM, { 503, "unavailable", "Something this depends on is full. Try again later.", NULL, 30 } },
	{ -EROFS, { 503, "unavailable", "Something this depends on takes no changes now. Try again.", NULL, 5 } },
	{ -ETIMEDOUT, { 504, "timeout", "It took too long and was given up.", NULL, 0 } },
	{ -ECANCELED, { 503, "cancelled", "It was cancelled.", NULL, 1 } },
};

struct problem context_problem(const struct prong_ctx *ctx, int result)
{
	if (ctx->problem.status)
		return ctx->problem;
	for (size_t i = 0; i < ARRAY_SIZE(meanings); i++)
		if (meanings[i].result == result)
			return meanings[i].problem;
	return (struct problem){ .status = 500, .code = "internal", .detail = "Something went wrong here." };
}

int prong_fail(struct prong_ctx *ctx, int status, const char *code, const char *format, ...)
{
	va_list arguments;

	check(status >= 400 && status <= 599);
	va_start(arguments, format);
	ctx->problem = (struct problem){
		.status = status,
		.code = arena_strdup(&ctx->arena, code),
		.detail = arena_vformat(&ctx->arena, format, arguments),
	};
	va_end(arguments);
	for (size_t i = 0; i < ARRAY_SIZE(meanings); i++)
		if (meanings[i].problem.status == status) {
			ctx->problem.retry_after = meanings[i].problem.retry_after;
			return meanings[i].result;
		}
	return -EINVAL;
}

int prong_fail_field(struct prong_ctx *ctx, const char *pointer, const char *code, const char *format, ...)
{
	struct schema_errors *errors = arena_alloc(&ctx->arena, sizeof(*errors));
	va_list arguments;
	int r;

	va_start(arguments, format);
	errors->items[errors->count++] = (struct schema_error){
		.pointer = arena_strdup(&ctx->arena, pointer),
		.code = arena_strdup(&ctx->arena, code),
		.detail = arena_vformat(&ctx->arena, format, arguments),
	};
	va_end(arguments);
	r = prong_fail(ctx, 422, "invalid_body", "The body does not fit: see errors.");
	ctx->problem.errors = errors;
	return r;
}

const char *prong_request_id(const struct prong_ctx *ctx)
{
	return ctx->request_id;
}

const char *prong_trace_id(const struct prong_ctx *ctx)
{
	return ctx->trace_id;
}

prong_uuid prong_account_id(const struct prong_ctx *ctx)
{
	if (!ctx->signed_in)
		panic("prong_account_id() where nobody is signed in: the route's .access is PRONG_PUBLIC");
	return ctx->principal.account_id;
}

bool prong_has_scope(const struct prong_ctx *ctx, const char *scope)
{
	return ctx->principal.scope && scope_list_has(ctx->principal.scope, scope);
}

/* `at` a member of the principal's claims. */
static bool is_claim(struct prong_ctx *ctx, const char *at, const char *name)
{
	struct json_slice slice;
	const char *text;
	size_t length;

	json_read_string(at, &slice);
	text = json_unescape(&slice, &ctx->arena, &length);
	return length == strlen(name) && memcmp(text, name, length) == 0;
}

const char *prong_claim(struct prong_ctx *ctx, const char *name)
{
	const char *at = ctx->principal.claims, *value, *end;

	if (!at)
		return NULL;
	for (at = json_skip_space(at); *at != '}'; at = json_skip_space(end)) {
		at = json_skip_space(at + 1); /* '{' or ',' */
		if (*at == '}')
			break;
		value = json_skip_space(json_skip_space(json_skip(at)) + 1);
		end = json_skip(value);
		if (is_claim(ctx, at, name))
			return json_compact(value, (size_t)(end - value), &ctx->arena);
	}
	return NULL;
}

void prong_log(struct prong_ctx *ctx, enum prong_log_level level, const char *format, ...)
{
	_cleanup_(freep) char *text = NULL;
	struct log_field fields[2];
	va_list arguments;

	if (!log_enabled(level))
		return;
	va_start(arguments, format);
	text = vformat_text(format, arguments);
	va_end(arguments);
	if (ctx->delivery) {
		fields[0] = (struct log_field){ .name = "job.name", .text = ctx->delivery->name };
		fields[1] = (struct log_field){ .name = "job.id", .text = ctx->delivery->id };
	}
	log_line(level, &(struct log_cause){ ctx->request_id, ctx->trace_id }, fields,
		 ctx->delivery ? ARRAY_SIZE(fields) : 0, "%s", text);
}

struct run {
	struct prong_ctx ctx;
	prong_duration timeout;
	int (*function)(struct prong_ctx *ctx, void *argument);
	void *argument;
	int result;
	bool ended;
};

static void run_coroutine(void *argument)
{
	struct run *run = argument;

	coroutine_set_deadline(coroutine_current(), monotonic_us() + run->timeout);
	run->result = run->function(&run->ctx, run->argument);
	context_end(&run->ctx);
	run->ended = true;
	loop_stop(run->ctx.runtime->loop);
}

int context_run(struct runtime *runtime, prong_duration timeout, int (*function)(struct prong_ctx *ctx, void *argument),
		void *argument)
{
	struct run run = { .timeout = timeout, .function = function, .argument = argument };
	int r;

	context_init(&run.ctx, runtime);
	r = coroutine_start(runtime->loop, run_coroutine, &run, NULL);
	if (r < 0)
		return r;
	if (!run.ended)
		loop_run(runtime->loop);
	return run.result;
}
