/*
 * The connection under struct redis: one socket, its greeting, and the queue of unanswered commands. The calls are in
 * redis.h; this is what its two halves share: redis_connection.c keeps a connection alive, redis.c speaks over it.
 */
#ifndef REDIS_CONNECTION_H
#define REDIS_CONNECTION_H

#include "common/buffer.h"
#include "common/redis/redis.h"
#include "common/redis/redis_url.h"
#include "common/redis/resolve.h"

struct event;

enum redis_state {
	REDIS_WAITING, /* to reconnect */
	REDIS_RESOLVING,
	REDIS_CONNECTING,
	REDIS_GREETING, /* AUTH, SELECT, CLIENT SETNAME are sent */
	REDIS_READY,
};

/* A command that was sent. Whoever waits owns it once it is answered; without one it belongs to the connection. */
struct redis_pending {
	struct redis_pending *next;
	struct coroutine *waiter; /* NULL: nobody waits (any more) */
	int64_t deadline;	  /* monotonic µs */
	bool answered;
	int result; /* -EHOSTDOWN, or 0 with `reply` */
	redisReply *reply;
};

/* A coroutine that waits for the connection to become ready. */
struct redis_waiter {
	struct redis_waiter *next, *previous;
	struct coroutine *coroutine; /* NULL once it was woken */
};

struct redis {
	struct loop *loop;
	struct redis_url url;
	char *name;

	enum redis_state state;
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
	struct redis_waiter waiters; /* head of a ring */

	size_t failures; /* attempts in a row */
	char error[256];
};

/* Gives the connection up, answers what is unanswered with -EHOSTDOWN, and reconnects after a while. */
void redis_connection_fail(struct redis *redis, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Notes that a command was appended to `out`: it is written at the end of the loop's turn. */
struct redis_pending *redis_connection_sent(struct redis *redis, prong_duration timeout, struct coroutine *waiter);

/* Appends a command in RESP. */
void redis_write_command(struct buffer *out, size_t argc, const char *const argv[], const size_t lengths[]);

#endif
