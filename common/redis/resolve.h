/* Host names to addresses without blocking: getaddrinfo() on a thread of its own, abandoned freely. */
#ifndef RESOLVE_H
#define RESOLVE_H

#include <netdb.h>

struct event_base;
struct resolve;

/* `error` is getaddrinfo()'s, 0 with `addresses`, which the callee owns (freeaddrinfo()). The resolve is freed after.
 */
typedef void resolve_function(void *argument, int error, struct addrinfo *addresses);

/*
 * Calls `done` once, from the loop, never from within this call, unless resolve_cancel() comes first. NULL when the
 * process has no file descriptor left.
 */
struct resolve *resolve_start(struct event_base *base, const char *host, const char *port, resolve_function *done,
			      void *argument);

/* Forgets about it; its thread ends when it does. Accepts NULL; returns NULL. */
struct resolve *resolve_cancel(struct resolve *resolve);

#endif
