#include "common/loop_internal.h"

#include <event2/event.h>
#include <signal.h>
#include <sys/eventfd.h>

/* How often one turn goes through what its own coroutines and tasks made ready, before it looks at descriptors again.
 */
#define TURN_ROUNDS 32

struct post {
	void (*function)(void *argument);
	void *argument;
	struct post *next;
};

void loop_schedule_turn(struct loop *loop)
{
	if (loop->turn_scheduled)
		return;
	loop->turn_scheduled = true;
	event_active(loop->turn, EV_TIMEOUT, 0);
}

void loop_defer(struct loop *loop, struct loop_task *task)
{
	if (task->queued)
		return;
	task->queued = true;
	task->next = NULL;
	*loop->tasks_end = task;
	loop->tasks_end = &task->next;
	loop_schedule_turn(loop);
}

void loop_undefer(struct loop *loop, struct loop_task *task)
{
	struct loop_task **place = &loop->current_tasks;

	if (!task->queued)
		return;
	while (*place && *place != task)
		place = &(*place)->next;
	if (!*place) {
		place = &loop->tasks;
		while (*place != task)
			place = &(*place)->next;
		if (!task->next)
			loop->tasks_end = place;
	}
	*place = task->next;
	task->queued = false;
}

static void run_tasks(struct loop *loop)
{
	struct loop_task *task;

	loop->current_tasks = loop->tasks;
	loop->tasks = NULL;
	loop->tasks_end = &loop->tasks;
	while ((task = loop->current_tasks)) {
		loop->current_tasks = task->next;
		task->queued = false;
		task->function(task->argument);
	}
}

/* Tasks wait for all coroutines that are ready, so that one write serves as many as possible. */
static void on_turn(evutil_socket_t fd, short events, void *argument)
{
	struct loop *loop = argument;

	(void)fd;
	(void)events;
	for (int round = 0; round < TURN_ROUNDS && (loop->ready || loop->tasks); round++) {
		coroutines_run(loop);
		if (!loop->ready || round == TURN_ROUNDS - 1)
			run_tasks(loop);
	}
	loop->turn_scheduled = loop->ready || loop->tasks;
	if (loop->turn_scheduled) /* activating it would let no other event in: libevent empties its list first */
		timer_set(loop->turn, 0);
}

static void on_timer(evutil_socket_t fd, short events, void *argument)
{
	(void)fd;
	(void)events;
	coroutines_expire(argument);
}

static void on_trim(evutil_socket_t fd, short events, void *argument)
{
	struct loop *loop = argument;

	(void)fd;
	(void)events;
	stack_pool_trim(&loop->stacks);
	loop->trim_scheduled = stack_pool_untidy(&loop->stacks);
	if (loop->trim_scheduled)
		timer_set(loop->trim, TRIM_INTERVAL);
}

static struct post *take_posts(struct loop *loop)
{
	struct post *posts;

	pthread_mutex_lock(&loop->post_lock);
	posts = loop->posts;
	loop->posts = NULL;
	loop->posts_end = &loop->posts;
	pthread_mutex_unlock(&loop->post_lock);
	return posts;
}

static void on_post(evutil_socket_t fd, short events, void *argument)
{
	eventfd_t count;

	(void)events;
	eventfd_read(fd, &count);
	for (struct post *post = take_posts(argument), *next; post; post = next) {
		next = post->next;
		post->function(post->argument);
		free(post);
	}
}

void loop_post(struct loop *loop, void (*function)(void *argument), void *argument)
{
	struct post *post = allocate(sizeof(*post));
	bool first;

	post->function = function;
	post->argument = argument;
	pthread_mutex_lock(&loop->post_lock);
	first = !loop->posts;
	*loop->posts_end = post;
	loop->posts_end = &post->next;
	pthread_mutex_unlock(&loop->post_lock);
	/* Not under the lock: the loop wakes at once, may take this thread's processor, and would wait for the lock. */
	if (first)
		check(eventfd_write(loop->post_fd, 1) == 0);
}

/* No locks: only loop_post() comes from other threads, and it does not touch libevent. */
static struct event_base *base_new(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base;

	check(config);
	check(event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV) == 0);
	base = event_base_new_with_config(config);
	event_config_free(config);
	check(base);
	return base;
}

static struct event *event_of(struct loop *loop, evutil_socket_t fd, short events, event_callback_fn callback)
{
	struct event *event = event_new(loop->base, fd, events, callback, loop);

	check(event);
	return event;
}

struct loop *loop_new(size_t max_coroutines)
{
	struct loop *loop = allocate(sizeof(*loop));

	signal(SIGPIPE, SIG_IGN);
	loop->base = base_new();
	loop->tasks_end = &loop->tasks;
	loop->turn = event_of(loop, -1, 0, on_turn);

	loop->ready_end = &loop->ready;
	loop->max_coroutines = max_coroutines;
	stack_pool_init(&loop->stacks, max_coroutines);
	loop->trim = event_of(loop, -1, 0, on_trim);
	deadlines_init(&loop->deadlines, max_coroutines);
	loop->timer = event_of(loop, -1, 0, on_timer);
	loop->timer_at = INT64_MAX;

	check(pthread_mutex_init(&loop->post_lock, NULL) == 0);
	loop->posts_end = &loop->posts;
	loop->post_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	check(loop->post_fd >= 0);
	loop->post_event = event_of(loop, loop->post_fd, EV_READ | EV_PERSIST, on_post);
	check(event_add(loop->post_event, NULL) == 0);
	return loop;
}

struct loop *loop_free(struct loop *loop)
{
	if (!loop)
		return NULL;
	check(loop->alive == 0);
	for (struct post *post = take_posts(loop), *next; post; post = next) {
		next = post->next;
		free(post);
	}
	event_free(loop->post_event);
	close(loop->post_fd);
	pthread_mutex_destroy(&loop->post_lock);
	event_free(loop->timer);
	deadlines_close(&loop->deadlines);
	event_free(loop->trim);
	stack_pool_close(&loop->stacks);
	event_free(loop->turn);
	event_base_free(loop->base);
	free(loop);
	return NULL;
}

void loop_run(struct loop *loop)
{
	check(!coroutine_current());
	check(event_base_loop(loop->base, EVLOOP_NO_EXIT_ON_EMPTY) >= 0);
}

void coroutine_finish(struct loop *loop, struct coroutine **coroutine)
{
	check(!coroutine_current());
	if (*coroutine)
		coroutine_cancel(*coroutine);
	while (*coroutine)
		check(event_base_loop(loop->base, EVLOOP_ONCE) >= 0);
}

void loop_stop(struct loop *loop)
{
	event_base_loopbreak(loop->base);
}

struct event_base *loop_base(struct loop *loop)
{
	return loop->base;
}

size_t loop_coroutines(const struct loop *loop)
{
	return loop->alive;
}

void timer_set(struct event *timer, prong_duration after)
{
	if (after < 0)
		after = 0;
	check(event_add(timer, &(struct timeval){ .tv_sec = after / 1000000, .tv_usec = after % 1000000 }) == 0);
}
