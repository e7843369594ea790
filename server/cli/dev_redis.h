/* The Redis of `dev`: its own data and socket below .prong/. */
#ifndef DEV_REDIS_H
#define DEV_REDIS_H

#include "server/cli/cli.h"
#include "server/cli/service.h"

struct dev_redis {
	struct service service;
	char *socket;
	char *socket_folder;
	char *url;
};

/* As dev_postgres_start(). */
int dev_redis_start(struct dev_redis *redis, struct invocation *invocation);
void dev_redis_stop(struct dev_redis *redis);

#endif
