#include "tests/unit/worker/isolation_world.h"

#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>

struct seen *seen;

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

void seen_open(void)
{
	seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CU_ASSERT_FATAL(seen != MAP_FAILED);
}

void seen_close(void)
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

void world_open(struct world *world, int64_t places)
{
	struct buffer mistakes = { 0 };
	int channels[2];

	if (!seen)
		seen_open();
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

void world_close(struct world *world)
{
	CU_ASSERT_PTR_NULL(isolation_free(world->isolation));
	runtime_free(world->runtime);
	registry_free(world->registry);
	close(world->channel);
	seen_close();
}

static void run_attempt(void *argument)
{
	struct attempt *attempt = argument;

	attempt->result = isolation_run(attempt->world->isolation, &attempt->ctx, &attempt->end, &attempt->started_at);
	attempt->concluded = true;
	loop_stop(attempt->world->runtime->loop);
}

void attempt_start(struct attempt *attempt, struct world *world, const char *name, int number)
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

void attempt_conclude(struct attempt *attempt)
{
	while (!attempt->concluded)
		loop_run(attempt->world->runtime->loop);
}

void attempt_finish(struct attempt *attempt)
{
	attempt_conclude(attempt);
	context_end(&attempt->ctx);
}

void attempt_run(struct attempt *attempt, struct world *world, const char *name)
{
	attempt_start(attempt, world, name, 7);
	attempt_conclude(attempt);
}

bool is_gone(pid_t pid)
{
	_cleanup_(freep) char *path = format_text("/proc/%d/stat", pid), *text = NULL;
	size_t size;

	if (file_read(path, 4096, &text, &size) < 0)
		return true;
	return strstr(text, ") Z ") != NULL;
}
