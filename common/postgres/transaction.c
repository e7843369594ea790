#include <libpq-fe.h>

#include "common/context.h"
#include "common/postgres/error.h"
#include "common/postgres/listen.h"
#include "common/postgres/pool.h"

#define ROLLBACK_TIMEOUT PRONG_MILLISECONDS(250)
#define COMMIT_OVERDUE PRONG_SECONDS(1) /* beyond the server's own limit */

/* ---- what waits for the commit ---- */

struct after_commit {
	after_commit_function *function;
	void *argument;
	struct after_commit *next;
};

static void call_shielded(struct prong_ctx *ctx, after_commit_function *function, void *argument, bool certain)
{
	struct coroutine *self = coroutine_current();

	coroutine_shield(self);
	function(ctx, argument, certain);
	coroutine_unshield(self);
}

void postgres_after_commit(struct prong_ctx *ctx, after_commit_function *function, void *argument)
{
	struct after_commit *call, **last = &ctx->after_commit;

	if (!ctx->transaction || ctx->transaction->pinned) {
		call_shielded(ctx, function, argument, true);
		return;
	}
	while (*last)
		last = &(*last)->next;
	call = prong_alloc(ctx, sizeof(*call));
	*call = (struct after_commit){ .function = function, .argument = argument };
	*last = call;
}

static void make_calls(struct prong_ctx *ctx, bool certain)
{
	struct after_commit *call = ctx->after_commit;

	ctx->after_commit = NULL;
	for (; call; call = call->next)
		call_shielded(ctx, call->function, call->argument, certain);
}

/* ---- transactions ---- */

static int take(struct prong_ctx *ctx, const char *what)
{
	struct postgres_connection *connection;
	int r;

	if (ctx->transaction) {
		prong_log(ctx, PRONG_LOG_ERROR, "%s: this context is already in a transaction", what);
		return -EIO;
	}
	/* A job has the time until its deadline: hundreds that begin together take turns. */
	r = pool_take(ctx->runtime->postgres, ctx->delivery, &connection);
	if (r < 0)
		return r;
	ctx->transaction = connection;
	ctx->transaction_failed = false;
	ctx->notify = NULL;
	ctx->after_commit = NULL;
	return 0;
}

int prong_begin(struct prong_ctx *ctx)
{
	int r = take(ctx, "prong_begin()");

	/* BEGIN travels with the first statement. */
	if (r == 0)
		ctx->transaction->begin = true;
	return r;
}

int postgres_pin(struct prong_ctx *ctx)
{
	int r = take(ctx, "postgres_pin()");

	if (r == 0)
		ctx->transaction->pinned = true;
	return r;
}

/* Ends the context's hold of its connection; what is still under way there ends without it. */
static void give_up(struct prong_ctx *ctx)
{
	struct postgres_connection *connection = ctx->transaction;
	struct statement *head = TAILQ_FIRST(&connection->statements);

	ctx->transaction = NULL;
	ctx->transaction_failed = false;
	if (connection->state != CONNECTION_READY || connection->begin) {
		pool_release(connection);
	} else if (head && head->simple) {
		connection_close(connection, NULL);
		pool_release(connection);
	} else {
		connection_send_last(connection, connection->pinned ? "SELECT pg_advisory_unlock_all()" : "ROLLBACK",
				     monotonic_us() + ROLLBACK_TIMEOUT);
	}
}

void prong_rollback(struct prong_ctx *ctx)
{
	if (ctx->transaction)
		give_up(ctx);
}

void postgres_unpin(struct prong_ctx *ctx)
{
	check(ctx->transaction && ctx->transaction->pinned);
	give_up(ctx);
}

/* COMMIT itself can fail: deferred constraints, serialization. Either way the transaction is over then. */
static int read_commit(struct prong_ctx *ctx, PGresult *result)
{
	int r = 0;

	if (!answer_is_good(result)) {
		r = error_meaning(result);
		error_log(ctx, result, r, "COMMIT");
	} else if (string_equal(PQcmdStatus(result), "ROLLBACK")) {
		prong_log(ctx, PRONG_LOG_ERROR, "COMMIT of a transaction that had failed");
		r = -EIO;
	}
	PQclear(result);
	return r;
}

/*
 * Once COMMIT is under way nobody can take it back: who is cancelled, or late, hears what became of it all the same.
 * `ret_unknown`: nobody can tell.
 */
static int commit(struct prong_ctx *ctx, bool *ret_unknown)
{
	const struct parameter_texts none = { 0 };
	struct coroutine *self = coroutine_current();
	int64_t deadline = monotonic_us() + ctx->runtime->postgres->statement_timeout + COMMIT_OVERDUE;
	PGresult *result;
	int r;

	coroutine_shield(self);
	r = statement_wait(connection_send(ctx->transaction, NULL, "COMMIT", &none, false), deadline, &result);
	coroutine_unshield(self);
	*ret_unknown = r < 0;
	return r < 0 ? r : read_commit(ctx, result);
}

int prong_commit(struct prong_ctx *ctx)
{
	struct postgres_connection *connection = ctx->transaction;
	bool unknown = false;
	int r;

	if (!connection || connection->pinned) {
		prong_log(ctx, PRONG_LOG_ERROR, "prong_commit(): this context is in no transaction");
		return -EIO;
	}
	if (ctx->transaction_failed)
		return -EIO;
	if (connection->begin)
		r = 0;
	else if (connection->state == CONNECTION_READY)
		r = commit(ctx, &unknown);
	else
		r = -EHOSTDOWN;
	/* Rolling back what is over does no harm. */
	if (r < 0) {
		give_up(ctx);
		if (unknown)
			make_calls(ctx, false);
		return r;
	}
	ctx->transaction = NULL;
	pool_release(connection);
	if (ctx->notify)
		postgres_notify(ctx, ctx->notify);
	make_calls(ctx, true);
	return 0;
}
