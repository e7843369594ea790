/*
 * The context: everything that one request or one job owns while it runs. Handlers and jobs receive the same type, so
 * code that queries, enqueues or logs serves both.
 *
 * A handler or job is straight-line code on a coroutine of its own. Calls marked "suspends" let the process serve
 * others meanwhile; they return by the context's deadline at the latest (-ETIMEDOUT), or with -ECANCELED once the
 * client has gone or the job was cancelled. Between them nothing else of the process runs: never block.
 *
 * Results: 0 or a positive count is success; a negative errno is failure and may be returned as it is: a request is
 * then answered with the matching problem+json, a job counts a failed attempt.
 */
#ifndef PRONG_CONTEXT_H
#define PRONG_CONTEXT_H

#include <errno.h>

#include <prong/types.h>

#pragma GCC visibility push(default)

struct prong_ctx;

/* Returns ≥ 0 for success or a negative errno. */
typedef int prong_handler(struct prong_ctx *ctx);

/*
 * Memory that lives until the request or job ends; there is no free. Zeroed, aligned for any type. Never NULL: a
 * process out of memory ends, and its supervisor replaces it.
 */
void *prong_alloc(struct prong_ctx *ctx, size_t size);
char *prong_strdup(struct prong_ctx *ctx, const char *text);
char *prong_format(struct prong_ctx *ctx, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Records why this request or job fails and returns a negative value to return from the handler:
 *
 *     return prong_fail(ctx, 422, "invalid_email", "This is not an e-mail address.");
 *
 * A request is answered with `status` (400 … 599) and problem+json (RFC 9457) whose `code` is `code` and whose `detail`
 * is the formatted text, which the client sees. A job's failed attempt keeps code and text; `status` is not used.
 */
int prong_fail(struct prong_ctx *ctx, int status, const char *code, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/*
 * As prong_fail() with 422 for one member of the body that a schema could not find wrong; the answer's `errors` holds
 * it as it would hold the schema's:
 *
 *     return prong_fail_field(ctx, "/ends_at", "range", "It must end after it starts.");
 */
int prong_fail_field(struct prong_ctx *ctx, const char *pointer, const char *code, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* 32 hexadecimal digits, or what the client sent in X-Request-Id. A job has the id of the request that enqueued it. */
const char *prong_request_id(const struct prong_ctx *ctx);

/*
 * The trace's id, 32 lower-case hexadecimal digits: that of the client's `traceparent` (W3C Trace Context), else one of
 * the request's own. A job has that of the request that enqueued it. Empty where there is none.
 */
const char *prong_trace_id(const struct prong_ctx *ctx);

/* The signed-in account; aborts where the route's access is PRONG_PUBLIC: check the route, not the result. */
prong_uuid prong_account_id(const struct prong_ctx *ctx);

/*
 * A further claim of the access token (struct prong_app's `claims`, or another issuer's) as JSON, such as "\"acme\"" or
 * "7"; NULL: it has none of that name, or nobody is signed in. Lives as long as the request.
 */
const char *prong_claim(struct prong_ctx *ctx, const char *name);

/*
 * Whether the signed-in account has a scope, such as "admin": as of when its access token was made, which a change of
 * scopes voids. False where nobody is signed in, as in a job. `accounts grant` gives scopes; a new account has none.
 */
bool prong_has_scope(const struct prong_ctx *ctx, const char *scope);

enum prong_log_level {
	PRONG_LOG_DEBUG,
	PRONG_LOG_INFO,
	PRONG_LOG_WARNING,
	PRONG_LOG_ERROR,
};

/* One structured line with the ids of request, trace and job. Never blocks: when the log's reader is slow, lines are
 * dropped and counted.
 */
void prong_log(struct prong_ctx *ctx, enum prong_log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Runs `work(argument)` on one of the process's threads and suspends until it has returned: for what would hold up
 * the others, such as compressing, rendering or a library that blocks. Returns what it returned. -EAGAIN when too much
 * waits for a thread already (503). A deadline or cancellation ends only the wait for a thread: work that has begun is
 * waited for, so `argument` may be on the stack, and work must end by itself.
 *
 * `work` runs beside other threads, at a lower priority than handlers. It makes no call of this library, and touches
 * nothing of `ctx`; what it needs is looked up, and memory allocated, before. What it computes it leaves where
 * `argument` points.
 */
int prong_compute(struct prong_ctx *ctx, int (*work)(void *argument), void *argument);

#pragma GCC visibility pop

#endif
