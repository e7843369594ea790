/*
 * One attempt to connect, on a thread of its own: libpq resolves names, shakes hands and proves passwords there, and
 * the session's settings are made. The thread is never waited for; an abandoned attempt cleans up after itself.
 */
#ifndef DIAL_H
#define DIAL_H

#include <libpq-fe.h>

#include "common/loop.h"

struct dial;

struct dial_options {
	const char *url;
	const char *application_name; /* used where the URL names none */
	const char *settings;	      /* SQL that must succeed before the connection is used */
};

/*
 * Calls `done` on the loop, unless abandoned before: with a connection in non-blocking pipeline mode that now belongs
 * to the callee, or with NULL and the reason in `error`, one line that lives until `done` returns. Returns NULL when no
 * thread can be had.
 */
typedef void dial_done(void *argument, PGconn *pg, const char *error);
struct dial *dial_start(struct loop *loop, const struct dial_options *options, dial_done *done, void *argument);

void dial_abandon(struct dial *dial);

#endif
