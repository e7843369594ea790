#include "common/redis/redis_send.h"

#define WAIT_FOR_CONNECTION PRONG_SECONDS(1)

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Until a connection or the map of a cluster changes. */
static int wait_for_change(struct redis *redis, int64_t deadline)
{
	struct redis_waiter waiter = { &redis->waiters, redis->waiters.previous, coroutine_current() };
	int r;

	waiter.previous->next = &waiter;
	redis->waiters.previous = &waiter;
	r = coroutine_wait(deadline);
	waiter.previous->next = waiter.next;
	waiter.next->previous = waiter.previous;
	return r;
}

/* Leads the route to its node and waits for the connection to it, a second at most. */
static int connect_route(struct redis *redis, struct redis_route *route, int64_t deadline)
{
	int64_t patience = monotonic_us() + WAIT_FOR_CONNECTION;
	int r = 0;

	while (r == 0) {
		if (route->slot < 0 && route->key && redis_is_cluster(redis))
			route->slot = redis_slot(route->key, route->key_length);
		if (!route->pinned)
			redis_route_to(route, redis_cluster_node(redis, route->slot));
		if (redis_node_connection(redis, route->node)->state == REDIS_READY)
			return 0;
		r = wait_for_change(redis, earlier(patience, deadline));
	}
	return r == -ETIMEDOUT && monotonic_us() >= patience ? -EHOSTDOWN : r;
}

/* Waits for the answer to a command that was appended. The reply may be an error reply. */
static int await(struct redis_connection *connection, int64_t deadline, redisReply **ret_reply)
{
	struct redis_pending *pending =
		redis_connection_sent(connection, deadline - monotonic_us(), coroutine_current(), NULL);
	redisReply *reply;
	int r = coroutine_wait(deadline);

	if (!pending->answered) {
		check(r < 0);
		pending->waiter = NULL;
		return r;
	}
	r = pending->result;
	reply = pending->reply;
	free(pending);
	if (r < 0)
		return r;
	*ret_reply = reply;
	return 0;
}

static int send_once(struct redis *redis, struct redis_route *route, const struct redis_words *words, int64_t deadline,
		     redisReply **ret_reply)
{
	struct redis_connection *connection;
	int r = connect_route(redis, route, deadline);

	if (r < 0)
		return r;
	connection = route->node->connection;
	if (route->asking) {
		redis_write_command(&connection->out, 1, (const char *[]){ "ASKING" }, NULL);
		redis_connection_sent(connection, deadline - monotonic_us(), NULL, NULL);
	}
	if (words->text)
		buffer_add(&connection->out, words->text, words->text_size);
	else
		redis_write_command(&connection->out, words->argc, words->argv, words->lengths);
	return await(connection, deadline, ret_reply);
}

int redis_send(struct redis *redis, struct redis_route *route, const struct redis_words *words, int64_t deadline,
	       redisReply **ret_reply)
{
	prong_duration pause;
	redisReply *reply;
	int r;

	for (;;) {
		r = send_once(redis, route, words, deadline, &reply);
		if (r < 0)
			return r;
		if (reply->type != REDIS_REPLY_ERROR || !redis_cluster_redirects(redis, route, reply->str, &pause) ||
		    monotonic_us() + pause >= deadline) {
			*ret_reply = reply;
			return 0;
		}
		freeReplyObject(reply);
		if (pause > 0)
			r = coroutine_sleep_until(monotonic_us() + pause);
		if (r < 0)
			return r;
	}
}
