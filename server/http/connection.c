#include "server/http/connection.h"

#include <sys/socket.h>

#include "server/http/exchange.h"
#include "server/http/http_server.h"

#define MIN_ROOM ((size_t)4096)		/* for reading a body behind its head */
#define MAX_OUTPUT ((size_t)128 * 1024) /* replies that wait for the client; then its next requests wait too */
#define MIN_BYTES_PER_SECOND 1024
#define LINGER_TIME PRONG_SECONDS(2)
#define DRAIN_GRACE PRONG_SECONDS(1)

static prong_duration patience(const struct http_connection *connection)
{
	return connection->server->runtime->settings->head_timeout;
}

static int64_t time_for(uint64_t bytes)
{
	return (int64_t)(bytes * 1000000 / MIN_BYTES_PER_SECOND);
}

static bool is_idle(const struct http_connection *connection)
{
	return connection->phase == PHASE_HEAD && connection->begin == connection->input.size &&
	       connection->sent == connection->output.size;
}

/* ---- its end ---- */

static void give_buffers_back(struct http_connection *connection)
{
	struct buffer_pool *pool = &connection->server->buffers;

	buffer_pool_give(pool, &connection->input);
	buffer_pool_give(pool, &connection->output);
	buffer_pool_give(pool, &connection->body);
	connection->begin = connection->sent = 0;
}

static void destroy(struct http_connection *connection)
{
	struct http_server *server = connection->server;

	event_del(&connection->read_event);
	event_del(&connection->write_event);
	event_del(&connection->timer);
	close(connection->fd);
	exchange_give_back(connection->exchange);
	give_buffers_back(connection);
	*connection->previous = connection->next;
	if (connection->next)
		connection->next->previous = connection->previous;
	free(connection);
	http_server_connection_closed(server);
}

static void set_reading(struct http_connection *connection, bool reading)
{
	if (connection->reading == reading)
		return;
	connection->reading = reading;
	if (reading)
		event_add(&connection->read_event, NULL);
	else
		event_del(&connection->read_event);
}

static void set_writing(struct http_connection *connection, bool writing)
{
	if (connection->writing == writing)
		return;
	connection->writing = writing;
	if (writing)
		event_add(&connection->write_event, NULL);
	else
		event_del(&connection->write_event);
}

/* Nobody is there any more: frees it, now or when the handler has ended. */
static void lose(struct http_connection *connection)
{
	connection->gone = true;
	set_reading(connection, false);
	set_writing(connection, false);
	event_del(&connection->timer);
	connection->timer_at = INT64_MAX;
	if (connection->phase == PHASE_HANDLER)
		exchange_abandon(connection->exchange);
	else
		destroy(connection);
}

/* ---- output ---- */

static void send_output(struct http_connection *connection)
{
	struct buffer *output = &connection->output;

	while (connection->sent < output->size) {
		size_t left = output->size - connection->sent;
		ssize_t n = send(connection->fd, output->data + connection->sent, left, MSG_NOSIGNAL);

		if (n >= 0) {
			connection->sent += (size_t)n;
			if (connection->writing)
				connection->write_progress = monotonic_us();
		} else if (errno == EAGAIN) {
			if (!connection->writing) {
				connection->write_progress = monotonic_us();
				connection->write_until =
					connection->write_progress + patience(connection) + time_for(left);
			}
			set_writing(connection, true);
			return;
		} else if (errno != EINTR) {
			connection->gone = true;
			return;
		}
	}
	connection->sent = output->size = 0;
	set_writing(connection, false);
}

static void add_output(struct http_connection *connection, struct buffer *reply)
{
	if (connection->output.size == 0) {
		struct buffer empty = connection->output;

		connection->output = *reply;
		*reply = empty;
		return;
	}
	buffer_add(&connection->output, reply->data, reply->size);
	connection->write_until += time_for(reply->size);
}

/* ---- from one request to the next ---- */

static void next_request(struct http_connection *connection)
{
	connection->since = connection->exchange->ended;
	exchange_give_back(connection->exchange);
	connection->exchange = NULL;
	connection->phase = PHASE_HEAD;
	connection->head_begun = false;
	connection->scanned = connection->skip = 0;
	connection->body.size = 0;
	connection->begin = connection->consumed;
	if (connection->begin == connection->input.size)
		connection->begin = connection->input.size = 0;
}

static void begin_body(struct http_connection *connection, enum http_connection_phase phase)
{
	connection->phase = phase;
	connection->since = monotonic_us();
	connection->body_taken = 0;
	connection->chunks = (struct http_chunks){ 0 };
}

/* The exchange's reply is whole. */
static void end_exchange(struct http_connection *connection)
{
	struct exchange *exchange = connection->exchange;

	add_output(connection, &exchange->reply);
	if (exchange->close) {
		connection->phase = PHASE_LAST;
	} else if (exchange->body_unread) {
		begin_body(connection, PHASE_SKIP);
	} else {
		next_request(connection);
	}
}

static void follow(struct http_connection *connection, enum exchange_step step)
{
	switch (step) {
	case EXCHANGE_ANSWERED:
		end_exchange(connection);
		break;
	case EXCHANGE_RUNNING:
		connection->phase = PHASE_HANDLER;
		break;
	case EXCHANGE_NEEDS_BODY:
		begin_body(connection, PHASE_BODY);
		if (connection->exchange->head.expect_continue && connection->consumed == connection->input.size)
			buffer_add_literal(&connection->output, "HTTP/1.1 100 Continue\r\n\r\n");
	}
}

/* ---- heads ---- */

static void compact(struct http_connection *connection)
{
	struct buffer *input = &connection->input;

	if (connection->begin == 0)
		return;
	memmove(input->data, input->data + connection->begin, input->size - connection->begin);
	input->size -= connection->begin;
	connection->begin = 0;
}

/* Sees to it that a body can be read behind the head. Returns whether the head has moved. */
static bool make_room_for_body(struct http_connection *connection)
{
	struct buffer *input = &connection->input;

	if (input->capacity - connection->consumed >= MIN_ROOM)
		return false;
	compact(connection);
	connection->consumed = connection->head_size;
	if (input->capacity - connection->consumed < MIN_ROOM)
		buffer_reserve(input, input->capacity - input->size + MIN_ROOM);
	return true;
}

static int parse_head(struct http_connection *connection, struct http_refusal *ret_refusal)
{
	return http_parse_head(connection->input.data + connection->begin + connection->skip,
			       connection->head_size - connection->skip, &connection->exchange->head, ret_refusal);
}

static void refuse_head(struct http_connection *connection, const struct http_refusal *refusal)
{
	exchange_refuse_head(connection->exchange, refusal);
	end_exchange(connection);
}

static void wait_for_head(struct http_connection *connection)
{
	struct buffer *input = &connection->input;

	if (!connection->head_begun) {
		connection->head_begun = true;
		connection->since = monotonic_us();
	}
	compact(connection);
	if (input->size == input->capacity)
		buffer_reserve(input, input->capacity);
}

/* The functions named take_… return whether there may be more to do with what has been read. */
static bool take_head(struct http_connection *connection)
{
	size_t available = connection->input.size - connection->begin;
	struct http_refusal refusal;
	int64_t size;

	if (connection->output.size - connection->sent > MAX_OUTPUT && !connection->writing)
		send_output(connection);
	if (available == 0 || connection->writing || connection->gone)
		return false;

	size = http_find_head(connection->input.data + connection->begin, available, &connection->scanned,
			      &connection->skip, &refusal);
	if (size == 0) {
		wait_for_head(connection);
		return false;
	}
	connection->exchange = exchange_take(connection->server, connection);
	if (size < 0) {
		connection->consumed = connection->input.size;
		refuse_head(connection, &refusal);
		return true;
	}
	connection->head_size = connection->skip + (size_t)size;
	connection->consumed = connection->begin + connection->head_size;
	if (parse_head(connection, &refusal) < 0) {
		refuse_head(connection, &refusal);
		return true;
	}
	if (connection->exchange->head.framing != HTTP_NO_BODY && make_room_for_body(connection))
		check(parse_head(connection, &refusal) == 0);
	follow(connection, exchange_begin(connection->exchange));
	return true;
}

/* ---- bodies ---- */

static bool end_body(struct http_connection *connection, const char *body, size_t size)
{
	if (connection->phase == PHASE_SKIP)
		next_request(connection);
	else
		follow(connection, exchange_run(connection->exchange, body, size));
	return true;
}

static bool take_chunks(struct http_connection *connection, size_t begin)
{
	struct buffer *input = &connection->input;
	bool skipping = connection->phase == PHASE_SKIP;
	struct http_refusal refusal;
	size_t consumed, size;
	int r;

	r = http_chunks_decode(&connection->chunks, input->data + begin, input->size - begin,
			       skipping ? EXCHANGE_MAX_SKIP : exchange_max_body(connection->exchange), &consumed, &size,
			       &refusal);
	if (r < 0) {
		if (skipping) {
			connection->phase = PHASE_LAST;
			return false;
		}
		exchange_refuse_body(connection->exchange, &refusal);
		end_exchange(connection);
		return true;
	}
	if (!skipping)
		buffer_add(&connection->body, input->data + begin, size);
	connection->body_taken += consumed;
	if (r == 0) {
		input->size = begin;
		return false;
	}
	connection->consumed = begin + consumed;
	return end_body(connection, connection->body.data, connection->body.size);
}

static bool take_body(struct http_connection *connection)
{
	const struct http_head *head = &connection->exchange->head;
	struct buffer *input = &connection->input;
	size_t begin = connection->begin + connection->head_size, available = input->size - begin;
	uint64_t left = head->content_length - connection->body_taken;

	if (head->framing == HTTP_CHUNKED)
		return take_chunks(connection, begin);

	if (connection->body_taken == 0 && head->content_length <= input->capacity - begin) {
		if (available < head->content_length)
			return false;
		connection->consumed = begin + head->content_length;
		return end_body(connection, input->data + begin, head->content_length);
	}

	if (available > left)
		available = left;
	if (connection->phase == PHASE_BODY)
		buffer_add(&connection->body, input->data + begin, available);
	connection->body_taken += available;
	if (available < left) {
		input->size = begin;
		return false;
	}
	connection->consumed = begin + available;
	return end_body(connection, connection->body.data, connection->body.size);
}

/* ---- the turn of a connection ---- */

/* What the connection waits for must have come by then; INT64_MAX: by no time of ours. */
static int64_t deadline_of(const struct http_connection *connection)
{
	const struct settings *settings = connection->server->runtime->settings;
	uint64_t received;
	int64_t stalled;

	if (connection->writing) {
		stalled = connection->write_progress + patience(connection);
		return stalled < connection->write_until ? stalled : connection->write_until;
	}
	switch (connection->phase) {
	case PHASE_HEAD:
		if (connection->head_begun)
			return connection->since + patience(connection);
		return connection->since + (connection->server->draining ? DRAIN_GRACE : settings->idle_timeout);
	case PHASE_BODY:
	case PHASE_SKIP:
		received = connection->body_taken + connection->input.size - connection->begin - connection->head_size;
		return connection->since + patience(connection) + time_for(received);
	case PHASE_LINGER:
		return connection->since + LINGER_TIME;
	default:
		return INT64_MAX;
	}
}

static void set_timer(struct http_connection *connection)
{
	int64_t deadline = deadline_of(connection);

	if (deadline >= connection->timer_at)
		return;
	connection->timer_at = deadline;
	timer_set(&connection->timer, deadline - monotonic_us());
}

static void linger(struct http_connection *connection)
{
	shutdown(connection->fd, SHUT_WR);
	exchange_give_back(connection->exchange);
	connection->exchange = NULL;
	connection->phase = PHASE_LINGER;
	connection->since = monotonic_us();
	give_buffers_back(connection);
}

/* Sends what there is and sets the events and the timer for what comes next. May free the connection. */
static void settle(struct http_connection *connection)
{
	const struct buffer *input = &connection->input;

	if (!connection->gone && !connection->writing && connection->sent < connection->output.size)
		send_output(connection);
	if (connection->gone) {
		lose(connection);
		return;
	}
	if (connection->phase == PHASE_LAST && !connection->writing)
		linger(connection);
	if (is_idle(connection))
		give_buffers_back(connection);
	set_reading(connection,
		    connection->phase != PHASE_LAST && (input->capacity == 0 || input->size < input->capacity));
	set_timer(connection);
}

static void proceed(struct http_connection *connection)
{
	bool more = true;

	while (more)
		switch (connection->phase) {
		case PHASE_HEAD:
			more = take_head(connection);
			break;
		case PHASE_BODY:
		case PHASE_SKIP:
			more = take_body(connection);
			break;
		case PHASE_HANDLER:
			/* A handler that ended by itself is followed up by on_resume(), which must find the connection.
			 */
			more = !connection->exchange->coroutine && !connection->resume.queued;
			if (more)
				end_exchange(connection);
			break;
		default:
			more = false;
		}
	settle(connection);
}

static void on_readable(evutil_socket_t fd, short what, void *argument)
{
	struct http_connection *connection = argument;
	struct buffer *input = &connection->input;
	ssize_t n;

	(void)what;
	if (!input->capacity)
		buffer_pool_take(&connection->server->buffers, input);
	n = recv(fd, input->data + input->size, input->capacity - input->size, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n == 0 && connection->phase == PHASE_HEAD && connection->writing) {
		/* It sends no more, but still reads. */
		connection->phase = PHASE_LAST;
		set_reading(connection, false);
		return;
	}
	if (n <= 0) {
		lose(connection);
		return;
	}
	if (connection->phase == PHASE_LINGER)
		return;
	input->size += (size_t)n;
	proceed(connection);
}

static void on_writable(evutil_socket_t fd, short what, void *argument)
{
	struct http_connection *connection = argument;

	(void)fd;
	(void)what;
	send_output(connection);
	if (connection->gone)
		lose(connection);
	else if (connection->writing)
		set_timer(connection);
	else
		proceed(connection);
}

static void expire(struct http_connection *connection)
{
	if (connection->writing) {
		lose(connection);
	} else if (connection->phase == PHASE_HEAD && connection->head_begun) {
		connection->exchange = exchange_take(connection->server, connection);
		connection->consumed = connection->input.size;
		refuse_head(connection, &(struct http_refusal){ .status = 408,
								.close = true,
								.detail = "The request head took too long." });
		settle(connection);
	} else if (connection->phase == PHASE_BODY) {
		exchange_refuse_body(connection->exchange,
				     &(struct http_refusal){ .status = 408, .detail = "The body took too long." });
		end_exchange(connection);
		settle(connection);
	} else {
		destroy(connection);
	}
}

static void on_timer(evutil_socket_t fd, short what, void *argument)
{
	struct http_connection *connection = argument;

	(void)fd;
	(void)what;
	connection->timer_at = INT64_MAX;
	if (deadline_of(connection) <= monotonic_us())
		expire(connection);
	else
		set_timer(connection);
}

static void on_resume(void *argument)
{
	struct http_connection *connection = argument;

	if (connection->gone)
		destroy(connection);
	else
		proceed(connection);
}

void http_connection_open(struct http_server *server, int fd, const struct sockaddr_storage *peer)
{
	struct http_connection *connection = allocate(sizeof(*connection));
	struct event_base *base = loop_base(server->runtime->loop);
	struct address address = address_of_socket(peer);

	connection->server = server;
	connection->fd = fd;
	client_init(&connection->peer, &address);
	connection->peer_is_proxy = address_list_has(&server->trusted_proxies, &address);
	connection->timer_at = INT64_MAX;
	connection->since = monotonic_us();
	connection->resume = (struct loop_task){ .function = on_resume, .argument = connection };
	event_assign(&connection->read_event, base, fd, EV_READ | EV_PERSIST, on_readable, connection);
	event_assign(&connection->write_event, base, fd, EV_WRITE | EV_PERSIST, on_writable, connection);
	evtimer_assign(&connection->timer, base, on_timer, connection);

	connection->previous = &server->connections;
	connection->next = server->connections;
	if (connection->next)
		connection->next->previous = &connection->next;
	server->connections = connection;
	set_reading(connection, true);
	set_timer(connection);
}

void http_connection_resume(struct http_connection *connection)
{
	loop_defer(connection->server->runtime->loop, &connection->resume);
}

void http_connection_drain(struct http_connection *connection, int64_t now)
{
	if (!is_idle(connection))
		return;
	if (now - connection->since >= DRAIN_GRACE)
		destroy(connection);
	else
		set_timer(connection);
}

void http_connection_abort(struct http_connection *connection)
{
	if (!connection->gone)
		lose(connection);
}
