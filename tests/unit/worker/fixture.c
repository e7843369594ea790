#include "tests/unit/worker/fixture.h"

#include <prong/database.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "common/jobs/module.h"
#include "common/jobs/running.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/metrics.h"
#include "tests/unit/common/durable_fixture.h"
#include "tests/unit/common/servers.h"
#include "worker/builtin.h"
#include "worker/consumer.h"

struct effects *effects;

/* clang-format off */
PRONG_SCHEMA(work,
	PRONG_FIELD(work, number, .required = true, .range = PRONG_RANGE(0, MAX_WORK - 1)),
	PRONG_FIELD(work, milliseconds));
/* clang-format on */

/* ---- the jobs ---- */

static const struct work *begin(struct prong_ctx *ctx)
{
	const struct work *work = prong_payload(ctx, work);
	char expected[16];

	snprintf(expected, sizeof(expected), "request-%d", work->number);
	if (!string_equal(prong_request_id(ctx), expected))
		atomic_fetch_add(&effects->wrong_request_id, 1);
	atomic_fetch_add(&effects->started, 1);
	atomic_fetch_add(&effects->of[work->number], 1);
	return work;
}

static int end(const struct work *work)
{
	atomic_fetch_add(&effects->ended_of[work->number], 1);
	atomic_fetch_add(&effects->ended, 1);
	return 0;
}

static int count(struct prong_ctx *ctx)
{
	return end(begin(ctx));
}

static int sleep_for(struct prong_ctx *ctx)
{
	const struct work *work = begin(ctx);
	int r = coroutine_sleep_until(monotonic_us() + PRONG_MILLISECONDS(work->milliseconds));

	return r < 0 ? r : end(work);
}

static int sleep_other(struct prong_ctx *ctx)
{
	int r = sleep_for(ctx);

	atomic_fetch_add(&effects->other_ended, r == 0);
	return r;
}

static int crash(struct prong_ctx *ctx)
{
	const struct work *work = begin(ctx);

	if (!atomic_load(&effects->stop_crashing))
		raise(SIGKILL);
	return end(work);
}

static int fail(struct prong_ctx *ctx)
{
	begin(ctx);
	return prong_fail(ctx, 422, "no_luck", "Attempt %d of \"fail\".", prong_job_attempt(ctx));
}

static int fail_twice(struct prong_ctx *ctx)
{
	const struct work *work = begin(ctx);

	return prong_job_attempt(ctx) <= 2 ? -EIO : end(work);
}

/* Ends only when it is told to. */
static int hang(struct prong_ctx *ctx)
{
	begin(ctx);
	return coroutine_sleep_until(INT64_MAX);
}

static int wait_for_go(void)
{
	int r = 0;

	while (r == 0 && !atomic_load(&effects->go))
		r = coroutine_sleep_until(monotonic_us() + PRONG_MILLISECONDS(2));
	atomic_fetch_add(&effects->cancelled, r == -ECANCELED);
	return r;
}

static int hold(struct prong_ctx *ctx)
{
	const struct work *work = begin(ctx);
	int r = wait_for_go();

	return r < 0 ? r : end(work);
}

static int report(struct prong_ctx *ctx)
{
	const struct work *work = begin(ctx);
	const struct work result = { .number = work->number + 1 };
	int r;

	prong_job_log(ctx, "half of \"%d\"", work->number);
	prong_progress(ctx, 5, 10);
	r = wait_for_go();
	if (r >= 0)
		r = prong_result(ctx, work, &result);
	return r < 0 ? r : end(work);
}

static int come_later(struct prong_ctx *ctx)
{
	begin(ctx);
	return prong_retry_after(ctx, PRONG_HOURS(3), "not_yet", "Attempt %d came too early.", prong_job_attempt(ctx));
}

static int despair(struct prong_ctx *ctx)
{
	begin(ctx);
	prong_job_log(ctx, "hopeless");
	return prong_fail_for_good(ctx, "hopeless", "Nothing can mend %s.", "it");
}

/* As if prong_job_done() had found that it was done, from the payload's number 1 on. */
static int repeat(struct prong_ctx *ctx)
{
	const struct work *work = begin(ctx);

	ctx->notes->already_done = work->number > 0;
	return -EALREADY;
}

/* Number 0 takes so long, without a wait, that what was fetched with it seems to have been here for longer than leased.
 */
static int oversleep(struct prong_ctx *ctx)
{
	const struct work *work = begin(ctx);
	struct batch *batch = container_of(ctx, struct running, ctx)->consumer->batches;

	if (batch && monotonic_us() - batch->asked_at > JOB_LEASE / 2)
		atomic_fetch_add(&effects->started_late, 1);
	if (work->number == 0) {
		usleep(1000);
		atomic_store(&effects->waiting, batch ? (int)(batch->n_deliveries - batch->n_started) : 0);
		if (batch)
			batch->asked_at -= JOB_LEASE;
	}
	return end(work);
}

static int note_start(struct prong_ctx *ctx)
{
	atomic_store(&effects->order[atomic_fetch_add(&effects->n_order, 1)], ctx->delivery->name[0]);
	return sleep_for(ctx);
}

static void crash_if(int step)
{
	if (atomic_load(&effects->crash_at) == step)
		raise(SIGKILL);
}

/* A row for each run that commits. */
static int transfer(struct prong_ctx *ctx)
{
	const struct work *work = begin(ctx);
	int r = prong_begin(ctx);

	if (r >= 0)
		r = prong_exec(ctx, "INSERT INTO transfers (number) VALUES ($1)", work->number);
	crash_if(1);
	if (r >= 0)
		r = prong_job_done(ctx);
	crash_if(2);
	if (r >= 0)
		r = prong_commit(ctx);
	crash_if(3);
	return r < 0 ? r : end(work);
}

#define FAST .backoff = PRONG_MILLISECONDS(1), .max_backoff = PRONG_MILLISECONDS(5)
#define JOB(function_, name_, ...) \
	const struct prong_job name_##_job = { .name = #name_, .run = function_, .payload = &work_schema, __VA_ARGS__ }
JOB(count, count, .queue = "work");
JOB(sleep_for, sleep, .queue = "work");
JOB(sleep_other, sleep_other, .queue = "other");
JOB(crash, crash, .queue = "work", .max_crashes = 2);
JOB(crash, crash_apart, .queue = "work", .max_crashes = 2, .isolation = PRONG_PROCESS, FAST);
JOB(fail, fail, .queue = "work", .max_attempts = 3, FAST);
JOB(fail_twice, fail_twice, .queue = "work", FAST);
JOB(hang, hang, .queue = "work", .max_attempts = 1, .timeout = PRONG_MILLISECONDS(300));
JOB(hold, hold, .queue = "work");
JOB(report, report, .queue = "work", .result = &work_schema);
JOB(come_later, come_later, .queue = "work");
JOB(despair, despair, .queue = "work");
JOB(repeat, repeat, .queue = "work", .max_attempts = 1);
JOB(oversleep, oversleep, .queue = "work");
JOB(note_start, urgent, .queue = "urgent");
JOB(note_start, slow, .queue = "slow");
JOB(note_start, heavy, .queue = "heavy");
JOB(note_start, light, .queue = "light");
JOB(count, parted, .queue = "parted");
JOB(count, lasting, .queue = "work", .durable = true);
JOB(hold, lasting_hold, .queue = "work", .durable = true);
JOB(fail, lasting_fail, .queue = "work", .durable = true, .max_attempts = 2, FAST);
JOB(transfer, transfer, .queue = "work", .durable = true);
JOB(fail_twice, recorded, .queue = "work", .history = true, FAST);

PRONG_QUEUE(urgent);
PRONG_QUEUE(slow, .rank = 1);
PRONG_QUEUE(heavy, .rank = 2, .weight = 3);
PRONG_QUEUE(light, .rank = 2);
PRONG_QUEUE(parted, .shards = 4);

/* ---- the world ---- */

static const struct prong_app app = {
	.name = "fixture",
	.version = "1",
	.jobs = PRONG_JOBS(&count_job, &sleep_job, &sleep_other_job, &crash_job, &crash_apart_job, &fail_job,
			   &fail_twice_job, &hang_job, &hold_job, &report_job, &come_later_job, &despair_job,
			   &repeat_job, &oversleep_job, &urgent_job, &slow_job, &heavy_job, &light_job, &parted_job,
			   &lasting_job, &lasting_hold_job, &lasting_fail_job, &transfer_job, &recorded_job),
	.queues = PRONG_QUEUES(&urgent_queue, &slow_queue, &heavy_queue, &light_queue, &parted_queue),
};

static struct registry *make_registry(void)
{
	struct buffer mistakes = { 0 };
	struct registry *registry = NULL;

	if (registry_new(&app, PRONG_MODULES(&worker_builtin_module, &jobs_module), &registry, &mistakes) < 0)
		panic("%s", buffer_text(&mistakes));
	buffer_free(&mistakes);
	return registry;
}

/* The Redis is there. */
static void open_with(struct fixture *fixture, const char *database_url)
{
	const size_t slots[PROCESS_CLASSES] = { [PROCESS_WORKER] = 2, [PROCESS_SCHEDULER] = 1 };

	effects = mmap(NULL, sizeof(*effects), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (effects == MAP_FAILED)
		panic("mmap: %m");
	fixture->registry = make_registry();
	fixture->scoreboard = scoreboard_new(slots);
	fixture->settings = (struct settings){
		.redis_url = redis_server_url(fixture->server),
		.database_url = database_url,
		.database_connections = 1,
		.database_transactions = 2,
		.job_history_age = PRONG_DAYS(30),
		.database_timeout = PRONG_SECONDS(1),
		.job_concurrency = 100,
		.job_isolated = 2,
		.max_payload = 1 << 20,
		.max_requests = 10,
		.threads = 2,
		.drain_timeout = PRONG_SECONDS(20),
		.mail_from = "Prong <prong@localhost>",
		.mail_dir = "/tmp",
	};
	fixture->runtime =
		runtime_new(&fixture->settings, fixture->registry, NULL, "test", -1, RUNTIME_POSTGRES | RUNTIME_REDIS);
}

static const char *const no_options[] = { NULL };
#define NO_DATABASE "postgresql://nobody@/nothing?host=/nowhere"

void fixture_open(struct fixture *fixture, const char *const *options)
{
	*fixture = (struct fixture){ .server = redis_server_new(options ? options : no_options) };
	open_with(fixture, NO_DATABASE);
}

void fixture_open_cluster(struct fixture *fixture)
{
	*fixture = (struct fixture){ 0 };
	redis_cluster_start(fixture->masters, no_options);
	fixture->server = fixture->masters[0];
	open_with(fixture, NO_DATABASE);
}

void fixture_open_durable(struct fixture *fixture)
{
	durable_make_tables();
	free(durable_sql("DROP TABLE IF EXISTS transfers"));
	free(durable_sql("CREATE TABLE transfers (number int)"));
	*fixture = (struct fixture){ .server = redis_server_new(no_options) };
	open_with(fixture, server_url(SERVER_POSTGRES));
}

void fixture_close(struct fixture *fixture)
{
	runtime_free(fixture->runtime);
	registry_free(fixture->registry);
	if (fixture->masters[0])
		redis_cluster_stop(fixture->masters);
	else
		redis_server_free(fixture->server);
	munmap(effects, sizeof(*effects));
}

static _Noreturn void be_child(struct fixture *fixture, process_main *main, size_t slot, int channel)
{
	static struct process process;

	process = (struct process){
		.class = slot < 2 ? PROCESS_WORKER : PROCESS_SCHEDULER,
		.slot = slot,
		.number = slot < 2 ? slot : 0,
		.channel = channel,
		.listener = -1,
		.permits = -1,
		.settings = &fixture->settings,
		.registry = fixture->registry,
		.scoreboard = fixture->scoreboard,
	};
	log_open("fixture", "child", PRONG_LOG_ERROR, false);
	exit(main(&process));
}

pid_t fixture_start(struct fixture *fixture, process_main *main, size_t slot)
{
	int channel[2];
	char byte = 0;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel) < 0)
		panic("socketpair: %m");
	fflush(NULL);
	pid = fork();
	if (pid < 0)
		panic("fork: %m");
	if (pid == 0) {
		close(channel[0]);
		be_child(fixture, main, slot, channel[1]);
	}
	close(channel[1]);
	if (read(channel[0], &byte, 1) != 1 || byte != 'R')
		fprintf(stderr, "the process ended before it was ready\n");
	return pid; /* the channel stays open: its end would tell the child that its master is gone */
}

int fixture_wait(struct fixture *fixture, pid_t pid, size_t slot)
{
	struct scoreboard_slot *place = &fixture->scoreboard->slots[slot];
	int status = 0;

	if (waitpid(pid, &status, 0) != pid)
		panic("waitpid: %m");
	if (slot < 2 && atomic_load(&place->incarnation)) {
		const struct death death = { .incarnation = atomic_load(&place->incarnation),
					     .culprit = slot_culprit(place),
					     .wait_status = status };

		scoreboard_add_death(fixture->scoreboard, &death);
	}
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

int fixture_terminate(struct fixture *fixture, pid_t pid, size_t slot)
{
	kill(pid, SIGTERM);
	return fixture_wait(fixture, pid, slot);
}

int fixture_run(struct fixture *fixture, int (*function)(struct prong_ctx *ctx, void *argument), void *argument)
{
	return context_run(fixture->runtime, PRONG_SECONDS(30), function, argument);
}

struct enqueuing {
	const struct prong_job *job;
	struct work work;
	int count;
	struct prong_enqueue_options options;
};

static int enqueue(struct prong_ctx *ctx, void *argument)
{
	struct enqueuing *enqueuing = argument;
	int r = 0;

	for (int i = 0; i < enqueuing->count && r == 0; i++) {
		snprintf(ctx->request_id, sizeof(ctx->request_id), "request-%d", enqueuing->work.number);
		r = prong_job_enqueue(ctx, enqueuing->job, &enqueuing->work, sizeof(enqueuing->work),
				      &enqueuing->options);
		enqueuing->work.number++;
	}
	return r;
}

int fixture_enqueue_with(struct fixture *fixture, const struct prong_job *job, int number, int milliseconds,
			 const struct prong_enqueue_options *options)
{
	struct enqueuing enqueuing = { .job = job, .work = { number, milliseconds }, .count = 1, .options = *options };

	return fixture_run(fixture, enqueue, &enqueuing);
}

int fixture_enqueue(struct fixture *fixture, const struct prong_job *job, int number, int milliseconds)
{
	return fixture_enqueue_with(fixture, job, number, milliseconds, &(const struct prong_enqueue_options){ 0 });
}

void fixture_enqueue_many(struct fixture *fixture, const struct prong_job *job, int n, int milliseconds)
{
	struct enqueuing enqueuing = { .job = job, .work = { 0, milliseconds }, .count = n };

	CU_ASSERT(fixture_run(fixture, enqueue, &enqueuing) == 0);
}

struct asking {
	const char *queue;
	struct job_stats counts;
	char *error;
	int attempts;
};

static int ask_counts(struct prong_ctx *ctx, void *argument)
{
	struct asking *asking = argument;

	return job_queue_stats(ctx->runtime->jobs, asking->queue, &asking->counts);
}

bool fixture_counts_are(struct fixture *fixture, const char *queue, uint64_t ready, uint64_t delayed, uint64_t inflight,
			uint64_t dead)
{
	struct asking asking = { .queue = queue };
	const uint64_t *states = asking.counts.states;

	return fixture_run(fixture, ask_counts, &asking) == 0 && states[JOB_STATE_READY] == ready &&
	       states[JOB_STATE_DELAYED] == delayed && states[JOB_STATE_RUNNING] == inflight &&
	       states[JOB_STATE_DEAD] == dead;
}

static int ask_dead(struct prong_ctx *ctx, void *argument)
{
	struct asking *asking = argument;
	struct job_listing *listings;
	size_t n;
	int r;

	r = job_queue_list(ctx->runtime->jobs, asking->queue, JOB_STATE_DEAD, 0, 1, &ctx->arena, &listings, &n);
	if (r == 0 && n == 1) {
		asking->error = duplicate(listings[0].error);
		asking->attempts = listings[0].attempt;
	}
	return r;
}

char *fixture_dead_error(struct fixture *fixture, const char *queue, int *ret_attempts)
{
	struct asking asking = { .queue = queue };

	fixture_run(fixture, ask_dead, &asking);
	*ret_attempts = asking.attempts;
	return asking.error;
}

struct looking {
	const struct prong_job *job;
	prong_uuid id;
	struct prong_job_status status;
};

static int look(struct prong_ctx *ctx, void *argument)
{
	struct looking *looking = argument;
	struct prong_job_status *status = &looking->status;
	int r = prong_job_look(ctx, looking->job, looking->id, status);

	status->result = r == 0 && status->result ? duplicate(status->result) : NULL;
	status->error = r == 0 && status->error ? duplicate(status->error) : NULL;
	return r;
}

struct prong_job_status fixture_status(struct fixture *fixture, const struct prong_job *job, prong_uuid id)
{
	struct looking looking = { .job = job, .id = id };

	CU_ASSERT_EQUAL(fixture_run(fixture, look, &looking), 0);
	return looking.status;
}

long long fixture_ask(struct fixture *fixture, const char *command)
{
	_cleanup_(freep) char *answer = redis_server_ask(fixture->server, command);

	return strtoll(answer, NULL, 10);
}
