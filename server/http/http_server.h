/*
 * One http process's server: the shared listening socket, the connections accepted from it, and what they share.
 * Nothing here suspends.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include <event2/event.h>
#include <event2/event_struct.h>

#include "common/address.h"
#include "common/buffer.h"
#include "common/loop.h"
#include "common/runtime.h"
#include "server/http/router.h"

struct http_connection;
struct exchange;
struct token_cache;

/* Emptied buffers, kept so that an idle connection holds none and a busy process calls no malloc. */
#define HTTP_BUFFER_SIZE ((size_t)16 * 1024)
struct buffer_pool {
	size_t count;
	struct buffer items[64];
};
void buffer_pool_take(struct buffer_pool *pool, struct buffer *ret_buffer); /* of at least HTTP_BUFFER_SIZE */
void buffer_pool_give(struct buffer_pool *pool, struct buffer *buffer);	    /* leaves it empty; may be empty already */

struct http_server {
	struct runtime *runtime; /* borrowed */
	struct router *router;
	struct address_list trusted_proxies;
	int listener; /* owned here: this process's descriptor of the shared socket */
	struct event listener_event, retry_timer, drain_timer;
	bool accepting;
	int64_t complained_at; /* about a lack of descriptors; monotonic µs, 0: never */

	struct http_connection *connections; /* all of them */
	size_t n_connections, n_requests;
	bool draining;
	int64_t drain_deadline; /* monotonic µs; then connections are cut */
	bool cut;		/* that has been done */

	struct token_cache *tokens; /* NULL without the accounts module */
	struct exchange *spare_exchanges;
	size_t n_spare_exchanges;
	struct buffer_pool buffers;
	struct buffer scratch; /* for content while it is written; nobody keeps anything in it across a wait */
	char date[64];	       /* the Date field, of the second `date_at` */
	time_t date_at;
};

/* Takes the listener. */
struct http_server *http_server_new(struct runtime *runtime, int listener);
struct http_server *http_server_free(struct http_server *server); /* without connections; returns NULL */

/* Begins to accept. */
void http_server_listen(struct http_server *server);

/*
 * Stops accepting, lets running requests finish, closes idle connections, and stops the loop when nothing is left or
 * DRAIN_TIMEOUT has passed; `server` is a void * to fit process_attach().
 */
void http_server_drain(void *server);

/* Called by a connection when it has gone. */
void http_server_connection_closed(struct http_server *server);

#endif
