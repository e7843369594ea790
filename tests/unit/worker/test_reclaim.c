#include <signal.h>
#include <sys/wait.h>

#include "common/identity.h"
#include "tests/unit/worker/fixture.h"
#include "worker/scheduler.h"

#define SCHEDULER 2 /* its slot */
#define DEAD 42	    /* the incarnation of a process that holds jobs when it dies */

/* A process takes all that is ready, under a lease that outlives the test. */
struct taking {
	uint64_t incarnation;
	const char *identity;
	size_t n_taken;
	char first[PRONG_UUID_TEXT_SIZE];
};

static int take_all(struct prong_ctx *ctx, void *argument)
{
	struct taking *taking = argument;
	char owner[JOB_OWNER_SIZE];
	size_t n_shards;
	struct job_exchange exchange = { .shard = job_queue_shards(ctx->runtime->jobs, "work", &n_shards),
					 .owner = owner,
					 .identity = taking->identity,
					 .fetch = JOB_BATCH };
	struct job_exchange_result result;
	int r;

	job_owner_format(taking->incarnation, 0, owner);
	r = job_queue_exchange(ctx->runtime->jobs, &ctx->arena, &exchange, &result);
	if (r < 0 || result.n_deliveries == 0)
		return -EIO;
	taking->n_taken = result.n_deliveries;
	memcpy(taking->first, result.deliveries[0].id, sizeof(taking->first));
	return 0;
}

static struct taking take(struct fixture *fixture, uint64_t incarnation, const char *identity)
{
	struct taking taking = { .incarnation = incarnation, .identity = identity };

	CU_ASSERT_EQUAL_FATAL(fixture_run(fixture, take_all, &taking), 0);
	return taking;
}

/* As the master tells it. */
static void die(struct fixture *fixture, const struct taking *taking, bool guilty)
{
	struct death death = { .incarnation = taking->incarnation, .wait_status = SIGKILL };

	if (guilty)
		CU_ASSERT_EQUAL(prong_uuid_parse(taking->first, &death.culprit), 0);
	scoreboard_add_death(fixture->scoreboard, &death);
}

static bool all_settled(const struct fixture *fixture)
{
	struct death death;

	return !scoreboard_next_death(fixture->scoreboard, &death);
}

/* Attempts and crashes of a job that is ready. */
struct record {
	const char *id;
	int attempt, crashes;
};

static int read_record(struct prong_ctx *ctx, void *argument)
{
	struct record *record = argument;
	struct job_detail detail;
	int r = job_queue_show(ctx->runtime->jobs, "work", record->id, &ctx->arena, &detail);

	if (r < 0)
		return r;
	record->attempt = detail.listing.attempt;
	record->crashes = detail.listing.crashes;
	return 0;
}

static bool record_is(struct fixture *fixture, const char *id, int attempt, int crashes)
{
	struct record record = { .id = id };

	return fixture_run(fixture, read_record, &record) == 0 && record.attempt == attempt &&
	       record.crashes == crashes;
}

TEST(reclaim, puts_back_at_once_what_a_dead_process_had)
{
	struct fixture fixture;
	struct taking taking;
	pid_t pid;

	fixture_open(&fixture, NULL);
	fixture_enqueue_many(&fixture, &count_job, 3, 0);
	taking = take(&fixture, DEAD, "elsewhere");
	pid = fixture_start(&fixture, scheduler_main, SCHEDULER);
	CU_ASSERT(fixture_counts_are(&fixture, "work", 0, 0, 3, 0));
	die(&fixture, &taking, false);
	CU_ASSERT(EVENTUALLY(fixture_counts_are(&fixture, "work", 3, 0, 0, 0)));
	CU_ASSERT(record_is(&fixture, taking.first, 0, 0));
	CU_ASSERT(EVENTUALLY(all_settled(&fixture)));
	CU_ASSERT_EQUAL(fixture_terminate(&fixture, pid, SCHEDULER), 0);
	fixture_close(&fixture);
}

TEST(reclaim, charges_the_job_that_did_it_until_it_is_dead)
{
	struct fixture fixture;
	struct taking taking;
	int attempts = 0;
	pid_t pid;

	fixture_open(&fixture, NULL);
	fixture_enqueue_many(&fixture, &count_job, 1, 0);
	pid = fixture_start(&fixture, scheduler_main, SCHEDULER);
	for (int crash = 1; crash < 3; crash++) {
		taking = take(&fixture, (uint64_t)crash, "elsewhere");
		die(&fixture, &taking, true);
		CU_ASSERT(EVENTUALLY(fixture_counts_are(&fixture, "work", 1, 0, 0, 0)));
		CU_ASSERT(record_is(&fixture, taking.first, crash, crash));
	}
	taking = take(&fixture, 3, "elsewhere");
	die(&fixture, &taking, true);
	CU_ASSERT(EVENTUALLY(fixture_counts_are(&fixture, "work", 0, 0, 0, 1)));
	_cleanup_(freep) char *error = fixture_dead_error(&fixture, "work", &attempts);
	CU_ASSERT(error && strstr(error, "poison"));
	CU_ASSERT_EQUAL(attempts, 3);
	CU_ASSERT_EQUAL(fixture_terminate(&fixture, pid, SCHEDULER), 0);
	fixture_close(&fixture);
}

TEST(reclaim, waits_for_redis)
{
	struct fixture fixture;
	struct taking taking;
	pid_t pid;

	fixture_open(&fixture, NULL);
	fixture_enqueue_many(&fixture, &count_job, 2, 0);
	taking = take(&fixture, DEAD, "elsewhere");
	pid = fixture_start(&fixture, scheduler_main, SCHEDULER);
	redis_server_kill(fixture.server);
	die(&fixture, &taking, true);
	redis_server_launch(fixture.server);
	redis_server_wait(fixture.server);
	CU_ASSERT(EVENTUALLY(fixture_counts_are(&fixture, "work", 2, 0, 0, 0)));
	CU_ASSERT(record_is(&fixture, taking.first, 1, 1));
	CU_ASSERT_EQUAL(fixture_terminate(&fixture, pid, SCHEDULER), 0);
	fixture_close(&fixture);
}

TEST(reclaim, is_gone_on_with_by_the_next_scheduler)
{
	struct fixture fixture;
	struct taking taking;
	pid_t pid;

	fixture_open(&fixture, NULL);
	fixture_enqueue_many(&fixture, &count_job, 2, 0);
	taking = take(&fixture, DEAD, "elsewhere");
	pid = fixture_start(&fixture, scheduler_main, SCHEDULER);
	kill(pid, SIGSTOP);
	die(&fixture, &taking, false);
	kill(pid, SIGKILL);
	CU_ASSERT_EQUAL(fixture_wait(&fixture, pid, SCHEDULER), -SIGKILL);
	pid = fixture_start(&fixture, scheduler_main, SCHEDULER);
	CU_ASSERT(EVENTUALLY(fixture_counts_are(&fixture, "work", 2, 0, 0, 0)));
	CU_ASSERT_EQUAL(fixture_terminate(&fixture, pid, SCHEDULER), 0);
	fixture_close(&fixture);
}

/* ---- processes that nobody saw die ---- */

/* The identity of a process that has ended. */
static void make_dead_identity(char identity[128])
{
	int channel[2];
	pid_t pid;

	CU_ASSERT_FATAL(pipe(channel) == 0);
	pid = fork();
	if (pid == 0) {
		_cleanup_(freep) char *own = process_identity();

		_exit(write(channel[1], own, strlen(own) + 1) < 0);
	}
	CU_ASSERT(read(channel[0], identity, 128) > 1);
	CU_ASSERT(waitpid(pid, NULL, 0) == pid);
	close(channel[0]);
	close(channel[1]);
}

TEST(reclaim, finds_processes_that_died_with_their_master)
{
	_cleanup_(freep) char *own = process_identity();
	struct fixture fixture;
	char dead[128];
	pid_t pid;

	fixture_open(&fixture, NULL);
	make_dead_identity(dead);
	fixture_enqueue_many(&fixture, &count_job, 1, 0);
	take(&fixture, 1, own);
	fixture_enqueue_many(&fixture, &count_job, 1, 0);
	take(&fixture, 2, "elsewhere");
	fixture_enqueue_many(&fixture, &count_job, 2, 0);
	take(&fixture, DEAD, dead);
	CU_ASSERT(fixture_counts_are(&fixture, "work", 0, 0, 4, 0));
	pid = fixture_start(&fixture, scheduler_main, SCHEDULER);
	CU_ASSERT(EVENTUALLY(fixture_counts_are(&fixture, "work", 2, 0, 2, 0)));
	CU_ASSERT_EQUAL(fixture_terminate(&fixture, pid, SCHEDULER), 0);
	CU_ASSERT(fixture_counts_are(&fixture, "work", 2, 0, 2, 0));
	fixture_close(&fixture);
}

TEST(reclaim, settles_what_it_knows_before_it_leaves)
{
	struct fixture fixture;
	struct taking taking;
	pid_t pid;

	fixture_open(&fixture, NULL);
	fixture_enqueue_many(&fixture, &count_job, 1, 0);
	taking = take(&fixture, DEAD, "elsewhere");
	pid = fixture_start(&fixture, scheduler_main, SCHEDULER);
	kill(pid, SIGSTOP);
	die(&fixture, &taking, true);
	kill(pid, SIGTERM);
	kill(pid, SIGCONT);
	CU_ASSERT_EQUAL(fixture_wait(&fixture, pid, SCHEDULER), 0);
	CU_ASSERT(record_is(&fixture, taking.first, 1, 1));
	fixture_close(&fixture);
}
