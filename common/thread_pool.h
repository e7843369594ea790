/* A few threads for work that would hold up the loop: password hashes, blocking library calls. */
#ifndef THREAD_POOL_H
#define THREAD_POOL_H

#include "common/loop.h"

struct thread_pool;

/* Threads start with the first work. `max_queued` bounds what may wait for one. */
struct thread_pool *thread_pool_new(struct loop *loop, size_t threads, size_t max_queued);
struct thread_pool *thread_pool_free(struct thread_pool *pool); /* joins its threads; returns NULL */

/*
 * Runs `work(argument)` on a thread and suspends the calling coroutine until it has returned; returns what it returned.
 * -EAGAIN when the queue is full. A deadline or cancellation (-ETIMEDOUT, -ECANCELED) takes effect only while the work
 * is queued: once started it is waited for, so `argument` may be on the coroutine's stack.
 */
int thread_pool_run(struct thread_pool *pool, int (*work)(void *argument), void *argument);

#endif
