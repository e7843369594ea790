#include "common/loop_internal.h"

/* Waits longer than this are looked at again meanwhile: keeps the timer's arithmetic far from overflow. */
#define TIMER_MAX PRONG_HOURS(1)

enum coroutine_state {
	COROUTINE_READY, /* in the loop's list; only the first of wake, cancel and deadline puts it there */
	COROUTINE_RUNNING,
	COROUTINE_WAITING,
	COROUTINE_ENDED,
};

/* Lives at the top of its own stack, so that starting one is: take a stack, fill this in, switch. */
struct coroutine {
	struct fiber fiber;
	struct loop *loop;
	coroutine_function *function;
	void *argument;
	struct coroutine *next; /* ready */
	int64_t own_deadline, wait_deadline;
	/*
	 * May lie before the deadline of the current wait, never after it: most waits end early, so the entry is left
	 * where it is, and moved only when it turns out to be too early.
	 */
	struct deadline deadline;
	uint64_t mark[2];
	int result;
	unsigned shields;
	enum coroutine_state state;
	bool cancelled;
};

#define COROUTINE_SPACE ((sizeof(struct coroutine) + 63) & ~(size_t)63)

/* Threads of a pool run no coroutines, and must not see the loop's. */
static _Thread_local struct coroutine *current;

struct coroutine *coroutine_current(void)
{
	return current;
}

static void make_ready(struct coroutine *coroutine, int result)
{
	struct loop *loop = coroutine->loop;

	coroutine->state = COROUTINE_READY;
	coroutine->result = result;
	coroutine->next = NULL;
	*loop->ready_end = coroutine;
	loop->ready_end = &coroutine->next;
	loop_schedule_turn(loop);
}

static void coroutine_main(void)
{
	struct coroutine *coroutine = current;

	coroutine->function(coroutine->argument);
	coroutine->state = COROUTINE_ENDED;
	fiber_leave(&coroutine->fiber, &coroutine->loop->fiber);
}

static struct coroutine *coroutine_new(struct loop *loop, coroutine_function *function, void *argument)
{
	char *stack = stack_pool_take(&loop->stacks);
	struct coroutine *coroutine;

	if (!stack)
		return NULL;
	coroutine = (struct coroutine *)(stack + STACK_SIZE - COROUTINE_SPACE);
	coroutine->loop = loop;
	coroutine->function = function;
	coroutine->argument = argument;
	coroutine->own_deadline = INT64_MAX;
	coroutine->wait_deadline = INT64_MAX;
	coroutine->deadline = DEADLINE_NONE;
	coroutine->mark[0] = coroutine->mark[1] = 0;
	coroutine->result = 0;
	coroutine->shields = 0;
	coroutine->cancelled = false;
	fiber_make(&coroutine->fiber, stack, STACK_SIZE - COROUTINE_SPACE, coroutine_main);
	loop->alive++;
	return coroutine;
}

static void coroutine_end(struct coroutine *coroutine)
{
	struct loop *loop = coroutine->loop;

	deadlines_set(&loop->deadlines, &coroutine->deadline, INT64_MAX);
	stack_pool_give(&loop->stacks, (char *)coroutine + COROUTINE_SPACE - STACK_SIZE);
	loop->alive--;
	if (!loop->trim_scheduled && stack_pool_untidy(&loop->stacks)) {
		loop->trim_scheduled = true;
		timer_set(loop->trim, TRIM_INTERVAL);
	}
}

/* The process may be killed between the two stores: from one mark to another the way leads through zeroes. */
static void show_mark(struct loop *loop, uint64_t first, uint64_t second)
{
	if (!loop->mark_place)
		return;
	atomic_store_explicit(&loop->mark_place[0], first, memory_order_release);
	atomic_store_explicit(&loop->mark_place[1], second, memory_order_release);
}

void loop_set_mark_place(struct loop *loop, _Atomic uint64_t place[2])
{
	loop->mark_place = place;
}

void coroutine_set_mark(struct coroutine *coroutine, prong_uuid mark)
{
	if (coroutine == current)
		show_mark(coroutine->loop, 0, 0);
	memcpy(coroutine->mark, mark.bytes, sizeof(coroutine->mark));
	if (coroutine == current)
		show_mark(coroutine->loop, coroutine->mark[0], coroutine->mark[1]);
}

prong_uuid coroutine_mark(const struct coroutine *coroutine)
{
	prong_uuid mark;

	memcpy(mark.bytes, coroutine->mark, sizeof(mark.bytes));
	return mark;
}

/* Runs the coroutine until its next wait or its end. */
static void resume(struct coroutine *coroutine)
{
	coroutine->state = COROUTINE_RUNNING;
	current = coroutine;
	show_mark(coroutine->loop, coroutine->mark[0], coroutine->mark[1]);
	fiber_switch(&coroutine->loop->fiber, &coroutine->fiber);
	show_mark(coroutine->loop, 0, 0);
	current = NULL;
	if (coroutine->state == COROUTINE_ENDED)
		coroutine_end(coroutine);
}

int coroutine_start(struct loop *loop, coroutine_function *function, void *argument, struct coroutine **ret_coroutine)
{
	struct coroutine *coroutine;

	if (loop->alive >= loop->max_coroutines)
		return -EAGAIN;
	coroutine = coroutine_new(loop, function, argument);
	if (!coroutine)
		return -EAGAIN;
	if (ret_coroutine)
		*ret_coroutine = coroutine;
	if (current)
		make_ready(coroutine, 0);
	else
		resume(coroutine);
	return 0;
}

void coroutines_run(struct loop *loop)
{
	struct coroutine *coroutine = loop->ready, *next;

	loop->ready = NULL;
	loop->ready_end = &loop->ready;
	for (; coroutine; coroutine = next) {
		next = coroutine->next;
		resume(coroutine);
	}
}

static void set_timer(struct loop *loop, int64_t at, int64_t now)
{
	int64_t delay = at > now ? at - now : 0;

	if (delay > TIMER_MAX)
		delay = TIMER_MAX;
	loop->timer_at = now + delay;
	timer_set(loop->timer, delay);
}

/* When the current wait ends for want of an answer. */
static int64_t wait_end(const struct coroutine *coroutine)
{
	if (coroutine->shields > 0 || coroutine->wait_deadline < coroutine->own_deadline)
		return coroutine->wait_deadline;
	return coroutine->own_deadline;
}

static void watch_deadline(struct coroutine *coroutine)
{
	struct loop *loop = coroutine->loop;
	int64_t at = wait_end(coroutine);

	if (at >= coroutine->deadline.at)
		return;
	deadlines_set(&loop->deadlines, &coroutine->deadline, at);
	if (at < loop->timer_at)
		set_timer(loop, at, monotonic_us());
}

void coroutines_expire(struct loop *loop)
{
	int64_t now = monotonic_us();
	struct deadline *first;

	loop->timer_at = INT64_MAX;
	while ((first = deadlines_first(&loop->deadlines)) && first->at <= now) {
		struct coroutine *coroutine = container_of(first, struct coroutine, deadline);
		bool waiting = coroutine->state == COROUTINE_WAITING;
		int64_t end = waiting ? wait_end(coroutine) : INT64_MAX;

		deadlines_set(&loop->deadlines, first, end > now ? end : INT64_MAX);
		if (waiting && end <= now)
			make_ready(coroutine, -ETIMEDOUT);
	}
	if (first)
		set_timer(loop, first->at, now);
}

int coroutine_wait(int64_t deadline)
{
	struct coroutine *coroutine = current;

	check(coroutine);
	if (coroutine->cancelled && coroutine->shields == 0)
		return -ECANCELED;
	coroutine->wait_deadline = deadline;
	coroutine->state = COROUTINE_WAITING;
	watch_deadline(coroutine);
	fiber_switch(&coroutine->fiber, &coroutine->loop->fiber);
	return coroutine->result;
}

void coroutine_wake(struct coroutine *coroutine, int result)
{
	if (coroutine->state == COROUTINE_READY)
		return;
	check(coroutine->state == COROUTINE_WAITING);
	make_ready(coroutine, result);
}

void coroutine_cancel(struct coroutine *coroutine)
{
	check(coroutine->state != COROUTINE_ENDED);
	coroutine->cancelled = true;
	if (coroutine->state == COROUTINE_WAITING && coroutine->shields == 0)
		make_ready(coroutine, -ECANCELED);
}

bool coroutine_cancelled(const struct coroutine *coroutine)
{
	return coroutine->cancelled;
}

void coroutine_shield(struct coroutine *coroutine)
{
	check(coroutine == current);
	coroutine->shields++;
}

void coroutine_unshield(struct coroutine *coroutine)
{
	check(coroutine == current);
	check(coroutine->shields > 0);
	coroutine->shields--;
}

void coroutine_set_deadline(struct coroutine *coroutine, int64_t deadline)
{
	check(coroutine->state != COROUTINE_ENDED);
	coroutine->own_deadline = deadline;
	if (coroutine->state == COROUTINE_WAITING)
		watch_deadline(coroutine);
}

int64_t coroutine_deadline(const struct coroutine *coroutine)
{
	return coroutine->own_deadline;
}

int coroutine_sleep_until(int64_t deadline)
{
	int r = coroutine_wait(deadline);

	if (r == -ETIMEDOUT && wait_end(current) == deadline)
		return 0;
	return r;
}
