/* A few threads for work that would hold up the loop: password hashes, blocking library calls. */
#ifndef THREAD_POOL_H
#define THREAD_POOL_H

#include "common/loop.h"

struct thread_pool;

/*
 * Threads start when work finds none idle, take no signals, and yield to the loop's thread (nice). `max_queued` bounds
 * the works that wait for one.
 */
struct thread_pool *thread_pool_new(struct loop *loop, size_t threads, size_t max_queued);

/* Joins its threads; returns NULL. A coroutine that still waits for work is a broken invariant. */
struct thread_pool *thread_pool_free(struct thread_pool *pool);

/*
 * Runs `work(argument)` on a thread and suspends the calling coroutine until it has returned; returns what it returned.
 * -EAGAIN when the queue is full or no thread can be started. -ETIMEDOUT at `deadline` (monotonic µs; INT64_MAX is
 * none) or at the coroutine's own, and -ECANCELED, only while the work is queued: once started it is waited for, so
 * `argument` may be on the coroutine's stack.
 */
int thread_pool_run(struct thread_pool *pool, int (*work)(void *argument), void *argument, int64_t deadline);

#endif
