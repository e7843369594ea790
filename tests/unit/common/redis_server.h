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

#endif
