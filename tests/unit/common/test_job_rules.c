/* What decides when and whether a job runs: priorities, keys in turn, limits, unique keys, windows, expiry, budgets. */
#include "tests/unit/common/job_scene.h"

static const struct prong_enqueue_options none;

static void add_with_key(struct scene *scene, const char *payload, const char *key)
{
	scene_add(scene, payload, (struct prong_enqueue_options){ .key = key });
}

static void expect(struct scene *scene, size_t count, const char *payloads)
{
	struct job_exchange_result result = scene_fetch(scene, count);

	CU_ASSERT_STRING_EQUAL(scene_payloads(scene, &result), payloads);
	scene_finish(scene, &result);
}

/* ---- order ---- */

static void keeps_order(struct scene *scene)
{
	struct job_exchange_result result;

	scene_add(scene, "1", none);
	scene_add(scene, "2", (struct prong_enqueue_options){ .priority = -1 });
	scene_add(scene, "3", (struct prong_enqueue_options){ .priority = 100 });
	scene_add(scene, "4", none);
	scene_add(scene, "5", (struct prong_enqueue_options){ .priority = 1 });
	scene_add(scene, "6", (struct prong_enqueue_options){ .priority = 1 });
	scene_add(scene, "7", (struct prong_enqueue_options){ .priority = -100 });
	scene_add(scene, "8", (struct prong_enqueue_options){ .priority = 1, .delay = 1 });
	scene_sleep(PRONG_MILLISECONDS(1));
	result = scene_fetch(scene, 3);
	CU_ASSERT_STRING_EQUAL(scene_payloads(scene, &result), "3,5,6");
	for (int i = 2; i >= 0; i--)
		scene_judge(scene, &result.deliveries[i], JOB_RETURN, 0);
	expect(scene, 9, "3,5,6,8,1,4,2,7");
}

TEST(job_rules, higher_priorities_run_first)
{
	scene_play(keeps_order, NULL);
}

static void takes_turns(struct scene *scene)
{
	for (int i = 0; i < 2000; i++)
		add_with_key(scene, "\"big\"", "big");
	add_with_key(scene, "\"small\"", "small");
	add_with_key(scene, "\"other\"", "other");
	add_with_key(scene, "\"small2\"", "small");
	scene_add(scene, "\"plain\"", none);
	expect(scene, 4, "\"big\",\"small\",\"plain\",\"other\"");
	expect(scene, 4, "\"big\",\"small2\",\"big\",\"big\"");
}

TEST(job_rules, keys_take_turns_however_much_one_has_waiting)
{
	scene_play(takes_turns, NULL);
}

static void keeps_order_within_a_key(struct scene *scene)
{
	struct job_exchange_result result;

	add_with_key(scene, "1", "a");
	scene_add(scene, "2", (struct prong_enqueue_options){ .key = "a", .priority = 5 });
	add_with_key(scene, "3", "a");
	add_with_key(scene, "4", "ab"); /* one key is the beginning of another */
	result = scene_fetch(scene, 1);
	CU_ASSERT_STRING_EQUAL(scene_payloads(scene, &result), "2");
	scene_judge(scene, result.deliveries, JOB_RETURN, 0);
	expect(scene, 1, "4");
	expect(scene, 3, "2,1,3");
}

TEST(job_rules, jobs_of_a_key_keep_their_order)
{
	scene_play(keeps_order_within_a_key, NULL);
}

/* ---- limits ---- */

static void limits_concurrency(struct scene *scene)
{
	struct job_exchange_result first, second;

	for (int i = 0; i < 5; i++)
		scene_add(scene, "1", none);
	first = scene_exchange(scene, 1, (struct job_exchange){ .fetch = 2 });
	second = scene_exchange(scene, 2, (struct job_exchange){ .fetch = 5 });
	CU_ASSERT_EQUAL(first.n_deliveries, 2);
	CU_ASSERT_EQUAL(second.n_deliveries, 1); /* three at once, whoever runs them */
	CU_ASSERT_EQUAL(second.ready, 0);
	scene_finish(scene, &first);
	second = scene_exchange(scene, 2, (struct job_exchange){ .fetch = 5 });
	CU_ASSERT_EQUAL(second.n_deliveries, 2);
}

TEST(job_rules, a_queue_has_a_concurrency)
{
	scene_play(limits_concurrency, &(struct prong_queue){ .concurrency = 3 });
}

static void limits_keys(struct scene *scene)
{
	struct job_exchange_result result;

	for (int i = 0; i < 3; i++) {
		add_with_key(scene, "\"a\"", "a");
		add_with_key(scene, "\"b\"", "b");
	}
	scene_add(scene, "\"c\"", none);
	scene_add(scene, "\"d\"", none);
	result = scene_fetch(scene, 9);
	CU_ASSERT_STRING_EQUAL(scene_payloads(scene, &result), "\"a\",\"b\",\"c\",\"d\"");
	CU_ASSERT_EQUAL(scene_fetch(scene, 9).n_deliveries, 0);
	scene_judge(scene, &result.deliveries[1], JOB_DONE, 0);
	result = scene_fetch(scene, 9);
	CU_ASSERT_STRING_EQUAL(scene_payloads(scene, &result), "\"b\"");
	scene_judge(scene, result.deliveries, JOB_RETRY,
		    PRONG_SECONDS(100)); /* one that waits for its retry runs not */
	CU_ASSERT_EQUAL(scene_fetch(scene, 9).n_deliveries, 1);
}

TEST(job_rules, a_key_has_a_concurrency)
{
	scene_play(limits_keys, &(struct prong_queue){ .key_concurrency = 1 });
}

static size_t fetch_all_now(struct scene *scene, prong_duration *ret_next)
{
	struct job_exchange_result result = scene_fetch(scene, 100);

	scene_finish(scene, &result);
	*ret_next = result.next;
	return result.n_deliveries;
}

static void limits_rate(struct scene *scene)
{
	prong_duration next;
	int64_t started = monotonic_us();
	size_t begun;

	for (int i = 0; i < 20; i++)
		scene_add(scene, "1", none);
	begun = fetch_all_now(scene, &next);
	CU_ASSERT(begun >= 3 && begun < 20); /* a burst, then one in 20 ms */
	CU_ASSERT(next <= PRONG_MILLISECONDS(20));
	while (begun < 8) {
		scene_sleep(next);
		begun += fetch_all_now(scene, &next);
	}
	CU_ASSERT(monotonic_us() - started >= PRONG_MILLISECONDS(80)); /* no faster than its rate */
}

TEST(job_rules, a_queue_has_a_rate)
{
	scene_play(limits_rate, &(struct prong_queue){ .rate = { 3, PRONG_MILLISECONDS(60) } });
}

static void limits_rate_of_keys(struct scene *scene)
{
	struct job_exchange_result result;
	int64_t give_up = monotonic_us() + TIMEOUT;

	for (int i = 0; i < 3; i++)
		add_with_key(scene, "\"a\"", "a");
	add_with_key(scene, "\"b\"", "b");
	expect(scene, 9, "\"a\",\"b\"");
	result = scene_fetch(scene, 9);
	CU_ASSERT(result.n_deliveries == 0 && result.next <= PRONG_MILLISECONDS(200));
	do {
		scene_sleep(result.next);
		result = scene_fetch(scene, 9);
	} while (result.n_deliveries == 0 && monotonic_us() < give_up);
	CU_ASSERT_STRING_EQUAL(scene_payloads(scene, &result), "\"a\"");
}

TEST(job_rules, a_key_has_a_rate)
{
	scene_play(limits_rate_of_keys, &(struct prong_queue){ .key_rate = { 1, PRONG_MILLISECONDS(200) } });
}

static void pauses(struct scene *scene)
{
	struct job_exchange_result result;
	struct job_stats stats;

	scene_add(scene, "1", none);
	scene_add(scene, "2", none);
	result = scene_fetch(scene, 1);
	CU_ASSERT_EQUAL(job_queue_pause(scene->queue, "model", true), 0);
	CU_ASSERT_EQUAL(job_queue_stats(scene->queue, "model", &stats), 0);
	CU_ASSERT(stats.paused);
	scene_finish(scene, &result); /* what runs goes on */
	result = scene_fetch(scene, 1);
	CU_ASSERT(result.n_deliveries == 0 && result.ready == 0);
	CU_ASSERT_EQUAL(job_queue_pause(scene->queue, "model", false), 0);
	CU_ASSERT_EQUAL(scene_command(scene, "LLEN prong:{model#0}:wake"), 1);
	expect(scene, 9, "2");
}

TEST(job_rules, a_queue_can_be_paused)
{
	scene_play(pauses, NULL);
}

static void refuses_too_much(struct scene *scene)
{
	struct job_draft draft = { .job = &scene_job, .payload = "\"0123456789\"", .payload_size = 12 };
	struct job_added added;
	int r = 0, taken = 0;

	for (; taken < 100 && r == 0; taken += r == 0) {
		draft.id = prong_uuid_make();
		r = job_queue_add(scene->queue, &draft, 1, &added);
	}
	CU_ASSERT_EQUAL(r, -ENOSPC);
	CU_ASSERT(taken > 2 && taken < 20);
	CU_ASSERT(scene_counts_are(scene, (uint64_t)taken, 0, 0, 0));
	expect(scene, 1, "\"0123456789\"");
	draft.id = prong_uuid_make();
	CU_ASSERT_EQUAL(job_queue_add(scene->queue, &draft, 1, &added), 0);
}

TEST(job_rules, a_queue_has_a_budget_of_bytes)
{
	scene_play(refuses_too_much, &(struct prong_queue){ .max_bytes = 1000 });
}

/* ---- unique keys ---- */

static bool same(prong_uuid a, prong_uuid b)
{
	return prong_uuid_equal(a, b);
}

static void is_unique_until_finished(struct scene *scene)
{
	const struct prong_enqueue_options unique = { .unique = "u" };
	prong_uuid first = scene_add(scene, "1", unique);
	struct job_exchange_result result;

	CU_ASSERT(same(scene_add(scene, "2", unique), first));
	result = scene_fetch(scene, 9);
	CU_ASSERT_STRING_EQUAL(scene_payloads(scene, &result), "1");
	CU_ASSERT(same(scene_add(scene, "3", unique), first)); /* it runs */
	scene_judge(scene, result.deliveries, JOB_RETRY, PRONG_MILLISECONDS(1));
	CU_ASSERT(same(scene_add(scene, "4", unique), first)); /* it waits for its retry */
	scene_sleep(PRONG_MILLISECONDS(2));
	expect(scene, 9, "1");
	CU_ASSERT(!same(scene_add(scene, "5", unique), first));
	result = scene_fetch(scene, 9);
	scene_judge(scene, result.deliveries, JOB_DEAD, 0);
	scene_add(scene, "6", unique); /* a dead one holds nothing */
	expect(scene, 9, "6");
	CU_ASSERT_EQUAL(job_queue_retry(scene->queue, "model", (const char *[]){ result.deliveries[0].id }, 1), 1);
	scene_add(scene, "7", unique); /* one that is retried takes its key again */
	expect(scene, 9, "5");
}

TEST(job_rules, unique_until_finished)
{
	scene_play(is_unique_until_finished, NULL);
}

static void is_unique_until_started(struct scene *scene)
{
	const struct prong_enqueue_options unique = { .unique = "u", .unique_until = PRONG_UNTIL_STARTED };
	prong_uuid first = scene_add(scene, "1", unique);
	struct job_exchange_result result;

	CU_ASSERT(same(scene_add(scene, "2", unique), first));
	result = scene_fetch(scene, 9);
	CU_ASSERT_EQUAL(result.n_deliveries, 1);
	CU_ASSERT(!same(scene_add(scene, "3", unique), first));
	scene_finish(scene, &result); /* the key is the other's now */
	CU_ASSERT(!same(scene_add(scene, "4", unique), first));
	expect(scene, 9, "3");
}

TEST(job_rules, unique_until_started)
{
	scene_play(is_unique_until_started, NULL);
}

static void throttles(struct scene *scene)
{
	const struct prong_enqueue_options throttled = { .unique = "u", .throttle = PRONG_MILLISECONDS(200) };
	int64_t give_up = monotonic_us() + TIMEOUT;
	prong_uuid first = scene_add(scene, "1", throttled), later;

	expect(scene, 9, "1");
	CU_ASSERT(same(scene_add(scene, "2", throttled), first)); /* it is done, but not its window */
	do {
		scene_sleep(PRONG_MILLISECONDS(20));
		later = scene_add(scene, "3", throttled);
	} while (same(later, first) && monotonic_us() < give_up);
	expect(scene, 9, "3");
}

TEST(job_rules, throttles_by_a_window)
{
	scene_play(throttles, NULL);
}

static void keeps_the_key_after_the_window(struct scene *scene)
{
	const struct prong_enqueue_options throttled = { .unique = "u", .throttle = 1 };
	prong_uuid first = scene_add(scene, "1", throttled);
	struct job_exchange_result result = scene_fetch(scene, 1);

	scene_sleep(PRONG_MILLISECONDS(1));
	scene_fetch(scene, 0);
	CU_ASSERT(same(scene_add(scene, "2", throttled), first)); /* the window is over, but it runs */
	scene_finish(scene, &result);
	CU_ASSERT(!same(scene_add(scene, "3", throttled), first));
}

TEST(job_rules, a_window_may_end_before_the_job)
{
	scene_play(keeps_the_key_after_the_window, NULL);
}

static void debounces(struct scene *scene)
{
	const struct prong_enqueue_options debounced = { .unique = "u", .debounce = PRONG_MILLISECONDS(150) };
	prong_uuid first = scene_add(scene, "1", debounced);
	struct job_exchange_result result;
	int64_t last;

	scene_sleep(PRONG_MILLISECONDS(20));
	CU_ASSERT(same(scene_add(scene, "22", debounced), first));
	last = monotonic_us();
	CU_ASSERT(same(scene_add(scene, "333", debounced), first));
	CU_ASSERT(scene_counts_are(scene, 0, 1, 0, 0));
	do {
		scene_sleep(PRONG_MILLISECONDS(1));
		result = scene_fetch(scene, 9);
	} while (result.n_deliveries == 0 && monotonic_us() - last < TIMEOUT);
	CU_ASSERT(monotonic_us() - last >= PRONG_MILLISECONDS(150)); /* after the last one, not the first */
	CU_ASSERT_STRING_EQUAL(scene_payloads(scene, &result), "333");
	CU_ASSERT(!same(scene_add(scene, "4", debounced), first)); /* what comes while it runs is not lost */
	scene_finish(scene, &result);
}

TEST(job_rules, the_last_of_a_burst_wins)
{
	scene_play(debounces, NULL);
}

/* ---- ends before the start ---- */

static void expires(struct scene *scene)
{
	struct job_exchange_result result;

	scene_add(scene, "1", (struct prong_enqueue_options){ .expires = 1 });
	scene_add(scene, "2", (struct prong_enqueue_options){ .expires = PRONG_SECONDS(100) });
	scene_add(scene, "3", (struct prong_enqueue_options){ .expires = 1, .delay = PRONG_SECONDS(100) });
	scene_add(scene, "4", (struct prong_enqueue_options){ .expires = 1, .key = "a", .unique = "u" });
	scene_add(scene, "5", (struct prong_enqueue_options){ .expires = 1, .priority = 3 });
	scene_sleep(PRONG_MILLISECONDS(1));
	result = scene_fetch(scene, 9);
	CU_ASSERT_STRING_EQUAL(scene_payloads(scene, &result), "2");
	CU_ASSERT_EQUAL(result.expired, 4);
	CU_ASSERT(scene_counts_are(scene, 0, 0, 1, 0));
	scene_add(scene, "6", (struct prong_enqueue_options){ .unique = "u" }); /* the key is free again */
	CU_ASSERT(scene_counts_are(scene, 1, 0, 1, 0));
}

TEST(job_rules, what_waits_too_long_is_dropped)
{
	scene_play(expires, NULL);
}

static void cancels(struct scene *scene)
{
	const char *ids[4];
	char texts[4][PRONG_UUID_TEXT_SIZE];
	struct job_exchange_result result;
	struct job_detail detail;

	ids[0] = prong_uuid_format(scene_add(scene, "1", none), texts[0]);
	result = scene_fetch(scene, 1);
	ids[1] = prong_uuid_format(scene_add(scene, "2", none), texts[1]);
	ids[2] = prong_uuid_format(
		scene_add(scene, "3", (struct prong_enqueue_options){ .delay = PRONG_SECONDS(9), .unique = "u" }),
		texts[2]);
	ids[3] = prong_uuid_format(scene_add(scene, "4", (struct prong_enqueue_options){ .key = "a" }), texts[3]);
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
		CU_ASSERT_EQUAL(job_queue_cancel(scene->queue, "model", ids[i]), 0);
	CU_ASSERT(scene_counts_are(scene, 0, 0, 1, 0));
	CU_ASSERT_EQUAL(job_queue_cancel(scene->queue, "model", ids[1]), -ENOENT);
	CU_ASSERT_EQUAL(job_queue_show(scene->queue, "model", ids[0], &scene->arena, &detail), 0);
	CU_ASSERT_EQUAL(scene_exchange(scene, 2, (struct job_exchange){ .fetch = 9 }).n_cancelled, 0); /* another's */
	for (int i = 0; i < 2; i++) {
		struct job_exchange_result orders = scene_fetch(scene, 9);

		CU_ASSERT_FATAL(orders.n_cancelled == 1);
		CU_ASSERT_STRING_EQUAL(orders.cancelled[0], ids[0]);
	}
	scene_judge(scene, result.deliveries, JOB_CANCELLED, 0);
	CU_ASSERT_EQUAL(scene_fetch(scene, 9).n_cancelled, 0);
	CU_ASSERT(scene_counts_are(scene, 0, 0, 0, 0));
	CU_ASSERT_EQUAL(job_queue_cancel(scene->queue, "model", "nonsense"), -ENOENT);
}

TEST(job_rules, jobs_can_be_cancelled_wherever_they_are)
{
	scene_play(cancels, NULL);
}

/* The attempt ended before its worker heard that it was to. */
static void cancels_at_the_end(struct scene *scene)
{
	static const enum job_outcome outcomes[] = { JOB_RETRY, JOB_CRASHED, JOB_DEAD, JOB_RETURN, JOB_DONE };

	for (size_t i = 0; i < ARRAY_SIZE(outcomes); i++) {
		struct job_exchange_result result;
		char id[PRONG_UUID_TEXT_SIZE];

		prong_uuid_format(scene_add(scene, "1", none), id);
		result = scene_fetch(scene, 1);
		CU_ASSERT_FATAL(result.n_deliveries == 1);
		CU_ASSERT_EQUAL(job_queue_cancel(scene->queue, "model", id), 0);
		CU_ASSERT_EQUAL(scene_judge(scene, result.deliveries, outcomes[i], 0).refused, 0);
		CU_ASSERT(scene_counts_are(scene, 0, 0, 0, 0));
	}
}

TEST(job_rules, a_cancelled_job_is_not_retried)
{
	scene_play(cancels_at_the_end, NULL);
}

static void cancels_with_the_owner(struct scene *scene)
{
	struct job_reclaimed reclaimed;
	char id[PRONG_UUID_TEXT_SIZE];

	prong_uuid_format(scene_add(scene, "1", none), id);
	scene_fetch(scene, 1);
	CU_ASSERT_EQUAL(job_queue_cancel(scene->queue, "model", id), 0);
	CU_ASSERT_EQUAL(
		job_queue_reclaim_process(scene->queue, "model", 1, (prong_uuid){ 0 }, &scene->arena, &reclaimed), 0);
	CU_ASSERT(scene_counts_are(scene, 0, 0, 0, 0)); /* nobody runs it again */
}

TEST(job_rules, a_cancelled_job_does_not_outlive_its_owner)
{
	scene_play(cancels_with_the_owner, NULL);
}

/* ---- the dead, and removal ---- */

static void bury(struct scene *scene, int count)
{
	struct job_exchange_result result;

	for (int i = 0; i < count; i++)
		scene_add(scene, "1", (struct prong_enqueue_options){ .key = "a", .priority = i % 3 });
	result = scene_fetch(scene, (size_t)count);
	CU_ASSERT_EQUAL(result.n_deliveries, count);
	for (size_t i = 0; i < result.n_deliveries; i++)
		scene_judge(scene, &result.deliveries[i], JOB_DEAD, 0);
}

static void bounds_the_dead(struct scene *scene)
{
	bury(scene, 12);
	CU_ASSERT(scene_counts_are(scene, 0, 0, 0, 5));
	CU_ASSERT_EQUAL(scene_command(scene, "HLEN prong:{model#0}:body"), 5);
	scene_sleep(PRONG_MILLISECONDS(300));
	scene_fetch(scene, 0);
	CU_ASSERT(scene_counts_are(scene, 0, 0, 0, 0));
}

TEST(job_rules, the_dead_are_bounded_in_number_and_age)
{
	scene_play(bounds_the_dead, &(struct prong_queue){ .max_dead = 5, .dead_age = PRONG_MILLISECONDS(300) });
}

static void bounds_results(struct scene *scene)
{
	struct job_exchange_result fetched;
	struct job_detail detail;
	struct job_stats stats;

	for (int i = 0; i < 5; i++)
		scene_add(scene, "1", none);
	fetched = scene_fetch(scene, 5);
	CU_ASSERT_FATAL(fetched.n_deliveries == 5);
	for (int i = 0; i < 5; i++) {
		struct job_verdict verdict = { .attempt = 1, .result = "1", .keep_result = PRONG_SECONDS(100 + i) };

		memcpy(verdict.id, fetched.deliveries[i].id, sizeof(verdict.id));
		scene_exchange(scene, 1, (struct job_exchange){ .verdicts = &verdict, .n_verdicts = 1 });
	}
	CU_ASSERT_EQUAL(job_queue_stats(scene->queue, "model", &stats), 0);
	CU_ASSERT_EQUAL(stats.results, 3);
	for (int i = 0; i < 5; i++) /* those that would go first went */
		CU_ASSERT_EQUAL(job_queue_show(scene->queue, "model", fetched.deliveries[i].id, &scene->arena, &detail),
				i < 2 ? -ENOENT : 0);
}

TEST(job_rules, results_are_bounded_in_number)
{
	scene_play(bounds_results, &(struct prong_queue){ .max_results = 3 });
}

static void retries(struct scene *scene)
{
	struct job_listing *dead;
	struct job_exchange_result result;
	const char *ids[4] = { "nonsense" };
	size_t count;

	bury(scene, 3);
	CU_ASSERT_EQUAL(job_queue_list(scene->queue, "model", JOB_STATE_DEAD, 0, 9, &scene->arena, &dead, &count), 0);
	CU_ASSERT_FATAL(count == 3);
	ids[1] = ids[2] = dead[0].id;
	ids[3] = dead[2].id;
	CU_ASSERT_EQUAL(job_queue_retry(scene->queue, "model", ids, 4), 2);
	CU_ASSERT(scene_counts_are(scene, 2, 0, 0, 1));
	result = scene_fetch(scene, 9);
	CU_ASSERT_FATAL(result.n_deliveries == 2);
	CU_ASSERT_EQUAL(result.deliveries[0].attempt, 1); /* with all attempts */
}

TEST(job_rules, the_dead_can_be_retried)
{
	scene_play(retries, NULL);
}

static void drains(struct scene *scene)
{
	for (int i = 0; i < 2500; i++)
		scene_add(scene, "1",
			  (struct prong_enqueue_options){ .key = i % 3 == 0 ? "a" : NULL, .priority = i % 2 });
	for (int i = 0; i < 10; i++)
		scene_add(scene, "1", (struct prong_enqueue_options){ .delay = PRONG_SECONDS(100) });
	scene_fetch(scene, 7);
	CU_ASSERT_EQUAL(job_queue_drain(scene->queue, "model", JOB_STATE_READY, NULL, NULL), 2493);
	CU_ASSERT(scene_counts_are(scene, 0, 10, 7, 0));
	CU_ASSERT_EQUAL(job_queue_drain(scene->queue, "model", JOB_STATE_DELAYED, NULL, NULL), 10);
	CU_ASSERT_EQUAL(job_queue_drain(scene->queue, "model", JOB_STATE_DEAD, NULL, NULL), 0);
	CU_ASSERT(scene_counts_are(scene, 0, 0, 7, 0));
}

TEST(job_rules, a_queue_can_be_drained)
{
	scene_play(drains, NULL);
}

/* ---- shards ---- */

static void spreads(struct scene *scene)
{
	size_t n_shards, used = 0, total = 0;
	const struct job_shard *shards = job_queue_shards(scene->queue, "model", &n_shards);
	struct job_listing *listings;
	prong_uuid unique = scene_add(scene, "1", (struct prong_enqueue_options){ .unique = "u" });
	size_t count;

	for (int i = 0; i < 100; i++)
		CU_ASSERT(same(scene_add(scene, "1", (struct prong_enqueue_options){ .unique = "u" }), unique));
	for (int i = 0; i < 99; i++)
		scene_add(scene, "1", none);
	CU_ASSERT(scene_counts_are(scene, 100, 0, 0, 0));
	CU_ASSERT_EQUAL(
		job_queue_list(scene->queue, "model", JOB_STATE_READY, 10, 50, &scene->arena, &listings, &count), 0);
	CU_ASSERT_EQUAL(count, 50);
	for (size_t i = 0; i < n_shards; i++) {
		struct job_exchange_result result;

		for (size_t k = 0; k < count; k++) /* each is found by its id */
			CU_ASSERT_EQUAL(job_shard_of_id(scene->queue, "model", listings[k].id)->queue, shards[i].queue);
		scene->registered[1] = false;
		result = scene_exchange(scene, 1, (struct job_exchange){ .shard = &shards[i], .fetch = 100 });
		used += result.n_deliveries > 0;
		total += result.n_deliveries;
		CU_ASSERT(result.n_deliveries <= 50); /* its share of the concurrency */
	}
	CU_ASSERT_EQUAL(used, n_shards);
	CU_ASSERT_EQUAL(total, 100);
}

TEST(job_rules, a_queue_can_have_several_shards)
{
	scene_play(spreads, &(struct prong_queue){ .shards = 4, .concurrency = 200 });
}
