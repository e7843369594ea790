/*
 * PostgreSQL for one process: libpq without blocking, on the loop.
 *
 * A few shared connections in pipeline mode carry single statements of many coroutines, one Sync each so that errors
 * stay apart; a statement goes to the connection with the least waiting. A transaction takes a connection of its own
 * from a second, bounded set. Statements are prepared once per connection, found by their text. Connections are made
 * when first needed and again after a loss, with jittered backoff (50 ms … 5 s); statements that find none wait for one
 * until their deadline or one second, then -EHOSTDOWN.
 *
 * Deadlines: shared connections set statement_timeout, so that the server itself ends what nobody waits for any more;
 * owned ones are cancelled with PQcancel from the thread pool. A connection whose oldest statement is overdue by more
 * than a second is closed and replaced.
 */
#ifndef POSTGRES_H
#define POSTGRES_H

#include <prong/database.h>

#include "common/loop.h"

struct thread_pool;
struct postgres;

struct postgres_options {
	const char *url; /* libpq connection URI or keywords */
	size_t shared, owned;
	prong_duration statement_timeout;
	const char *application_name;
};

/* Checks the URL's syntax: 0, or -EINVAL with libpq's reason (malloc'ed), which names no password. */
int postgres_check_url(const char *url, char **ret_reason);

struct postgres *postgres_new(struct loop *loop, struct thread_pool *threads, const struct postgres_options *options);
struct postgres *postgres_free(struct postgres *postgres); /* closes everything; nobody may be waiting. Returns NULL */

/* Suspends: `SELECT 1` within `timeout`. 0 or a negative errno; `ret_reason` (borrowed, may be NULL) says why not. */
int postgres_ping(struct postgres *postgres, prong_duration timeout, const char **ret_reason);

/* The message of the last failed connection attempt, "" where none; for start-up messages. Names no password. */
const char *postgres_last_error(const struct postgres *postgres);

/* One result row set, for code that needs no schema: migrations, the command line. */
struct postgres_result;
size_t postgres_result_rows(const struct postgres_result *result);
const char *postgres_result_text(const struct postgres_result *result, size_t row, size_t column); /* NULL: SQL NULL */
struct postgres_result *postgres_result_free(struct postgres_result *result);

/*
 * Runs one statement in the context's transaction or on a shared connection; suspends. Errors as in database.h, with
 * `ctx->problem` set where the server said something a client may know. `ret_result` may be NULL.
 */
int postgres_run(struct prong_ctx *ctx, const char *sql, struct prong_parameters parameters,
		 struct postgres_result **ret_result);

/*
 * Runs a script of several statements separated by ';' (simple protocol), in the context's transaction if there is one,
 * else on an owned connection outside any transaction. -EIO with the server's message, its SQLSTATE and the byte
 * position (0: unknown) in `ret_error`, which lives in the context's arena.
 */
struct postgres_error {
	char sqlstate[6];
	const char *message;
	const char *hint; /* NULL: none */
	size_t position;
};
int postgres_run_script(struct prong_ctx *ctx, const char *sql, struct postgres_error *ret_error);

/* Called by context_end(). */
void postgres_abandon_transaction(struct prong_ctx *ctx);

#endif
