/*
 * Notifications: a connection of its own that LISTENs on one channel and is made again after a loss, with jittered
 * backoff. What is sent while it is away is missed, and behind a pooler in transaction mode nothing ever comes: whoever
 * listens must also look by itself now and then.
 */
#ifndef LISTEN_H
#define LISTEN_H

#include "common/postgres/postgres.h"

struct postgres_listener;

/*
 * Calls `notified(argument)` on the loop whenever something was sent to `channel` (a plain SQL name), and each time the
 * connection has been made: something may have been missed. The connection is one more than the pools'.
 */
struct postgres_listener *postgres_listen(struct postgres *postgres, const char *channel,
					  void (*notified)(void *argument), void *argument);

/* Before postgres_free(). Returns NULL. */
struct postgres_listener *postgres_unlisten(struct postgres_listener *listener);

/*
 * Notifies a channel (a plain SQL name of the program's, whose text must stay), once the context's transaction is
 * committed, or now where there is none. It is sent by itself then: PostgreSQL lets transactions that notify commit
 * only one after the other, each through its disk write. At most every 5 ms, for all that was committed meanwhile. It
 * can be lost together with its connection. Does not suspend.
 */
void postgres_notify(struct prong_ctx *ctx, const char *channel);

#endif
