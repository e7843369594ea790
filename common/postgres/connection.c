#include "common/postgres/connection.h"

#include <event2/event.h>

#include "common/log.h"
#include "common/postgres/error.h"
#include "common/postgres/pool.h"

#define MAX_GROUP 16 /* statements that wait for each other's results */

bool answer_is_good(const PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);

	return status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK || status == PGRES_EMPTY_QUERY;
}

/* It has left its connection's list. */
static void statement_end(struct statement *statement)
{
	statement->done = true;
	if (statement->orphan) {
		PQclear(statement->answer);
		free(statement);
	} else if (statement->waiter) {
		coroutine_wake(statement->waiter, 0);
	}
}

int statement_wait(struct statement *statement, int64_t deadline, PGresult **ret_result)
{
	int r = 0;

	if (!statement->done) {
		statement->waiter = coroutine_current();
		r = coroutine_wait(deadline);
	}
	if (!statement->done) {
		statement->orphan = true;
		return r;
	}
	r = statement->result;
	if (r == 0 && !statement->answer)
		r = -EIO;
	if (r == 0)
		*ret_result = statement->answer;
	else
		PQclear(statement->answer);
	free(statement);
	return r;
}

void statement_forget(struct statement *statement)
{
	statement->orphan = true;
	if (statement->done)
		statement_end(statement);
}

/* The first error counts, else what the last command said. */
static void keep_answer(struct statement *statement, PGresult *result)
{
	bool last = statement->part + 1 == statement->parts;

	if (PQresultStatus(result) == PGRES_PIPELINE_ABORTED ||
	    (statement->answer && !answer_is_good(statement->answer)) || (!last && answer_is_good(result))) {
		PQclear(result);
		return;
	}
	PQclear(statement->answer);
	statement->answer = result;
}

/* The answer to a statement's preparation. */
static void note_prepared(struct postgres_connection *connection, const struct statement *statement,
			  const PGresult *result)
{
	size_t index;

	if (!statement->parses || statement->part + 2 != statement->parts)
		return;
	index = statement->query->index;
	connection->preparing[index] = 0;
	if (answer_is_good(result) || error_is_prepared_already(result))
		connection->prepared[index] = statement->generation;
}

static void finish_head(struct postgres_connection *connection, int64_t now)
{
	struct statement *statement = TAILQ_FIRST(&connection->statements);
	bool last = statement->last, good = answer_is_good(statement->answer);

	TAILQ_REMOVE(&connection->statements, statement, link);
	connection->n_statements--;
	connection->reading = TAILQ_FIRST(&connection->statements);
	connection->head_since = now;
	statement_end(statement);
	if (!last)
		return;
	connection->last_deadline = 0;
	if (good && PQtransactionStatus(connection->pg) == PQTRANS_IDLE)
		pool_release(connection);
	else
		connection_close(connection, "a transaction could not be rolled back");
}

/* The Sync of the statement at the list's head, or of the group that it begins, has come through. */
static void finish_group(struct postgres_connection *connection, int64_t now)
{
	struct statement *statement, *failed = NULL, *end = NULL;
	bool grouped;

	TAILQ_FOREACH(statement, &connection->statements, link)
	{
		if (!failed && statement->answer && !answer_is_good(statement->answer))
			failed = statement;
		end = statement;
		if (statement->sync)
			break;
	}
	grouped = end != TAILQ_FIRST(&connection->statements);
	do {
		statement = TAILQ_FIRST(&connection->statements);
		if (grouped && failed && statement != failed)
			statement->result = -ERESTART;
		finish_head(connection, now);
	} while (statement != end);
}

/*
 * Whose result comes next. Only when one comes does it belong to the statement behind one that is answered in full: a
 * group may still be open when its first results arrive.
 */
static struct statement *statement_to_read(struct postgres_connection *connection, int64_t now)
{
	struct statement *statement = connection->reading, *next = TAILQ_NEXT(statement, link);

	if (statement->part == statement->parts && !statement->sync && next) {
		connection->reading = next;
		connection->head_since = now;
	}
	return connection->reading;
}

static void connection_lost(struct postgres_connection *connection)
{
	_cleanup_(freep) char *reason = duplicate(PQerrorMessage(connection->pg));

	reason[strcspn(reason, "\n")] = '\0';
	connection_close(connection, reason);
}

/* Takes one result of the statement that is being read. */
static void take_result(struct postgres_connection *connection, PGresult *result, int64_t now)
{
	struct statement *statement = statement_to_read(connection, now);

	switch (result ? PQresultStatus(result) : PGRES_EMPTY_QUERY) {
	case PGRES_COPY_IN:
	case PGRES_COPY_OUT:
	case PGRES_COPY_BOTH:
		PQclear(result);
		statement->result = -EOPNOTSUPP;
		connection_close(connection, "COPY from or to the client is not supported");
		return;
	case PGRES_PIPELINE_SYNC:
		PQclear(result);
		finish_group(connection, now);
		return;
	default:
		break;
	}
	if (result) {
		note_prepared(connection, statement, result);
		keep_answer(statement, result);
	} else if (statement->simple) {
		if (!PQenterPipelineMode(connection->pg))
			connection_close(connection, PQerrorMessage(connection->pg));
		else
			finish_head(connection, now);
	} else if (++statement->part > statement->parts) {
		/* NULL separates the answers of the commands before a Sync. A lost connection has no end of them. */
		if (PQstatus(connection->pg) == CONNECTION_BAD)
			connection_lost(connection);
		else
			connection_close(connection, "the server's answers came out of step");
	}
}

static void connection_drain(struct postgres_connection *connection)
{
	int64_t now = monotonic_us();

	while (connection->pg && connection->reading && !PQisBusy(connection->pg))
		take_result(connection, PQgetResult(connection->pg), now);
}

/* Of a channel that a pooler's other client listened to on this server connection. */
static void drop_notifications(PGconn *pg)
{
	PGnotify *notification;

	while ((notification = PQnotifies(pg)))
		PQfreemem(notification);
}

static void connection_readable(evutil_socket_t fd, short what, void *argument)
{
	struct postgres_connection *connection = argument;

	(void)fd;
	(void)what;
	if (!PQconsumeInput(connection->pg)) {
		connection_drain(connection);
		if (connection->pg)
			connection_lost(connection);
		return;
	}
	/* What comes while nothing is under way, such as a parameter's change, is read by the way. */
	PQisBusy(connection->pg);
	drop_notifications(connection->pg);
	connection_drain(connection);
}

static void connection_flush(struct postgres_connection *connection)
{
	int r = PQflush(connection->pg);

	if (r < 0)
		connection_lost(connection);
	else if (r > 0)
		event_add(connection->writable, NULL);
}

/* PQpipelineSync() sends at once; what the socket did not take follows when it can. */
static void send_sync(struct postgres_connection *connection, struct statement *statement)
{
	statement->sync = true;
	if (PQpipelineSync(connection->pg))
		connection_flush(connection);
	else
		connection_lost(connection);
}

static void close_group(void *argument)
{
	struct postgres_connection *connection = argument;
	struct statement *statement = connection->open;

	if (!statement)
		return;
	connection->open = NULL;
	connection->n_open = 0;
	send_sync(connection, statement);
}

static void connection_writable(evutil_socket_t fd, short what, void *argument)
{
	(void)fd;
	(void)what;
	connection_flush(argument);
}

void connection_open(struct postgres_connection *connection, PGconn *pg)
{
	struct event_base *base = loop_base(connection->pool->postgres->loop);

	connection->pg = pg;
	connection->close_group = (struct loop_task){ .function = close_group, .argument = connection };
	connection->state = CONNECTION_READY;
	connection->ready_since = monotonic_us();
	connection->readable = event_new(base, PQsocket(pg), EV_READ | EV_PERSIST, connection_readable, connection);
	connection->writable = event_new(base, PQsocket(pg), EV_WRITE, connection_writable, connection);
	check(connection->readable && connection->writable);
	event_add(connection->readable, NULL);
}

void connection_close(struct postgres_connection *connection, const char *reason)
{
	struct statement *statement;

	if (reason)
		log_warning("PostgreSQL: connection closed: %s", reason);
	event_free(connection->readable);
	event_free(connection->writable);
	PQfinish(connection->pg);
	connection->readable = connection->writable = NULL;
	connection->pg = NULL;
	connection->state = CONNECTION_CLOSED;
	connection->n_statements = 0;
	connection->reading = connection->open = NULL;
	connection->n_open = 0;
	connection->cancel_at = 0;
	loop_undefer(connection->pool->postgres->loop, &connection->close_group);
	connection->begin = connection->used_by_script = false;
	memset(connection->prepared, 0, sizeof(connection->prepared));
	memset(connection->preparing, 0, sizeof(connection->preparing));
	while ((statement = TAILQ_FIRST(&connection->statements))) {
		TAILQ_REMOVE(&connection->statements, statement, link);
		if (statement->result == 0)
			statement->result = -EHOSTDOWN;
		if (statement->last)
			connection->taken = connection->pinned = false;
		statement_end(statement);
	}
	connection->last_deadline = 0;
	pool_connection_closed(connection, reason != NULL);
}

/* One whose connection was lost before it could be sent. */
static struct statement *statement_lost(struct query *query)
{
	struct statement *statement = allocate(sizeof(*statement));

	statement->query = query;
	statement->done = true;
	statement->result = -EHOSTDOWN;
	return statement;
}

static struct statement *connection_queue(struct postgres_connection *connection, struct query *query)
{
	struct statement *statement = allocate(sizeof(*statement));

	statement->query = query;
	if (connection->n_statements++ == 0)
		connection->head_since = monotonic_us();
	TAILQ_INSERT_TAIL(&connection->statements, statement, link);
	if (!connection->reading)
		connection->reading = statement;
	pool_watch(connection->pool->postgres);
	return statement;
}

/* Puts the commands of one statement into libpq's buffer. */
static bool put_commands(struct postgres_connection *connection, struct statement *statement, const char *sql,
			 const struct parameter_texts *parameters)
{
	struct query *query = statement->query;
	PGconn *pg = connection->pg;
	int count = (int)parameters->count;

	if (connection->begin) {
		connection->begin = false;
		statement->parts++;
		if (!PQsendQueryParams(pg, "BEGIN", 0, NULL, NULL, NULL, NULL, 0))
			return false;
	}
	statement->parts++;
	/* Others do not build on a preparation before it is known to have succeeded. */
	if (!query || connection->preparing[query->index])
		return PQsendQueryParams(pg, sql, count, NULL, parameters->texts, NULL, NULL, 0);
	statement->generation = query->generation;
	if (connection->prepared[query->index] != query->generation) {
		connection->preparing[query->index] = query->generation;
		statement->parses = true;
		statement->parts++;
		if (!PQsendPrepare(pg, query->name, query->sql, 0, NULL))
			return false;
	}
	return PQsendQueryPrepared(pg, query->name, count, parameters->texts, NULL, NULL, 0);
}

struct statement *connection_send(struct postgres_connection *connection, struct query *query, const char *sql,
				  const struct parameter_texts *parameters, bool grouped)
{
	struct statement *statement;

	if (!grouped)
		close_group(connection);
	if (connection->state != CONNECTION_READY)
		return statement_lost(query);
	statement = connection_queue(connection, query);
	if (!put_commands(connection, statement, sql, parameters)) {
		connection_lost(connection);
	} else if (!grouped) {
		send_sync(connection, statement);
	} else {
		connection->open = statement;
		if (++connection->n_open == MAX_GROUP)
			close_group(connection);
		else
			loop_defer(connection->pool->postgres->loop, &connection->close_group);
	}
	return statement;
}

void connection_send_last(struct postgres_connection *connection, const char *sql, int64_t deadline)
{
	struct statement *statement = connection_queue(connection, NULL);

	statement->last = statement->orphan = true;
	connection->last_deadline = deadline;
	if (put_commands(connection, statement, sql, &(struct parameter_texts){ 0 }))
		send_sync(connection, statement);
	else
		connection_lost(connection);
}

struct statement *connection_send_script(struct postgres_connection *connection, const char *sql)
{
	struct statement *statement = connection_queue(connection, NULL);

	check(connection->n_statements == 1);
	statement->simple = statement->sync = true;
	statement->parts = 1;
	connection->used_by_script = true;
	if (PQexitPipelineMode(connection->pg) && PQsendQuery(connection->pg, sql))
		connection_flush(connection);
	else
		connection_lost(connection);
	return statement;
}
