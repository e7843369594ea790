/* Sending a command to the node it belongs to, redirections included. */
#ifndef REDIS_SEND_H
#define REDIS_SEND_H

#include "common/redis/redis_cluster.h"

/* A command: words, or text in RESP. */
struct redis_words {
	size_t argc;
	const char *const *argv;
	const size_t *lengths; /* NULL: of strlen() */
	const char *text;      /* NULL: words */
	size_t text_size;
};

/*
 * Sends the command along the route and suspends until its reply, which may be an error reply, or `deadline`. Waits a
 * second at most for a connection (-EHOSTDOWN). What a node of a cluster refuses because it belongs elsewhere, or
 * cannot be done just now, is sent again; the refusal is the reply when time runs out over it. Afterwards the route
 * leads to the node that answered.
 */
int redis_send(struct redis *redis, struct redis_route *route, const struct redis_words *words, int64_t deadline,
	       redisReply **ret_reply);

#endif
