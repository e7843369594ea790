/* The life of a job in the engine: enqueue, delivery, verdict, and the deaths of those who run it. */
#include <stdio.h>

#include "tests/unit/common/job_scene.h"

static const char *const no_options[] = { NULL };
static const struct prong_enqueue_options none;

/* ---- enqueueing ---- */

static void delivers(struct scene *scene)
{
	prong_uuid id = scene_add(scene, "{\"a\":1}", none);
	struct job_exchange_result result;
	const struct delivery *delivery;
	char text[PRONG_UUID_TEXT_SIZE];

	CU_ASSERT(scene_counts_are(scene, 1, 0, 0, 0));
	result = scene_fetch(scene, 10);
	CU_ASSERT_FATAL(result.n_deliveries == 1);
	delivery = result.deliveries;
	CU_ASSERT_STRING_EQUAL(delivery->id, prong_uuid_format(id, text));
	CU_ASSERT_STRING_EQUAL(delivery->queue, "model");
	CU_ASSERT_STRING_EQUAL(delivery->name, "nothing");
	CU_ASSERT_STRING_EQUAL(delivery->payload, "{\"a\":1}");
	CU_ASSERT_STRING_EQUAL(delivery->request_id, "request-1");
	CU_ASSERT_EQUAL(delivery->payload_size, 7);
	CU_ASSERT_EQUAL(delivery->attempt, 1);
	CU_ASSERT_EQUAL(delivery->max_attempts, 3);
	CU_ASSERT_EQUAL(delivery->timeout, PRONG_SECONDS(60));
	CU_ASSERT(delivery->plain);
	CU_ASSERT(delivery->enqueued_at.us > 0 && delivery->enqueued_at.us <= result.now.us);
	CU_ASSERT(scene_counts_are(scene, 0, 0, 1, 0));
	CU_ASSERT_EQUAL(scene_judge(scene, delivery, JOB_DONE, 0).refused, 0);
	CU_ASSERT(scene_counts_are(scene, 0, 0, 0, 0));
	CU_ASSERT_EQUAL(scene_command(scene, "EXISTS prong:{model#0}:body prong:{model#0}:state "
					     "prong:{model#0}:ready prong:{model#0}:taken:0000000000000001-0"),
			0);
}

TEST(job_queue, delivers_what_was_enqueued)
{
	scene_play(delivers, NULL);
}

static void is_idempotent(struct scene *scene)
{
	struct job_relayed job = { .record = "1\n{\"name\":\"nothing\",\"max_attempts\":3}\n{}" };

	job.record_size = strlen(job.record);
	prong_uuid_format(prong_uuid_make(), job.id);
	for (int i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(job_queue_relay(scene->queue, "model", &job, 1), 0);
	CU_ASSERT(scene_counts_are(scene, 1, 0, 0, 0));
	CU_ASSERT_EQUAL(scene_fetch(scene, 10).n_deliveries, 1);
	CU_ASSERT_EQUAL(job_queue_relay(scene->queue, "model", &job, 1), 0); /* it runs */
	CU_ASSERT(scene_counts_are(scene, 0, 0, 1, 0));
}

TEST(job_queue, a_relayed_id_exists_once)
{
	scene_play(is_idempotent, NULL);
}

static void repeats_a_lost_call(struct scene *scene)
{
	static const char *const call = "FCALL %s_enqueue 12 prong:{model#0}:body prong:{model#0}:ready "
					"prong:{model#0}:wake prong:{model#0}:meta prong:{model#0}:recent "
					"prong:{model#0}:delayed prong:{model#0}:ranked prong:{model#0}:keyed "
					"prong:{model#0}:turns prong:{model#0}:keys prong:{model#0}:unique "
					"prong:{model#0}:timers token 0 0 id +0 %s";
	redisReply *reply = NULL;
	struct job_exchange_result result;

	scene_add(scene, "1", none); /* loads the library */
	CU_ASSERT(redis_commandf(scene->redis, TIMEOUT, &reply, "FUNCTION LIST LIBRARYNAME prong_jobs_*") == 0);
	CU_ASSERT_FATAL(reply && reply->elements >= 1);
	_cleanup_(freep) char *version = duplicate(reply->element[reply->elements - 1]->element[1]->str + 6);
	reply_freep(&reply);
	/* The same call again, as after a lost reply; its job has even been run and is gone. */
	for (int i = 0; i < 2; i++) {
		CU_ASSERT(redis_commandf(scene->redis, TIMEOUT, &reply, call, version, "1\n{}\n1") == 0);
		reply_freep(&reply);
		result = scene_fetch(scene, 10);
		CU_ASSERT_EQUAL(result.n_deliveries, i == 0 ? 2 : 0);
		scene_finish(scene, &result);
	}
	CU_ASSERT(scene_counts_are(scene, 0, 0, 0, 0));
}

TEST(job_queue, a_call_whose_reply_was_lost_changes_nothing_when_repeated)
{
	scene_play(repeats_a_lost_call, NULL);
}

struct crowd {
	struct scene *scene;
	size_t left;
	struct coroutine *waiter;
};

static void add_in_crowd(void *argument)
{
	struct crowd *crowd = argument;

	scene_add(crowd->scene, "1", none);
	if (--crowd->left == 0)
		coroutine_wake(crowd->waiter, 0);
}

/* The calls that Redis saw, by INFO. */
static int64_t count_calls(struct scene *scene)
{
	redisReply *reply = NULL;
	const char *found;
	int64_t calls;

	CU_ASSERT(redis_commandf(scene->redis, TIMEOUT, &reply, "INFO commandstats") == 0);
	found = reply ? strstr(reply->str, "cmdstat_fcall:calls=") : NULL;
	calls = found ? strtoll(found + strlen("cmdstat_fcall:calls="), NULL, 10) : 0;
	reply_freep(&reply);
	return calls;
}

static void gathers_a_turn(struct scene *scene)
{
	struct crowd crowd = { .scene = scene, .left = 500, .waiter = coroutine_current() };
	int64_t before = count_calls(scene);

	for (size_t i = 0, count = crowd.left; i < count; i++)
		CU_ASSERT(coroutine_start(scene->loop, add_in_crowd, &crowd, NULL) == 0);
	CU_ASSERT(coroutine_wait(monotonic_us() + TIMEOUT) == 0);
	CU_ASSERT(count_calls(scene) - before < 50);
	CU_ASSERT(scene_counts_are(scene, 500, 0, 0, 0));
}

TEST(job_queue, enqueues_of_one_turn_go_together)
{
	scene_play(gathers_a_turn, NULL);
}

static void takes_many(struct scene *scene)
{
	enum { COUNT = 2500 };
	struct job_draft *drafts = allocate_array(COUNT, sizeof(*drafts));
	struct job_added *added = allocate_array(COUNT, sizeof(*added));

	for (size_t i = 0; i < COUNT; i++) {
		drafts[i] = (struct job_draft){ .job = i % 5 ? &scene_job : &scene_other_job };
		if (i % 10 == 1)
			drafts[i].options.unique = "same";
		drafts[i].id = job_id_make(scene->queue, drafts[i].job, &drafts[i].options);
	}
	CU_ASSERT_EQUAL(job_queue_add(scene->queue, drafts, COUNT, added), 0);
	CU_ASSERT(scene_counts_are(scene, COUNT * 4 / 5 - COUNT / 10 + 1, 0, 0, 0));
	for (size_t i = 0; i < COUNT; i++) {
		CU_ASSERT_EQUAL(added[i].existing, i % 10 == 1 && i != 1);
		if (added[i].existing)
			CU_ASSERT_STRING_EQUAL(added[i].id, added[1].id);
	}
	free(drafts);
	free(added);
}

TEST(job_queue, takes_many_at_once)
{
	scene_play(takes_many, NULL);
}

/* ---- verdicts ---- */

static void fences(struct scene *scene)
{
	struct job_exchange_result first, second;
	struct job_reclaimed reclaimed;

	scene_add(scene, "1", none);
	first = scene_exchange(scene, 1, (struct job_exchange){ .fetch = 1, .lease = 1 });
	scene_sleep(PRONG_MILLISECONDS(2));
	CU_ASSERT_EQUAL(job_queue_reclaim(scene->queue, scene->shard, scene_owner(scene, 1), &scene->arena, &reclaimed),
			0);
	CU_ASSERT_EQUAL(reclaimed.returned, 1);
	second = scene_exchange(scene, 2, (struct job_exchange){ .fetch = 1 });
	CU_ASSERT_FATAL(second.n_deliveries == 1);
	CU_ASSERT_EQUAL(second.deliveries[0].attempt, 2);
	first = scene_judge(scene, &first.deliveries[0], JOB_DONE, 0);
	CU_ASSERT_EQUAL(first.refused, 1);
	CU_ASSERT(first.reclaimed);
	CU_ASSERT(scene_counts_are(scene, 0, 0, 1, 0));
}

TEST(job_queue, a_stale_owner_is_refused)
{
	scene_play(fences, NULL);
}

static void refuses_a_second_verdict(struct scene *scene)
{
	struct job_exchange_result result;

	scene_add(scene, "1", none);
	result = scene_fetch(scene, 1);
	CU_ASSERT_EQUAL(scene_judge(scene, result.deliveries, JOB_RETRY, 0).refused, 0);
	CU_ASSERT_EQUAL(scene_judge(scene, result.deliveries, JOB_DONE, 0).refused, 1);
	scene_sleep(PRONG_MILLISECONDS(1));
	CU_ASSERT_EQUAL(scene_fetch(scene, 1).deliveries[0].attempt, 2);
	CU_ASSERT_EQUAL(scene_judge(scene, result.deliveries, JOB_DONE, 0).refused, 1); /* of the first attempt */
}

TEST(job_queue, an_attempt_has_one_verdict)
{
	scene_play(refuses_a_second_verdict, NULL);
}

static void counts_attempts(struct scene *scene)
{
	struct job_exchange_result result;
	struct job_listing *dead;
	size_t count;

	scene_add(scene, "1", none);
	for (int attempt = 1; attempt <= 2; attempt++) {
		result = scene_fetch(scene, 1);
		CU_ASSERT_FATAL(result.n_deliveries == 1);
		CU_ASSERT_EQUAL(result.deliveries[0].attempt, attempt);
		scene_judge(scene, result.deliveries, JOB_RETURN, 0);
		result = scene_fetch(scene, 1);
		CU_ASSERT_EQUAL(result.deliveries[0].attempt, attempt); /* what was returned is not counted */
		result = scene_judge(scene, result.deliveries, JOB_RETRY, PRONG_MILLISECONDS(1));
		CU_ASSERT(result.next <= PRONG_MILLISECONDS(1));
		scene_sleep(PRONG_MILLISECONDS(2));
	}
	result = scene_fetch(scene, 1);
	scene_judge(scene, result.deliveries, JOB_DEAD, 0);
	CU_ASSERT(scene_counts_are(scene, 0, 0, 0, 1));
	CU_ASSERT_EQUAL(job_queue_list(scene->queue, "model", JOB_STATE_DEAD, 0, 9, &scene->arena, &dead, &count), 0);
	CU_ASSERT_FATAL(count == 1);
	CU_ASSERT_EQUAL(dead->attempt, 3);
	CU_ASSERT_STRING_EQUAL(dead->error, "{\"code\":\"x\",\"message\":\"y\"}");
	CU_ASSERT(dead->at.us >= dead->enqueued_at.us);
}

TEST(job_queue, counts_attempts_and_keeps_the_dead)
{
	scene_play(counts_attempts, NULL);
}

static void takes_whole_batches(struct scene *scene)
{
	struct job_verdict *verdicts = allocate_array(JOB_BATCH, sizeof(*verdicts));
	struct job_exchange_result result;

	for (int i = 0; i < JOB_BATCH + 1; i++)
		scene_add(scene, "1", none);
	result = scene_fetch(scene, JOB_BATCH);
	CU_ASSERT_FATAL(result.n_deliveries == JOB_BATCH);
	CU_ASSERT_EQUAL(result.ready, 1);
	for (size_t i = 0; i < JOB_BATCH; i++) {
		memcpy(verdicts[i].id, result.deliveries[i].id, sizeof(verdicts[i].id));
		verdicts[i].attempt = 1;
		verdicts[i].plain = i % 4 < 2;
		verdicts[i].outcome = i % 2 ? JOB_DONE : JOB_RETRY;
	}
	result = scene_exchange(scene, 1, (struct job_exchange){ .verdicts = verdicts, .n_verdicts = JOB_BATCH });
	CU_ASSERT_EQUAL(result.refused, 0);
	result = scene_exchange(
		scene, 1, (struct job_exchange){ .verdicts = verdicts, .n_verdicts = JOB_BATCH, .fetch = JOB_BATCH });
	CU_ASSERT_EQUAL(result.refused, JOB_BATCH);
	CU_ASSERT_EQUAL(result.n_deliveries, JOB_BATCH / 2 + 1);
	free(verdicts);
}

TEST(job_queue, takes_whole_batches)
{
	scene_play(takes_whole_batches, NULL);
}

static void keeps_results(struct scene *scene)
{
	struct job_exchange_result result;
	struct job_detail detail;
	struct job_verdict verdict = { .attempt = 1, .result = "{\"sum\":3}", .keep_result = PRONG_MILLISECONDS(50) };
	struct job_report report = { .attempt = 1, .text = "{\"done\":1}" };
	const char *id;

	scene_add(scene, "1", none);
	result = scene_fetch(scene, 1);
	id = result.deliveries[0].id;
	memcpy(report.id, id, sizeof(report.id));
	memcpy(verdict.id, id, sizeof(verdict.id));
	scene_exchange(scene, 1, (struct job_exchange){ .reports = &report, .n_reports = 1 });
	CU_ASSERT_EQUAL(job_queue_show(scene->queue, "model", id, &scene->arena, &detail), 0);
	CU_ASSERT_EQUAL(detail.listing.state, JOB_STATE_RUNNING);
	CU_ASSERT_STRING_EQUAL(detail.listing.owner, scene_owner(scene, 1));
	CU_ASSERT_STRING_EQUAL(detail.report, "{\"done\":1}");
	CU_ASSERT_STRING_EQUAL(detail.payload, "1");
	scene_exchange(scene, 1, (struct job_exchange){ .verdicts = &verdict, .n_verdicts = 1 });
	CU_ASSERT_EQUAL(job_queue_show(scene->queue, "model", id, &scene->arena, &detail), 0);
	CU_ASSERT(detail.finished);
	CU_ASSERT_STRING_EQUAL(detail.result, "{\"sum\":3}");
	scene_sleep(PRONG_MILLISECONDS(60));
	scene_fetch(scene, 0);
	CU_ASSERT_EQUAL(job_queue_show(scene->queue, "model", id, &scene->arena, &detail), -ENOENT);
}

TEST(job_queue, keeps_reports_while_it_runs_and_results_for_a_while)
{
	scene_play(keeps_results, NULL);
}

/* ---- deaths ---- */

static void charges_the_culprit(struct scene *scene)
{
	struct job_exchange_result result;
	struct job_reclaimed reclaimed;
	struct job_detail detail;
	prong_uuid culprit;
	const char *id;

	for (int i = 0; i < 3; i++)
		scene_add(scene, "1", none);
	for (int deaths = 1; deaths <= 2; deaths++) {
		result = scene_fetch(scene, 3);
		CU_ASSERT_FATAL(result.n_deliveries == 3);
		id = deaths == 1 ? result.deliveries[1].id : id;
		CU_ASSERT_EQUAL(prong_uuid_parse(id, &culprit), 0);
		CU_ASSERT_EQUAL(job_queue_reclaim_process(scene->queue, "model", 1, culprit, &scene->arena, &reclaimed),
				0);
		CU_ASSERT_EQUAL(reclaimed.returned + reclaimed.n_buried, 3);
		CU_ASSERT_EQUAL(reclaimed.n_buried, deaths == 2);
		scene->registered[1] = false;
	}
	CU_ASSERT_STRING_EQUAL(reclaimed.buried[0].id, id);
	CU_ASSERT_STRING_EQUAL(reclaimed.buried[0].code, "poison");
	CU_ASSERT_EQUAL(job_queue_show(scene->queue, "model", id, &scene->arena, &detail), 0);
	CU_ASSERT_EQUAL(detail.listing.state, JOB_STATE_DEAD);
	CU_ASSERT_EQUAL(detail.listing.crashes, 2);
	result = scene_fetch(scene, 3);
	CU_ASSERT_EQUAL(result.n_deliveries, 2);
	for (size_t i = 0; i < result.n_deliveries; i++) /* the innocent have lost nothing */
		CU_ASSERT_EQUAL(result.deliveries[i].attempt, 1);
}

TEST(job_queue, a_death_is_charged_to_who_caused_it)
{
	scene_play(charges_the_culprit, NULL);
}

static void ends_leases(struct scene *scene)
{
	struct job_exchange_result result;
	struct job_reclaimed reclaimed;

	scene_add(scene, "1", none);
	for (int attempt = 1; attempt <= 3; attempt++) {
		result = scene_exchange(scene, 1, (struct job_exchange){ .fetch = 1, .lease = 1 });
		CU_ASSERT_FATAL(result.n_deliveries == 1);
		CU_ASSERT_EQUAL(result.deliveries[0].attempt, attempt);
		scene_sleep(PRONG_MILLISECONDS(1));
		result = scene_exchange(scene, 2, (struct job_exchange){ 0 });
		CU_ASSERT_FATAL(result.n_lapsed == 1);
		CU_ASSERT_STRING_EQUAL(result.lapsed[0], scene_owner(scene, 1));
		CU_ASSERT_EQUAL(
			job_queue_reclaim(scene->queue, scene->shard, result.lapsed[0], &scene->arena, &reclaimed), 0);
		scene->registered[1] = false;
	}
	CU_ASSERT_EQUAL(reclaimed.n_buried, 1);
	CU_ASSERT_STRING_EQUAL(reclaimed.buried[0].code, "worker_lost");
	CU_ASSERT(scene_counts_are(scene, 0, 0, 0, 1));
}

TEST(job_queue, a_lease_that_ended_costs_an_attempt)
{
	scene_play(ends_leases, NULL);
}

static void renews(struct scene *scene)
{
	struct job_reclaimed reclaimed;

	scene_add(scene, "1", none);
	scene_exchange(scene, 1, (struct job_exchange){ .fetch = 1, .lease = 1 });
	scene_sleep(PRONG_MILLISECONDS(1));
	CU_ASSERT(!scene_fetch(scene, 0).reclaimed); /* nobody was faster */
	CU_ASSERT_EQUAL(job_queue_reclaim(scene->queue, scene->shard, scene_owner(scene, 1), &scene->arena, &reclaimed),
			0);
	CU_ASSERT_EQUAL(reclaimed.returned, 0);
	CU_ASSERT(scene_counts_are(scene, 0, 0, 1, 0));
}

TEST(job_queue, every_exchange_renews_the_lease)
{
	scene_play(renews, NULL);
}

static void knows_who_consumes(struct scene *scene)
{
	struct job_owner *owners;
	struct job_verdict *held;
	size_t count;

	scene_add(scene, "1", none);
	scene_fetch(scene, 1);
	scene_exchange(scene, 2, (struct job_exchange){ 0 });
	CU_ASSERT_EQUAL(job_queue_owners(scene->queue, "model", &scene->arena, &owners, &count), 0);
	CU_ASSERT_FATAL(count == 2);
	CU_ASSERT_EQUAL(owners[0].incarnation + owners[1].incarnation, 3);
	CU_ASSERT_EQUAL(owners[0].running + owners[1].running, 1);
	CU_ASSERT_STRING_EQUAL(owners[0].identity, "unit test");
	CU_ASSERT(owners[0].lease > PRONG_SECONDS(20));
	CU_ASSERT_EQUAL(job_queue_held(scene->queue, scene->shard, scene_owner(scene, 1), &scene->arena, &held, &count),
			0);
	CU_ASSERT(count == 1 && held->attempt == 1);
	CU_ASSERT_EQUAL(job_queue_leave(scene->queue, scene->shard, scene_owner(scene, 1)),
			0); /* it holds one: stays */
	CU_ASSERT_EQUAL(job_queue_leave(scene->queue, scene->shard, scene_owner(scene, 2)), 0);
	CU_ASSERT_EQUAL(job_queue_owners(scene->queue, "model", &scene->arena, &owners, &count), 0);
	CU_ASSERT(count == 1 && owners->incarnation == 1);
}

TEST(job_queue, knows_who_consumes)
{
	scene_play(knows_who_consumes, NULL);
}

/* ---- waking ---- */

static bool has_token(struct scene *scene)
{
	return scene_command(scene, "LLEN prong:{model#0}:wake") == 1;
}

static void wakes(struct scene *scene)
{
	struct redis *blocking = redis_new(scene->loop, server_url(SERVER_REDIS), "waits");
	size_t n_shards, woken = 99;
	const struct job_shard *shards[] = { job_queue_shards(scene->queue, "other-queue", &n_shards), scene->shard };

	CU_ASSERT(job_queue_wait(blocking, shards, 2, PRONG_MILLISECONDS(10), &woken) == -ETIMEDOUT);
	scene_add(scene, "1", none);
	scene_add(scene, "1", none);
	CU_ASSERT(has_token(scene));
	CU_ASSERT(job_queue_wait(blocking, shards, 2, TIMEOUT, &woken) == 0);
	CU_ASSERT_EQUAL(woken, 1);
	CU_ASSERT(!has_token(scene));
	scene_fetch(scene, 1); /* leaves one: the next consumer is woken */
	CU_ASSERT(has_token(scene));
	scene_fetch(scene, 1); /* leaves none */
	CU_ASSERT(!has_token(scene));
	scene_add(scene, "1", (struct prong_enqueue_options){ .delay = PRONG_SECONDS(100) });
	CU_ASSERT(has_token(scene)); /* somebody is to know when it is due */
	scene_fetch(scene, 0);
	CU_ASSERT(!has_token(scene));
	scene_add(scene, "1", (struct prong_enqueue_options){ .delay = PRONG_SECONDS(200) });
	CU_ASSERT(!has_token(scene)); /* later than what is known */
	scene_add(scene, "1", (struct prong_enqueue_options){ .delay = PRONG_SECONDS(50) });
	CU_ASSERT(has_token(scene));
	redis_free(blocking);
}

TEST(job_queue, one_token_wakes_one_consumer)
{
	scene_play(wakes, NULL);
}

/* ---- a server's troubles, and what is not ours ---- */

static void goes_on_beside_garbage(struct scene *scene)
{
	static const char *const records[] = { "", "\n", "12", "12\n{", "12\n[]\n", "12\n{\"name\":7}\n", "x\ny\nz" };
	struct job_exchange_result result;
	struct buffer findings = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
		redisReply *reply = NULL;
		char id[PRONG_UUID_TEXT_SIZE];

		prong_uuid_format(prong_uuid_make(), id);
		CU_ASSERT(redis_commandf(scene->redis, TIMEOUT, &reply, "HSET prong:{model#0}:body %s %s", id,
					 records[i]) == 0);
		reply_freep(&reply);
		CU_ASSERT(redis_commandf(scene->redis, TIMEOUT, &reply, "RPUSH prong:{model#0}:ready %s", id) == 0);
		reply_freep(&reply);
	}
	scene_command(scene, "ZADD prong:{model#0}:delayed 1 garbage");
	scene_command(scene, "ZADD prong:{model#0}:timers 1 garbage");
	scene_command(scene, "ZADD prong:{model#0}:dead 1 garbage");
	scene_command(scene, "RPUSH prong:{model#0}:turns garbage");
	scene_command(scene, "HSET prong:{model#0}:state garbage garbage");
	CU_ASSERT(job_queue_fsck(scene->queue, "model", false, &findings) > 0);
	result = scene_fetch(scene, 100);
	CU_ASSERT_EQUAL(result.n_deliveries, ARRAY_SIZE(records));
	for (size_t i = 0; i < result.n_deliveries; i++) {
		CU_ASSERT_STRING_EQUAL(result.deliveries[i].name, "");
		CU_ASSERT_EQUAL(scene_judge(scene, &result.deliveries[i], JOB_CRASHED, 0).refused, 0);
	}
	CU_ASSERT(job_queue_fsck(scene->queue, "model", true, &findings) > 0);
	CU_ASSERT_EQUAL(job_queue_fsck(scene->queue, "model", false, &findings), 0);
	buffer_free(&findings);
}

TEST(job_queue, goes_on_beside_garbage_and_can_be_repaired)
{
	scene_play(goes_on_beside_garbage, NULL);
}

static void survives_a_kill(struct scene *scene)
{
	struct job_exchange_result result;
	int64_t give_up = monotonic_us() + PRONG_SECONDS(30);
	redisReply *reply = NULL;
	int r;

	for (int i = 0; i < 10; i++)
		scene_add(scene, "1", none);
	result = scene_fetch(scene, 4);
	CU_ASSERT_FATAL(result.n_deliveries == 4);
	scene_judge(scene, &result.deliveries[0], JOB_DONE, 0);
	scene_judge(scene, &result.deliveries[1], JOB_RETRY, PRONG_SECONDS(100));
	redis_server_kill(scene->server);
	redis_server_launch(scene->server);
	do {
		scene_sleep(PRONG_MILLISECONDS(20));
		r = redis_commandf(scene->redis, TIMEOUT, &reply, "FUNCTION FLUSH");
		reply_freep(&reply);
	} while (r < 0 && monotonic_us() < give_up);
	CU_ASSERT(scene_counts_are(scene, 6, 1, 2, 0)); /* the library is loaded again */
	CU_ASSERT_EQUAL(scene_judge(scene, &result.deliveries[2], JOB_DONE, 0).refused, 0);
	CU_ASSERT(scene_counts_are(scene, 6, 1, 1, 0));
}

TEST(job_queue, survives_a_kill_of_redis)
{
	struct redis_server *server = redis_server_new(no_options);

	scene_play_on(server, survives_a_kill, NULL);
	redis_server_free(server);
}

static void works_when_full(struct scene *scene)
{
	struct job_draft draft = { .job = &scene_job, .id = prong_uuid_make() };
	struct job_exchange_result result;
	struct job_added added;

	for (int i = 0; i < 4; i++)
		scene_add(scene, "1", none);
	result = scene_fetch(scene, 3);
	CU_ASSERT_FATAL(result.n_deliveries == 3);
	scene_command(scene, "CONFIG SET maxmemory 1000");
	CU_ASSERT(job_queue_add(scene->queue, &draft, 1, &added) == -ENOMEM);
	CU_ASSERT_EQUAL(scene_judge(scene, &result.deliveries[0], JOB_DONE, 0).refused, 0);
	CU_ASSERT_EQUAL(scene_judge(scene, &result.deliveries[1], JOB_RETRY, PRONG_SECONDS(9)).refused, 0);
	CU_ASSERT_EQUAL(scene_fetch(scene, 10).n_deliveries, 1);
	CU_ASSERT(scene_counts_are(scene, 0, 1, 2, 0));
}

TEST(job_queue, a_full_server_takes_no_jobs_but_finishes_them)
{
	struct redis_server *server = redis_server_new(no_options);

	scene_play_on(server, works_when_full, NULL);
	redis_server_free(server);
}

static void notices_an_emptied_server(struct scene *scene)
{
	char first[PRONG_UUID_TEXT_SIZE], again[PRONG_UUID_TEXT_SIZE], emptied[PRONG_UUID_TEXT_SIZE];
	char id[PRONG_UUID_TEXT_SIZE];
	const char *ids[] = { prong_uuid_format(scene_add(scene, "1", none), id), "not-there" };
	bool missing[2];

	CU_ASSERT_EQUAL(job_queue_epoch(scene->queue, "model", first), 0);
	CU_ASSERT_EQUAL(job_queue_epoch(scene->queue, "model", again), 0);
	CU_ASSERT_STRING_EQUAL(first, again);
	CU_ASSERT_EQUAL(job_queue_missing(scene->queue, "model", ids, 2, missing), 0);
	CU_ASSERT(!missing[0] && missing[1]);
	scene_fetch(scene, 1);
	scene_command(scene, "FLUSHALL");
	CU_ASSERT_EQUAL(job_queue_epoch(scene->queue, "model", emptied), 0);
	CU_ASSERT_STRING_NOT_EQUAL(first, emptied);
	CU_ASSERT_EQUAL(job_queue_missing(scene->queue, "model", ids, 2, missing), 0);
	CU_ASSERT(missing[0] && missing[1]);
	CU_ASSERT(scene_fetch(scene, 1).reclaimed); /* what it holds is no longer there */
}

TEST(job_queue, notices_that_redis_was_emptied)
{
	scene_play(notices_an_emptied_server, NULL);
}
