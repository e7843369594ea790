/*
 * Rate limits: GCRA (generic cell rate algorithm, ITU-T I.371) in Redis, so across all processes and hosts: one number
 * per key, the time at which its bucket is empty again, that expires by itself. A rate of N per period lets N through
 * at once and then one each period/N; in any stretch of time t it lets N + t·N/period through at most.
 *
 * While Redis is away each process limits by itself with the same rules, in bounded memory. A call waits for Redis only
 * a moment, and then only one a second asks whether it is back.
 *
 * Redis' keys are `prong:{limits}:NAME:HASH`: one slot of a Redis Cluster, because a call takes from several at once.
 * The hash is keyed by PRONG_SECRET, so that no address can be read or guessed from it.
 */
#ifndef RATE_LIMIT_H
#define RATE_LIMIT_H

#include <prong/context.h>
#include <prong/job.h> /* struct prong_rate */

#define RATE_LIMITS_MAX 8 /* of one call */
#define RATE_LIMITS_PATIENCE PRONG_MILLISECONDS(250)

struct rate_limit {
	const char *name;	/* of the rule: [a-z0-9_]+ */
	const char *key;	/* whose; any text */
	struct prong_rate rate; /* count 0: no limit */
};

struct rate_limits; /* of one process: the local limits */

/* `secret`: PRONG_SECRET, or NULL. `patience`: how long a call waits for Redis. */
struct rate_limits *rate_limits_new(const char *secret, prong_duration patience);
struct rate_limits *rate_limits_free(struct rate_limits *limits);

/*
 * Takes one from each of `count` limits, or none where one of them has nothing left: then -EDQUOT, with the wait until
 * all have, in `ret_wait`, and which one has to wait that long in `ret_which`. One round trip. Suspends. Never fails
 * because of Redis; -ECANCELED: the client has gone; -ETIMEDOUT: the context's deadline has passed.
 */
int rate_limit_take(struct prong_ctx *ctx, const struct rate_limit limits[], size_t count, prong_duration *ret_wait,
		    size_t *ret_which);

/* Whether the last one to ask found Redis away, so that each process counts for itself. Does not suspend. */
bool rate_limits_are_local(const struct rate_limits *limits);

/*
 * Takes one from each, whatever is left: what is taken too much is waited for too, a period more at most. Suspends;
 * errors are logged only.
 */
void rate_limit_charge(struct prong_ctx *ctx, const struct rate_limit limits[], size_t count);

/* Gives back what was taken. Suspends; errors are logged only. */
void rate_limit_give(struct prong_ctx *ctx, const struct rate_limit limits[], size_t count);

/* Empties buckets, as after a success. Suspends; errors are logged only. */
void rate_limit_reset(struct prong_ctx *ctx, const struct rate_limit limits[], size_t count);

#endif
