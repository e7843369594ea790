/*
 * Whose work crashed on a thread of the pool. What the loop's thread runs shows at any time (loop_set_mark_place());
 * of the threads beside it the one that crashes says so itself, in its last moment.
 */
#ifndef CRASH_H
#define CRASH_H

#include <stdatomic.h>

#include "common/basics.h"

/*
 * From now on a crash (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT) of a thread that has a mark leaves the mark in
 * `place`, usually shared memory, and then ends the process as if nothing had been watched. NULL: no longer.
 */
void crash_watch(_Atomic uint64_t place[2]);

/* Called first by a thread, other than the loop's, that will have marks: gives it a stack for when its own is full. */
void crash_attend(void);

/* Of the calling thread, other than the loop's: for whom it works. Zero: nobody, as at first. */
void crash_set_mark(prong_uuid mark);

#endif
