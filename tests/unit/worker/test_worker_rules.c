/* What a worker makes of the rules of queues, and of what jobs and people say while they run. */
#include "tests/unit/worker/fixture.h"
#include "worker/worker.h"

#define WORKER 0 /* its slot */

/* ---- queues ---- */

static int count_order(char letter, int first, int last)
{
	int n = 0;

	for (int i = first; i < last; i++)
		n += atomic_load(&effects->order[i]) == letter;
	return n;
}

TEST(worker_rules, queues_of_a_lower_rank_come_first)
{
	struct fixture fixture;
	pid_t pid;

	fixture_open(&fixture, NULL);
	fixture.settings.job_concurrency = 1;
	fixture_enqueue_many(&fixture, &slow_job, 40, 1);
	fixture_enqueue_many(&fixture, &urgent_job, 40, 1);
	pid = fixture_start(&fixture, worker_main, WORKER);
	CU_ASSERT(EVENTUALLY(atomic_load(&effects->ended) == 80));
	CU_ASSERT_EQUAL(count_order('u', 0, 40), 40);
	/* and one that comes while others wait is next */
	fixture_enqueue_many(&fixture, &slow_job, 500, 2);
	CU_ASSERT(EVENTUALLY(atomic_load(&effects->n_order) > 100));
	CU_ASSERT(fixture_enqueue(&fixture, &urgent_job, 0, 0) == 0);
	CU_ASSERT(EVENTUALLY(count_order('u', 80, 580) == 1));
	CU_ASSERT(atomic_load(&effects->n_order) < 580);
	CU_ASSERT_EQUAL(fixture_terminate(&fixture, pid, WORKER), 0);
	fixture_close(&fixture);
}

static void check_shares(int concurrency)
{
	struct fixture fixture;
	int heavy;
	pid_t pid;

	fixture_open(&fixture, NULL);
	fixture.settings.job_concurrency = concurrency;
	fixture_enqueue_many(&fixture, &light_job, 400, 2);
	fixture_enqueue_many(&fixture, &heavy_job, 400, 2);
	pid = fixture_start(&fixture, worker_main, WORKER);
	CU_ASSERT(EVENTUALLY(atomic_load(&effects->ended) == 800));
	heavy = count_order('h', 0, 400);
	CU_ASSERT(heavy > 260 && heavy < 340); /* three quarters are 300 */
	CU_ASSERT_EQUAL(count_order('h', 0, 800), 400);
	CU_ASSERT_EQUAL(fixture_terminate(&fixture, pid, WORKER), 0);
	fixture_close(&fixture);
}

TEST(worker_rules, weights_share_the_places)
{
	check_shares(8);
}

TEST(worker_rules, weights_share_the_only_place)
{
	check_shares(1);
}

TEST(worker_rules, a_queue_may_have_several_shards)
{
	struct fixture fixture;
	pid_t pid;

	fixture_open(&fixture, NULL);
	fixture_enqueue_many(&fixture, &parted_job, 500, 0);
	for (int shard = 0; shard < 4; shard++) {
		_cleanup_(freep) char *command = format_text("LLEN prong:{parted#%d}:ready", shard);

		CU_ASSERT(fixture_ask(&fixture, command) > 60);
	}
	pid = fixture_start(&fixture, worker_main, WORKER);
	CU_ASSERT(EVENTUALLY(atomic_load(&effects->ended) == 500));
	CU_ASSERT(fixture_enqueue(&fixture, &parted_job, 500, 0) == 0);
	CU_ASSERT(EVENTUALLY(atomic_load(&effects->ended) == 501));
	CU_ASSERT(EVENTUALLY(fixture_counts_are(&fixture, "parted", 0, 0, 0, 0)));
	for (int i = 0; i <= 500; i++)
		CU_ASSERT(atomic_load(&effects->of[i]) == 1);
	CU_ASSERT_EQUAL(fixture_terminate(&fixture, pid, WORKER), 0);
	fixture_close(&fixture);
}

/* A shard may be on any node: each has its own connection that waits for tokens. */
TEST(worker_rules, consumes_from_all_nodes_of_a_cluster)
{
	struct fixture fixture;
	pid_t pid;

	fixture_open_cluster(&fixture);
	fixture_enqueue_many(&fixture, &parted_job, 300, 0);
	pid = fixture_start(&fixture, worker_main, WORKER);
	CU_ASSERT(EVENTUALLY(atomic_load(&effects->ended) == 300));
	for (int i = 300; i < 340; i++) {
		CU_ASSERT(fixture_enqueue(&fixture, &parted_job, i, 0) == 0);
		CU_ASSERT(EVENTUALLY(atomic_load(&effects->ended) == i + 1));
	}
	CU_ASSERT(EVENTUALLY(fixture_counts_are(&fixture, "parted", 0, 0, 0, 0)));
	CU_ASSERT_EQUAL(fixture_terminate(&fixture, pid, WORKER), 0);
	for (int i = 0; i < 340; i++)
		CU_ASSERT(atomic_load(&effects->of[i]) == 1);
	fixture_close(&fixture);
}

TEST(worker_rules, consumes_the_queues_it_is_told_to)
{
	struct fixture fixture;
	pid_t pid;

	fixture_open(&fixture, NULL);
	fixture.settings.job_queues = "other, parted";
	CU_ASSERT(fixture_enqueue(&fixture, &count_job, 1, 0) == 0);
	CU_ASSERT(fixture_enqueue(&fixture, &parted_job, 2, 0) == 0);
	CU_ASSERT(fixture_enqueue(&fixture, &sleep_other_job, 3, 0) == 0);
	pid = fixture_start(&fixture, worker_main, WORKER);
	CU_ASSERT(EVENTUALLY(atomic_load(&effects->ended) == 2));
	CU_ASSERT_EQUAL(fixture_terminate(&fixture, pid, WORKER), 0);
	CU_ASSERT(fixture_counts_are(&fixture, "work", 1, 0, 0, 0));
	fixture_close(&fixture);
}

/* ---- while they run ---- */

struct cancelling {
	const struct prong_job *job;
	prong_uuid id;
};

static int cancel(struct prong_ctx *ctx, void *argument)
{
	const struct cancelling *cancelling = argument;

	char id[PRONG_UUID_TEXT_SIZE];

	return job_queue_cancel(ctx->runtime->jobs, job_queue_name(cancelling->job),
				prong_uuid_format(cancelling->id, id));
}

TEST(worker_rules, cancels_a_running_job)
{
	struct cancelling cancelling = { .job = &hold_job };
	struct fixture fixture;
	pid_t pid;

	fixture_open(&fixture, NULL);
	pid = fixture_start(&fixture, worker_main, WORKER);
	CU_ASSERT(fixture_enqueue(&fixture, &hold_job, 1, 0) == 0);
	CU_ASSERT(fixture_enqueue_with(&fixture, &hold_job, 2, 0,
				       &(struct prong_enqueue_options){ .ret_id = &cancelling.id }) == 0);
	CU_ASSERT(EVENTUALLY(atomic_load(&effects->started) == 2));
	CU_ASSERT_EQUAL(fixture_run(&fixture, cancel, &cancelling), 0);
	CU_ASSERT(EVENTUALLY(atomic_load(&effects->cancelled) == 1));
	CU_ASSERT(EVENTUALLY(fixture_counts_are(&fixture, "work", 0, 0, 1, 0))); /* not retried */
	atomic_store(&effects->go, true);
	CU_ASSERT(EVENTUALLY(fixture_counts_are(&fixture, "work", 0, 0, 0, 0)));
	CU_ASSERT(atomic_load(&effects->ended_of[1]) == 1 && atomic_load(&effects->ended_of[2]) == 0);
	CU_ASSERT_EQUAL(fixture_ask(&fixture, "SCARD prong:{work#0}:cancels"), 0);
	CU_ASSERT_EQUAL(fixture_terminate(&fixture, pid, WORKER), 0);
	fixture_close(&fixture);
}

static bool has_progress(struct fixture *fixture, prong_uuid id, int64_t done, int64_t total)
{
	struct prong_job_status status = fixture_status(fixture, &report_job, id);

	return status.state == PRONG_JOB_RUNNING && status.done == done && status.total == total;
}

static int read_report(struct prong_ctx *ctx, void *argument)
{
	char id[PRONG_UUID_TEXT_SIZE];
	struct job_detail detail;
	int r = job_queue_show(ctx->runtime->jobs, "work", prong_uuid_format(*(prong_uuid *)argument, id), &ctx->arena,
			       &detail);

	CU_ASSERT(r == 0 && detail.report && strstr(detail.report, "\"log\":[\"half of \\\"7\\\"\"]"));
	return r;
}

TEST(worker_rules, shows_progress_and_keeps_results)
{
	struct prong_job_status status;
	struct fixture fixture;
	prong_uuid id;
	pid_t pid;

	fixture_open(&fixture, NULL);
	pid = fixture_start(&fixture, worker_main, WORKER);
	CU_ASSERT(fixture_enqueue_with(&fixture, &report_job, 7, 0, &(struct prong_enqueue_options){ .ret_id = &id }) ==
		  0);
	CU_ASSERT(EVENTUALLY(has_progress(&fixture, id, 5, 10)));
	CU_ASSERT_EQUAL(fixture_run(&fixture, read_report, &id), 0);
	atomic_store(&effects->go, true);
	CU_ASSERT(EVENTUALLY(fixture_counts_are(&fixture, "work", 0, 0, 0, 0)));
	status = fixture_status(&fixture, &report_job, id);
	CU_ASSERT_EQUAL(status.state, PRONG_JOB_DONE);
	CU_ASSERT(status.result && strstr(status.result, "\"number\":8"));
	free((char *)status.result);
	CU_ASSERT_EQUAL(fixture_ask(&fixture, "HLEN prong:{work#0}:kept"), 1); /* the report has gone */
	CU_ASSERT_EQUAL(fixture_terminate(&fixture, pid, WORKER), 0);
	fixture_close(&fixture);
}

/* ---- how they end ---- */

struct listing {
	enum job_state state;
	int attempt;
	prong_duration in; /* how far in the future it is due */
	char *error;
};

static int list(struct prong_ctx *ctx, void *argument)
{
	struct listing *listing = argument;
	struct job_listing *found;
	size_t count;
	int r = job_queue_list(ctx->runtime->jobs, "work", listing->state, 0, 1, &ctx->arena, &found, &count);

	if (r < 0 || count != 1)
		return -ENOENT;
	listing->attempt = found[0].attempt;
	listing->in = found[0].at.us - prong_time_now().us;
	listing->error = found[0].error ? duplicate(found[0].error) : NULL;
	return 0;
}

TEST(worker_rules, a_job_may_say_when_it_runs_again)
{
	struct listing listing = { .state = JOB_STATE_DELAYED };
	struct fixture fixture;
	pid_t pid;

	fixture_open(&fixture, NULL);
	pid = fixture_start(&fixture, worker_main, WORKER);
	CU_ASSERT(fixture_enqueue(&fixture, &come_later_job, 1, 0) == 0);
	CU_ASSERT(EVENTUALLY(fixture_counts_are(&fixture, "work", 0, 1, 0, 0)));
	CU_ASSERT_EQUAL(fixture_run(&fixture, list, &listing), 0);
	CU_ASSERT_EQUAL(listing.attempt, 1);
	CU_ASSERT(listing.in > PRONG_MINUTES(170) && listing.in <= PRONG_HOURS(3));
	CU_ASSERT(listing.error && strstr(listing.error, "\"not_yet\"") && strstr(listing.error, "Attempt 1 came"));
	free(listing.error);
	CU_ASSERT_EQUAL(fixture_terminate(&fixture, pid, WORKER), 0);
	fixture_close(&fixture);
}

TEST(worker_rules, a_job_may_fail_for_good)
{
	struct fixture fixture;
	int attempts = 0;
	pid_t pid;

	fixture_open(&fixture, NULL);
	pid = fixture_start(&fixture, worker_main, WORKER);
	CU_ASSERT(fixture_enqueue(&fixture, &despair_job, 1, 0) == 0);
	CU_ASSERT(EVENTUALLY(fixture_counts_are(&fixture, "work", 0, 0, 0, 1)));
	_cleanup_(freep) char *error = fixture_dead_error(&fixture, "work", &attempts);
	CU_ASSERT_EQUAL(attempts, 1);
	CU_ASSERT(error && string_equal(error, "{\"code\":\"hopeless\",\"message\":\"Nothing can mend it.\"}"));
	CU_ASSERT_EQUAL(fixture_ask(&fixture, "HLEN prong:{work#0}:kept"), 1); /* its last words */
	CU_ASSERT_EQUAL(fixture_terminate(&fixture, pid, WORKER), 0);
	fixture_close(&fixture);
}

TEST(worker_rules, what_was_done_before_is_done)
{
	struct fixture fixture;
	int attempts = 0;
	pid_t pid;

	fixture_open(&fixture, NULL);
	pid = fixture_start(&fixture, worker_main, WORKER);
	CU_ASSERT(fixture_enqueue(&fixture, &repeat_job, 1, 0) == 0);
	CU_ASSERT(EVENTUALLY(atomic_load(&effects->started) == 1));
	CU_ASSERT(EVENTUALLY(fixture_counts_are(&fixture, "work", 0, 0, 0, 0)));
	/* The errno alone, of somebody else's call, is a failure. */
	CU_ASSERT(fixture_enqueue(&fixture, &repeat_job, 0, 0) == 0);
	CU_ASSERT(EVENTUALLY(fixture_counts_are(&fixture, "work", 0, 0, 0, 1)));
	free(fixture_dead_error(&fixture, "work", &attempts));
	CU_ASSERT_EQUAL(attempts, 1);
	CU_ASSERT_EQUAL(fixture_terminate(&fixture, pid, WORKER), 0);
	fixture_close(&fixture);
}
