/* The listening socket: bound once by the master before it forks, and never closed while the master lives. */
#ifndef LISTENER_H
#define LISTENER_H

#include "common/process.h"

/*
 * Binds a TCP socket to `host` (an address or a name; of its addresses the first that this machine has) and `port`; it
 * does not listen yet. Returns 0 and the socket, non-blocking and close-on-exec; or the exit status for what is wrong,
 * with a malloc'ed sentence: STATUS_TRY_AGAIN where another process has the port, STATUS_CONFIGURATION where it can
 * never be had, STATUS_UNAVAILABLE where the name cannot be looked up now.
 */
int listener_bind(const char *host, int port, int *ret_fd, char **ret_reason);

/* Begins to listen; results as above. */
int listener_listen(int fd, const char *host, int port, char **ret_reason);

/* The port that the kernel chose for port 0. */
int listener_port(int fd);

#endif
