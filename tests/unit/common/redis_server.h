/*
 * A Redis of a test's own, for what the shared one of servers.h must not suffer: kills, passwords, persistence, limits.
 * Its folder is new, under /tmp; appendonly is on, with every write synced, so that a kill loses nothing.
 */
#ifndef REDIS_SERVER_H
#define REDIS_SERVER_H

#include "common/basics.h"

struct redis_server;

/* Starts it and waits until it answers. `options` are more of redis-server's, ending with NULL; kept for restarts. */
struct redis_server *redis_server_new(const char *const options[]);
struct redis_server *redis_server_free(struct redis_server *server); /* stops it, removes its folder; returns NULL */

const char *redis_server_url(const struct redis_server *server); /* of the Unix socket */
int redis_server_port(const struct redis_server *server);	 /* on 127.0.0.1 */

void redis_server_kill(struct redis_server *server);   /* SIGKILL, waited for */
void redis_server_launch(struct redis_server *server); /* after a kill; does not wait for an answer */
void redis_server_wait(struct redis_server *server);   /* until it answers, something other than LOADING */
void redis_server_signal(struct redis_server *server, int signal);

/* Asks it, blocking, as hiredis' redisCommand() does. The answer's text, malloc'ed; panics at an error. */
char *redis_server_ask(const struct redis_server *server, const char *format, ...);

/*
 * A Redis Cluster of three masters, each with a third of the slots in order. A node counts as lost after a second. Its
 * servers are killed, launched and asked like others.
 */
#define REDIS_CLUSTER_MASTERS 3
void redis_cluster_start(struct redis_server *ret_masters[REDIS_CLUSTER_MASTERS], const char *const options[]);
void redis_cluster_stop(struct redis_server *masters[REDIS_CLUSTER_MASTERS]);

/* One more server, which replicates that master and takes over when it is lost. The caller frees it. */
struct redis_server *redis_cluster_replica(struct redis_server *masters[REDIS_CLUSTER_MASTERS], int master);

#endif
