/* A coroutine with a client of Redis: the stage of the tests of common/redis/. */
#ifndef REDIS_SCENE_H
#define REDIS_SCENE_H

#include "common/loop.h"
#include "common/redis/redis.h"
#include "tests/unit/common/redis_server.h"

#define TIMEOUT PRONG_SECONDS(5)

struct scene {
	struct loop *loop;
	struct redis *redis;
	struct redis_server *server;   /* NULL: the shared one, or a cluster */
	struct redis_server **masters; /* of a cluster, or NULL */
	void (*body)(struct scene *scene);
};

/* Runs `body` with a client of that URL. */
void play(const char *url, struct redis_server *server, void (*body)(struct scene *scene));
void play_in_cluster(const char *url, struct redis_server **masters, void (*body)(struct scene *scene));

bool pings(struct redis *redis);

/* Waits for what happens in the background, with a limit that only a failure reaches. */
bool pings_at_last(struct redis *redis);

#endif
