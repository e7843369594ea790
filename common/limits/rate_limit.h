/*
 * Rate limits: GCRA (generic cell rate algorithm, ITU-T I.371) in Redis, so across all processes and hosts: one number
 * per key, the time at which its bucket is empty again, that expires by itself. While Redis is away each process limits
 * by itself with the same rules, in bounded memory.
 */
#ifndef RATE_LIMIT_H
#define RATE_LIMIT_H

#include <prong/context.h>
#include <prong/job.h> /* struct prong_rate */

struct rate_limit {
	const char *name; /* of the rule: [a-z_]+ */
	const char *key;  /* whose; any bytes, hashed into the Redis key */
	struct prong_rate rate;
};

struct rate_limits; /* of one process: the local limits */

struct rate_limits *rate_limits_new(void);
struct rate_limits *rate_limits_free(struct rate_limits *limits);

/*
 * Takes one from each of `count` (at most 8) limits, or none where one of them has nothing left: then -EDQUOT, with the
 * wait until all have, in `ret_wait`, and which it was in `ret_which`. One round trip. Suspends; never fails because of
 * Redis.
 */
int rate_limit_take(struct prong_ctx *ctx, const struct rate_limit limits[], size_t count, prong_duration *ret_wait,
		    size_t *ret_which);

/* As rate_limit_take(), but only asks. */
int rate_limit_ask(struct prong_ctx *ctx, const struct rate_limit limits[], size_t count, prong_duration *ret_wait,
		   size_t *ret_which);

/* Empties buckets, as after a success. Suspends; errors are logged only. */
void rate_limit_reset(struct prong_ctx *ctx, const struct rate_limit limits[], size_t count);

#endif
