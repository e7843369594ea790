/* A thread of its own for one blocking call of libpq that may take as long as the network does. */
#ifndef DETACHED_H
#define DETACHED_H

#include <libpq-fe.h>

/* Runs `function(argument)` on a new detached thread without signals. 0, or a negative errno when there is none to be
 * had. */
int detached_start(void *(*function)(void *argument), void *argument);

/*
 * Asks the server, over a connection of its own, to cancel what `pg` is running. Nobody waits for it; by the time the
 * server acts, it may be running the next statement.
 */
void detached_cancel(PGconn *pg);

#endif
