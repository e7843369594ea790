#include "common/postgres/statement.h"

#include <math.h>

#include "common/context.h"
#include "common/log.h"
#include "common/number.h"
#include "common/postgres/error.h"
#include "common/postgres/pool.h"

#define MAX_PARAMETERS 32 /* as many as PRONG_PARAMETERS takes */
#define TEXT_SIZE 40	  /* the longest number, UUID or time */

/* A cancel request may hit what runs up to that long after it. */
#define CANCEL_REACHES PRONG_SECONDS(1)

struct encoded {
	const char *texts[MAX_PARAMETERS];
	char room[MAX_PARAMETERS][TEXT_SIZE];
};

static const char *encode_double(double value, char room[TEXT_SIZE])
{
	if (isnan(value))
		return "NaN";
	if (isinf(value))
		return value > 0 ? "Infinity" : "-Infinity";
	/* Read back equal: a numeric column keeps every digit. */
	double_format(value, room);
	return room;
}

static const char *encode(const struct prong_parameter *parameter, char room[TEXT_SIZE])
{
	switch ((int)parameter->kind) {
	case 0:
		return NULL;
	case PRONG_KIND_BOOL:
		return parameter->boolean ? "t" : "f";
	case PRONG_KIND_INT64:
		return integer_format(parameter->integer, room);
	case PRONG_KIND_DOUBLE:
		return encode_double(parameter->real, room);
	case PRONG_KIND_STRING:
		return parameter->text;
	case PRONG_KIND_UUID:
		return prong_uuid_format(parameter->uuid, room);
	case PRONG_KIND_TIME:
		return prong_time_format(parameter->time, room);
	default:
		panic("a parameter of kind %d", (int)parameter->kind);
	}
}

static struct parameter_texts encode_all(struct prong_parameters parameters, struct encoded *encoded)
{
	check(parameters.count <= MAX_PARAMETERS);
	for (size_t i = 0; i < parameters.count; i++)
		encoded->texts[i] = encode(&parameters.items[i], encoded->room[i]);
	return (struct parameter_texts){ .count = parameters.count, .texts = encoded->texts };
}

/* What one try was sent as and on; a failure may depend on either. */
struct attempt {
	struct postgres_connection *connection;
	struct query *query;
	uint32_t generation;
	bool grouped;
};

static int choose_connection(struct postgres *postgres, struct prong_ctx *ctx, int64_t deadline,
			     struct postgres_connection **ret_connection)
{
	if (!ctx || !ctx->transaction)
		return pool_choose(postgres, deadline, ret_connection);
	if (ctx->transaction_failed)
		return -EIO;
	if (ctx->transaction->state != CONNECTION_READY)
		return -EHOSTDOWN;
	*ret_connection = ctx->transaction;
	return 0;
}

static int try_once(struct attempt *attempt, const char *sql, const struct parameter_texts *texts, int64_t deadline,
		    PGresult **ret_result)
{
	struct statement *statement =
		connection_send(attempt->connection, attempt->query, sql, texts, attempt->grouped);

	attempt->generation = statement->generation;
	return statement_wait(statement, deadline, ret_result);
}

/* Whether it failed only for its prepared plan; then the next try will send it anew. */
static bool is_stale(const struct attempt *attempt, const PGresult *result)
{
	struct query *query = attempt->query;

	if (!query)
		return false;
	if (error_is_plan_changed(result)) {
		if (query->generation == attempt->generation)
			query_renew(query);
		return true;
	}
	if (error_is_unprepared(result)) {
		attempt->connection->prepared[query->index] = 0;
		return true;
	}
	return error_is_prepared_already(result);
}

/* Whether it was cancelled in place of the statement before it, which nobody waited for any more (pool.c). */
static bool is_bystander(const struct attempt *attempt, const PGresult *result)
{
	int64_t cancel_at = attempt->connection->cancel_at;

	return error_meaning(result) == -ETIMEDOUT && cancel_at && monotonic_us() - cancel_at < CANCEL_REACHES &&
	       attempt->connection->pool->shared;
}

static int refuse_session_control(const char *sql)
{
	log_error("SQL refused: other statements share the connection, so use prong_begin(), prong_commit(), "
		  "prong_rollback() and SET LOCAL: %s",
		  sql);
	return -EIO;
}

static int run_attempts(struct postgres *postgres, struct prong_ctx *ctx, const char *sql,
			const struct parameter_texts *texts, int64_t deadline, PGresult **ret_result)
{
	struct attempt attempt = { .query = queries_find(postgres->queries, sql) };
	bool in_transaction = ctx && ctx->transaction && !ctx->transaction->pinned;
	PGresult *result;
	int meaning, r;
	bool stale;

	if (!attempt.query && query_is_session_control(sql))
		return refuse_session_control(sql);
	/* A group has the time of one statement, and jobs that begin together often have slow ones. */
	attempt.grouped = attempt.query && attempt.query->is_select && !(ctx && (ctx->transaction || ctx->delivery));
	for (int tries = 0;; tries++) {
		r = choose_connection(postgres, ctx, deadline, &attempt.connection);
		if (r < 0)
			return r;
		r = try_once(&attempt, sql, texts, deadline, &result);
		attempt.grouped = false;
		if (r == -ERESTART)
			continue;
		if (r < 0)
			return r == -EOPNOTSUPP ? -EIO : r;
		if (answer_is_good(result)) {
			*ret_result = result;
			return 0;
		}
		stale = is_stale(&attempt, result) || is_bystander(&attempt, result);
		meaning = stale ? -EAGAIN : error_meaning(result);
		if (!stale || in_transaction || tries >= 2)
			break;
		PQclear(result);
	}
	error_log(ctx, result, meaning, sql);
	PQclear(result);
	return meaning;
}

int statement_run(struct postgres *postgres, struct prong_ctx *ctx, const char *sql, struct prong_parameters parameters,
		  int64_t deadline, PGresult **ret_result)
{
	struct encoded encoded;
	struct parameter_texts texts = encode_all(parameters, &encoded);
	int r = run_attempts(postgres, ctx, sql, &texts, deadline, ret_result);

	if (r < 0 && ctx && ctx->transaction && !ctx->transaction->pinned)
		ctx->transaction_failed = true;
	return r;
}

void postgres_send(struct postgres *postgres, const char *sql, struct prong_parameters parameters)
{
	struct postgres_connection *connection = pool_idle(postgres);
	struct encoded encoded;
	struct parameter_texts texts = encode_all(parameters, &encoded);

	if (connection && connection->pool->shared)
		statement_forget(connection_send(connection, NULL, sql, &texts, false));
}
