/*
 * What a struct redis owns: the node of REDIS_URL, its home, and where that is one of a Redis Cluster, the other
 * masters and the map of its 16384 slots. Each node has a connection from when it is first needed. The map comes from
 * CLUSTER SLOTS and is only ever a guess: whoever is asked wrongly redirects, and the map is asked for again, as it is
 * whenever a node is lost or found. A server that is no cluster is a home alone.
 *
 * Everything here but redis_cluster_*() and redis_node_*() is in redis.h. None of it suspends.
 */
#ifndef REDIS_CLUSTER_H
#define REDIS_CLUSTER_H

#include "common/redis/redis.h"
#include "common/redis/redis_connection.h"

#define REDIS_SLOTS 16384

struct redis_node {
	struct redis_node *next;
	struct redis_url url;
	struct redis_connection *connection; /* NULL until it is needed */
	bool listed;	/* by the last map, or by a redirection since; others go when they are idle */
	size_t holders; /* routes that lead here */
};

/* A coroutine that waits for something to change: a node's connection or the map. */
struct redis_waiter {
	struct redis_waiter *next, *previous;
	struct coroutine *coroutine; /* NULL once it was woken */
};

struct redis {
	struct loop *loop;
	char *name;
	struct redis_node *home;   /* the first of all nodes */
	struct redis_node **slots; /* NULL until it is known to be a cluster; NULL for a slot that nobody serves */
	bool stale;		   /* the map is to be asked for */
	bool asking;		   /* it is being asked for */
	struct loop_task settle;
	struct redis_waiter waiters; /* head of a ring */
};

/* Where a command goes, on the stack of who sends it. */
struct redis_route {
	const char *key; /* NULL: any node will do */
	size_t key_length;
	int slot; /* the key's; -1 until a cluster needs it */
	struct redis_node *node;
	bool pinned; /* to `node`, whatever the map says */
	bool asking; /* ASKING goes before it: the slot is on its way to `node` */
	size_t hops; /* redirections so far */
};

/* Leads the route to `node` (NULL: nowhere), which lives at least as long as the route leads there. */
void redis_route_to(struct redis_route *route, struct redis_node *node);
void redis_route_end(struct redis_route *route); /* for _cleanup_ */

/* The node for a slot, as far as is known; any that is connected where the slot is -1 or nobody's. */
struct redis_node *redis_cluster_node(struct redis *redis, int slot);
struct redis_connection *redis_node_connection(struct redis *redis, struct redis_node *node);

/*
 * What an error reply says of where the command belongs: true when it was not executed and is to be sent again, along
 * the route that was changed, after `ret_pause`. Other errors are false.
 */
bool redis_cluster_redirects(struct redis *redis, struct redis_route *route, const char *error,
			     prong_duration *ret_pause);

/* Takes the reply to CLUSTER SLOTS of that node. Returns how many slots are served. */
size_t redis_cluster_take_map(struct redis *redis, const struct redis_node *from, const redisReply *reply);

/* Whether an error is of this kind: its first word is `code`. */
bool redis_error_is(const char *error, const char *code);

#endif
