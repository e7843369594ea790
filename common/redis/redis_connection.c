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

static void connect_next(struct redis *redis);

static void set_timer(struct redis *redis, prong_duration after)
{
	redis->timer_at = monotonic_us() + after;
	timer_set(redis->timer, after);
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

struct redis_pending *redis_connection_sent(struct redis *redis, prong_duration timeout, struct coroutine *waiter)
{
	struct redis_pending *pending = allocate(sizeof(*pending));

	pending->waiter = waiter;
	pending->deadline = monotonic_us() + timeout;
	*redis->newest = pending;
	redis->newest = &pending->next;
	event_active(redis->flush, EV_TIMEOUT, 0);
	if (redis->state == REDIS_READY && redis->oldest == pending &&
	    (!event_pending(redis->timer, EV_TIMEOUT, NULL) || pending->deadline + OVERDUE < redis->timer_at))
		set_timer(redis, timeout + OVERDUE);
	return pending;
}

/* Takes the oldest pending command out and gives it to who waits for it. */
static void answer_oldest(struct redis *redis, int result, redisReply *reply)
{
	struct redis_pending *pending = redis->oldest;

	redis->oldest = pending->next;
	if (!redis->oldest)
		redis->newest = &redis->oldest;
	if (!pending->waiter) {
		if (reply)
			freeReplyObject(reply);
		free(pending);
		return;
	}
	pending->answered = true;
	pending->result = result;
	pending->reply = reply;
	coroutine_wake(pending->waiter, 0);
}

static void become_ready(struct redis *redis)
{
	redis->state = REDIS_READY;
	if (redis->failures > 0)
		log_info("Redis: connected");
	redis->failures = 0;
	redis->error[0] = '\0';
	event_del(redis->timer);
	for (struct redis_waiter *waiter = redis->waiters.next; waiter != &redis->waiters; waiter = waiter->next) {
		if (waiter->coroutine)
			coroutine_wake(waiter->coroutine, 0);
		waiter->coroutine = NULL;
	}
}

/* An answer to AUTH, SELECT or CLIENT SETNAME. Returns false when the connection was given up. */
static bool greeted(struct redis *redis, const redisReply *reply)
{
	if (reply->type != REDIS_REPLY_ERROR || strncmp(reply->str, "NOPERM", 6) == 0 ||
	    strncmp(reply->str, "ERR unknown", 11) == 0) /* a server that forbids CLIENT serves us all the same */
		return true;
	if (strncmp(reply->str, "NOAUTH", 6) == 0)
		redis_connection_fail(redis,
				      "the server wants a password: write redis://:PASSWORD@host into REDIS_URL");
	else
		redis_connection_fail(redis, "the server refuses: %s", reply->str);
	return false;
}

/* Returns false when the connection was given up. */
static bool take_replies(struct redis *redis)
{
	for (;;) {
		redisReply *reply = NULL;

		if (redisReaderGetReply(redis->reader, (void **)&reply) != REDIS_OK) {
			redis_connection_fail(redis, "what it sends is not Redis' protocol: %s", redis->reader->errstr);
			return false;
		}
		if (!reply)
			return true;
		if (!redis->oldest) {
			freeReplyObject(reply);
			redis_connection_fail(redis, "a reply came that nothing had asked for");
			return false;
		}
		if (redis->state == REDIS_GREETING) {
			bool welcome = greeted(redis, reply);

			if (!welcome) {
				freeReplyObject(reply);
				return false;
			}
		}
		answer_oldest(redis, 0, reply);
		if (redis->state == REDIS_GREETING && !redis->oldest)
			become_ready(redis);
	}
}

static void on_readable(int fd, short what, void *argument)
{
	struct redis *redis = argument;
	char bytes[65536];

	(void)what;
	for (;;) {
		ssize_t size = read(fd, bytes, sizeof(bytes));

		if (size < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (size < 0) {
			redis_connection_fail(redis, "%s", strerror(errno));
			return;
		}
		if (size == 0) {
			redis_connection_fail(redis, "the server closed the connection");
			return;
		}
		redisReaderFeed(redis->reader, bytes, (size_t)size);
		if (!take_replies(redis) || size < (ssize_t)sizeof(bytes))
			return;
	}
}

static void write_out(struct redis *redis)
{
	while (redis->written < redis->out.size) {
		ssize_t size = send(redis->fd, redis->out.data + redis->written, redis->out.size - redis->written,
				    MSG_NOSIGNAL);

		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0 && errno == EAGAIN) {
			event_add(redis->writable, NULL);
			return;
		}
		if (size < 0) {
			redis_connection_fail(redis, "%s", strerror(errno));
			return;
		}
		redis->written += (size_t)size;
	}
	redis->written = redis->out.size = 0;
	if (redis->out.capacity > 1024 * 1024)
		buffer_free(&redis->out);
}

static void on_flush(int fd, short what, void *argument)
{
	struct redis *redis = argument;

	(void)fd, (void)what;
	if (redis->state >= REDIS_GREETING && !event_pending(redis->writable, EV_WRITE, NULL))
		write_out(redis);
}

/* ---- connecting ---- */

/* AUTH, SELECT, CLIENT SETNAME go out at once; the connection is ready when all three are answered. */
static void greet(struct redis *redis)
{
	const char *setname[] = { "CLIENT", "SETNAME", redis->name };
	const char *select[] = { "SELECT", redis->url.database };
	const char *auth[] = { "AUTH", redis->url.user, redis->url.password };

	redis->state = REDIS_GREETING;
	if (redis->url.user) {
		redis_write_command(&redis->out, 3, auth, NULL);
		redis_connection_sent(redis, CONNECT_TIMEOUT, NULL);
	} else if (redis->url.password) {
		auth[1] = redis->url.password;
		redis_write_command(&redis->out, 2, auth, NULL);
		redis_connection_sent(redis, CONNECT_TIMEOUT, NULL);
	}
	if (!string_equal(redis->url.database, "0")) {
		redis_write_command(&redis->out, 2, select, NULL);
		redis_connection_sent(redis, CONNECT_TIMEOUT, NULL);
	}
	redis_write_command(&redis->out, 3, setname, NULL);
	redis_connection_sent(redis, CONNECT_TIMEOUT, NULL);
}

static void on_writable(int fd, short what, void *argument)
{
	struct redis *redis = argument;
	socklen_t size = sizeof(int);
	int error = 0;

	(void)what;
	if (redis->state != REDIS_CONNECTING) {
		write_out(redis);
		return;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
		error = errno;
	if (error != 0) {
		redis_connection_fail(redis, "%s", strerror(error));
		return;
	}
	event_add(redis->readable, NULL);
	greet(redis);
}

/* Opens a socket to an address. The connection fails, or its writability will tell. */
static void connect_to(struct redis *redis, int family, const struct sockaddr *address, socklen_t size)
{
	struct event_base *base = loop_base(redis->loop);
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

	redis->state = REDIS_CONNECTING;
	set_timer(redis, CONNECT_TIMEOUT);
	if (fd < 0) {
		redis_connection_fail(redis, "no socket: %s", strerror(errno));
		return;
	}
	redis->fd = fd;
	redis->reader = redisReaderCreate();
	redis->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, redis);
	redis->writable = event_new(base, fd, EV_WRITE, on_writable, redis);
	check(redis->reader && redis->readable && redis->writable);
	if (family != AF_UNIX) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	}
	if (connect(fd, address, size) < 0 && errno != EINPROGRESS) {
		redis_connection_fail(redis, "%s", strerror(errno));
		return;
	}
	event_add(redis->writable, NULL);
}

static void connect_next(struct redis *redis)
{
	struct addrinfo *address = redis->next_address;

	redis->next_address = address->ai_next;
	connect_to(redis, address->ai_family, address->ai_addr, address->ai_addrlen);
}

static void on_resolved(void *argument, int error, struct addrinfo *addresses)
{
	struct redis *redis = argument;

	redis->resolve = NULL;
	if (error != 0) {
		redis_connection_fail(redis, "the host is not found: %s", gai_strerror(error));
		return;
	}
	redis->addresses = redis->next_address = addresses;
	connect_next(redis);
}

/* From then on the connection keeps itself alive. */
static void start(struct redis *redis)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (redis->url.path) {
		snprintf(address.sun_path, sizeof(address.sun_path), "%s", redis->url.path);
		connect_to(redis, AF_UNIX, (struct sockaddr *)&address, sizeof(address));
		return;
	}
	redis->state = REDIS_RESOLVING;
	set_timer(redis, CONNECT_TIMEOUT);
	redis->resolve = resolve_start(loop_base(redis->loop), redis->url.host, redis->url.port, on_resolved, redis);
	if (!redis->resolve)
		redis_connection_fail(redis, "no file descriptor is left");
}

/* ---- losing it ---- */

static void disconnect(struct redis *redis)
{
	redis->resolve = resolve_cancel(redis->resolve);
	if (redis->readable)
		event_free(redis->readable);
	if (redis->writable)
		event_free(redis->writable);
	if (redis->reader)
		redisReaderFree(redis->reader);
	if (redis->fd >= 0)
		close(redis->fd);
	redis->readable = redis->writable = NULL;
	redis->reader = NULL;
	redis->fd = -1;
	redis->written = 0;
	buffer_free(&redis->out);
	while (redis->oldest)
		answer_oldest(redis, -EHOSTDOWN, NULL);
}

static void forget_addresses(struct redis *redis)
{
	if (redis->addresses)
		freeaddrinfo(redis->addresses);
	redis->addresses = redis->next_address = NULL;
}

void redis_connection_fail(struct redis *redis, const char *format, ...)
{
	char before[sizeof(redis->error)];
	va_list arguments;

	memcpy(before, redis->error, sizeof(before));
	va_start(arguments, format);
	vsnprintf(redis->error, sizeof(redis->error), format, arguments);
	va_end(arguments);
	if (!string_equal(before, redis->error)) /* once a reason, not once an attempt */
		log_warning("Redis: %s; connecting again until it is there", redis->error);

	disconnect(redis);
	if (redis->state < REDIS_GREETING && redis->next_address) {
		connect_next(redis);
		return;
	}
	forget_addresses(redis);
	redis->state = REDIS_WAITING;
	set_timer(redis, reconnect_delay(redis->failures++));
}

static bool overdue(const struct redis *redis)
{
	return redis->oldest && monotonic_us() >= redis->oldest->deadline + OVERDUE;
}

/* After a stop of our own the replies may lie in the socket while their time has passed: read before judging. */
static void judge_silence(struct redis *redis)
{
	if (overdue(redis))
		on_readable(redis->fd, EV_READ, redis);
	if (redis->state != REDIS_READY)
		return;
	if (overdue(redis))
		redis_connection_fail(redis, "the server is silent");
	else if (redis->oldest)
		set_timer(redis, redis->oldest->deadline + OVERDUE - monotonic_us());
}

static void on_timer(int fd, short what, void *argument)
{
	struct redis *redis = argument;

	(void)fd, (void)what;
	if (redis->state == REDIS_WAITING)
		start(redis);
	else if (redis->state == REDIS_READY)
		judge_silence(redis);
	else
		redis_connection_fail(redis, "no answer within 2 seconds");
}

/* ---- the whole ---- */

/* CLIENT SETNAME takes no spaces. */
static char *client_name(const char *name)
{
	char *result = duplicate(name);

	for (char *c = result; *c; c++)
		if (*c <= ' ' || *c > '~')
			*c = '-';
	return result;
}

struct redis *redis_new(struct loop *loop, const char *url, const char *name)
{
	struct redis *redis = allocate(sizeof(*redis));
	char *reason = NULL;

	redis->loop = loop;
	if (redis_url_parse(url, &redis->url, &reason) < 0)
		panic("REDIS_URL was not checked: %s", reason);
	redis->name = client_name(name);
	redis->fd = -1;
	redis->newest = &redis->oldest;
	redis->waiters.next = redis->waiters.previous = &redis->waiters;
	redis->timer = event_new(loop_base(loop), -1, 0, on_timer, redis);
	redis->flush = event_new(loop_base(loop), -1, 0, on_flush, redis);
	check(redis->timer && redis->flush);
	start(redis);
	return redis;
}

struct redis *redis_free(struct redis *redis)
{
	if (!redis)
		return NULL;
	check(redis->waiters.next == &redis->waiters);
	for (const struct redis_pending *pending = redis->oldest; pending; pending = pending->next)
		check(!pending->waiter);
	disconnect(redis);
	forget_addresses(redis);
	event_free(redis->timer);
	event_free(redis->flush);
	redis_url_clear(&redis->url);
	free(redis->name);
	free(redis);
	return NULL;
}
