/* struct loop from within: shared by common/loop.c (turns, tasks, posts) and common/coroutine.c, and nobody else. */
#ifndef LOOP_INTERNAL_H
#define LOOP_INTERNAL_H

#include "common/deadlines.h"
#include "common/fiber.h"
#include "common/loop.h"
#include "common/stack_pool.h"

#include <pthread.h>

/* How long stacks that are not needed are kept before some of them are given back. */
#define TRIM_INTERVAL PRONG_SECONDS(1)

struct post;

struct loop {
	struct event_base *base;

	/* The end of a turn: an event that is activated, so that it runs after those that are active already. */
	struct event *turn;
	bool turn_scheduled;
	struct loop_task *tasks, **tasks_end;
	struct loop_task *current_tasks; /* of this round; what they queue is for the next */

	/* Coroutines. */
	struct fiber fiber; /* the loop's own stack */
	struct coroutine *ready, **ready_end;
	size_t alive, max_coroutines;
	_Atomic uint64_t *mark_place; /* NULL: nobody looks */
	struct stack_pool stacks;
	struct event *trim;
	bool trim_scheduled;
	struct deadlines deadlines;
	struct event *timer;
	int64_t timer_at; /* when `timer` will fire, monotonic µs; INT64_MAX: it is not set */

	/* From other threads. */
	pthread_mutex_t post_lock;
	struct post *posts, **posts_end;
	int post_fd;
	struct event *post_event;
};

void loop_schedule_turn(struct loop *loop);

/* Runs the coroutines that are ready now; those that they wake wait for the next call. */
void coroutines_run(struct loop *loop);

/* The timer fired: ends the waits whose deadline has passed. */
void coroutines_expire(struct loop *loop);

#endif
