/*
 * The security feed: what every http process of every host must hear at once: a revocation, or that the signing keys
 * have changed. A Redis stream (prong:{security}), cut to the last 10,000 events, which each process reads with a
 * command that blocks on a connection of its own; it arrives within milliseconds.
 *
 * The feed is only the push. The truth is in PostgreSQL, and whoever listens looks there too: at the start, and
 * whenever feed_listener.gap says that something may have been missed.
 */
#ifndef FEED_H
#define FEED_H

#include <prong/context.h>

struct feed;
struct runtime;

struct feed_listener {
	/* An event; on the loop, must not suspend. `kind` and `text` live until it returns. */
	void (*event)(void *argument, const char *kind, const char *text);
	/* The connection was made or lost, events were cut off before they were read, or could not be published. */
	void (*gap)(void *argument, bool connected);
	void *argument;
};

/* Reads for as long as it lives, reconnecting; at most FEED_LISTENERS, each added before the loop runs. */
#define FEED_LISTENERS 4
struct feed *feed_new(struct runtime *runtime);
void feed_listen(struct feed *feed, const struct feed_listener *listener);
struct feed *feed_free(struct feed *feed); /* before the runtime's parts; returns NULL */

/*
 * Appends an event, within half a second. Suspends; -EHOSTDOWN in a process without Redis, else errors as
 * redis_command(), which the caller may log and drop: where the process reads the feed too, all who listen are told of
 * a gap as soon as its reader has Redis again, about a second later; and they look in PostgreSQL every ten seconds, and
 * every second while they are without the feed.
 */
int feed_publish(struct prong_ctx *ctx, const char *kind, const char *text);

/* Has all who listen told of a gap, as above: something may have been missed. NULL: without effect. */
void feed_owe(struct feed *feed);

#endif
