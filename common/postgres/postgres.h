/*
 * PostgreSQL for one process: libpq without blocking, on the loop.
 *
 * A few shared connections in pipeline mode carry single statements of many coroutines; their errors stay apart
 * (connection.h says how, and when statements share a Sync). A statement goes to the connection with the least waiting.
 * A transaction takes a connection of its own from a second, bounded set. Statements are prepared once per connection,
 * found by their text. Connections are made when first needed, each by a short-lived thread, because resolving names
 * and proving passwords would hold up the loop; and again after a loss, with jittered backoff (50 ms … 2 s). Statements
 * that find none wait for one until their deadline or one second, then -EHOSTDOWN; a transaction waits up to the
 * statement timeout for others to end.
 *
 * Deadlines: a statement whose caller has given up stays in the pipeline, and its result is dropped when it comes; when
 * the server has been at it for 50 ms it is asked to cancel it, and what the request hits instead is run again. In any
 * case the server ends it by statement_timeout, which every connection sets (shared ones lock_timeout too: a statement
 * that waits for a row must not hold up others for long). A transaction given up has 250 ms to roll back, then its
 * connection is closed; the server looks for its client several times a second (client_connection_check_interval,
 * PostgreSQL 14) and ends what nobody waits for. A shared connection whose oldest statement is overdue by more than a
 * second is closed and replaced.
 */
#ifndef POSTGRES_H
#define POSTGRES_H

#include <prong/database.h>

#include "common/loop.h"

struct postgres;

struct postgres_options {
	const char *url; /* libpq connection URI or keywords */
	size_t shared, owned;
	prong_duration statement_timeout;
	const char *application_name;
};

/* Checks the URL's syntax: 0, or -EINVAL with the reason (malloc'ed), which names no password. */
int postgres_check_url(const char *url, char **ret_reason);

struct postgres *postgres_new(struct loop *loop, const struct postgres_options *options);
struct postgres *postgres_free(struct postgres *postgres); /* closes everything; nobody may be waiting. Returns NULL */

/*
 * Suspends: `SELECT 1` within `timeout`. 0 or a negative errno; `ret_reason` (may be NULL; lives until the next call
 * here) says why not.
 */
int postgres_ping(struct postgres *postgres, prong_duration timeout, const char **ret_reason);

/* The message of the last failed connection attempt, "" where none; for start-up messages. Names no password. */
const char *postgres_last_error(const struct postgres *postgres);

/* One result row set, for code that needs no schema: migrations, the command line. */
struct postgres_result;
size_t postgres_result_rows(const struct postgres_result *result);
const char *postgres_result_text(const struct postgres_result *result, size_t row, size_t column); /* NULL: SQL NULL */
struct postgres_result *postgres_result_free(struct postgres_result *result);			   /* returns NULL */
void postgres_result_freep(struct postgres_result **result);					   /* for _cleanup_ */

/*
 * Runs one statement in the context's transaction or on a shared connection; suspends. Errors as in database.h.
 * `ret_result` may be NULL.
 */
int postgres_run(struct prong_ctx *ctx, const char *sql, struct prong_parameters parameters,
		 struct postgres_result **ret_result);

/*
 * Sends a statement that nobody waits for, on a shared connection that is ready now. Where there is none, or the server
 * refuses it, it is lost. Does not suspend.
 */
void postgres_send(struct postgres *postgres, const char *sql, struct prong_parameters parameters);

/*
 * The texts as a literal of an array, to be a parameter; in the context's arena. They must need no quoting: ids, names.
 */
const char *postgres_array(struct prong_ctx *ctx, const char *const texts[], size_t count);

/*
 * Runs a script of several statements separated by ';' (simple protocol): in the context's transaction if there is one,
 * else statement by statement on one owned connection, outside any transaction. Suspends. 0, or a negative errno as in
 * database.h; where the server refused something, with its message, its SQLSTATE and the byte's position in the script
 * from 1 (0: unknown) in `ret_error`, which lives in the context's arena; otherwise `ret_error->message` is NULL.
 */
struct postgres_error {
	char sqlstate[6];
	const char *message;
	const char *hint; /* NULL: none */
	size_t position;
};
int postgres_run_script(struct prong_ctx *ctx, const char *sql, struct postgres_error *ret_error);

/*
 * Calls `function` once the context's transaction is committed, before prong_commit() returns, or now where there is
 * none; never after a rollback. `certain` is false where the answer to COMMIT was lost, so that it may have happened or
 * not; prong_commit() fails then. It may suspend, on the committing coroutine, which is shielded meanwhile: so it keeps
 * to a time of its own, and its failures to itself.
 */
typedef void after_commit_function(struct prong_ctx *ctx, void *argument, bool certain);
void postgres_after_commit(struct prong_ctx *ctx, after_commit_function *function, void *argument);

/*
 * Between these two, every statement of this context runs on one owned connection, each on its own: for what belongs to
 * a session, such as an advisory lock. postgres_pin() suspends and fails as prong_begin() does. prong_rollback() and
 * the context's end unpin too.
 */
int postgres_pin(struct prong_ctx *ctx);
void postgres_unpin(struct prong_ctx *ctx);

#endif
