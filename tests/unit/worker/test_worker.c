#include <glob.h>
#include <signal.h>

#include "tests/unit/worker/fixture.h"
#include "worker/scheduler.h"
#include "worker/worker.h"
#include <prong/mail.h>

#define WORKER 0 /* slots */
#define SECOND 1
#define SCHEDULER 2

static bool exactly_once(int n)
{
	for (int i = 0; i < n; i++)
		if (atomic_load(&effects->of[i]) != 1 || atomic_load(&effects->ended_of[i]) != 1)
			return false;
	return atomic_load(&effects->wrong_request_id) == 0;
}

static bool at_least_once(int n)
{
	for (int i = 0; i < n; i++)
		if (atomic_load(&effects->ended_of[i]) < 1)
			return false;
	return true;
}

/* ---- the plain life ---- */

TEST(worker, runs_each_job_once)
{
	struct fixture fixture;
	pid_t pid;

	fixture_open(&fixture, NULL);
	fixture_enqueue_many(&fixture, &count_job, 700, 0);
	pid = fixture_start(&fixture, worker_main, WORKER);
	CU_ASSERT(EVENTUALLY(atomic_load(&effects->ended) == 700));
	/* and what comes while it waits for a token */
	CU_ASSERT(EVENTUALLY(fixture_counts_are(&fixture, "work", 0, 0, 0, 0)));
	for (int i = 700; i < 720; i++) {
		CU_ASSERT(fixture_enqueue(&fixture, &count_job, i, 0) == 0);
		CU_ASSERT(EVENTUALLY(atomic_load(&effects->ended) == i + 1));
	}
	CU_ASSERT_EQUAL(fixture_terminate(&fixture, pid, WORKER), 0);
	CU_ASSERT(exactly_once(720));
	CU_ASSERT(fixture_counts_are(&fixture, "work", 0, 0, 0, 0));
	fixture_close(&fixture);
}

TEST(worker, two_share_a_queue)
{
	struct fixture fixture;
	pid_t first, second;

	fixture_open(&fixture, NULL);
	fixture.settings.job_concurrency = 5;
	first = fixture_start(&fixture, worker_main, WORKER);
	second = fixture_start(&fixture, worker_main, SECOND);
	fixture_enqueue_many(&fixture, &sleep_job, 200, 5);
	CU_ASSERT(EVENTUALLY(atomic_load(&effects->ended) == 200));
	CU_ASSERT_EQUAL(fixture_terminate(&fixture, first, WORKER), 0);
	CU_ASSERT_EQUAL(fixture_terminate(&fixture, second, SECOND), 0);
	CU_ASSERT(exactly_once(200));
	CU_ASSERT(fixture_counts_are(&fixture, "work", 0, 0, 0, 0));
	fixture_close(&fixture);
}

TEST(worker, starts_nothing_that_was_fetched_a_lease_ago)
{
	struct fixture fixture;
	pid_t pid;

	fixture_open(&fixture, NULL);
	fixture_enqueue_many(&fixture, &oversleep_job, 5, 0);
	pid = fixture_start(&fixture, worker_main, WORKER);
	CU_ASSERT(EVENTUALLY(atomic_load(&effects->ended) == 5));
	CU_ASSERT_EQUAL(atomic_load(&effects->waiting), 4);
	CU_ASSERT_EQUAL(atomic_load(&effects->started_late), 0);
	CU_ASSERT_EQUAL(fixture_terminate(&fixture, pid, WORKER), 0);
	CU_ASSERT(exactly_once(5));
	CU_ASSERT(fixture_counts_are(&fixture, "work", 0, 0, 0, 0));
	fixture_close(&fixture);
}

TEST(worker, a_long_queue_does_not_shut_out_another)
{
	struct fixture fixture;
	pid_t pid;

	fixture_open(&fixture, NULL);
	fixture.settings.job_concurrency = 4;
	fixture_enqueue_many(&fixture, &sleep_job, 2000, 20);
	pid = fixture_start(&fixture, worker_main, WORKER);
	CU_ASSERT(EVENTUALLY(atomic_load(&effects->ended) >= 4));
	CU_ASSERT(fixture_enqueue(&fixture, &sleep_other_job, 4000, 0) == 0);
	CU_ASSERT(EVENTUALLY(atomic_load(&effects->other_ended) == 1));
	CU_ASSERT(atomic_load(&effects->ended) < 2000);
	CU_ASSERT_EQUAL(fixture_terminate(&fixture, pid, WORKER), 0);
	fixture_close(&fixture);
}

static int enqueue_wrongly(struct prong_ctx *ctx, void *argument)
{
	char large[sizeof(struct work) + 1] = { 0 };

	(void)argument;
	CU_ASSERT(prong_enqueue(ctx, count, &large) < 0);
	CU_ASSERT_EQUAL(ctx->problem.status, 500);
	CU_ASSERT_STRING_EQUAL(ctx->problem.code, "wrong_payload");
	return 0;
}

TEST(worker, refuses_a_record_of_another_size)
{
	struct fixture fixture;

	fixture_open(&fixture, NULL);
	CU_ASSERT_EQUAL(fixture_run(&fixture, enqueue_wrongly, NULL), 0);
	CU_ASSERT(EVENTUALLY(fixture_counts_are(&fixture, "work", 0, 0, 0, 0)));
	fixture_close(&fixture);
}

/* ---- failing ---- */

TEST(worker, retries_what_failed)
{
	struct fixture fixture;
	pid_t pid;

	fixture_open(&fixture, NULL);
	pid = fixture_start(&fixture, worker_main, WORKER);
	CU_ASSERT(fixture_enqueue(&fixture, &fail_twice_job, 1, 0) == 0);
	CU_ASSERT(EVENTUALLY(atomic_load(&effects->ended) == 1));
	CU_ASSERT_EQUAL(atomic_load(&effects->of[1]), 3);
	CU_ASSERT(EVENTUALLY(fixture_counts_are(&fixture, "work", 0, 0, 0, 0)));
	CU_ASSERT_EQUAL(fixture_terminate(&fixture, pid, WORKER), 0);
	fixture_close(&fixture);
}

TEST(worker, buries_what_failed_too_often)
{
	struct fixture fixture;
	int attempts = 0;
	pid_t pid;

	fixture_open(&fixture, NULL);
	pid = fixture_start(&fixture, worker_main, WORKER);
	CU_ASSERT(fixture_enqueue(&fixture, &fail_job, 1, 0) == 0);
	CU_ASSERT(EVENTUALLY(fixture_counts_are(&fixture, "work", 0, 0, 0, 1)));
	_cleanup_(freep) char *error = fixture_dead_error(&fixture, "work", &attempts);
	CU_ASSERT_EQUAL(attempts, 3);
	CU_ASSERT(error && string_equal(error, "{\"code\":\"no_luck\",\"message\":\"Attempt 3 of \\\"fail\\\".\"}"));
	CU_ASSERT_EQUAL(fixture_terminate(&fixture, pid, WORKER), 0);
	fixture_close(&fixture);
}

TEST(worker, ends_a_job_at_its_timeout)
{
	struct fixture fixture;
	int attempts = 0;
	pid_t pid;

	fixture_open(&fixture, NULL);
	pid = fixture_start(&fixture, worker_main, WORKER);
	CU_ASSERT(fixture_enqueue(&fixture, &hang_job, 1, 0) == 0);
	CU_ASSERT(EVENTUALLY(fixture_counts_are(&fixture, "work", 0, 0, 0, 1)));
	_cleanup_(freep) char *error = fixture_dead_error(&fixture, "work", &attempts);
	CU_ASSERT(error && strstr(error, "\"timeout\""));
	CU_ASSERT_EQUAL(fixture_terminate(&fixture, pid, WORKER), 0);
	fixture_close(&fixture);
}

static int add_raw(struct prong_ctx *ctx, const struct prong_job *job, const char *payload)
{
	const struct job_draft draft = {
		.job = job, .id = prong_uuid_make(), .payload = payload, .payload_size = strlen(payload)
	};
	struct job_added added;

	return job_queue_add(ctx->runtime->jobs, &draft, 1, &added);
}

static int add_foreign(struct prong_ctx *ctx, void *payload)
{
	return add_raw(ctx, &count_job, payload);
}

static int add_of_another_version(struct prong_ctx *ctx, void *max_attempts)
{
	struct prong_job job = count_job;

	job.name = "of_another_version";
	job.max_attempts = *(int *)max_attempts;
	return add_raw(ctx, &job, "{}");
}

TEST(worker, keeps_jobs_of_a_newer_version_for_its_workers)
{
	struct fixture fixture;
	int once = 1, twenty = 20, attempts = 0;
	pid_t pid;

	fixture_open(&fixture, NULL);
	pid = fixture_start(&fixture, worker_main, WORKER);
	CU_ASSERT(fixture_run(&fixture, add_of_another_version, &twenty) == 0);
	CU_ASSERT(EVENTUALLY(fixture_counts_are(&fixture, "work", 0, 1, 0, 0)));
	CU_ASSERT(fixture_run(&fixture, add_of_another_version, &once) == 0);
	CU_ASSERT(EVENTUALLY(fixture_counts_are(&fixture, "work", 0, 1, 0, 1)));
	_cleanup_(freep) char *error = fixture_dead_error(&fixture, "work", &attempts);
	CU_ASSERT(error && strstr(error, "unknown_job"));
	CU_ASSERT_EQUAL(fixture_terminate(&fixture, pid, WORKER), 0);
	fixture_close(&fixture);
}

TEST(worker, buries_what_it_cannot_understand_at_once)
{
	static const char *const payloads[] = { "", "{", "{\"number\":\"x\"}" };
	struct fixture fixture;
	int attempts = 0;
	pid_t pid;

	fixture_open(&fixture, NULL);
	pid = fixture_start(&fixture, worker_main, WORKER);
	for (size_t i = 0; i < ARRAY_SIZE(payloads); i++) {
		CU_ASSERT(fixture_run(&fixture, add_foreign, (void *)payloads[i]) == 0);
		CU_ASSERT(EVENTUALLY(fixture_counts_are(&fixture, "work", 0, 0, 0, i + 1)));
		_cleanup_(freep) char *error = fixture_dead_error(&fixture, "work", &attempts);
		CU_ASSERT_EQUAL(attempts, 1);
		CU_ASSERT(error && strstr(error, "invalid_payload"));
	}
	CU_ASSERT_EQUAL(atomic_load(&effects->started), 0);
	CU_ASSERT_EQUAL(fixture_terminate(&fixture, pid, WORKER), 0);
	fixture_close(&fixture);
}

TEST(worker, enqueueing_is_refused_where_it_cannot_run)
{
	struct fixture fixture;
	struct prong_job unknown = count_job;

	unknown.name = "in_no_list";
	fixture_open(&fixture, NULL);
	CU_ASSERT(fixture_enqueue(&fixture, &unknown, 1, 0) < 0);
	CU_ASSERT(fixture_enqueue(&fixture, &count_job, MAX_WORK, 0) == -EINVAL);
	redis_server_kill(fixture.server);
	CU_ASSERT(fixture_enqueue(&fixture, &count_job, 1, 0) == -EHOSTDOWN);
	fixture_close(&fixture);
}

/* ---- dying ---- */

TEST(worker, a_killed_workers_jobs_run_again_at_once)
{
	struct fixture fixture;
	pid_t pid, scheduler;

	fixture_open(&fixture, NULL);
	fixture.settings.job_concurrency = 10;
	fixture_enqueue_many(&fixture, &sleep_job, 30, 100);
	scheduler = fixture_start(&fixture, scheduler_main, SCHEDULER);
	pid = fixture_start(&fixture, worker_main, WORKER);
	CU_ASSERT(EVENTUALLY(atomic_load(&effects->started) >= 15));
	kill(pid, SIGKILL);
	CU_ASSERT_EQUAL(fixture_wait(&fixture, pid, WORKER), -SIGKILL);
	pid = fixture_start(&fixture, worker_main, WORKER);
	CU_ASSERT(EVENTUALLY(at_least_once(30)));
	CU_ASSERT(EVENTUALLY(fixture_counts_are(&fixture, "work", 0, 0, 0, 0)));
	CU_ASSERT(atomic_load(&effects->started) <= 30 + 10); /* only what was in flight ran twice */
	CU_ASSERT_EQUAL(fixture_terminate(&fixture, pid, WORKER), 0);
	CU_ASSERT_EQUAL(fixture_terminate(&fixture, scheduler, SCHEDULER), 0);
	CU_ASSERT_EQUAL(fixture_ask(&fixture, "HLEN prong:{work#0}:state"), 0);
	fixture_close(&fixture);
}

TEST(worker, a_job_that_kills_its_workers_is_buried)
{
	struct fixture fixture;
	int attempts = 0;
	pid_t pid, scheduler;

	fixture_open(&fixture, NULL);
	fixture_enqueue_many(&fixture, &hold_job, 5, 0); /* neighbours */
	scheduler = fixture_start(&fixture, scheduler_main, SCHEDULER);
	CU_ASSERT(fixture_enqueue(&fixture, &crash_job, 10, 0) == 0);
	for (int i = 0; i < 2; i++) {
		pid = fixture_start(&fixture, worker_main, WORKER);
		CU_ASSERT_EQUAL(fixture_wait(&fixture, pid, WORKER), -SIGKILL);
		CU_ASSERT(EVENTUALLY(fixture_counts_are(&fixture, "work", 6 - (uint64_t)i, 0, 0, (uint64_t)i)));
	}
	_cleanup_(freep) char *error = fixture_dead_error(&fixture, "work", &attempts);
	CU_ASSERT_EQUAL(attempts, 2);
	CU_ASSERT(error && strstr(error, "poison"));
	CU_ASSERT_EQUAL(atomic_load(&effects->of[10]), 2);
	CU_ASSERT_EQUAL(fixture_ask(&fixture, "HLEN prong:{work#0}:state"), 1); /* the neighbours' were not counted */
	atomic_store(&effects->go, true);
	pid = fixture_start(&fixture, worker_main, WORKER);
	CU_ASSERT(EVENTUALLY(fixture_counts_are(&fixture, "work", 0, 0, 0, 1)));
	CU_ASSERT_EQUAL(fixture_terminate(&fixture, pid, WORKER), 0);
	CU_ASSERT_EQUAL(fixture_terminate(&fixture, scheduler, SCHEDULER), 0);
	fixture_close(&fixture);
}

TEST(worker, a_job_apart_takes_nobody_with_it)
{
	struct fixture fixture;
	int attempts = 0;
	pid_t pid;

	fixture_open(&fixture, NULL);
	pid = fixture_start(&fixture, worker_main, WORKER);
	CU_ASSERT(fixture_enqueue(&fixture, &hold_job, 1, 0) == 0);
	CU_ASSERT(EVENTUALLY(atomic_load(&effects->started) == 1));
	CU_ASSERT(fixture_enqueue(&fixture, &crash_apart_job, 2, 0) == 0);
	CU_ASSERT(EVENTUALLY(fixture_counts_are(&fixture, "work", 0, 0, 1, 1)));
	_cleanup_(freep) char *error = fixture_dead_error(&fixture, "work", &attempts);
	CU_ASSERT_EQUAL(attempts, 2);
	CU_ASSERT(error && strstr(error, "poison") && strstr(error, "SIGKILL"));
	atomic_store(&effects->stop_crashing, true);
	atomic_store(&effects->go, true);
	CU_ASSERT(fixture_enqueue(&fixture, &crash_apart_job, 3, 0) == 0);
	CU_ASSERT(EVENTUALLY(fixture_counts_are(&fixture, "work", 0, 0, 0, 1)));
	CU_ASSERT_EQUAL(atomic_load(&effects->ended_of[3]), 1);
	CU_ASSERT_EQUAL(fixture_terminate(&fixture, pid, WORKER), 0);
	fixture_close(&fixture);
}

/* As if its lease had ended. Returns how many jobs are ready again. */
static int reclaim_first(struct prong_ctx *ctx, void *argument)
{
	struct fixture *fixture = argument;
	struct job_reclaimed reclaimed;
	int r = job_queue_reclaim_process(ctx->runtime->jobs, "work", fixture->scoreboard->slots[WORKER].incarnation,
					  (prong_uuid){ 0 }, &ctx->arena, &reclaimed);

	return r < 0 ? r : (int)reclaimed.returned;
}

TEST(worker, a_result_that_comes_too_late_is_refused)
{
	struct fixture fixture;
	pid_t first, second;

	fixture_open(&fixture, NULL);
	first = fixture_start(&fixture, worker_main, WORKER);
	CU_ASSERT(fixture_enqueue(&fixture, &sleep_job, 1, 400) == 0);
	CU_ASSERT(EVENTUALLY(atomic_load(&effects->started) == 1));
	kill(first, SIGSTOP);
	CU_ASSERT_EQUAL(fixture_run(&fixture, reclaim_first, &fixture), 1);
	second = fixture_start(&fixture, worker_main, SECOND);
	CU_ASSERT(EVENTUALLY(fixture_counts_are(&fixture, "work", 0, 0, 0, 0)));
	CU_ASSERT_EQUAL(atomic_load(&effects->ended), 1);
	kill(first, SIGCONT); /* its job's sleep is over: it ends, or hears that it is not its own any more */
	CU_ASSERT(fixture_enqueue(&fixture, &sleep_job, 2, 0) == 0);
	CU_ASSERT(EVENTUALLY(atomic_load(&effects->ended_of[2]) == 1));
	CU_ASSERT_EQUAL(fixture_terminate(&fixture, first, WORKER), 0);
	CU_ASSERT_EQUAL(fixture_terminate(&fixture, second, SECOND), 0);
	CU_ASSERT_EQUAL(atomic_load(&effects->of[1]), 2);
	CU_ASSERT(fixture_counts_are(&fixture, "work", 0, 0, 0, 0));
	fixture_close(&fixture);
}

TEST(worker, a_lost_lease_ends_its_jobs_and_not_the_worker)
{
	struct fixture fixture;
	pid_t pid;

	fixture_open(&fixture, NULL);
	pid = fixture_start(&fixture, worker_main, WORKER);
	fixture_enqueue_many(&fixture, &hold_job, 3, 0);
	CU_ASSERT(EVENTUALLY(atomic_load(&effects->started) == 3));
	CU_ASSERT_EQUAL(fixture_run(&fixture, reclaim_first, &fixture), 3);
	/* It hears of it within a second, and takes them again under its next name. */
	CU_ASSERT(EVENTUALLY(atomic_load(&effects->cancelled) == 3));
	CU_ASSERT(EVENTUALLY(atomic_load(&effects->started) == 6));
	atomic_store(&effects->go, true);
	CU_ASSERT(EVENTUALLY(fixture_counts_are(&fixture, "work", 0, 0, 0, 0)));
	CU_ASSERT_EQUAL(atomic_load(&effects->ended), 3);
	CU_ASSERT_EQUAL(fixture_terminate(&fixture, pid, WORKER), 0);
	fixture_close(&fixture);
}

TEST(worker, goes_on_with_an_emptied_redis)
{
	struct fixture fixture;
	pid_t pid;

	fixture_open(&fixture, NULL);
	pid = fixture_start(&fixture, worker_main, WORKER);
	CU_ASSERT(fixture_enqueue(&fixture, &hold_job, 1, 0) == 0);
	CU_ASSERT(EVENTUALLY(atomic_load(&effects->started) == 1));
	fixture_ask(&fixture, "FLUSHALL");
	CU_ASSERT(EVENTUALLY(atomic_load(&effects->cancelled) == 1));
	CU_ASSERT(fixture_enqueue(&fixture, &count_job, 2, 0) == 0);
	CU_ASSERT(EVENTUALLY(atomic_load(&effects->ended) == 1));
	CU_ASSERT_EQUAL(fixture_terminate(&fixture, pid, WORKER), 0);
	CU_ASSERT(fixture_counts_are(&fixture, "work", 0, 0, 0, 0));
	fixture_close(&fixture);
}

/* ---- leaving ---- */

TEST(worker, finishes_what_runs_before_it_leaves)
{
	struct fixture fixture;
	pid_t pid;

	fixture_open(&fixture, NULL);
	fixture.settings.job_concurrency = 2;
	fixture_enqueue_many(&fixture, &sleep_job, 5, 300);
	pid = fixture_start(&fixture, worker_main, WORKER);
	CU_ASSERT(EVENTUALLY(atomic_load(&effects->started) == 2));
	CU_ASSERT_EQUAL(fixture_terminate(&fixture, pid, WORKER), 0);
	CU_ASSERT_EQUAL(atomic_load(&effects->started), atomic_load(&effects->ended));
	CU_ASSERT(fixture_counts_are(&fixture, "work", 5 - (uint64_t)atomic_load(&effects->ended), 0, 0, 0));
	fixture_close(&fixture);
}

TEST(worker, gives_back_what_does_not_end)
{
	struct fixture fixture;
	pid_t pid;

	fixture_open(&fixture, NULL);
	fixture.settings.drain_timeout = PRONG_MILLISECONDS(100);
	CU_ASSERT(fixture_enqueue(&fixture, &sleep_job, 1, 50000) == 0);
	pid = fixture_start(&fixture, worker_main, WORKER);
	CU_ASSERT(EVENTUALLY(atomic_load(&effects->started) == 1));
	CU_ASSERT_EQUAL(fixture_terminate(&fixture, pid, WORKER), 0);
	CU_ASSERT(fixture_counts_are(&fixture, "work", 1, 0, 0, 0));
	CU_ASSERT_EQUAL(fixture_ask(&fixture, "HLEN prong:{work#0}:state"), 0); /* not counted */
	CU_ASSERT_EQUAL(fixture_ask(&fixture, "ZCARD prong:{work#0}:owners"), 0);
	fixture_close(&fixture);
}

/* Those fetched ahead go back; all that began end; those that wait keep their order. */
TEST(worker, gives_back_what_has_not_started)
{
	struct fixture fixture;
	int ended;
	pid_t pid;

	fixture_open(&fixture, NULL);
	fixture_enqueue_many(&fixture, &count_job, MAX_WORK, 0);
	pid = fixture_start(&fixture, worker_main, WORKER);
	CU_ASSERT(EVENTUALLY(atomic_load(&effects->ended) > 200));
	CU_ASSERT_EQUAL(fixture_terminate(&fixture, pid, WORKER), 0);
	ended = atomic_load(&effects->ended);
	CU_ASSERT_EQUAL(atomic_load(&effects->started), ended);
	CU_ASSERT(fixture_counts_are(&fixture, "work", MAX_WORK - (uint64_t)ended, 0, 0, 0));
	CU_ASSERT_EQUAL(fixture_ask(&fixture, "HLEN prong:{work#0}:state"), 0);
	CU_ASSERT(exactly_once(ended));
	fixture_close(&fixture);
}

/* What was fetched ahead because jobs were short, and then came upon long ones. */
TEST(worker, gives_back_what_it_cannot_start)
{
	struct fixture fixture;
	pid_t pid;

	fixture_open(&fixture, NULL);
	fixture.settings.job_concurrency = 40;
	fixture_enqueue_many(&fixture, &count_job, 4000, 0);
	fixture_enqueue_many(&fixture, &hold_job, 100, 0);
	pid = fixture_start(&fixture, worker_main, WORKER);
	CU_ASSERT(EVENTUALLY(fixture_counts_are(&fixture, "work", 60, 0, 40, 0)));
	atomic_store(&effects->go, true);
	CU_ASSERT(EVENTUALLY(fixture_counts_are(&fixture, "work", 0, 0, 0, 0)));
	CU_ASSERT_EQUAL(atomic_load(&effects->started), 4100);
	CU_ASSERT_EQUAL(fixture_terminate(&fixture, pid, WORKER), 0);
	fixture_close(&fixture);
}

/* ---- Redis ---- */

TEST(worker, outlives_redis)
{
	struct fixture fixture;
	pid_t pid;

	fixture_open(&fixture, NULL);
	fixture.settings.job_concurrency = 10;
	fixture_enqueue_many(&fixture, &sleep_job, 200, 10);
	pid = fixture_start(&fixture, worker_main, WORKER);
	for (int round = 0; round < 3; round++) {
		CU_ASSERT(EVENTUALLY(atomic_load(&effects->ended) >= 20 + 50 * round));
		redis_server_kill(fixture.server);
		usleep(200000); /* long enough for running jobs to end without it */
		redis_server_launch(fixture.server);
		redis_server_wait(fixture.server);
	}
	CU_ASSERT(EVENTUALLY(at_least_once(200)));
	CU_ASSERT(EVENTUALLY(fixture_counts_are(&fixture, "work", 0, 0, 0, 0)));
	CU_ASSERT(atomic_load(&effects->started) <= 200 + 3 * 10);
	CU_ASSERT_EQUAL(fixture_terminate(&fixture, pid, WORKER), 0);
	fixture_close(&fixture);
}

TEST(worker, outlives_a_silent_redis)
{
	struct fixture fixture;
	pid_t pid;

	fixture_open(&fixture, NULL);
	fixture.settings.job_concurrency = 10;
	fixture_enqueue_many(&fixture, &sleep_job, 200, 10);
	pid = fixture_start(&fixture, worker_main, WORKER);
	CU_ASSERT(EVENTUALLY(atomic_load(&effects->ended) >= 50));
	redis_server_signal(fixture.server, SIGSTOP);
	usleep(5000000); /* longer than the worker takes it for alive */
	redis_server_signal(fixture.server, SIGCONT);
	CU_ASSERT(EVENTUALLY(at_least_once(200)));
	CU_ASSERT(EVENTUALLY(fixture_counts_are(&fixture, "work", 0, 0, 0, 0)));
	CU_ASSERT(atomic_load(&effects->started) <= 200 + 10);
	CU_ASSERT_EQUAL(fixture_terminate(&fixture, pid, WORKER), 0);
	fixture_close(&fixture);
}

TEST(worker, starts_and_leaves_without_redis)
{
	struct fixture fixture;
	pid_t pid;

	fixture_open(&fixture, NULL);
	redis_server_kill(fixture.server);
	pid = fixture_start(&fixture, worker_main, WORKER);
	CU_ASSERT_EQUAL(fixture_terminate(&fixture, pid, WORKER), 0);
	pid = fixture_start(&fixture, worker_main, WORKER);
	redis_server_launch(fixture.server);
	redis_server_wait(fixture.server);
	CU_ASSERT(EVENTUALLY(fixture_enqueue(&fixture, &count_job, 1, 0) == 0));
	CU_ASSERT(EVENTUALLY(atomic_load(&effects->ended) == 1));
	CU_ASSERT_EQUAL(fixture_terminate(&fixture, pid, WORKER), 0);
	fixture_close(&fixture);
}

TEST(worker, refuses_a_redis_that_throws_jobs_away)
{
	struct fixture fixture;
	pid_t pid;

	fixture_open(&fixture, (const char *const[]){ "--maxmemory-policy", "allkeys-lru", NULL });
	pid = fixture_start(&fixture, worker_main, WORKER);
	CU_ASSERT_EQUAL(fixture_wait(&fixture, pid, WORKER), STATUS_CONFIGURATION);
	fixture_close(&fixture);
}

/* ---- the built-in job ---- */

static int send_mail(struct prong_ctx *ctx, void *argument)
{
	(void)argument;
	if (prong_send_mail(ctx, &(struct prong_mail){ "a@b.org", "x\r\nBcc: c@d.org", "text" }) != -EINVAL ||
	    prong_send_mail(ctx, &(struct prong_mail){ "nobody", "x", "text" }) != -EINVAL)
		return -EIO;
	return prong_send_mail(ctx, &(struct prong_mail){ "ada@example.com", "Welcome", "Hello" });
}

static bool holds_a_mail(const char *folder)
{
	glob_t found = { 0 };
	_cleanup_(freep) char *pattern = format_text("%s/*.eml", folder);
	bool holds = glob(pattern, 0, NULL, &found) == 0 && found.gl_pathc == 1;

	globfree(&found);
	return holds;
}

TEST(worker, delivers_mail)
{
	char folder[] = "/tmp/prong-mail-XXXXXX";
	_cleanup_(freep) char *command = NULL;
	struct fixture fixture;
	pid_t pid;

	CU_ASSERT_FATAL(mkdtemp(folder) != NULL);
	fixture_open(&fixture, NULL);
	fixture.settings.mail_dir = folder;
	pid = fixture_start(&fixture, worker_main, WORKER);
	CU_ASSERT_EQUAL(fixture_run(&fixture, send_mail, NULL), 0);
	CU_ASSERT(EVENTUALLY(holds_a_mail(folder)));
	CU_ASSERT(EVENTUALLY(fixture_counts_are(&fixture, "mail", 0, 0, 0, 0)));
	CU_ASSERT_EQUAL(fixture_terminate(&fixture, pid, WORKER), 0);
	fixture_close(&fixture);
	command = format_text("rm -rf %s", folder);
	CU_ASSERT_EQUAL(system(command), 0);
}
