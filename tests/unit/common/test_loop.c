#include "common/loop.h"
#include "tests/unit/test.h"

#include <event2/event.h>
#include <pthread.h>
#include <signal.h>

static char trace[256];

static void note(const char *text)
{
	strncat(trace, text, sizeof(trace) - strlen(trace) - 1);
}

static void note_argument(void *argument)
{
	note(argument);
}

static void stop(void *argument)
{
	loop_stop(argument);
}

/* Runs what is due now, then returns. */
static void run_once(struct loop *loop)
{
	event_base_loop(loop_base(loop), EVLOOP_NONBLOCK);
}

TEST(loop, ignores_sigpipe)
{
	struct loop *loop = loop_new(1);
	struct sigaction action;

	sigaction(SIGPIPE, NULL, &action);
	CU_ASSERT(action.sa_handler == SIG_IGN);
	loop_free(loop);
	CU_ASSERT_PTR_NULL(loop_free(NULL));
}

TEST(loop, stop_has_no_effect_while_not_running)
{
	struct loop *loop = loop_new(1);

	trace[0] = 0;
	loop_stop(loop);
	loop_post(loop, note_argument, "ran");
	loop_post(loop, stop, loop);
	loop_run(loop);
	CU_ASSERT_STRING_EQUAL(trace, "ran");
	loop_free(loop);
}

TEST(loop, runs_tasks_in_order_once)
{
	struct loop *loop = loop_new(1);
	struct loop_task a = { .function = note_argument, .argument = "a" };
	struct loop_task b = { .function = note_argument, .argument = "b" };

	trace[0] = 0;
	loop_defer(loop, &a);
	loop_defer(loop, &b);
	loop_defer(loop, &a);
	CU_ASSERT(a.queued);
	run_once(loop);
	CU_ASSERT(!a.queued);
	CU_ASSERT_STRING_EQUAL(trace, "ab");
	loop_defer(loop, &a);
	run_once(loop);
	CU_ASSERT_STRING_EQUAL(trace, "aba");
	loop_free(loop);
}

struct repeat {
	struct loop *loop;
	struct loop_task task;
	long runs;
	bool timer_fired;
};

static void repeat(void *argument)
{
	struct repeat *repeat = argument;

	repeat->runs++;
	if (!repeat->timer_fired)
		loop_defer(repeat->loop, &repeat->task);
	else
		loop_stop(repeat->loop);
}

static void on_repeat_timer(evutil_socket_t fd, short events, void *argument)
{
	(void)fd;
	(void)events;
	((struct repeat *)argument)->timer_fired = true;
}

TEST(loop, a_task_that_queues_itself_starves_no_event)
{
	struct repeat repeats = { .loop = loop_new(1) };

	repeats.task = (struct loop_task){ .function = repeat, .argument = &repeats };
	loop_defer(repeats.loop, &repeats.task);
	event_base_once(loop_base(repeats.loop), -1, EV_TIMEOUT, on_repeat_timer, &repeats,
			&(struct timeval){ .tv_usec = 1000 });
	loop_run(repeats.loop);
	CU_ASSERT(repeats.timer_fired);
	CU_ASSERT(repeats.runs > 1);
	loop_free(repeats.loop);
}

static struct loop *task_loop;

static void free_own_task(void *argument)
{
	free(argument);
	note("freed");
}

TEST(loop, a_task_may_free_itself)
{
	struct loop_task *task = allocate(sizeof(*task));

	trace[0] = 0;
	task_loop = loop_new(1);
	*task = (struct loop_task){ .function = free_own_task, .argument = task };
	loop_defer(task_loop, task);
	run_once(task_loop);
	CU_ASSERT_STRING_EQUAL(trace, "freed");
	loop_free(task_loop);
}

static struct loop_task taken_back = { .function = note_argument, .argument = "x" };

static void take_back(void *argument)
{
	loop_undefer(argument, &taken_back);
	note("t");
}

TEST(loop, tasks_can_be_taken_back)
{
	struct loop *loop = loop_new(1);
	struct loop_task a = { .function = note_argument, .argument = "a" };
	struct loop_task b = { .function = note_argument, .argument = "b" };
	struct loop_task take = { .function = take_back, .argument = loop };

	trace[0] = 0;
	loop_undefer(loop, &a);
	loop_defer(loop, &a);
	loop_defer(loop, &b);
	loop_undefer(loop, &b); /* the last */
	loop_defer(loop, &take);
	loop_defer(loop, &taken_back); /* taken back while its round runs */
	loop_undefer(loop, &a);	       /* the first */
	loop_defer(loop, &b);
	run_once(loop);
	CU_ASSERT_STRING_EQUAL(trace, "tb");
	CU_ASSERT(!taken_back.queued);
	loop_free(loop);
}

static void ready_coroutine(void *argument)
{
	coroutine_wait(INT64_MAX);
	note(argument);
}

struct waker {
	struct loop *loop;
	struct loop_task *task;
	struct coroutine *coroutine;
	struct event *event;
};

static void on_wake(evutil_socket_t fd, short events, void *argument)
{
	struct waker *waker = argument;

	(void)fd;
	(void)events;
	note("event ");
	loop_defer(waker->loop, waker->task);
	coroutine_wake(waker->coroutine, 0);
}

/* Tasks wait for all events and coroutines that are ready, whatever order they came in. */
TEST(loop, a_turn_is_events_then_coroutines_then_tasks)
{
	struct loop *loop = loop_new(2);
	struct loop_task task = { .function = note_argument, .argument = "task" };
	struct waker wakers[2];

	trace[0] = 0;
	for (int i = 0; i < 2; i++) {
		wakers[i] = (struct waker){ .loop = loop, .task = &task };
		wakers[i].event = event_new(loop_base(loop), -1, 0, on_wake, &wakers[i]);
		CU_ASSERT(coroutine_start(loop, ready_coroutine, i ? "b " : "a ", &wakers[i].coroutine) == 0);
	}
	for (int i = 0; i < 2; i++)
		event_active(wakers[i].event, EV_TIMEOUT, 0);
	run_once(loop);
	CU_ASSERT_STRING_EQUAL(trace, "event event a b task");
	for (int i = 0; i < 2; i++)
		event_free(wakers[i].event);
	loop_free(loop);
}

enum { POSTERS = 4, POSTS = 5000 };

struct poster {
	struct loop *loop;
	pthread_t thread;
	size_t *count;
};

static void count_post(void *argument)
{
	struct poster *poster = argument;

	if (++*poster->count == (size_t)POSTERS * POSTS)
		loop_stop(poster->loop);
}

static void *post_many(void *argument)
{
	struct poster *poster = argument;

	for (int i = 0; i < POSTS; i++)
		loop_post(poster->loop, count_post, poster);
	return NULL;
}

TEST(loop, loses_no_post_of_many_threads)
{
	struct poster posters[POSTERS];
	struct loop *loop = loop_new(1);
	size_t count = 0;

	for (int i = 0; i < POSTERS; i++) {
		posters[i] = (struct poster){ .loop = loop, .count = &count };
		CU_ASSERT_FATAL(pthread_create(&posters[i].thread, NULL, post_many, &posters[i]) == 0);
	}
	loop_run(loop);
	CU_ASSERT_EQUAL(count, POSTERS * POSTS);
	for (int i = 0; i < POSTERS; i++)
		pthread_join(posters[i].thread, NULL);
	loop_free(loop);
}

TEST(loop, forgets_posts_when_freed)
{
	struct loop *loop = loop_new(1);

	trace[0] = 0;
	loop_post(loop, note_argument, "ran");
	loop_free(loop);
	CU_ASSERT_STRING_EQUAL(trace, "");
}
