/*
 * One connection and the statements that are on their way in its pipeline. It belongs to a pool (pool.h), which makes
 * it, learns of its end, and hands it out; nothing here suspends but statement_wait().
 */
#ifndef CONNECTION_H
#define CONNECTION_H

#include <libpq-fe.h>
#include <prong/database.h>
#include <sys/queue.h>

#include "common/loop.h"
#include "common/postgres/query.h"

struct dial;
struct event;
struct pool;

enum connection_state { CONNECTION_CLOSED, CONNECTION_DIALLING, CONNECTION_READY };

/*
 * Results come back in the order of sending. A statement ends with its Sync, which keeps its errors to itself: each has
 * one of its own, but for plain SELECTs that are sent to one connection in one turn of the loop. Those form a group
 * with one Sync, because libpq 15 sends at every Sync: one system call, and one wake-up of the server, for all of them.
 * Until that Sync the server holds them as one transaction, so they end together; when one of them fails, the server
 * has undone the others, and each of those is run again on its own (-ERESTART). Owned by whoever waits for it, else by
 * its connection.
 */
struct statement {
	TAILQ_ENTRY(statement) link;
	struct coroutine *waiter; /* in statement_wait(); NULL: not yet, or never */
	bool orphan;		  /* nobody will wait for it (any more) */
	struct query *query;	  /* NULL: unprepared */
	uint32_t generation;	  /* of the query when it was sent */
	uint8_t parts, part;	  /* commands before the Sync, and how many of them have been answered */
	bool parses;		  /* the last command but one prepares the query */
	bool simple;		  /* a script outside the pipeline: ends with NULL */
	bool last;		  /* the connection is free once this has succeeded */
	bool sync;		  /* a Sync was sent behind it */
	bool cancelled;		  /* the server was asked to end it */
	bool done;
	int result;	  /* 0: see `answer`; -EHOSTDOWN: the connection was lost; -EOPNOTSUPP: COPY; -ERESTART */
	PGresult *answer; /* the first error, else the last command's result */
};

struct postgres_connection {
	struct pool *pool;
	enum connection_state state;
	bool taken;	       /* of owned ones: by a context, or until its rollback has come through */
	bool pinned;	       /* taken, but not for a transaction */
	bool begin;	       /* BEGIN goes ahead of the next statement */
	bool used_by_script;   /* a script may have changed the session: not to be used again */
	int64_t last_deadline; /* of connection_send_last(); 0: none */
	int64_t dial_deadline, ready_since;
	struct dial *dial;
	PGconn *pg; /* while ready */
	struct event *readable, *writable;
	TAILQ_HEAD(statement_list, statement) statements;
	size_t n_statements;
	struct statement *reading; /* whose results come next: the first, or one behind it in its group */
	int64_t head_since;	   /* when that one got its turn, monotonic µs */
	int64_t cancel_at;	   /* when the server was last asked to cancel something here; 0: never */
	struct statement *open;	   /* the last of a group whose Sync is not sent yet; NULL: none */
	size_t n_open;
	struct loop_task close_group;
	/* By query index: the generation that the server has, and the one that is on its way there; 0: none. */
	uint32_t prepared[QUERIES_MAX], preparing[QUERIES_MAX];
};

/* Takes over a connection that a dial made. */
void connection_open(struct postgres_connection *connection, PGconn *pg);

/* Closes it; all its statements end with -EHOSTDOWN. `reason` is logged; NULL: silently. */
void connection_close(struct postgres_connection *connection, const char *reason);

/* Parameters as libpq takes them. */
struct parameter_texts {
	size_t count;
	const char *const *texts;
};

/*
 * Sends one statement; the current coroutine must statement_wait() for it. Where sending fails the connection is closed
 * and the statement ends as if it had been lost. `query` NULL runs `sql` unprepared. `grouped`: it may share its Sync.
 */
struct statement *connection_send(struct postgres_connection *connection, struct query *query, const char *sql,
				  const struct parameter_texts *parameters, bool grouped);

/*
 * Sends a command for which nobody waits; the connection is released once it has succeeded, and closed if it fails or
 * has not come through by `deadline` (monotonic µs).
 */
void connection_send_last(struct postgres_connection *connection, const char *sql, int64_t deadline);

/* Sends a script by the simple protocol; nothing else may be on its way. */
struct statement *connection_send_script(struct postgres_connection *connection, const char *sql);

/*
 * Suspends until the statement has ended: 0 with the result, an error included, which the caller clears; or -EHOSTDOWN,
 * -EOPNOTSUPP; or -ERESTART: it was undone because of another statement of its group; or -ETIMEDOUT or -ECANCELED, and
 * the statement goes on without a waiter. The statement is gone after it.
 */
int statement_wait(struct statement *statement, int64_t deadline, PGresult **ret_result);

/* Instead of statement_wait(): nobody will, and it ends by itself. */
void statement_forget(struct statement *statement);

/* Whether an answer is no error. */
bool answer_is_good(const PGresult *result);

#endif
