/*
 * One request and its reply: match → authenticate → check → bind → coroutine → handler → reply. An exchange belongs to
 * its connection, which parses the head, collects the body, and sends what stands in `reply` once the exchange is over.
 * It is taken from the server's pool when a head is complete and given back after its reply.
 *
 * Everything here runs on the loop outside coroutines but the handler and its end. Pointers into the request (`head`,
 * the body) are into the connection's buffers, which do not move while the exchange lives.
 */
#ifndef EXCHANGE_H
#define EXCHANGE_H

#include "common/buffer.h"
#include "common/context.h"
#include "common/loop.h"
#include "server/http/client.h"
#include "server/http/parser.h"
#include "server/http/router.h"

struct http_connection;
struct http_server;

/* A header that the handler or a check adds to the reply; lives in the context's arena. */
struct reply_header {
	const char *name, *value;
	struct reply_header *next;
};

struct exchange {
	struct http_server *server;
	struct http_connection *connection; /* NULL in unit tests */
	struct exchange *next_spare;

	struct http_head head;
	struct route_match match; /* valid where `match.route` is set */
	struct prong_ctx ctx;
	bool deferred; /* authenticated on the coroutine, only or again; query string and body are bound after that */
	struct http_text body;	     /* whole, from exchange_run() on */
	const void *query;	     /* bound to the route's schema */
	const struct client *client; /* NULL: not asked for yet (client.h) */
	struct client forwarded;     /* where it came through a trusted proxy */

	struct coroutine *coroutine; /* until the handler is over: then the reply is whole, or dropped */
	bool starting;		     /* coroutine_start() has not returned yet */
	bool abandoned;		     /* the client has gone: nobody waits for a reply */
	bool body_unread;
	int64_t started, ended; /* monotonic µs, from the whole request to its reply */

	struct reply_header *headers, **last_header;
	struct buffer reply; /* head and content, as sent */
	int status;	     /* of the reply; 0: none yet */
	size_t content_size;
	bool close; /* the connection ends after this reply */
};

enum exchange_step {
	EXCHANGE_ANSWERED, /* the reply is in place; where `body_unread` says so, the body is still to be skipped */
	EXCHANGE_NEEDS_BODY,
	EXCHANGE_RUNNING, /* http_connection_resume() is called once the handler is done */
};

/* A body that nobody wants is read and dropped up to this size; the connection ends rather than read more. */
#define EXCHANGE_MAX_SKIP ((size_t)64 * 1024)

struct exchange *exchange_take(struct http_server *server, struct http_connection *connection);
void exchange_give_back(struct exchange *exchange); /* `exchange` may be NULL */
void exchange_free(struct exchange *exchange);

/* Answers what stands for no request: a head that was refused, or one that came too slowly. */
void exchange_refuse_head(struct exchange *exchange, const struct http_refusal *refusal);

/* Decides about a parsed `head` before its body is read. */
enum exchange_step exchange_begin(struct exchange *exchange);

/* How large the body may be, once exchange_begin() said it is needed. */
size_t exchange_max_body(const struct exchange *exchange);

/* The body is whole: binds it and runs the handler. Never EXCHANGE_NEEDS_BODY. */
enum exchange_step exchange_run(struct exchange *exchange, const char *body, size_t size);

/* Answers while the body is being read: too large, too slow, or malformed. */
void exchange_refuse_body(struct exchange *exchange, const struct http_refusal *refusal);

/* The client has gone: ends the handler's waits and drops its reply. */
void exchange_abandon(struct exchange *exchange);

#endif
