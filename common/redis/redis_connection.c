#include "common/redis/redis_connection.h"

#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/log.h"

#define CONNECT_TIMEOUT PRONG_SECONDS(2) /* of one address, greeting included */
#define OVERDUE PRONG_SECONDS(1)
#define SEND_BUFFER (4 * 1024 * 1024) /* of a Unix socket, where the system allows it: TCP's grow by themselves */

static void connect_next(struct redis_connection *connection);

static void set_timer(struct redis_connection *connection, prong_duration after)
{
	connection->timer_at = monotonic_us() + after;
	timer_set(connection->timer, after);
}

void redis_write_command(struct buffer *out, size_t argc, const char *const argv[], const size_t lengths[])
{
	buffer_add_char(out, '*');
	buffer_add_integer(out, (int64_t)argc);
	buffer_add_literal(out, "\r\n");
	for (size_t i = 0; i < argc; i++) {
		size_t length = lengths ? lengths[i] : strlen(argv[i]);

		buffer_add_char(out, '$');
		buffer_add_integer(out, (int64_t)length);
		buffer_add_literal(out, "\r\n");
		buffer_add(out, argv[i], length);
		buffer_add_literal(out, "\r\n");
	}
}

/* ---- commands and replies ---- */

struct redis_pending *redis_connection_sent(struct redis_connection *connection, prong_duration timeout,
					    struct coroutine *waiter, redis_reply_function *handler)
{
	struct redis_pending *pending = allocate(sizeof(*pending));

	pending->waiter = waiter;
	pending->handler = handler;
	pending->deadline = monotonic_us() + timeout;
	*connection->newest = pending;
	connection->newest = &pending->next;
	event_active(connection->flush, EV_TIMEOUT, 0);
	if (connection->state == REDIS_READY && connection->oldest == pending &&
	    (!event_pending(connection->timer, EV_TIMEOUT, NULL) || pending->deadline + OVERDUE < connection->timer_at))
		set_timer(connection, timeout + OVERDUE);
	return pending;
}

/* Takes the oldest pending command out and gives its reply to who waits for it. */
static void answer_oldest(struct redis_connection *connection, int result, redisReply *reply)
{
	struct redis_pending *pending = connection->oldest;

	connection->oldest = pending->next;
	if (!connection->oldest)
		connection->newest = &connection->oldest;
	if (pending->waiter) {
		pending->answered = true;
		pending->result = result;
		pending->reply = reply;
		coroutine_wake(pending->waiter, 0);
		return;
	}
	if (pending->handler)
		pending->handler(connection, reply);
	if (reply)
		freeReplyObject(reply);
	free(pending);
}

static void become_ready(struct redis_connection *connection)
{
	connection->state = REDIS_READY;
	if (connection->failures > 0)
		log_info("Redis: %sconnected", connection->label);
	connection->failures = 0;
	connection->error[0] = '\0';
	event_del(connection->timer);
	connection->changed(connection);
}

/* Returns false when the connection was given up. */
static bool take_replies(struct redis_connection *connection)
{
	for (;;) {
		redisReply *reply = NULL;

		if (redisReaderGetReply(connection->reader, (void **)&reply) != REDIS_OK) {
			redis_connection_fail(connection, "what it sends is not Redis' protocol: %s",
					      connection->reader->errstr);
			return false;
		}
		if (!reply)
			return true;
		if (!connection->oldest) {
			freeReplyObject(reply);
			redis_connection_fail(connection, "a reply came that nothing had asked for");
			return false;
		}
		answer_oldest(connection, 0, reply);
		if (connection->state < REDIS_GREETING)
			return false;
		if (connection->state == REDIS_GREETING && !connection->oldest)
			become_ready(connection);
	}
}

/* Returns whether there may be more to read. */
static bool read_some(struct redis_connection *connection)
{
	char bytes[65536];
	ssize_t size = read(connection->fd, bytes, sizeof(bytes));

	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (size < 0) {
		redis_connection_fail(connection, "%s", strerror(errno));
		return false;
	}
	if (size == 0) {
		redis_connection_fail(connection, "the server closed the connection");
		return false;
	}
	redisReaderFeed(connection->reader, bytes, (size_t)size);
	return take_replies(connection) && size == (ssize_t)sizeof(bytes);
}

/* What the first replies bring is begun before the next are read: the server has something to do again. */
static void on_readable(int fd, short what, void *argument)
{
	(void)fd, (void)what;
	read_some(argument);
}

static void write_out(struct redis_connection *connection)
{
	while (connection->written < connection->out.size) {
		ssize_t size = send(connection->fd, connection->out.data + connection->written,
				    connection->out.size - connection->written, MSG_NOSIGNAL);

		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0 && errno == EAGAIN) {
			event_add(connection->writable, NULL);
			return;
		}
		if (size < 0) {
			redis_connection_fail(connection, "%s", strerror(errno));
			return;
		}
		connection->written += (size_t)size;
	}
	connection->written = connection->out.size = 0;
	if (connection->out.capacity > 1024 * 1024)
		buffer_free(&connection->out);
}

static void on_flush(int fd, short what, void *argument)
{
	struct redis_connection *connection = argument;

	(void)fd, (void)what;
	if (connection->state >= REDIS_GREETING && !event_pending(connection->writable, EV_WRITE, NULL))
		write_out(connection);
}

/* ---- connecting ---- */

/* An answer to AUTH, SELECT or CLIENT SETNAME. A server that forbids CLIENT serves us all the same. */
static void on_greeted(struct redis_connection *connection, const redisReply *reply)
{
	if (!reply || reply->type != REDIS_REPLY_ERROR || strncmp(reply->str, "NOPERM", 6) == 0 ||
	    strncmp(reply->str, "ERR unknown", 11) == 0)
		return;
	if (strncmp(reply->str, "NOAUTH", 6) == 0)
		redis_connection_fail(connection,
				      "the server wants a password: write redis://:PASSWORD@host into REDIS_URL");
	else
		redis_connection_fail(connection, "the server refuses: %s", reply->str);
}

/* An answer to INFO cluster. Without one, the first redirection tells. */
static void on_informed(struct redis_connection *connection, const redisReply *reply)
{
	if (reply && reply->type == REDIS_REPLY_STRING)
		connection->in_cluster = strstr(reply->str, "cluster_enabled:1") != NULL;
}

static void say(struct redis_connection *connection, size_t argc, const char *const argv[],
		redis_reply_function *handler)
{
	redis_write_command(&connection->out, argc, argv, NULL);
	redis_connection_sent(connection, CONNECT_TIMEOUT, NULL, handler);
}

/* All of it goes out at once; the connection is ready when all is answered. */
static void greet(struct redis_connection *connection)
{
	const struct redis_url *url = connection->url;

	connection->state = REDIS_GREETING;
	if (url->user)
		say(connection, 3, (const char *[]){ "AUTH", url->user, url->password }, on_greeted);
	else if (url->password)
		say(connection, 2, (const char *[]){ "AUTH", url->password }, on_greeted);
	say(connection, 2, (const char *[]){ "INFO", "cluster" }, on_informed);
	if (!string_equal(url->database, "0"))
		say(connection, 2, (const char *[]){ "SELECT", url->database }, on_greeted);
	say(connection, 3, (const char *[]){ "CLIENT", "SETNAME", connection->name }, on_greeted);
}

static void on_writable(int fd, short what, void *argument)
{
	struct redis_connection *connection = argument;
	socklen_t size = sizeof(int);
	int error = 0;

	(void)what;
	if (connection->state != REDIS_CONNECTING) {
		write_out(connection);
		return;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
		error = errno;
	if (error != 0) {
		redis_connection_fail(connection, "%s", strerror(error));
		return;
	}
	event_add(connection->readable, NULL);
	greet(connection);
}

/* Opens a socket to an address. The connection fails, or its writability will tell. */
static void connect_to(struct redis_connection *connection, int family, const struct sockaddr *address, socklen_t size)
{
	struct event_base *base = loop_base(connection->loop);
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1, room = SEND_BUFFER;

	connection->state = REDIS_CONNECTING;
	set_timer(connection, CONNECT_TIMEOUT);
	if (fd < 0) {
		redis_connection_fail(connection, "no socket: %s", strerror(errno));
		return;
	}
	connection->fd = fd;
	connection->reader = redisReaderCreate();
	connection->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, connection);
	connection->writable = event_new(base, fd, EV_WRITE, on_writable, connection);
	check(connection->reader && connection->readable && connection->writable);
	if (family != AF_UNIX) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	} else {
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	}
	if (connect(fd, address, size) < 0 && errno != EINPROGRESS) {
		redis_connection_fail(connection, "%s", strerror(errno));
		return;
	}
	event_add(connection->writable, NULL);
}

static void connect_next(struct redis_connection *connection)
{
	struct addrinfo *address = connection->next_address;

	connection->next_address = address->ai_next;
	connect_to(connection, address->ai_family, address->ai_addr, address->ai_addrlen);
}

static void on_resolved(void *argument, int error, struct addrinfo *addresses)
{
	struct redis_connection *connection = argument;

	connection->resolve = NULL;
	if (error != 0) {
		redis_connection_fail(connection, "the host is not found: %s", gai_strerror(error));
		return;
	}
	connection->addresses = connection->next_address = addresses;
	connect_next(connection);
}

/* From then on the connection keeps itself alive. */
static void start(struct redis_connection *connection)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (connection->url->path) {
		snprintf(address.sun_path, sizeof(address.sun_path), "%s", connection->url->path);
		connect_to(connection, AF_UNIX, (struct sockaddr *)&address, sizeof(address));
		return;
	}
	connection->state = REDIS_RESOLVING;
	set_timer(connection, CONNECT_TIMEOUT);
	connection->resolve = resolve_start(loop_base(connection->loop), connection->url->host, connection->url->port,
					    on_resolved, connection);
	if (!connection->resolve)
		redis_connection_fail(connection, "no file descriptor is left");
}

/* ---- losing it ---- */

static void disconnect(struct redis_connection *connection)
{
	connection->resolve = resolve_cancel(connection->resolve);
	if (connection->readable)
		event_free(connection->readable);
	if (connection->writable)
		event_free(connection->writable);
	if (connection->reader)
		redisReaderFree(connection->reader);
	if (connection->fd >= 0)
		close(connection->fd);
	connection->readable = connection->writable = NULL;
	connection->reader = NULL;
	connection->fd = -1;
	connection->written = 0;
	buffer_free(&connection->out);
	while (connection->oldest)
		answer_oldest(connection, -EHOSTDOWN, NULL);
}

static void forget_addresses(struct redis_connection *connection)
{
	if (connection->addresses)
		freeaddrinfo(connection->addresses);
	connection->addresses = connection->next_address = NULL;
}

void redis_connection_fail(struct redis_connection *connection, const char *format, ...)
{
	size_t label = strlen(connection->label), size = sizeof(connection->error) - label;
	char before[sizeof(connection->error)];
	va_list arguments;

	memcpy(before, connection->error, sizeof(before));
	memcpy(connection->error, connection->label, label);
	va_start(arguments, format);
	vsnprintf(connection->error + label, size, format, arguments);
	va_end(arguments);
	if (!string_equal(before, connection->error)) /* once a reason, not once an attempt */
		log_warning("Redis: %s; connecting again until it is there", connection->error);

	disconnect(connection);
	if (connection->state < REDIS_GREETING && connection->next_address) {
		connect_next(connection);
		return;
	}
	forget_addresses(connection);
	connection->state = REDIS_WAITING;
	set_timer(connection, reconnect_delay(connection->failures++));
	connection->changed(connection);
}

static bool overdue(const struct redis_connection *connection)
{
	return connection->oldest && monotonic_us() >= connection->oldest->deadline + OVERDUE;
}

/* After a stop of our own the replies may lie in the socket while their time has passed: read before judging. */
static void judge_silence(struct redis_connection *connection)
{
	while (overdue(connection) && read_some(connection))
		continue;
	if (connection->state != REDIS_READY)
		return;
	if (overdue(connection))
		redis_connection_fail(connection, "the server is silent");
	else if (connection->oldest)
		set_timer(connection, connection->oldest->deadline + OVERDUE - monotonic_us());
}

static void on_timer(int fd, short what, void *argument)
{
	struct redis_connection *connection = argument;

	(void)fd, (void)what;
	if (connection->state == REDIS_WAITING)
		start(connection);
	else if (connection->state == REDIS_READY)
		judge_silence(connection);
	else
		redis_connection_fail(connection, "no answer within 2 seconds");
}

/* ---- the whole ---- */

struct redis_connection *redis_connection_new(struct loop *loop, const struct redis_url *url, const char *name,
					      const char *label, void (*changed)(struct redis_connection *connection),
					      void *owner)
{
	struct redis_connection *connection = allocate(sizeof(*connection));

	connection->loop = loop;
	connection->url = url;
	connection->name = name;
	snprintf(connection->label, sizeof(connection->label), "%s", label);
	connection->changed = changed;
	connection->owner = owner;
	connection->fd = -1;
	connection->newest = &connection->oldest;
	connection->timer = event_new(loop_base(loop), -1, 0, on_timer, connection);
	connection->flush = event_new(loop_base(loop), -1, 0, on_flush, connection);
	check(connection->timer && connection->flush);
	start(connection);
	return connection;
}

struct redis_connection *redis_connection_free(struct redis_connection *connection)
{
	if (!connection)
		return NULL;
	for (const struct redis_pending *pending = connection->oldest; pending; pending = pending->next)
		check(!pending->waiter);
	disconnect(connection);
	forget_addresses(connection);
	event_free(connection->timer);
	event_free(connection->flush);
	free(connection);
	return NULL;
}
