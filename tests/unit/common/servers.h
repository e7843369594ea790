/*
 * PostgreSQL and Redis for unit tests: private servers on Unix sockets in a new folder under /tmp, started by the first
 * test that asks and stopped when the program exits. PRONG_TEST_DATABASE_URL and PRONG_TEST_REDIS_URL name others to
 * use instead; those can be neither stopped nor signalled.
 */
#ifndef SERVERS_H
#define SERVERS_H

#include "common/basics.h"

enum server { SERVER_POSTGRES, SERVER_REDIS };

/* Starts the server where it does not run yet; returns its URL once it answers. Panics when it cannot start. */
const char *server_url(enum server server);

/* Whether the server is ours, so that the calls below may be used. */
bool server_is_private(enum server server);

/* Ends the server at once, as a crash would, and waits until it is gone. */
void server_stop(enum server server);

/* Starts it again with its data (PostgreSQL) or empty (Redis), and waits until it answers. */
void server_start(enum server server);

/* Sends a signal to the server and all its child processes: SIGSTOP makes it silent, SIGCONT lets it go on. */
void server_signal(enum server server, int signal);

#endif
