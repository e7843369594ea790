#include "common/redis/redis_cluster.h"

#include <stdio.h>

#include "common/log.h"

#define MAP_TIMEOUT PRONG_SECONDS(2)
#define PROMPT_HOPS 4 /* redirections that are followed at once */

/* ---- slots ---- */

/* CRC-16/XMODEM, as Redis has it. */
static unsigned crc16(const char *data, size_t size)
{
	unsigned crc = 0;

	for (size_t i = 0; i < size; i++) {
		crc ^= (unsigned)(unsigned char)data[i] << 8;
		for (int bit = 0; bit < 8; bit++)
			crc = (crc << 1 ^ (crc & 0x8000 ? 0x1021 : 0)) & 0xffff;
	}
	return crc;
}

int redis_slot(const char *key, size_t length)
{
	const char *open = memchr(key, '{', length);
	const char *close = open ? memchr(open, '}', length - (size_t)(open - key)) : NULL;

	if (close && close > open + 1) {
		key = open + 1;
		length = (size_t)(close - key);
	}
	return (int)(crc16(key, length) % REDIS_SLOTS);
}

bool redis_is_cluster(const struct redis *redis)
{
	return redis->home->connection && redis->home->connection->in_cluster;
}

/* ---- nodes ---- */

static void on_changed(struct redis_connection *connection)
{
	struct redis *redis = connection->owner;

	if (connection->state != REDIS_READY)
		redis->stale = true;
	loop_defer(redis->loop, &redis->settle);
}

static struct redis_node *node_add(struct redis *redis, const char *host, const char *port)
{
	const struct redis_url *home = &redis->home->url;
	struct redis_node *node = allocate(sizeof(*node));

	node->url = (struct redis_url){
		.host = duplicate(host),
		.port = duplicate(port),
		.user = home->user ? duplicate(home->user) : NULL,
		.password = home->password ? duplicate(home->password) : NULL,
		.database = "0",
	};
	node->next = redis->home->next;
	redis->home->next = node;
	return node;
}

static struct redis_node *node_free(struct redis_node *node)
{
	check(node->holders == 0);
	redis_connection_free(node->connection);
	redis_url_clear(&node->url);
	free(node);
	return NULL;
}

/*
 * The node of an address that `from` told. A node leaves its own host out where it does not know it, and says "?" of
 * others where nobody told it; NULL then.
 */
static struct redis_node *node_at(struct redis *redis, const struct redis_node *from, const char *host,
				  const char *port)
{
	struct redis_node *node = redis->home;

	if (!host || !*host)
		host = from->url.host ? from->url.host : "127.0.0.1";
	if (string_equal(host, "?") || !*port)
		return NULL;
	while (node && !(node->url.host && string_equal(node->url.host, host) && string_equal(node->url.port, port)))
		node = node->next;
	if (!node)
		node = node_add(redis, host, port);
	node->listed = true;
	return node;
}

struct redis_connection *redis_node_connection(struct redis *redis, struct redis_node *node)
{
	char label[sizeof(node->connection->label)] = "";

	if (node->connection)
		return node->connection;
	if (node != redis->home)
		snprintf(label, sizeof(label), "%s:%s: ", node->url.host, node->url.port);
	node->connection = redis_connection_new(redis->loop, &node->url, redis->name, label, on_changed, redis);
	return node->connection;
}

static bool is_ready(const struct redis_node *node)
{
	return node->connection && node->connection->state == REDIS_READY;
}

/* Any node that is connected; NULL when none is. */
static struct redis_node *connected_node(const struct redis *redis)
{
	struct redis_node *node = redis->home;

	while (node && !is_ready(node))
		node = node->next;
	return node;
}

struct redis_node *redis_cluster_node(struct redis *redis, int slot)
{
	struct redis_node *node = NULL;

	if (!redis_is_cluster(redis))
		return redis->home;
	if (slot >= 0 && redis->slots)
		node = redis->slots[slot];
	if (!node)
		node = connected_node(redis);
	return node ? node : redis->home;
}

bool redis_connected(const struct redis *redis)
{
	return connected_node(redis) != NULL;
}

const char *redis_last_error(const struct redis *redis)
{
	for (const struct redis_node *node = redis->home; node; node = node->next)
		if (node->connection && *node->connection->error)
			return node->connection->error;
	return "";
}

/* ---- the map ---- */

static bool is_text(const redisReply *reply)
{
	return reply->type == REDIS_REPLY_STRING;
}

/* One range of CLUSTER SLOTS: first, last, [host, port, …] of the master, then its replicas. Returns its size. */
static size_t take_range(struct redis *redis, const struct redis_node *from, const redisReply *range)
{
	const redisReply *first, *last, *master;
	struct redis_node *node;
	char port[24];

	if (range->type != REDIS_REPLY_ARRAY || range->elements < 3)
		return 0;
	first = range->element[0], last = range->element[1], master = range->element[2];
	if (first->type != REDIS_REPLY_INTEGER || last->type != REDIS_REPLY_INTEGER || first->integer < 0 ||
	    last->integer >= REDIS_SLOTS || first->integer > last->integer || master->type != REDIS_REPLY_ARRAY ||
	    master->elements < 2 || master->element[1]->type != REDIS_REPLY_INTEGER)
		return 0;
	snprintf(port, sizeof(port), "%lld", master->element[1]->integer);
	node = node_at(redis, from, is_text(master->element[0]) ? master->element[0]->str : NULL, port);
	for (long long slot = first->integer; slot <= last->integer; slot++)
		redis->slots[slot] = node;
	return node ? (size_t)(last->integer - first->integer + 1) : 0;
}

static struct redis_node **slots_of(struct redis *redis)
{
	if (!redis->slots)
		redis->slots = allocate_array(REDIS_SLOTS, sizeof(struct redis_node *));
	return redis->slots;
}

size_t redis_cluster_take_map(struct redis *redis, const struct redis_node *from, const redisReply *reply)
{
	size_t served = 0;

	if (reply->type != REDIS_REPLY_ARRAY)
		return 0;
	for (struct redis_node *node = redis->home; node; node = node->next)
		node->listed = false;
	memset(slots_of(redis), 0, REDIS_SLOTS * sizeof(struct redis_node *));
	for (size_t i = 0; i < reply->elements; i++)
		served += take_range(redis, from, reply->element[i]);
	return served;
}

static void on_map(struct redis_connection *connection, const redisReply *reply)
{
	struct redis *redis = connection->owner;

	redis->asking = false;
	if (!reply)
		redis->stale = true;
	else if (reply->type == REDIS_REPLY_ERROR)
		log_warning("Redis: %sit does not tell the slots of its cluster: %s", connection->label, reply->str);
	else
		redis_cluster_take_map(redis, container_of(connection->url, struct redis_node, url), reply);
	loop_defer(redis->loop, &redis->settle);
}

static struct redis_node *random_node(const struct redis *redis)
{
	struct redis_node *chosen = NULL;
	size_t n = 0;

	for (struct redis_node *node = redis->home; node; node = node->next)
		if (random_u64() % ++n == 0)
			chosen = node;
	return chosen;
}

/*
 * Asks a node picked at random, for the one that is at hand may be cut off from the others and not know better; where
 * that one is not connected, any other, and it is there the next time. With none connected the map stays stale until
 * one is.
 */
static void ask_for_map(struct redis *redis)
{
	struct redis_node *node = random_node(redis);

	redis_node_connection(redis, node);
	if (!is_ready(node))
		node = connected_node(redis);
	if (!node)
		return;
	redis->stale = false;
	redis->asking = true;
	redis_write_command(&node->connection->out, 2, (const char *[]){ "CLUSTER", "SLOTS" }, NULL);
	redis_connection_sent(node->connection, MAP_TIMEOUT, NULL, on_map);
}

static bool is_idle(const struct redis_node *node)
{
	return node->holders == 0 && (!node->connection || !node->connection->oldest);
}

/* The home stays: its name may lead to others by now. */
static void free_idle_nodes(struct redis *redis)
{
	struct redis_node **place = &redis->home->next, *node;

	while ((node = *place)) {
		if (!node->listed && is_idle(node)) {
			*place = node->next;
			node_free(node);
		} else
			place = &node->next;
	}
}

/* At the end of a turn in which something changed. */
static void settle(void *argument)
{
	struct redis *redis = argument;

	free_idle_nodes(redis);
	if (redis_is_cluster(redis) && redis->stale && !redis->asking)
		ask_for_map(redis);
	for (struct redis_waiter *waiter = redis->waiters.next; waiter != &redis->waiters; waiter = waiter->next) {
		if (waiter->coroutine)
			coroutine_wake(waiter->coroutine, 0);
		waiter->coroutine = NULL;
	}
}

/* Asks for the map once this turn ends, and wakes those who wait for a change. */
static void doubt_map(struct redis *redis)
{
	redis->stale = true;
	loop_defer(redis->loop, &redis->settle);
}

/* ---- routes ---- */

void redis_route_to(struct redis_route *route, struct redis_node *node)
{
	if (node)
		node->holders++;
	if (route->node)
		route->node->holders--;
	route->node = node;
}

void redis_route_end(struct redis_route *route)
{
	redis_route_to(route, NULL);
}

bool redis_error_is(const char *error, const char *code)
{
	size_t size = strlen(code);

	return strncmp(error, code, size) == 0 && (error[size] == ' ' || error[size] == '\0');
}

/* "MOVED 3999 127.0.0.1:6381", likewise ASK. NULL where that names no node. */
static struct redis_node *named_node(struct redis *redis, const struct redis_route *route, const char *error,
				     int *ret_slot)
{
	_cleanup_(freep) char *host = NULL;
	const char *colon = strrchr(error, ':');
	int size = 0, slot;

	if (sscanf(error, "%*s %d %n", &slot, &size) != 1 || size == 0 || slot < 0 || slot >= REDIS_SLOTS || !colon ||
	    colon < error + size)
		return NULL;
	*ret_slot = slot;
	host = format_text("%.*s", (int)(colon - error - size), error + size);
	return node_at(redis, route->node, host, colon + 1);
}

bool redis_cluster_redirects(struct redis *redis, struct redis_route *route, const char *error,
			     prong_duration *ret_pause)
{
	bool moved = redis_error_is(error, "MOVED"), ask = redis_error_is(error, "ASK");
	bool later = redis_error_is(error, "TRYAGAIN") || redis_error_is(error, "CLUSTERDOWN") ||
		     (redis_error_is(error, "UNBLOCKED") && redis_is_cluster(redis));
	struct redis_node *node = NULL, **place;

	if (!moved && !ask && !later)
		return false;
	if (!later) {
		route->node->connection->in_cluster = true;
		node = named_node(redis, route, error, &route->slot);
	}
	place = route->slot >= 0 ? &slots_of(redis)[route->slot] : NULL;
	if (later || !node || (moved && *place != node))
		doubt_map(redis);
	if (moved && node)
		*place = node;
	route->pinned = route->asking = ask && node;
	if (route->pinned)
		redis_route_to(route, node);
	route->hops++;
	*ret_pause = node && route->hops <= PROMPT_HOPS ? 0 : reconnect_delay(route->hops < 4 ? route->hops - 1 : 3);
	return true;
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

struct redis *redis_new_idle(struct loop *loop, const char *url, const char *name)
{
	struct redis *redis = allocate(sizeof(*redis));
	struct redis_node *home = allocate(sizeof(*home));
	char *reason = NULL;

	if (redis_url_parse(url, &home->url, &reason) < 0)
		panic("REDIS_URL was not checked: %s", reason);
	redis->loop = loop;
	redis->name = client_name(name);
	redis->home = home;
	redis->settle = (struct loop_task){ .function = settle, .argument = redis };
	redis->waiters.next = redis->waiters.previous = &redis->waiters;
	redis->stale = true;
	return redis;
}

struct redis *redis_new(struct loop *loop, const char *url, const char *name)
{
	struct redis *redis = redis_new_idle(loop, url, name);

	redis_node_connection(redis, redis->home);
	return redis;
}

struct redis *redis_free(struct redis *redis)
{
	if (!redis)
		return NULL;
	check(redis->waiters.next == &redis->waiters);
	for (struct redis_node *node = redis->home, *next; node; node = next) {
		next = node->next;
		node_free(node);
	}
	loop_undefer(redis->loop, &redis->settle);
	free(redis->slots);
	free(redis->name);
	free(redis);
	return NULL;
}
