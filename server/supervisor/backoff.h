/* When a child that died is started again: at once the first time, then after 100 ms, doubling up to 30 s, with jitter.
 */
#ifndef BACKOFF_H
#define BACKOFF_H

#include "common/basics.h"

/* A child that lived as long was healthy: its death is a first one again. */
#define BACKOFF_HEALTHY PRONG_SECONDS(10)
#define BACKOFF_FIRST PRONG_MILLISECONDS(100)
#define BACKOFF_LONGEST PRONG_SECONDS(30)

struct backoff {
	unsigned deaths; /* in a row */
};

/*
 * Notes a death after `lived` µs; returns how long to wait before the next start. `random` decides the jitter, which
 * takes away up to half.
 */
prong_duration backoff_next(struct backoff *backoff, prong_duration lived, uint64_t random);

#endif
