/* What hardly ever happens to a queue: records that nobody should have written, clocks that jump, masses of ghosts. */
#include "tests/unit/common/job_scene.h"

static const struct prong_enqueue_options none;

static const char *new_id(struct scene *scene)
{
	return prong_uuid_format(prong_uuid_make(), arena_alloc(&scene->arena, PRONG_UUID_TEXT_SIZE));
}

static int relay(struct scene *scene, const char *id, const char *record)
{
	struct job_relayed job = { .record = record, .record_size = strlen(record) };

	snprintf(job.id, sizeof(job.id), "%s", id);
	return job_queue_relay(scene->queue, "model", &job, 1);
}

/* ---- records ---- */

static void relays_anything(struct scene *scene)
{
	static const char *const records[] = {
		"12 x\nbroken\n1",
		"12 x",
		"12 x\n[1]\n1",
		"12 x\n{\"key\":{},\"unique\":[]}\n1",
		"12 x\n{\"key\":null,\"priority\":null,\"unique\":null,\"expires\":null}\n1",
		"12 x\n{\"key\":\"a\\u0000b\",\"priority\":\"high\"}\n1",
		"12 x\n{\"key\":\"k\",\"priority\":1e999}\n1",
		"12 x\n{\"key\":\"\",\"priority\":-1e9}\n1",
		"12 x\n{\"unique\":\"u\",\"throttle\":\"x\",\"debounce\":true}\n1",
		"12 x\n{\"unique\":7,\"debounce\":{}}\n1",
		"12 x\n{\"expires\":\"soon\",\"until_started\":3}\n1",
		"12 x\n{\"key\":\"k\",\"max_attempts\":{},\"max_crashes\":[],\"name\":{},\"timeout\":9e99}\n1",
	};
	struct job_exchange_result result;

	for (size_t i = 0; i < ARRAY_SIZE(records); i++)
		CU_ASSERT_EQUAL(relay(scene, new_id(scene), records[i]), 0);
	result = scene_fetch(scene, 100);
	CU_ASSERT_EQUAL(result.n_deliveries, ARRAY_SIZE(records));
	for (size_t i = 0; i < result.n_deliveries; i++) {
		CU_ASSERT_EQUAL(scene_judge(scene, &result.deliveries[i], JOB_RETURN, 0).refused, 0);
	}
	result = scene_fetch(scene, 100);
	CU_ASSERT_EQUAL(result.n_deliveries, ARRAY_SIZE(records));
	for (size_t i = 0; i < result.n_deliveries; i++)
		CU_ASSERT_EQUAL(scene_judge(scene, &result.deliveries[i], JOB_CRASHED, 0).refused, 0);
	CU_ASSERT(scene_counts_are(scene, 0, 0, 0, ARRAY_SIZE(records)));
}

TEST(job_edges, a_record_that_makes_no_sense_holds_up_nothing)
{
	scene_play(relays_anything, NULL);
}

static void debounces_anything(struct scene *scene)
{
	const struct prong_enqueue_options options = { .unique = "u", .debounce = PRONG_SECONDS(60) };
	char id[PRONG_UUID_TEXT_SIZE];
	redisReply *reply = NULL;

	prong_uuid_format(scene_add(scene, "1", options), id);
	CU_ASSERT(redis_commandf(scene->redis, TIMEOUT, &reply, "HSET prong:{model#0}:body %s garbage", id) == 0);
	reply_freep(&reply);
	scene_add(scene, "2", options);
	CU_ASSERT(scene_counts_are(scene, 0, 1, 0, 0));
	CU_ASSERT_EQUAL(job_queue_cancel(scene->queue, "model", id), 0);
	scene_command(scene, "FLUSHALL");
}

TEST(job_edges, a_burst_goes_on_over_a_record_that_makes_no_sense)
{
	scene_play(debounces_anything, NULL);
}

/* The text of a crash is another worker's, perhaps of another version. */
static void crashes_with(struct scene *scene, const char *error)
{
	struct job_exchange_result result;

	scene_add(scene, "1", none);
	for (int i = 0; i < scene_job.max_crashes; i++) {
		struct job_verdict verdict = { .outcome = JOB_CRASHED, .error = error };

		result = scene_fetch(scene, 1);
		CU_ASSERT_FATAL(result.n_deliveries == 1);
		verdict.attempt = result.deliveries[0].attempt;
		memcpy(verdict.id, result.deliveries[0].id, sizeof(verdict.id));
		scene_exchange(scene, 1, (struct job_exchange){ .verdicts = &verdict, .n_verdicts = 1 });
	}
	CU_ASSERT_EQUAL(job_queue_drain(scene->queue, "model", JOB_STATE_DEAD, NULL, NULL), 1);
}

static void crashes_with_any_error(struct scene *scene)
{
	crashes_with(scene, "7");
	crashes_with(scene, "null");
	crashes_with(scene, "{\"message\":{}}");
	crashes_with(scene, "not JSON");
}

TEST(job_edges, any_error_can_be_the_last)
{
	scene_play(crashes_with_any_error, NULL);
}

/* ---- cancelling ---- */

static void cancels_what_ends(struct scene *scene, enum job_outcome outcome)
{
	char id[PRONG_UUID_TEXT_SIZE];
	struct job_exchange_result result;

	prong_uuid_format(scene_add(scene, "1", none), id);
	result = scene_fetch(scene, 1);
	CU_ASSERT_EQUAL(job_queue_cancel(scene->queue, "model", id), 0);
	CU_ASSERT_EQUAL(scene_judge(scene, &result.deliveries[0], outcome, 0).refused, 0);
	CU_ASSERT(scene_counts_are(scene, 0, 0, 0, 0));
	CU_ASSERT_EQUAL(scene_command(scene, "EXISTS prong:{model#0}:kept"), 0);
}

static void cancels_before_the_worker_knows(struct scene *scene)
{
	cancels_what_ends(scene, JOB_RETURN);
	cancels_what_ends(scene, JOB_RETRY);
	cancels_what_ends(scene, JOB_CRASHED);
	cancels_what_ends(scene, JOB_DONE);
}

TEST(job_edges, what_was_cancelled_does_not_run_again)
{
	scene_play(cancels_before_the_worker_knows, NULL);
}

/* As after prong_cancel() in a transaction that is rolled back: the row is still there. */
static void puts_back_what_was_cancelled(struct scene *scene, const char *record)
{
	const char *id = new_id(scene);
	struct job_exchange_result result;

	scene_add(scene, "1", none);
	CU_ASSERT_EQUAL(relay(scene, id, record), 0);
	CU_ASSERT_EQUAL(job_queue_cancel(scene->queue, "model", id), 0);
	CU_ASSERT_EQUAL(job_queue_cancel(scene->queue, "model", id), -ENOENT);
	CU_ASSERT_EQUAL(relay(scene, id, record), 0);
	result = scene_fetch(scene, 10);
	CU_ASSERT(result.n_deliveries <= 2);
	scene_finish(scene, &result);
	CU_ASSERT_EQUAL(scene_fetch(scene, 10).n_deliveries, 0);
	CU_ASSERT_EQUAL(relay(scene, id, record), 0); /* the reconciler, at last */
	result = scene_fetch(scene, 10);
	CU_ASSERT_EQUAL(result.n_deliveries, 1);
	scene_finish(scene, &result);
}

static void puts_back_once(struct scene *scene)
{
	puts_back_what_was_cancelled(scene, "12\n{\"name\":\"nothing\"}\n1");
	puts_back_what_was_cancelled(scene, "12 x\n{\"name\":\"nothing\",\"key\":\"a\"}\n1");
	puts_back_what_was_cancelled(scene, "12 x\n{\"name\":\"nothing\",\"priority\":3}\n1");
}

TEST(job_edges, an_id_that_comes_back_is_delivered_once)
{
	scene_play(puts_back_once, NULL);
}

/* ---- ghosts ---- */

static void passes_ghosts(struct scene *scene)
{
	struct job_exchange_result result;

	for (int i = 0; i < 900; i++)
		scene_add(scene, "0", (struct prong_enqueue_options){ .expires = PRONG_MILLISECONDS(1) });
	scene_add(scene, "1", none);
	scene_sleep(PRONG_MILLISECONDS(3));
	scene_fetch(scene, 0);
	result = scene_fetch(scene, 1);
	CU_ASSERT_EQUAL(result.n_deliveries, 1);
	scene_finish(scene, &result);
}

TEST(job_edges, one_fetch_passes_many_ghosts)
{
	scene_play(passes_ghosts, NULL);
}

/* ---- size ---- */

#define LARGE 1000000

static void limits_bytes(struct scene *scene, struct prong_enqueue_options options)
{
	char *payload = memset(allocate(LARGE), '1', LARGE - 1);
	size_t fetched = 0, fetches = 0;

	for (int i = 0; i < 100; i++)
		scene_add(scene, payload, options);
	while (fetched < 100 && fetches < 100) {
		struct job_exchange_result result = scene_fetch(scene, 1000);

		CU_ASSERT(result.n_deliveries > 0 && result.n_deliveries < 50);
		fetched += result.n_deliveries;
		fetches++;
		CU_ASSERT((result.ready > 0) == (fetched < 100));
		scene_finish(scene, &result);
		arena_reset(&scene->arena);
	}
	CU_ASSERT_EQUAL(fetched, 100);
	free(payload);
}

static void limits_bytes_of_a_fetch(struct scene *scene)
{
	limits_bytes(scene, none);
	limits_bytes(scene, (struct prong_enqueue_options){ .priority = 5 });
	limits_bytes(scene, (struct prong_enqueue_options){ .priority = -5 });
	limits_bytes(scene, (struct prong_enqueue_options){ .key = "a" });
}

TEST(job_edges, large_jobs_come_in_several_fetches)
{
	scene_play(limits_bytes_of_a_fetch, NULL);
}

/* ---- clocks ---- */

static void goes_on_when_time_goes_back(struct scene *scene)
{
	struct job_exchange_result result;

	/* What a clock that was hours ahead has left behind. */
	for (int i = 0; i < 6; i++)
		scene_add(scene, "1", (struct prong_enqueue_options){ .key = i % 2 ? "a" : "b" });
	scene_command(scene, "HSET prong:{model#0}:meta rate 9000000000000000");
	result = scene_fetch(scene, 9);
	CU_ASSERT_EQUAL(result.n_deliveries, 4);
	scene_finish(scene, &result);
	CU_ASSERT_EQUAL(job_queue_drain(scene->queue, "model", JOB_STATE_READY, NULL, NULL), 2);
}

TEST(job_edges, a_rate_goes_on_when_the_clock_goes_back)
{
	scene_play(goes_on_when_time_goes_back, &(struct prong_queue){ .rate = { 4, PRONG_MILLISECONDS(100) } });
}

/* ---- shards ---- */

static void keeps_keys_together(struct scene *scene)
{
	for (int i = 0; i < 20; i++) {
		char unique[32], id[PRONG_UUID_TEXT_SIZE];

		snprintf(unique, sizeof(unique), "unique-%d", i);
		prong_uuid_format(
			scene_add(scene, "1", (struct prong_enqueue_options){ .key = "tenant", .unique = unique }), id);
		CU_ASSERT_PTR_EQUAL(job_shard_of_id(scene->queue, "model", id), scene->shard + 1);
	}
	CU_ASSERT_EQUAL(job_queue_drain(scene->queue, "model", JOB_STATE_READY, NULL, NULL), 20);
}

TEST(job_edges, a_key_is_of_one_shard_whatever_is_unique)
{
	scene_play(keeps_keys_together, &(struct prong_queue){ .shards = 2 });
}
