#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "common/jobs/running.h"
#include "common/loop.h"
#include "tests/unit/worker/fixture.h"
#include "worker/isolation.h"

#define MANY 100
#define LARGE (1024 * 1024)

/* What the jobs do to the world. */
static struct seen {
	_Atomic int started, ended, at_once, most_at_once;
	_Atomic int runs_of[MANY];
	_Atomic pid_t nursery, child, grandchild;
	_Atomic bool may_end;
	_Atomic bool fine; /* what the job looked at */
} * seen;

struct task {
	int32_t number;
	const char *text;
};

/* clang-format off */
PRONG_SCHEMA(task,
	PRONG_FIELD(task, number, .required = true),
	PRONG_FIELD(task, text, .max_length = 2 * LARGE));
/* clang-format on */

/* ---- jobs ---- */

static const struct task *begin(struct prong_ctx *ctx)
{
	const struct task *task = prong_payload(ctx, task);
	int at_once = atomic_fetch_add(&seen->at_once, 1) + 1, most = atomic_load(&seen->most_at_once);

	while (at_once > most && !atomic_compare_exchange_weak(&seen->most_at_once, &most, at_once))
		;
	atomic_fetch_add(&seen->runs_of[task->number], 1);
	seen->nursery = getppid();
	seen->child = getpid();
	atomic_fetch_add(&seen->started, 1);
	return task;
}

static int end(void)
{
	atomic_fetch_sub(&seen->at_once, 1);
	atomic_fetch_add(&seen->ended, 1);
	return 0;
}

static int look_around(struct prong_ctx *ctx)
{
	const struct task *task = begin(ctx);

	seen->fine = task->number == 7 && string_equal(task->text, "text") && prong_job_attempt(ctx) == 3 &&
		     string_equal(prong_request_id(ctx), "request") && string_equal(ctx->trace_id, "trace") &&
		     getpgrp() == getpid() && string_equal(ctx->delivery->queue, "default") &&
		     ctx->delivery->enqueued_at.us == 123456;
	return end() + 5;
}

static int pause_a_while(struct prong_ctx *ctx)
{
	int r;

	begin(ctx);
	r = coroutine_sleep_until(monotonic_us() + PRONG_MILLISECONDS(5));
	return r < 0 ? r : end();
}

static int compute(void *argument)
{
	*(int *)argument = 42;
	return 1;
}

static int use_a_thread(struct prong_ctx *ctx)
{
	int computed = 0;

	begin(ctx);
	seen->fine = prong_compute(ctx, compute, &computed) == 1 && computed == 42;
	return end();
}

static int fail_with_problem(struct prong_ctx *ctx)
{
	begin(ctx);
	return prong_fail(ctx, 503, "no_luck", "Attempt %d: \"%s\".", prong_job_attempt(ctx), "no luck");
}

static int loop_for_ever(struct prong_ctx *ctx)
{
	begin(ctx);
	while (!seen->may_end)
		;
	return end();
}

/* More than is kept. */
static int say_much(struct prong_ctx *ctx)
{
	begin(ctx);
	for (int i = 1; i <= JOB_LOG_LINES + 5; i++) {
		prong_progress(ctx, i, JOB_LOG_LINES + 5);
		prong_job_log(ctx, "line %d", i);
	}
	prong_result(ctx, task, (&(struct task){ 12, "twelve" }));
	return end();
}

static int say_one_thing_and_hang(struct prong_ctx *ctx)
{
	prong_progress(ctx, 1, 2);
	return loop_for_ever(ctx);
}

static int postpone(struct prong_ctx *ctx)
{
	begin(ctx);
	return prong_retry_after(ctx, PRONG_HOURS(1), "later", "Not now.");
}

static int give_up(struct prong_ctx *ctx)
{
	begin(ctx);
	return prong_fail_for_good(ctx, "never", "Not ever.");
}

static int fail_plainly(struct prong_ctx *ctx)
{
	begin(ctx);
	return -EROFS;
}

static int abort_at_once(struct prong_ctx *ctx)
{
	begin(ctx);
	abort();
}

static int leave(struct prong_ctx *ctx)
{
	begin(ctx);
	exit(3);
}

static int take_no_notice(struct prong_ctx *ctx)
{
	begin(ctx);
	raise(SIGTERM);
	raise(SIGINT);
	raise(SIGHUP);
	return end();
}

static int leak(struct prong_ctx *ctx)
{
	char *memory = mmap(NULL, 64 * LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	begin(ctx);
	memset(memory, 1, 64 * LARGE);
	return end();
}

static void start_helper(void)
{
	pid_t pid = fork();

	if (pid == 0)
		for (;;)
			pause();
	seen->grandchild = pid;
}

static int leave_a_helper(struct prong_ctx *ctx)
{
	begin(ctx);
	start_helper();
	return end();
}

static int hang_with_a_helper(struct prong_ctx *ctx)
{
	start_helper();
	return loop_for_ever(ctx);
}

static int run_wild(struct prong_ctx *ctx)
{
	char garbage[100];

	memset(garbage, 0xee, sizeof(garbage));
	for (int fd = 3; fd < 32; fd++)
		(void)!write(fd, garbage, sizeof(garbage));
	return loop_for_ever(ctx);
}

static int measure_text(struct prong_ctx *ctx)
{
	const struct task *task = begin(ctx);

	seen->fine = strspn(task->text, "x") == LARGE && task->text[LARGE] == '\0';
	return end();
}

#define JOB(function, ...) PRONG_JOB(function, .payload = &task_schema, .isolation = PRONG_PROCESS, ##__VA_ARGS__)
JOB(look_around);
JOB(pause_a_while);
JOB(use_a_thread);
JOB(fail_with_problem);
JOB(fail_plainly);
JOB(abort_at_once);
JOB(leave);
JOB(loop_for_ever);
JOB(take_no_notice);
JOB(leak);
JOB(leave_a_helper);
JOB(hang_with_a_helper);
JOB(run_wild);
JOB(measure_text);
JOB(say_much, .result = &task_schema);
JOB(say_one_thing_and_hang);
JOB(postpone);
JOB(give_up);

static const struct prong_app app = {
	.name = "isolation",
	.version = "1",
	.jobs = PRONG_JOBS(&look_around_job, &pause_a_while_job, &use_a_thread_job, &fail_with_problem_job,
			   &fail_plainly_job, &abort_at_once_job, &leave_job, &loop_for_ever_job, &take_no_notice_job,
			   &leak_job, &leave_a_helper_job, &hang_with_a_helper_job, &run_wild_job, &measure_text_job,
			   &say_much_job, &say_one_thing_and_hang_job, &postpone_job, &give_up_job),
};

/* ---- a worker's half ---- */

struct world {
	struct settings settings;
	struct registry *registry;
	struct process process;
	struct isolation *isolation;
	struct runtime *runtime;
	int channel; /* the master's end */
	bool lost;
};

static void open_eyes(void)
{
	seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CU_ASSERT_FATAL(seen != MAP_FAILED);
}

static void close_eyes(void)
{
	munmap(seen, sizeof(*seen));
	seen = NULL;
}

static void on_lost(void *argument)
{
	struct world *world = argument;

	world->lost = true;
	loop_stop(world->runtime->loop);
}

static void open_world(struct world *world, int64_t places)
{
	struct buffer mistakes = { 0 };
	int channels[2];

	if (!seen)
		open_eyes();
	*world = (struct world){ .settings = { .redis_url = "redis://127.0.0.1:1",
					       .database_url = "postgresql://nobody@/nothing?host=/nowhere",
					       .database_connections = 1,
					       .database_transactions = 1,
					       .database_timeout = PRONG_SECONDS(1),
					       .job_concurrency = MANY,
					       .job_isolated = places,
					       .log_level = PRONG_LOG_ERROR,
					       .threads = 1,
					       .max_requests = 1 } };
	CU_ASSERT_FATAL(registry_new(&app, PRONG_MODULES(NULL), &world->registry, &mistakes) == 0);
	CU_ASSERT_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channels) == 0);
	world->channel = channels[0];
	world->process = (struct process){
		.class = PROCESS_WORKER,
		.channel = channels[1],
		.listener = -1,
		.permits = -1,
		.settings = &world->settings,
		.registry = world->registry,
	};
	CU_ASSERT_FATAL(isolation_start(&world->process, &world->isolation) == 0);
	CU_ASSERT_FATAL(world->isolation != NULL);
	close(channels[1]);
	world->runtime = runtime_new(&world->settings, world->registry, NULL, "test", -1, 0);
	isolation_attach(world->isolation, world->runtime->loop, on_lost, world);
}

static void close_world(struct world *world)
{
	CU_ASSERT_PTR_NULL(isolation_free(world->isolation));
	runtime_free(world->runtime);
	registry_free(world->registry);
	close(world->channel);
	close_eyes();
}

/* One attempt, as the worker's runner makes it. */
struct attempt {
	struct world *world;
	struct delivery delivery;
	char payload[64];
	struct prong_ctx ctx;
	struct job_notes notes;
	struct coroutine *coroutine;
	enum isolation_end end;
	int64_t started_at;
	int result;
	bool concluded;
};

static void run_attempt(void *argument)
{
	struct attempt *attempt = argument;

	attempt->result = isolation_run(attempt->world->isolation, &attempt->ctx, &attempt->end, &attempt->started_at);
	attempt->concluded = true;
	loop_stop(attempt->world->runtime->loop);
}

static void start(struct attempt *attempt, struct world *world, const char *name, int number)
{
	if (!attempt->delivery.payload) {
		attempt->delivery.payload_size = (size_t)snprintf(attempt->payload, sizeof(attempt->payload),
								  "{\"number\":%d,\"text\":\"text\"}", number);
		attempt->delivery.payload = attempt->payload;
	}
	attempt->world = world;
	attempt->delivery.name = name;
	attempt->delivery.queue = "default";
	attempt->delivery.request_id = "request";
	attempt->delivery.trace_id = "trace";
	attempt->delivery.key = "";
	attempt->delivery.attempt = 3;
	attempt->delivery.enqueued_at.us = 123456;
	if (!attempt->delivery.timeout)
		attempt->delivery.timeout = PRONG_SECONDS(60);
	context_init(&attempt->ctx, world->runtime);
	attempt->ctx.delivery = &attempt->delivery;
	attempt->ctx.notes = &attempt->notes;
	CU_ASSERT_FATAL(coroutine_start(world->runtime->loop, run_attempt, attempt, &attempt->coroutine) == 0);
}

static void conclude(struct attempt *attempt)
{
	while (!attempt->concluded)
		loop_run(attempt->world->runtime->loop);
}

static void finish(struct attempt *attempt)
{
	conclude(attempt);
	context_end(&attempt->ctx);
}

static void run(struct attempt *attempt, struct world *world, const char *name)
{
	start(attempt, world, name, 7);
	conclude(attempt);
}

/* Dead, though perhaps nobody has asked how. */
static bool is_gone(pid_t pid)
{
	_cleanup_(freep) char *path = format_text("/proc/%d/stat", pid), *text = NULL;
	size_t size;

	if (file_read(path, 4096, &text, &size) < 0)
		return true;
	return strstr(text, ") Z ") != NULL;
}

/* ---- returning ---- */

TEST(isolation, runs_a_job_in_a_process_of_its_own)
{
	struct world world;
	struct attempt attempt = { 0 };

	open_world(&world, 1);
	run(&attempt, &world, "look_around");
	CU_ASSERT_EQUAL(attempt.result, 5);
	CU_ASSERT_EQUAL(attempt.end, ISOLATION_RETURNED);
	CU_ASSERT(attempt.started_at > 0 && attempt.started_at < monotonic_us());
	CU_ASSERT(seen->fine);
	CU_ASSERT(seen->child != getpid() && seen->nursery != getpid());
	CU_ASSERT(is_gone(seen->child));
	CU_ASSERT_EQUAL(attempt.ctx.problem.status, 0);
	context_end(&attempt.ctx);
	close_world(&world);
}

TEST(isolation, says_why_a_job_failed)
{
	struct world world;
	struct attempt with_problem = { 0 }, plain = { 0 };

	open_world(&world, 1);
	run(&with_problem, &world, "fail_with_problem");
	CU_ASSERT_EQUAL(with_problem.end, ISOLATION_RETURNED);
	CU_ASSERT_EQUAL(with_problem.result, -EHOSTDOWN);
	CU_ASSERT_EQUAL(with_problem.ctx.problem.status, 503);
	CU_ASSERT_STRING_EQUAL(with_problem.ctx.problem.code, "no_luck");
	CU_ASSERT_STRING_EQUAL(with_problem.ctx.problem.detail, "Attempt 3: \"no luck\".");
	run(&plain, &world, "fail_plainly");
	CU_ASSERT_EQUAL(plain.result, -EROFS);
	CU_ASSERT_EQUAL(plain.ctx.problem.status, 0);
	context_end(&with_problem.ctx);
	context_end(&plain.ctx);
	close_world(&world);
}

TEST(isolation, tells_what_a_job_says)
{
	struct attempt attempt = { 0 };
	struct buffer notes = { 0 };
	struct world world;

	open_world(&world, 1);
	run(&attempt, &world, "say_much");
	CU_ASSERT_EQUAL(attempt.result, 0);
	CU_ASSERT(attempt.notes.changed);
	CU_ASSERT(attempt.notes.done == JOB_LOG_LINES + 5 && attempt.notes.total == JOB_LOG_LINES + 5);
	CU_ASSERT_STRING_EQUAL(buffer_text(&attempt.notes.result), "{\"number\":12,\"text\":\"twelve\"}");
	job_notes_write(&attempt.notes, &notes);
	CU_ASSERT(strstr(buffer_text(&notes), "\"log\":[\"line 6\",\"line 7\",") != NULL);
	CU_ASSERT(strstr(buffer_text(&notes), "\"line 25\"]}") != NULL);
	buffer_free(&notes);
	job_notes_free(&attempt.notes);
	context_end(&attempt.ctx);
	close_world(&world);
}

static void tick(void *argument)
{
	loop_stop(argument);
}

TEST(isolation, tells_it_while_the_job_runs)
{
	struct attempt attempt = { 0 };
	struct world world;

	open_world(&world, 1);
	start(&attempt, &world, "say_one_thing_and_hang", 0);
	CU_ASSERT(EVENTUALLY(({
		loop_post(world.runtime->loop, tick, world.runtime->loop);
		loop_run(world.runtime->loop);
		attempt.notes.done == 1 && attempt.notes.total == 2;
	})));
	CU_ASSERT(!attempt.concluded);
	seen->may_end = true;
	finish(&attempt);
	close_world(&world);
}

TEST(isolation, tells_what_is_to_become_of_a_failed_job)
{
	struct attempt postponed = { 0 }, final = { 0 };
	struct world world;

	open_world(&world, 1);
	run(&postponed, &world, "postpone");
	CU_ASSERT(postponed.result < 0 && postponed.notes.postponed && !postponed.notes.final);
	CU_ASSERT_EQUAL(postponed.notes.retry_after, PRONG_HOURS(1));
	CU_ASSERT_STRING_EQUAL(postponed.ctx.problem.code, "later");
	context_end(&postponed.ctx);
	run(&final, &world, "give_up");
	CU_ASSERT(final.result < 0 && final.notes.final && !final.notes.postponed);
	CU_ASSERT_STRING_EQUAL(final.ctx.problem.detail, "Not ever.");
	context_end(&final.ctx);
	close_world(&world);
}

TEST(isolation, takes_a_payload_of_a_megabyte)
{
	struct attempt attempt = { 0 };
	struct buffer payload = { 0 };
	struct world world;

	open_world(&world, 1);
	buffer_add_literal(&payload, "{\"number\":1,\"text\":\"");
	buffer_reserve(&payload, LARGE + 2);
	memset(payload.data + payload.size, 'x', LARGE);
	payload.size += LARGE;
	buffer_add_literal(&payload, "\"}");
	attempt.delivery.payload = buffer_text(&payload);
	attempt.delivery.payload_size = payload.size;
	run(&attempt, &world, "measure_text");
	CU_ASSERT_EQUAL(attempt.result, 0);
	CU_ASSERT(seen->fine);
	context_end(&attempt.ctx);
	buffer_free(&payload);
	close_world(&world);
}

TEST(isolation, has_threads)
{
	struct world world;
	struct attempt attempt = { 0 };

	open_world(&world, 1);
	run(&attempt, &world, "use_a_thread");
	CU_ASSERT_EQUAL(attempt.result, 0);
	CU_ASSERT(seen->fine);
	context_end(&attempt.ctx);
	close_world(&world);
}

TEST(isolation, a_hundred_jobs_share_four_places)
{
	struct attempt *attempts = allocate_array(MANY, sizeof(*attempts));
	struct world world;

	open_world(&world, 4);
	for (int i = 0; i < MANY; i++)
		start(&attempts[i], &world, "pause_a_while", i);
	for (int i = 0; i < MANY; i++) {
		finish(&attempts[i]);
		CU_ASSERT(attempts[i].result == 0 && attempts[i].end == ISOLATION_RETURNED);
		CU_ASSERT_EQUAL(seen->runs_of[i], 1);
	}
	CU_ASSERT(seen->most_at_once >= 2 && seen->most_at_once <= 4);
	free(attempts);
	close_world(&world);
}

/* ---- dying ---- */

static void check_crash(struct attempt *attempt, const char *how)
{
	CU_ASSERT_EQUAL(attempt->end, ISOLATION_CRASHED);
	CU_ASSERT(attempt->result < 0);
	CU_ASSERT_STRING_EQUAL(attempt->ctx.problem.code, "crashed");
	CU_ASSERT(strstr(attempt->ctx.problem.detail, how) != NULL);
	context_end(&attempt->ctx);
}

TEST(isolation, a_crash_is_that_jobs_own)
{
	struct attempt bystander = { 0 }, crashed = { 0 }, left = { 0 };
	struct world world;

	open_world(&world, 2);
	start(&bystander, &world, "loop_for_ever", 0);
	run(&crashed, &world, "abort_at_once");
	check_crash(&crashed, "killed by SIGABRT");
	run(&left, &world, "leave");
	check_crash(&left, "left with status");
	CU_ASSERT(!bystander.concluded);
	seen->may_end = true;
	finish(&bystander);
	CU_ASSERT_EQUAL(bystander.result, 0);
	close_world(&world);
}

TEST(isolation, what_is_no_report_is_a_crash)
{
	struct attempt wild = { 0 }, next = { 0 };
	struct world world;

	open_world(&world, 1);
	run(&wild, &world, "run_wild");
	check_crash(&wild, "wrote over");
	run(&next, &world, "look_around");
	CU_ASSERT_EQUAL(next.result, 5);
	context_end(&next.ctx);
	close_world(&world);
}

TEST(isolation, an_endless_loop_is_killed_at_its_deadline)
{
	struct attempt attempt = { .delivery.timeout = PRONG_MILLISECONDS(100) };
	struct world world;

	open_world(&world, 1);
	run(&attempt, &world, "hang_with_a_helper");
	CU_ASSERT_EQUAL(attempt.result, -ETIMEDOUT);
	CU_ASSERT_EQUAL(attempt.end, ISOLATION_RETURNED);
	CU_ASSERT(monotonic_us() - attempt.started_at >= PRONG_MILLISECONDS(100));
	CU_ASSERT_STRING_EQUAL(attempt.ctx.problem.detail, "Its process was killed after 100 ms, at its deadline.");
	CU_ASSERT(is_gone(seen->child));
	CU_ASSERT(EVENTUALLY(is_gone(seen->grandchild)));
	context_end(&attempt.ctx);
	close_world(&world);
}

TEST(isolation, a_cancelled_job_is_killed)
{
	struct attempt running = { 0 }, waiting = { 0 };
	struct world world;

	open_world(&world, 1);
	start(&running, &world, "loop_for_ever", 0);
	start(&waiting, &world, "loop_for_ever", 1);
	CU_ASSERT(EVENTUALLY(seen->started == 1));
	coroutine_cancel(waiting.coroutine);
	finish(&waiting);
	CU_ASSERT_EQUAL(waiting.result, -ECANCELED);
	CU_ASSERT_EQUAL(waiting.started_at, 0);
	coroutine_cancel(running.coroutine);
	finish(&running);
	CU_ASSERT_EQUAL(running.result, -ECANCELED);
	CU_ASSERT_EQUAL(running.end, ISOLATION_RETURNED);
	CU_ASSERT(is_gone(seen->child));
	CU_ASSERT_EQUAL(seen->started, 1);
	close_world(&world);
}

/* Some while they wait, some as they are given a place, some as they run, some as they end. */
TEST(isolation, cancelling_at_any_moment_loses_no_place)
{
	struct attempt *attempts = allocate_array(MANY, sizeof(*attempts)), last[2] = { 0 };
	struct world world;
	int begun;

	open_world(&world, 2);
	for (int i = 0; i < MANY; i++)
		start(&attempts[i], &world, "pause_a_while", i);
	for (int i = 0; i < MANY; i++) {
		struct attempt *other = &attempts[random_u64() % MANY];

		if (!other->concluded)
			coroutine_cancel(other->coroutine);
		finish(&attempts[i]);
		CU_ASSERT(attempts[i].result == 0 || attempts[i].result == -ECANCELED);
		CU_ASSERT_EQUAL(attempts[i].end, ISOLATION_RETURNED);
	}
	begun = seen->started;
	for (int i = 0; i < 2; i++)
		start(&last[i], &world, "loop_for_ever", i);
	CU_ASSERT(EVENTUALLY(seen->started == begun + 2));
	seen->may_end = true;
	for (int i = 0; i < 2; i++) {
		finish(&last[i]);
		CU_ASSERT_EQUAL(last[i].result, 0);
	}
	free(attempts);
	close_world(&world);
}

TEST(isolation, leaves_nothing_running_and_nothing_leaked)
{
	struct world world;

	open_world(&world, 1);
	for (int i = 0; i < 10; i++) {
		struct attempt leaking = { 0 }, leaving = { 0 };
		_cleanup_(freep) char *path = NULL, *text = NULL;
		size_t size;

		run(&leaking, &world, "leak");
		CU_ASSERT_EQUAL(leaking.result, 0);
		context_end(&leaking.ctx);
		run(&leaving, &world, "leave_a_helper");
		CU_ASSERT_EQUAL(leaving.result, 0);
		CU_ASSERT(EVENTUALLY(is_gone(seen->grandchild)));
		context_end(&leaving.ctx);
		path = format_text("/proc/%d/statm", seen->nursery);
		CU_ASSERT_FATAL(file_read(path, 4096, &text, &size) == 0);
		CU_ASSERT(atol(strchr(text, ' ')) * getpagesize() < 64 * LARGE);
	}
	close_world(&world);
}

TEST(isolation, takes_no_notice_of_signals_to_all)
{
	struct attempt attempt = { 0 }, next = { 0 };
	struct world world;

	open_world(&world, 1);
	run(&attempt, &world, "take_no_notice");
	CU_ASSERT_EQUAL(attempt.result, 0);
	kill(seen->nursery, SIGTERM);
	kill(seen->nursery, SIGINT);
	run(&next, &world, "look_around");
	CU_ASSERT_EQUAL(next.result, 5);
	CU_ASSERT(!world.lost);
	context_end(&attempt.ctx);
	context_end(&next.ctx);
	close_world(&world);
}

/* ---- the nursery and the worker ---- */

TEST(isolation, starts_no_nursery_that_nobody_needs)
{
	static const struct registry registry = { 0 };
	struct isolation *isolation = (struct isolation *)&registry;
	struct process process = { .registry = &registry };

	CU_ASSERT_EQUAL(isolation_start(&process, &isolation), 0);
	CU_ASSERT_PTR_NULL(isolation);
	CU_ASSERT_PTR_NULL(isolation_free(isolation));
}

TEST(isolation, holds_no_channel_of_the_worker)
{
	struct world world;
	char byte;

	open_world(&world, 1);
	CU_ASSERT_EQUAL(read(world.channel, &byte, 1), 0); /* waits for the nursery to close its copy */
	close_world(&world);
}

TEST(isolation, a_worker_that_leaves_starts_nothing_more)
{
	struct attempt running = { 0 }, waiting = { 0 }, late = { 0 };
	struct world world;

	open_world(&world, 1);
	start(&running, &world, "loop_for_ever", 0);
	start(&waiting, &world, "look_around", 1);
	CU_ASSERT(EVENTUALLY(seen->started == 1));
	isolation_drain(world.isolation);
	finish(&waiting);
	CU_ASSERT_EQUAL(waiting.end, ISOLATION_NOT_RUN);
	start(&late, &world, "look_around", 1);
	finish(&late);
	CU_ASSERT_EQUAL(late.end, ISOLATION_NOT_RUN);
	CU_ASSERT(!running.concluded);
	seen->may_end = true;
	finish(&running);
	CU_ASSERT_EQUAL(running.result, 0);
	CU_ASSERT_EQUAL(seen->started, 1);
	close_world(&world);
}

TEST(isolation, a_lost_nursery_takes_its_children_along)
{
	struct attempt running = { 0 }, waiting = { 0 }, late = { 0 };
	struct world world;

	open_world(&world, 1);
	start(&running, &world, "loop_for_ever", 0);
	start(&waiting, &world, "look_around", 1);
	CU_ASSERT(EVENTUALLY(seen->started == 1));
	kill(seen->nursery, SIGKILL);
	finish(&running);
	finish(&waiting);
	CU_ASSERT_EQUAL(running.end, ISOLATION_NOT_RUN);
	CU_ASSERT_EQUAL(waiting.end, ISOLATION_NOT_RUN);
	CU_ASSERT(world.lost);
	CU_ASSERT(EVENTUALLY(is_gone(seen->child)));
	start(&late, &world, "look_around", 1);
	finish(&late);
	CU_ASSERT_EQUAL(late.end, ISOLATION_NOT_RUN);
	close_world(&world);
}

static _Noreturn void be_worker(void)
{
	struct attempt attempt = { 0 };
	struct world world;

	open_world(&world, 1);
	run(&attempt, &world, "hang_with_a_helper");
	_exit(0);
}

TEST(isolation, a_killed_worker_leaves_no_process_behind)
{
	pid_t worker;

	open_eyes();
	fflush(NULL);
	worker = fork();
	if (worker == 0)
		be_worker();
	CU_ASSERT(EVENTUALLY(seen->started == 1));
	kill(worker, SIGKILL);
	CU_ASSERT_EQUAL(waitpid(worker, NULL, 0), worker);
	CU_ASSERT(EVENTUALLY(is_gone(seen->nursery)));
	CU_ASSERT(is_gone(seen->child)); /* the nursery has seen to them before it left */
	CU_ASSERT(EVENTUALLY(is_gone(seen->grandchild)));
	close_eyes();
}
