/*
 * The two sets of connections, and who waits for one: shared ones, which any statement may use at any time, and owned
 * ones, which one context at a time takes.
 */
#ifndef POOL_H
#define POOL_H

#include "common/postgres/connection.h"
#include "common/postgres/postgres.h"

struct waiter {
	TAILQ_ENTRY(waiter) link;
	struct coroutine *coroutine;
	struct postgres_connection *connection; /* handed over; NULL: look again */
	bool listed;
};

struct pool {
	struct postgres *postgres;
	bool shared;
	size_t limit;
	struct postgres_connection *connections;
	char *settings; /* SQL for each new connection */
	TAILQ_HEAD(, waiter) waiters;
};

struct postgres {
	struct loop *loop;
	char *url, *application_name;
	prong_duration statement_timeout;
	struct pool shared, owned;
	struct queries *queries;
	struct event *tick; /* looks for what is overdue, while anything is under way */
	bool ticking;
	struct event *retry; /* the end of a backoff */
	int64_t retry_at;    /* no attempts before; monotonic µs */
	size_t failures;     /* in a row; a connection that lived for a second ends it */
	bool down;	     /* the last attempt failed; logged */
	char *last_error;
	char *ping_reason;
	struct event *notify; /* the next notification may be sent */
	int64_t notified_at;  /* when the last one was; monotonic µs */
	const char *channel;  /* that is to be notified; NULL: none */
};

/* Suspends: a ready shared connection, the one with the least to do. 0, or a negative errno as in database.h. */
int pool_choose(struct postgres *postgres, int64_t deadline, struct postgres_connection **ret_connection);

/*
 * Suspends: takes an owned connection. Likewise; where others have them all, it waits for DATABASE_TIMEOUT, and
 * `patient` until the coroutine's deadline.
 */
int pool_take(struct postgres *postgres, bool patient, struct postgres_connection **ret_connection);

/* Gives a taken connection back, for the next waiter; it must have nothing under way. */
void pool_release(struct postgres_connection *connection);

/*
 * A ready connection for one statement outside any transaction: the shared one with the least to do, else an owned one
 * that is free, which the caller takes. NULL: there is none now. Does not suspend.
 */
struct postgres_connection *pool_idle(struct postgres *postgres);

/* Called by a connection that was lost, or closed on purpose. */
void pool_connection_closed(struct postgres_connection *connection, bool lost);

/* Sees to it that what becomes overdue from now on is noticed. */
void pool_watch(struct postgres *postgres);

void pool_init(struct postgres *postgres, struct pool *pool, size_t limit, bool shared);
void pool_free(struct pool *pool);

/* Callbacks of the timers; the last is in listen.c. */
void pool_tick(struct postgres *postgres);
void pool_retry(struct postgres *postgres);
void notify_later(struct postgres *postgres);

#endif
