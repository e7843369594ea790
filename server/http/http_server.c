#include "server/http/http_server.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "common/log.h"
#include "common/security/token_cache.h"
#include "server/http/connection.h"
#include "server/http/exchange.h"
#include "server/http/http_metrics.h"

#define ACCEPT_PAUSE PRONG_MILLISECONDS(100)
#define DRAIN_POLL PRONG_MILLISECONDS(10)
#define COMPLAIN_INTERVAL PRONG_MINUTES(1)
#define MAX_POOLED_BUFFER (4 * HTTP_BUFFER_SIZE)

void buffer_pool_take(struct buffer_pool *pool, struct buffer *ret_buffer)
{
	if (pool->count) {
		*ret_buffer = pool->items[--pool->count];
		return;
	}
	*ret_buffer = (struct buffer){ 0 };
	buffer_reserve(ret_buffer, HTTP_BUFFER_SIZE);
}

void buffer_pool_give(struct buffer_pool *pool, struct buffer *buffer)
{
	if (buffer->capacity < HTTP_BUFFER_SIZE || buffer->capacity > MAX_POOLED_BUFFER ||
	    pool->count == ARRAY_SIZE(pool->items)) {
		buffer_free(buffer);
		return;
	}
	buffer->size = 0;
	pool->items[pool->count++] = *buffer;
	*buffer = (struct buffer){ 0 };
}

/* ---- accepting ---- */

static void accept_more(struct http_server *server)
{
	bool full = server->n_connections >= (size_t)server->runtime->settings->max_connections;

	if (server->accepting || server->draining || server->listener < 0 || full)
		return;
	server->accepting = true;
	event_add(&server->listener_event, NULL);
}

static void accept_no_more(struct http_server *server)
{
	if (!server->accepting)
		return;
	server->accepting = false;
	event_del(&server->listener_event);
}

/* The socket stays readable, so going on at once would only spin. */
static void pause_accepting(struct http_server *server, int error)
{
	int64_t now = monotonic_us();

	if (!server->complained_at || now - server->complained_at > COMPLAIN_INTERVAL) {
		log_warning("cannot accept connections for now: %s", strerror(error));
		server->complained_at = now;
	}
	accept_no_more(server);
	timer_set(&server->retry_timer, ACCEPT_PAUSE);
}

static void on_retry(evutil_socket_t fd, short what, void *argument)
{
	(void)fd;
	(void)what;
	accept_more(argument);
}

/* Whether there was one; else errno says why not. */
static bool accept_one(struct http_server *server)
{
	struct sockaddr_storage peer = { 0 };
	socklen_t size = sizeof(peer);
	int fd = accept4(server->listener, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return false;
	server->n_connections++;
	http_metrics_connections(server->n_connections);
	http_connection_open(server, fd, &peer);
	return true;
}

/* One a turn: with several processes on the same socket, that spreads connections evenly. */
static void on_acceptable(evutil_socket_t listener, short what, void *argument)
{
	struct http_server *server = argument;

	(void)listener;
	(void)what;
	if (!accept_one(server)) {
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			pause_accepting(server, errno);
		return;
	}
	if (server->n_connections >= (size_t)server->runtime->settings->max_connections)
		accept_no_more(server);
}

void http_server_connection_closed(struct http_server *server)
{
	server->n_connections--;
	http_metrics_connections(server->n_connections);
	if (server->draining && server->n_connections == 0)
		timer_set(&server->drain_timer, 0);
	else if (!event_pending(&server->retry_timer, EV_TIMEOUT, NULL))
		accept_more(server);
}

/* ---- leaving ---- */

static void cut_connections(struct http_server *server)
{
	struct http_connection *next;

	server->cut = true;
	log_warning("%zu connections are cut: DRAIN_TIMEOUT has passed", server->n_connections);
	for (struct http_connection *connection = server->connections; connection; connection = next) {
		next = connection->next;
		http_connection_abort(connection);
	}
}

static void on_drain(evutil_socket_t fd, short what, void *argument)
{
	struct http_server *server = argument;
	struct loop *loop = server->runtime->loop;
	int64_t now = monotonic_us();

	(void)fd;
	(void)what;
	if (server->n_connections && !server->cut && now >= server->drain_deadline)
		cut_connections(server);
	/* Handlers that were cut have a second to notice. */
	if ((server->n_connections == 0 && server->n_requests == 0) || now >= server->drain_deadline + PRONG_SECONDS(1))
		loop_stop(loop);
	else
		timer_set(&server->drain_timer, DRAIN_POLL);
}

/* Whom the kernel has let in already would otherwise wait in the queue until it ends with a reset. */
static void accept_rest(struct http_server *server)
{
	while (server->n_connections < (size_t)server->runtime->settings->max_connections)
		if (!accept_one(server) && errno != EINTR && errno != ECONNABORTED)
			break;
}

void http_server_drain(void *argument)
{
	struct http_server *server = argument;
	int64_t now = monotonic_us();
	struct http_connection *next;

	if (server->draining)
		return;
	server->draining = true;
	server->drain_deadline = now + server->runtime->settings->drain_timeout;
	accept_no_more(server);
	event_del(&server->retry_timer);
	accept_rest(server);
	/* The socket itself may go on: others hold it too. */
	closep(&server->listener);
	server->listener = -1;
	for (struct http_connection *connection = server->connections; connection; connection = next) {
		next = connection->next;
		http_connection_drain(connection, now);
	}
	timer_set(&server->drain_timer, 0);
}

/* ---- its life ---- */

struct http_server *http_server_new(struct runtime *runtime, int listener)
{
	struct http_server *server = allocate(sizeof(*server));
	struct event_base *base = loop_base(runtime->loop);
	_cleanup_(freep) char *reason = NULL;
	int yes = 1;

	server->runtime = runtime;
	server->router = router_new(runtime->registry);
	server->tokens = runtime->keyring ? token_cache_new() : NULL;
	if (address_list_parse(runtime->settings->trusted_proxies, &server->trusted_proxies, &reason) < 0)
		panic("TRUSTED_PROXIES: %s", reason); /* the settings were checked */
	server->listener = listener;
	/* Accepted sockets inherit it. On a Unix socket it fails, and is not needed. */
	setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	event_assign(&server->listener_event, base, listener, EV_READ | EV_PERSIST, on_acceptable, server);
	evtimer_assign(&server->retry_timer, base, on_retry, server);
	evtimer_assign(&server->drain_timer, base, on_drain, server);
	return server;
}

void http_server_listen(struct http_server *server)
{
	accept_more(server);
}

struct http_server *http_server_free(struct http_server *server)
{
	struct exchange *next;

	if (!server)
		return NULL;
	check(server->n_connections == 0);
	accept_no_more(server);
	event_del(&server->retry_timer);
	event_del(&server->drain_timer);
	closep(&server->listener);
	for (struct exchange *exchange = server->spare_exchanges; exchange; exchange = next) {
		next = exchange->next_spare;
		exchange_free(exchange);
	}
	while (server->buffers.count)
		buffer_free(&server->buffers.items[--server->buffers.count]);
	buffer_free(&server->scratch);
	address_list_free(&server->trusted_proxies);
	server->tokens = token_cache_free(server->tokens);
	server->router = router_free(server->router);
	free(server);
	return NULL;
}
