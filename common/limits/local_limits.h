/*
 * Rate limits of one process, for while Redis is away (rate_limit.h): the times at which buckets are empty again, in a
 * table of fixed size, where the one that was touched longest ago makes room. Does no I/O, never suspends.
 */
#ifndef LOCAL_LIMITS_H
#define LOCAL_LIMITS_H

#include <prong/job.h> /* struct prong_rate */

#include "common/basics.h"

#define BUCKET_ID_SIZE 16

/* A bucket and its rule. */
struct bucket {
	unsigned char id[BUCKET_ID_SIZE]; /* evenly distributed: it is a hash */
	struct prong_rate rate;
};

#define LOCAL_LIMITS_SIZE 16384 /* buckets */

struct local_limits;

struct local_limits *local_limits_new(void);
struct local_limits *local_limits_free(struct local_limits *limits); /* returns NULL */

/* As the functions of rate_limit.h. `now` in µs: any clock that does not go back. */
int local_limits_take(struct local_limits *limits, int64_t now, const struct bucket buckets[], size_t count,
		      prong_duration *ret_wait, size_t *ret_which);
void local_limits_charge(struct local_limits *limits, int64_t now, const struct bucket buckets[], size_t count);
void local_limits_give(struct local_limits *limits, int64_t now, const struct bucket buckets[], size_t count);
void local_limits_reset(struct local_limits *limits, const struct bucket buckets[], size_t count);

#endif
