#include "common/loop.h"
#include "common/stack_pool.h"
#include "tests/unit/test.h"

#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

/* Runs what is due now, then returns. */
static void run_once(struct loop *loop)
{
	event_base_loop(loop_base(loop), EVLOOP_NONBLOCK);
}

static void run_until_none_alive(struct loop *loop)
{
	while (loop_coroutines(loop) > 0)
		run_once(loop);
}

/* The signal that ended a child which ran `function`, or -1 when it returned. */
static int death_of(void (*function)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY);

		dup2(null, STDERR_FILENO);
		signal(SIGSEGV, SIG_DFL);
		signal(SIGABRT, SIG_DFL);
		function();
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return WIFSIGNALED(status) ? WTERMSIG(status) : -1;
}

/* One coroutine, waiting as told; what its waits returned is kept. */
struct waiter {
	struct loop *loop;
	struct coroutine *coroutine;
	int64_t own_deadline, deadline;
	int waits, shielded_waits; /* shielded ones come first */
	int results[8];
	int n_results;
};

static void wait_once(struct waiter *waiter)
{
	int r = coroutine_wait(waiter->deadline);

	waiter->results[waiter->n_results++] = r;
}

static void wait_as_told(void *argument)
{
	struct waiter *waiter = argument;

	if (waiter->own_deadline)
		coroutine_set_deadline(coroutine_current(), waiter->own_deadline);
	for (int i = 0; i < waiter->shielded_waits; i++) {
		coroutine_shield(waiter->coroutine);
		wait_once(waiter);
		coroutine_unshield(waiter->coroutine);
	}
	for (int i = 0; i < waiter->waits; i++)
		wait_once(waiter);
}

static struct coroutine *start_waiter(struct waiter *waiter)
{
	if (!waiter->deadline)
		waiter->deadline = INT64_MAX;
	CU_ASSERT_FATAL(coroutine_start(waiter->loop, wait_as_told, waiter, &waiter->coroutine) == 0);
	return waiter->coroutine;
}

static void set_true(void *argument)
{
	CU_ASSERT_PTR_NOT_NULL(coroutine_current());
	*(bool *)argument = true;
}

TEST(coroutine, runs_at_once_from_outside)
{
	struct loop *loop = loop_new(1);
	bool ran = false;

	CU_ASSERT_PTR_NULL(coroutine_current());
	CU_ASSERT(coroutine_start(loop, set_true, &ran, NULL) == 0);
	CU_ASSERT(ran);
	CU_ASSERT_PTR_NULL(coroutine_current());
	CU_ASSERT(loop_coroutines(loop) == 0);
	loop_free(loop);
}

struct parent {
	struct loop *loop;
	bool child_ran, child_ran_at_start, child_ran_after_wait;
};

static void start_child(void *argument)
{
	struct parent *parent = argument;

	CU_ASSERT(coroutine_start(parent->loop, set_true, &parent->child_ran, NULL) == 0);
	parent->child_ran_at_start = parent->child_ran;
	coroutine_sleep_until(monotonic_us() + 1000);
	parent->child_ran_after_wait = parent->child_ran;
}

TEST(coroutine, runs_after_its_maker_waits)
{
	struct parent parent = { .loop = loop_new(2) };

	CU_ASSERT(coroutine_start(parent.loop, start_child, &parent, NULL) == 0);
	run_until_none_alive(parent.loop);
	CU_ASSERT(!parent.child_ran_at_start);
	CU_ASSERT(parent.child_ran_after_wait);
	loop_free(parent.loop);
}

TEST(coroutine, refuses_more_than_the_cap)
{
	struct loop *loop = loop_new(2);
	struct waiter a = { .loop = loop, .waits = 1 }, b = { .loop = loop, .waits = 1 };
	struct coroutine *untouched = NULL;
	bool ran = false;

	start_waiter(&a);
	start_waiter(&b);
	CU_ASSERT(coroutine_start(loop, set_true, &ran, &untouched) == -EAGAIN);
	CU_ASSERT(!ran);
	CU_ASSERT_PTR_NULL(untouched);
	coroutine_wake(a.coroutine, 0);
	run_once(loop);
	CU_ASSERT(loop_coroutines(loop) == 1);
	CU_ASSERT(coroutine_start(loop, set_true, &ran, NULL) == 0);
	CU_ASSERT(ran);
	coroutine_wake(b.coroutine, 0);
	run_once(loop);
	loop_free(loop);
}

TEST(coroutine, wake_gives_its_result_later)
{
	struct waiter waiter = { .loop = loop_new(1), .waits = 2 };

	start_waiter(&waiter);
	coroutine_wake(waiter.coroutine, 42);
	coroutine_wake(waiter.coroutine, 43);
	CU_ASSERT(waiter.n_results == 0); /* a note, not a switch */
	run_once(waiter.loop);
	CU_ASSERT(waiter.n_results == 1); /* the second wake had no effect */
	CU_ASSERT(waiter.results[0] == 42);
	coroutine_wake(waiter.coroutine, -7);
	run_once(waiter.loop);
	CU_ASSERT(waiter.results[1] == -7);
	loop_free(waiter.loop);
}

TEST(coroutine, wait_ends_at_its_deadline)
{
	struct loop *loop = loop_new(1);
	int64_t deadline = monotonic_us() + 20000;
	struct waiter waiter = { .loop = loop, .waits = 1, .deadline = deadline };

	start_waiter(&waiter);
	run_once(loop);
	run_until_none_alive(loop);
	CU_ASSERT(waiter.results[0] == -ETIMEDOUT);
	CU_ASSERT(monotonic_us() >= deadline);
	loop_free(loop);
}

TEST(coroutine, wait_ends_at_the_own_deadline_and_every_later_one)
{
	struct loop *loop = loop_new(1);
	int64_t own = monotonic_us() + 10000;
	struct waiter waiter = { .loop = loop, .waits = 3, .own_deadline = own };

	start_waiter(&waiter);
	CU_ASSERT(coroutine_deadline(waiter.coroutine) == own);
	run_until_none_alive(loop);
	CU_ASSERT(monotonic_us() >= own);
	CU_ASSERT(waiter.n_results == 3);
	for (int i = 0; i < 3; i++)
		CU_ASSERT(waiter.results[i] == -ETIMEDOUT);
	loop_free(loop);
}

TEST(coroutine, a_past_deadline_ends_the_wait)
{
	struct loop *loop = loop_new(1);
	struct waiter waiter = { .loop = loop, .waits = 1, .deadline = 1 };

	start_waiter(&waiter);
	run_until_none_alive(loop);
	CU_ASSERT(waiter.results[0] == -ETIMEDOUT);
	loop_free(loop);
}

TEST(coroutine, a_deadline_may_be_moved_while_waiting)
{
	struct loop *loop = loop_new(2);
	struct waiter sooner = { .loop = loop, .waits = 1, .own_deadline = monotonic_us() + PRONG_HOURS(50) };
	struct waiter later = { .loop = loop, .waits = 1, .own_deadline = monotonic_us() + 5000 };
	int64_t moved = monotonic_us() + 40000;

	start_waiter(&sooner);
	start_waiter(&later);
	coroutine_set_deadline(sooner.coroutine, monotonic_us() + 1000);
	coroutine_set_deadline(later.coroutine, moved);
	run_until_none_alive(loop);
	CU_ASSERT(sooner.results[0] == -ETIMEDOUT);
	CU_ASSERT(later.results[0] == -ETIMEDOUT);
	CU_ASSERT(monotonic_us() >= moved);
	loop_free(loop);
}

/* Waits that end early leave their entry behind; later waits must neither end with it nor miss their own. */
struct changing {
	bool long_wait, done;
};

static void wait_with_changing_deadlines(void *argument)
{
	struct changing *changing = argument;
	int64_t start = monotonic_us();

	CU_ASSERT(coroutine_sleep_until(start + 2000) == 0);
	CU_ASSERT(coroutine_sleep_until(start + 30000) == 0);
	CU_ASSERT(monotonic_us() >= start + 30000);
	changing->long_wait = true;
	CU_ASSERT(coroutine_wait(start + PRONG_HOURS(2)) == 5);
	CU_ASSERT(coroutine_sleep_until(monotonic_us() + 1000) == 0);
	CU_ASSERT(coroutine_wait(monotonic_us() + 1000) == -ETIMEDOUT);
	changing->done = true;
}

TEST(coroutine, deadlines_of_successive_waits_are_independent)
{
	struct loop *loop = loop_new(1);
	struct coroutine *coroutine;
	struct changing changing = { 0 };

	CU_ASSERT(coroutine_start(loop, wait_with_changing_deadlines, &changing, &coroutine) == 0);
	while (!changing.long_wait)
		run_once(loop);
	coroutine_wake(coroutine, 5);
	run_until_none_alive(loop);
	CU_ASSERT(changing.done);
	loop_free(loop);
}

static void sleep_cases(void *argument)
{
	int *results = argument;
	int64_t now = monotonic_us();

	coroutine_set_deadline(coroutine_current(), now + 5000);
	results[0] = coroutine_sleep_until(now + 1000);
	results[1] = coroutine_sleep_until(now + 5000);
	results[2] = coroutine_sleep_until(now + 10000);
}

TEST(coroutine, sleep_tells_its_own_end_from_the_coroutines)
{
	struct loop *loop = loop_new(1);
	int results[3] = { 1, 1, 1 };

	CU_ASSERT(coroutine_start(loop, sleep_cases, results, NULL) == 0);
	run_until_none_alive(loop);
	CU_ASSERT(results[0] == 0);
	CU_ASSERT(results[1] == 0);
	CU_ASSERT(results[2] == -ETIMEDOUT);
	loop_free(loop);
}

TEST(coroutine, cancel_ends_this_wait_and_every_later_one)
{
	struct waiter waiter = { .loop = loop_new(1), .waits = 3 };

	start_waiter(&waiter);
	CU_ASSERT(!coroutine_cancelled(waiter.coroutine));
	coroutine_cancel(waiter.coroutine);
	CU_ASSERT(coroutine_cancelled(waiter.coroutine));
	CU_ASSERT(waiter.n_results == 0);
	run_once(waiter.loop);
	CU_ASSERT(waiter.n_results == 3);
	for (int i = 0; i < 3; i++)
		CU_ASSERT(waiter.results[i] == -ECANCELED);
	loop_free(waiter.loop);
}

TEST(coroutine, the_first_of_wake_and_cancel_decides)
{
	struct loop *loop = loop_new(2);
	struct waiter woken = { .loop = loop, .waits = 2 }, cancelled = { .loop = loop, .waits = 2 };

	start_waiter(&woken);
	start_waiter(&cancelled);
	coroutine_wake(woken.coroutine, 1);
	coroutine_cancel(woken.coroutine);
	coroutine_cancel(cancelled.coroutine);
	coroutine_wake(cancelled.coroutine, 1);
	run_once(loop);
	CU_ASSERT(loop_coroutines(loop) == 0);
	CU_ASSERT(woken.results[0] == 1);
	CU_ASSERT(woken.results[1] == -ECANCELED);
	CU_ASSERT(cancelled.results[0] == -ECANCELED);
	CU_ASSERT(cancelled.results[1] == -ECANCELED);
	loop_free(loop);
}

static void on_readable(evutil_socket_t fd, short events, void *argument)
{
	(void)fd;
	(void)events;
	coroutine_wake(argument, 1);
}

TEST(coroutine, a_descriptor_comes_before_a_deadline)
{
	struct loop *loop = loop_new(1);
	int64_t deadline = monotonic_us() + 1000;
	struct waiter waiter = { .loop = loop, .waits = 1, .deadline = deadline };
	struct event *event;
	int ends[2];

	CU_ASSERT_FATAL(pipe(ends) == 0);
	CU_ASSERT_FATAL(write(ends[1], "x", 1) == 1);
	event = event_new(loop_base(loop), ends[0], EV_READ, on_readable, start_waiter(&waiter));
	event_add(event, NULL);
	while (monotonic_us() < deadline + 20000) /* both are due when the loop first looks */
		continue;
	run_until_none_alive(loop);
	CU_ASSERT(waiter.results[0] == 1);
	event_free(event);
	close(ends[0]);
	close(ends[1]);
	loop_free(loop);
}

TEST(coroutine, a_shield_holds_off_cancellation)
{
	struct waiter waiter = { .loop = loop_new(1), .shielded_waits = 2, .waits = 1 };

	start_waiter(&waiter);
	coroutine_cancel(waiter.coroutine);
	run_once(waiter.loop);
	CU_ASSERT(waiter.n_results == 0);
	coroutine_wake(waiter.coroutine, 1);
	run_once(waiter.loop);
	coroutine_wake(waiter.coroutine, 2);
	run_once(waiter.loop);
	CU_ASSERT(waiter.n_results == 3);
	CU_ASSERT(waiter.results[0] == 1);
	CU_ASSERT(waiter.results[1] == 2);
	CU_ASSERT(waiter.results[2] == -ECANCELED);
	loop_free(waiter.loop);
}

TEST(coroutine, a_shield_holds_off_the_own_deadline_but_not_the_waits)
{
	struct loop *loop = loop_new(2);
	struct waiter patient = { .loop = loop, .shielded_waits = 1, .waits = 1, .own_deadline = 1 };
	struct waiter bounded = { .loop = loop, .shielded_waits = 1, .deadline = monotonic_us() + 1000 };

	start_waiter(&patient);
	start_waiter(&bounded);
	while (bounded.n_results == 0)
		run_once(loop);
	CU_ASSERT(bounded.results[0] == -ETIMEDOUT);
	CU_ASSERT(patient.n_results == 0);
	coroutine_wake(patient.coroutine, 9);
	run_until_none_alive(loop);
	CU_ASSERT(patient.results[0] == 9);
	CU_ASSERT(patient.results[1] == -ETIMEDOUT);
	loop_free(loop);
}

static void nest_shields(void *argument)
{
	struct coroutine *self = coroutine_current();
	int *results = argument;

	coroutine_cancel(self);
	coroutine_shield(self);
	coroutine_shield(self);
	coroutine_unshield(self);
	results[0] = coroutine_wait(1);
	coroutine_unshield(self);
	results[1] = coroutine_wait(1);
}

TEST(coroutine, shields_nest)
{
	struct loop *loop = loop_new(1);
	int results[2] = { 0 };

	CU_ASSERT(coroutine_start(loop, nest_shields, results, NULL) == 0);
	run_until_none_alive(loop);
	CU_ASSERT(results[0] == -ETIMEDOUT);
	CU_ASSERT(results[1] == -ECANCELED);
	loop_free(loop);
}

/* Deferred tasks wake coroutines, which defer again: all of it in the turn that began it. */
struct batch {
	struct loop *loop;
	struct loop_task task;
	struct coroutine *waiting[3];
	int n_waiting, flushes, flushed;
};

static void flush(void *argument)
{
	struct batch *batch = argument;

	batch->flushes++;
	batch->flushed += batch->n_waiting;
	while (batch->n_waiting > 0)
		coroutine_wake(batch->waiting[--batch->n_waiting], 0);
}

static void write_twice(void *argument)
{
	struct batch *batch = argument;

	for (int i = 0; i < 2; i++) {
		batch->waiting[batch->n_waiting++] = coroutine_current();
		loop_defer(batch->loop, &batch->task);
		CU_ASSERT(coroutine_wait(INT64_MAX) == 0);
	}
}

TEST(coroutine, tasks_serve_all_that_are_ready)
{
	struct batch batch = { .loop = loop_new(3) };

	batch.task = (struct loop_task){ .function = flush, .argument = &batch };
	for (int i = 0; i < 3; i++)
		CU_ASSERT(coroutine_start(batch.loop, write_twice, &batch, NULL) == 0);
	run_once(batch.loop);
	CU_ASSERT(loop_coroutines(batch.loop) == 0);
	CU_ASSERT(batch.flushes == 2);
	CU_ASSERT(batch.flushed == 6);
	loop_free(batch.loop);
}

struct player {
	struct loop *loop;
	struct player *other;
	struct coroutine *coroutine;
	long *rallies;
	bool *over;
};

static void play(void *argument)
{
	struct player *player = argument;

	while (!*player->over) {
		++*player->rallies;
		if (player->other->coroutine)
			coroutine_wake(player->other->coroutine, 0);
		coroutine_wait(INT64_MAX);
	}
	if (player->other->coroutine)
		coroutine_wake(player->other->coroutine, 0);
	player->coroutine = NULL;
}

static void set_over(evutil_socket_t fd, short events, void *argument)
{
	(void)fd;
	(void)events;
	*(bool *)argument = true;
}

TEST(coroutine, two_that_wake_each_other_starve_no_event)
{
	struct loop *loop = loop_new(2);
	long rallies = 0;
	bool over = false;
	struct player a = { .loop = loop, .rallies = &rallies, .over = &over }, b = a;

	a.other = &b;
	b.other = &a;
	event_base_once(loop_base(loop), -1, EV_TIMEOUT, set_over, &over, &(struct timeval){ .tv_usec = 2000 });
	CU_ASSERT(coroutine_start(loop, play, &a, &a.coroutine) == 0);
	CU_ASSERT(coroutine_start(loop, play, &b, &b.coroutine) == 0);
	run_until_none_alive(loop);
	CU_ASSERT(over);
	CU_ASSERT(rallies > 2);
	loop_free(loop);
}

enum { MANY = 10000, CYCLES = 3 };

static void cycle(void *argument)
{
	size_t *ended = argument;
	volatile char frame[2000];

	for (int i = 0; i < CYCLES; i++) {
		char expected = (char)random_u64();

		frame[0] = frame[sizeof(frame) - 1] = expected;
		CU_ASSERT(coroutine_sleep_until(monotonic_us() + (int64_t)(random_u64() % 20000)) == 0);
		CU_ASSERT(frame[0] == expected && frame[sizeof(frame) - 1] == expected);
	}
	++*ended;
}

TEST(coroutine, ten_thousand_at_once_twice)
{
	struct loop *loop = loop_new(MANY);
	size_t ended = 0;

	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < MANY; i++)
			CU_ASSERT_FATAL(coroutine_start(loop, cycle, &ended, NULL) == 0);
		CU_ASSERT(loop_coroutines(loop) == MANY);
		CU_ASSERT(coroutine_start(loop, cycle, &ended, NULL) == -EAGAIN);
		run_until_none_alive(loop);
	}
	CU_ASSERT(ended == 2 * MANY);
	loop_free(loop);
}

static int __attribute__((noinline)) descend(size_t bytes)
{
	volatile char frame[1024];

	for (size_t i = 0; i < sizeof(frame); i++)
		frame[i] = (char)i;
	if (bytes > sizeof(frame))
		return descend(bytes - sizeof(frame)) + frame[17];
	coroutine_wait(1);
	return frame[17];
}

static void use_deep_stack(void *argument)
{
	*(int *)argument = descend((size_t)200 * 1024);
}

TEST(coroutine, has_a_deep_stack)
{
	struct loop *loop = loop_new(1);
	int sum = 0;

	CU_ASSERT(coroutine_start(loop, use_deep_stack, &sum, NULL) == 0);
	run_until_none_alive(loop);
	CU_ASSERT(sum == 200 * 17);
	loop_free(loop);
}

static void overflow(void *argument)
{
	*(int *)argument = descend(STACK_SIZE * 2);
}

static void overflow_in_coroutine(void)
{
	struct loop *loop = loop_new(2);
	struct waiter neighbour = { .loop = loop, .waits = 1 };
	int sum;

	start_waiter(&neighbour);
	coroutine_start(loop, overflow, &sum, NULL);
}

TEST(coroutine, an_overflow_hits_the_guard_page)
{
	CU_ASSERT(death_of(overflow_in_coroutine) == SIGSEGV);
}

static void free_with_coroutine(void)
{
	struct waiter waiter = { .loop = loop_new(1), .waits = 1 };

	start_waiter(&waiter);
	loop_free(waiter.loop);
}

static void wait_outside(void)
{
	coroutine_wait(INT64_MAX);
}

static void wake_self(void *argument)
{
	(void)argument;
	coroutine_wake(coroutine_current(), 0);
}

static void wake_running(void)
{
	coroutine_start(loop_new(1), wake_self, NULL, NULL);
}

TEST(coroutine, broken_invariants_abort)
{
	CU_ASSERT(death_of(free_with_coroutine) == SIGABRT);
	CU_ASSERT(death_of(wait_outside) == SIGABRT);
	CU_ASSERT(death_of(wake_running) == SIGABRT);
}

/* ---- marks ---- */

static _Atomic uint64_t mark_place[2];

static prong_uuid shown_mark(void)
{
	prong_uuid mark;

	memcpy(mark.bytes, (const void *)mark_place, sizeof(mark.bytes));
	return mark;
}

static bool nothing_shown(void)
{
	return mark_place[0] == 0 && mark_place[1] == 0;
}

struct marked {
	prong_uuid first, second;
	bool done;
};

static void run_marked(void *argument)
{
	struct marked *marked = argument;

	CU_ASSERT(nothing_shown());
	coroutine_set_mark(coroutine_current(), marked->first);
	CU_ASSERT(prong_uuid_equal(shown_mark(), marked->first));
	CU_ASSERT(coroutine_wait(INT64_MAX) == 0);
	CU_ASSERT(prong_uuid_equal(shown_mark(), marked->second)); /* given while it waited */
	coroutine_set_mark(coroutine_current(), (prong_uuid){ 0 });
	CU_ASSERT(nothing_shown());
	coroutine_set_mark(coroutine_current(), marked->first);
	marked->done = true;
}

TEST(coroutine, shows_its_mark_while_it_runs)
{
	struct marked marked = { .first = prong_uuid_make(), .second = prong_uuid_make() };
	struct loop *loop = loop_new(2);
	struct coroutine *coroutine;
	bool ran = false;

	loop_set_mark_place(loop, mark_place);
	CU_ASSERT(coroutine_start(loop, run_marked, &marked, &coroutine) == 0);
	CU_ASSERT(nothing_shown());
	coroutine_set_mark(coroutine, marked.second);
	CU_ASSERT(nothing_shown());
	coroutine_wake(coroutine, 0);
	run_until_none_alive(loop);
	CU_ASSERT(marked.done);
	CU_ASSERT(nothing_shown());

	/* Its stack is used again, its mark is not. */
	CU_ASSERT(coroutine_start(loop, run_marked, &marked, &coroutine) == 0);
	coroutine_set_mark(coroutine, marked.second);
	coroutine_wake(coroutine, 0);
	run_until_none_alive(loop);
	loop_set_mark_place(loop, NULL);
	CU_ASSERT(coroutine_start(loop, set_true, &ran, NULL) == 0);
	CU_ASSERT(ran);
	loop_free(loop);
}
