/*
 * A process's event loop and its coroutines. One loop per process, on one thread; nothing here is thread-safe but
 * loop_post(). libevent_core gives readiness and timers; Boost.Context's assembly switches stacks.
 *
 * A coroutine runs until it returns or calls coroutine_wait(), directly or through anything documented as "suspends".
 * Waking is a note to the loop, not a switch: the woken coroutine continues after the current callback, so code that
 * wakes others is never re-entered.
 */
#ifndef LOOP_H
#define LOOP_H

#include <stdatomic.h>

#include "common/basics.h"

struct event;
struct event_base;
struct loop;
struct coroutine;

/*
 * At most `max_coroutines` at once. Each has a pooled, lazily touched stack of 256 KiB with a guard page. The process
 * ignores SIGPIPE from now on.
 */
struct loop *loop_new(size_t max_coroutines);
struct loop *loop_free(struct loop *loop); /* returns NULL; coroutines still suspended are a broken invariant */

/* Runs until loop_stop(), which takes effect after the current callback and has none while the loop does not run. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);
struct event_base *loop_base(struct loop *loop);
size_t loop_coroutines(const struct loop *loop); /* alive now */

/* Sets a timer of libevent to fire `after` µs from now, at once where that is negative. */
void timer_set(struct event *timer, prong_duration after);

/*
 * Runs `function(argument)` on the loop's thread, soon. The only call that other threads may make. Never lost while the
 * loop lives.
 */
void loop_post(struct loop *loop, void (*function)(void *argument), void *argument);

/*
 * Runs `function(argument)` at the end of this turn of the loop, after the events and coroutines that are ready now:
 * for batching writes. `task` is the caller's memory and may be queued once at a time; queueing it again is without
 * effect. Before `function` runs, `task` is free to be queued again or to be freed. Coroutines it wakes run in the same
 * turn.
 */
struct loop_task {
	void (*function)(void *argument);
	void *argument;
	bool queued;
	struct loop_task *next;
};
void loop_defer(struct loop *loop, struct loop_task *task);

/* Takes a queued task back, before its memory goes; without effect when it is not queued. */
void loop_undefer(struct loop *loop, struct loop_task *task);

/*
 * Whose code is running, for who looks on from another process or after a crash: while a coroutine with a mark runs,
 * the mark's two halves stand in `place`, else zeroes. `place` is borrowed, usually shared memory; NULL for none. A
 * reader that finds one half zero has found no mark.
 */
void loop_set_mark_place(struct loop *loop, _Atomic uint64_t place[2]);

typedef void coroutine_function(void *argument);

/*
 * Starts a coroutine; it runs at once, until its first wait, when called from outside a coroutine, else after the
 * current one waits. -EAGAIN when `max_coroutines` are alive or the system has no stack left. `ret_coroutine` may be
 * NULL; it is set before the coroutine runs and is valid until its function returns.
 */
int coroutine_start(struct loop *loop, coroutine_function *function, void *argument, struct coroutine **ret_coroutine);

/* The running one; NULL outside. */
struct coroutine *coroutine_current(void);

/*
 * Suspends the running coroutine. Returns the `result` of coroutine_wake(), -ETIMEDOUT at `deadline` (monotonic µs;
 * INT64_MAX is none) or at the coroutine's own deadline, whichever is earlier, or -ECANCELED after coroutine_cancel().
 * Of several in one turn the first decides; the others find the wait ended. Descriptors come before deadlines. A
 * deadline that has passed already ends the wait in the next turn, a cancellation that was there before it at once.
 * After -ETIMEDOUT or -ECANCELED the caller must see to it that nobody still holds the coroutine to wake it.
 */
int coroutine_wait(int64_t deadline);

/* Wakes a coroutine that is in coroutine_wait(); a second wake before it has run is without effect. */
void coroutine_wake(struct coroutine *coroutine, int result);

/* Ends its current wait and every later one with -ECANCELED, except between the two calls of a shield. */
void coroutine_cancel(struct coroutine *coroutine);
bool coroutine_cancelled(const struct coroutine *coroutine);

/*
 * Cancels a coroutine that works for the process itself and runs the loop until it has ended, as when its owner is
 * freed. Its function sets `*coroutine` to NULL as the last thing it does; NULL already: without effect. Only outside
 * coroutines, while loop_run() does not run.
 */
void coroutine_finish(struct loop *loop, struct coroutine **coroutine);

/*
 * While shielded, neither cancellation nor the coroutine's own deadline ends its waits: for the few steps that must
 * complete, such as rolling back. Counted, so shields nest. Only the running coroutine shields, and only itself; the
 * deadlines given to its waits still hold.
 */
void coroutine_shield(struct coroutine *coroutine);
void coroutine_unshield(struct coroutine *coroutine);

/* The deadline of every wait of the coroutine (monotonic µs); INT64_MAX at first. */
void coroutine_set_deadline(struct coroutine *coroutine, int64_t deadline);
int64_t coroutine_deadline(const struct coroutine *coroutine);

/* What loop_set_mark_place() shows while the coroutine runs, such as the id of its job; zero (none) at first. */
void coroutine_set_mark(struct coroutine *coroutine, prong_uuid mark);
prong_uuid coroutine_mark(const struct coroutine *coroutine);

/*
 * Suspends until `deadline`; returns 0, or -ETIMEDOUT/-ECANCELED as coroutine_wait() if the coroutine's own comes
 * first. coroutine_wake() ends it early, with its result.
 */
int coroutine_sleep_until(int64_t deadline);

#endif
