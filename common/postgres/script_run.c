/* postgres_run_script(): scripts by the simple protocol, outside the pipeline. */
#include "common/context.h"
#include "common/postgres/error.h"
#include "common/postgres/pool.h"
#include "common/postgres/script.h"

static int await_answer(struct statement *statement, PGresult **ret_result)
{
	int r = statement_wait(statement, INT64_MAX, ret_result);

	return r == -EOPNOTSUPP ? -EIO : r;
}

static const char *field_text(struct prong_ctx *ctx, const PGresult *result, int field)
{
	const char *text = PQresultErrorField(result, field);

	return text ? arena_strdup(&ctx->arena, text) : NULL;
}

/* The server counts characters from 1; we count bytes. */
static size_t byte_position(const char *sql, const PGresult *result)
{
	const char *text = PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION);
	long characters = text ? atol(text) : 0;
	const char *at = sql;

	if (characters < 1)
		return 0;
	while (*at && characters > 1) {
		at++;
		if ((*at & 0xc0) != 0x80)
			characters--;
	}
	return (size_t)(at - sql) + 1;
}

static void describe(struct prong_ctx *ctx, const char *sql, const PGresult *result, struct postgres_error *ret_error)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *message = field_text(ctx, result, PG_DIAG_MESSAGE_PRIMARY);

	if (sqlstate)
		memcpy(ret_error->sqlstate, sqlstate, sizeof(ret_error->sqlstate));
	ret_error->message = message ? message : arena_strdup(&ctx->arena, PQresultErrorMessage(result));
	ret_error->hint = field_text(ctx, result, PG_DIAG_MESSAGE_HINT);
	ret_error->position = byte_position(sql, result);
}

static int run_text(struct prong_ctx *ctx, const char *sql, struct postgres_error *ret_error)
{
	PGresult *result;
	int r = await_answer(connection_send_script(ctx->transaction, sql), &result);

	if (r < 0)
		return r;
	if (!answer_is_good(result)) {
		r = error_meaning(result);
		describe(ctx, sql, result, ret_error);
	}
	PQclear(result);
	return r;
}

/* BEGIN cannot travel with a script. */
static int begin_now(struct prong_ctx *ctx)
{
	const struct parameter_texts none = { 0 };
	PGresult *result;
	int r;

	if (!ctx->transaction->begin)
		return 0;
	ctx->transaction->begin = false;
	r = await_answer(connection_send(ctx->transaction, NULL, "BEGIN", &none, false), &result);
	if (r < 0)
		return r;
	r = answer_is_good(result) ? 0 : error_meaning(result);
	PQclear(result);
	return r;
}

static int run_in_transaction(struct prong_ctx *ctx, const char *sql, struct postgres_error *ret_error)
{
	int r;

	if (ctx->transaction_failed)
		return -EIO;
	r = ctx->transaction->state == CONNECTION_READY ? begin_now(ctx) : -EHOSTDOWN;
	if (r == 0)
		r = run_text(ctx, sql, ret_error);
	if (r == 0 && PQtransactionStatus(ctx->transaction->pg) != PQTRANS_INTRANS) {
		ret_error->message = "the script ended the transaction that it runs in";
		r = -EIO;
	}
	if (r < 0)
		ctx->transaction_failed = true;
	return r;
}

static int run_pinned(struct prong_ctx *ctx, const char *sql, struct postgres_error *ret_error)
{
	struct script_statement statement;
	size_t position = 0;
	int r = 0;

	while (r == 0 && script_next(sql, &position, &statement)) {
		char *text = arena_strndup(&ctx->arena, sql + statement.start, statement.length);

		r = ctx->transaction->state == CONNECTION_READY ? run_text(ctx, text, ret_error) : -EHOSTDOWN;
		if (r < 0)
			ret_error->position += statement.start + (ret_error->position == 0);
	}
	return r;
}

int postgres_run_script(struct prong_ctx *ctx, const char *sql, struct postgres_error *ret_error)
{
	int r;

	*ret_error = (struct postgres_error){ 0 };
	if (ctx->transaction)
		return ctx->transaction->pinned ? run_pinned(ctx, sql, ret_error)
						: run_in_transaction(ctx, sql, ret_error);
	r = postgres_pin(ctx);
	if (r < 0)
		return r;
	r = run_pinned(ctx, sql, ret_error);
	postgres_unpin(ctx);
	return r;
}
