/*
 * A client's connection: its socket, buffers and deadlines. It reads heads and bodies, hands one request after the
 * other to an exchange, and sends the replies in that order. It owns itself: it is freed when its socket is closed and
 * no handler runs any more.
 *
 * At most one request at a time is worked on; others wait in the input buffer, or in the kernel when that is full. All
 * deadlines are absolute. How long we wait for a peer that does nothing is the setting HEAD_TIMEOUT; a body or a reader
 * has that and a second for every KiB.
 */
#ifndef HTTP_CONNECTION_H
#define HTTP_CONNECTION_H

#include <event2/event.h>
#include <event2/event_struct.h>

#include "common/buffer.h"
#include "common/loop.h"
#include "server/http/client.h"
#include "server/http/parser.h"

struct exchange;
struct http_server;

enum http_connection_phase {
	PHASE_HEAD,    /* waiting for the rest of a head; idle when there is no byte of it */
	PHASE_BODY,    /* collecting the exchange's body */
	PHASE_SKIP,    /* the reply is there already; dropping the body */
	PHASE_HANDLER, /* the exchange's handler runs */
	PHASE_LAST,    /* sending the last reply */
	PHASE_LINGER,  /* all is sent; dropping what the client still sends, so that its kernel does not drop the reply
			*/
};

struct http_connection {
	struct http_server *server;
	struct http_connection *next, **previous; /* of the server's list */
	int fd;
	struct client peer; /* who was accepted */
	bool peer_is_proxy; /* of TRUSTED_PROXIES */
	enum http_connection_phase phase;
	bool reading, writing; /* the events are set */
	bool gone;	       /* the client is; only the handler's end is waited for */
	struct event read_event, write_event, timer;
	struct loop_task resume;

	int64_t timer_at; /* when the timer fires; it is moved only for a deadline that comes before that */
	int64_t since;	  /* when the phase, or its wait, began (all times are monotonic µs) */
	bool head_begun;  /* in PHASE_HEAD: bytes of it are here */

	/* Input: data[begin … size) is not consumed yet. While an exchange lives, its request begins there. */
	struct buffer input;
	size_t begin, head_size, consumed; /* up to `consumed` belongs to the exchange; known once its body is whole */
	size_t scanned, skip;		   /* http_find_head()'s */

	struct buffer body;  /* where it does not stand in `input` as a whole */
	uint64_t body_taken; /* bytes of it consumed from `input`, with chunks' framing */
	struct http_chunks chunks;

	struct buffer output;
	size_t sent;
	int64_t write_progress, write_until; /* while `writing`: when bytes last went, and when all must have */

	struct exchange *exchange; /* NULL while waiting for a head */
};

/* Takes a non-blocking socket, and the address of its other end. */
void http_connection_open(struct http_server *server, int fd, const struct sockaddr_storage *peer);

/* The exchange's handler is over, later than it began: goes on at the end of the loop's turn. */
void http_connection_resume(struct http_connection *connection);

/*
 * The process leaves: an idle connection is closed, at once if it has been idle for a while, else after a moment in
 * which a request that is under way to us is still answered. Others end after their reply. May free the connection.
 */
void http_connection_drain(struct http_connection *connection, int64_t now);

/* Ends it now, dropping the reply of a running handler. May free the connection. */
void http_connection_abort(struct http_connection *connection);

#endif
