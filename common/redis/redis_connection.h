/*
 * One connection to one server: a socket, its greeting, and the queue of unanswered commands. It connects by itself as
 * long as it lives. A struct redis owns one, or one for each node of a cluster.
 */
#ifndef REDIS_CONNECTION_H
#define REDIS_CONNECTION_H

#include <hiredis/hiredis.h>

#include "common/buffer.h"
#include "common/loop.h"
#include "common/redis/redis_url.h"
#include "common/redis/resolve.h"

struct event;
struct redis_connection;

enum redis_state {
	REDIS_WAITING, /* to reconnect */
	REDIS_RESOLVING,
	REDIS_CONNECTING,
	REDIS_GREETING, /* AUTH, INFO cluster, SELECT, CLIENT SETNAME are sent */
	REDIS_READY,
};

/* Takes the reply that no coroutine waits for; NULL when it was lost. It is freed after. */
typedef void redis_reply_function(struct redis_connection *connection, const redisReply *reply);

/* A command that was sent. Whoever waits owns it once it is answered; without one it belongs to the connection. */
struct redis_pending {
	struct redis_pending *next;
	struct coroutine *waiter;      /* NULL: nobody waits (any more) */
	redis_reply_function *handler; /* in place of a waiter; NULL: the reply is of no interest */
	int64_t deadline;	       /* monotonic µs */
	bool answered;
	int result; /* -EHOSTDOWN, or 0 with `reply` */
	redisReply *reply;
};

struct redis_connection {
	struct loop *loop;
	const struct redis_url *url; /* the owner's, as is the name */
	const char *name;	     /* in CLIENT LIST; without spaces */
	char label[280];	     /* begins its errors: "host:port: ", or nothing */
	void (*changed)(struct redis_connection *connection);
	void *owner;

	enum redis_state state;
	bool in_cluster; /* as the server said last */
	struct resolve *resolve;
	struct addrinfo *addresses, *next_address;
	int fd;
	struct event *readable, *writable;
	struct event *timer; /* WAITING: reconnect; READY: the oldest command is overdue; else: gives up connecting */
	int64_t timer_at;    /* monotonic µs, while READY and the timer is pending */
	struct event *flush; /* active while `out` waits for the end of the turn */
	redisReader *reader;
	struct buffer out;
	size_t written; /* of `out` */
	struct redis_pending *oldest, **newest;

	size_t failures; /* attempts in a row */
	char error[512];
};

/*
 * Connects in the background. `changed()` is called, also from within this call, when it became ready or was lost;
 * it must not free the connection.
 */
struct redis_connection *redis_connection_new(struct loop *loop, const struct redis_url *url, const char *name,
					      const char *label, void (*changed)(struct redis_connection *connection),
					      void *owner);
struct redis_connection *redis_connection_free(struct redis_connection *connection); /* nobody waits; returns NULL */

/* Gives the connection up, answers what is unanswered with -EHOSTDOWN, and reconnects after a while. */
void redis_connection_fail(struct redis_connection *connection, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Notes that a command was appended to `out`: it is written at the end of the loop's turn. */
struct redis_pending *redis_connection_sent(struct redis_connection *connection, prong_duration timeout,
					    struct coroutine *waiter, redis_reply_function *handler);

/* Appends a command in RESP. */
void redis_write_command(struct buffer *out, size_t argc, const char *const argv[], const size_t lengths[]);

#endif
