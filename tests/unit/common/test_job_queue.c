#include <signal.h>
#include <stdio.h>

#include "common/context.h"
#include "common/jobs/job_queue.h"
#include "common/jobs/job_shard.h"
#include "common/loop.h"
#include "tests/unit/common/redis_server.h"
#include "tests/unit/common/servers.h"
#include "tests/unit/test.h"

#define TIMEOUT PRONG_SECONDS(5)
#define PAST (-PRONG_SECONDS(1)) /* a lease that has ended already */

static const char *const no_options[] = { NULL };

static int nothing(struct prong_ctx *ctx)
{
	(void)ctx;
	return 0;
}
static int nothing_else(struct prong_ctx *ctx)
{
	(void)ctx;
	return 0;
}
PRONG_JOB(nothing, .queue = "model", .max_attempts = 3);
PRONG_JOB(nothing_else, .queue = "other-queue");

/* ---- a coroutine with a queue ---- */

struct scene {
	struct loop *loop;
	struct redis *redis;
	struct job_queue *queue;
	struct arena arena;
	struct redis_server *server;
	void (*body)(struct scene *scene);
};

static void play_coroutine(void *argument)
{
	struct scene *scene = argument;
	_cleanup_(reply_freep) redisReply *reply = NULL;

	CU_ASSERT(redis_commandf(scene->redis, TIMEOUT, &reply, "FLUSHALL") == 0);
	scene->body(scene);
	loop_stop(scene->loop);
}

static void play(const char *url, struct redis_server *server, void (*body)(struct scene *scene))
{
	static const char *queues[] = { "model", "other-queue" };
	static const struct prong_job *jobs[] = { &nothing_job, &nothing_else_job };
	struct registry registry = { .n_queues = 2, .queues = queues, .n_jobs = 2, .jobs = jobs };
	struct scene scene = { .loop = loop_new(100), .server = server, .body = body };

	arena_init(&scene.arena);
	scene.redis = redis_new(scene.loop, url, "unit test");
	scene.queue = job_queue_new(scene.redis, &registry);
	CU_ASSERT_FATAL(coroutine_start(scene.loop, play_coroutine, &scene, NULL) == 0);
	loop_run(scene.loop);
	job_queue_free(scene.queue);
	redis_free(scene.redis);
	loop_free(scene.loop);
	arena_reset(&scene.arena);
}

static void play_shared(void (*body)(struct scene *scene))
{
	play(server_url(SERVER_REDIS), NULL, body);
}

static prong_uuid add(struct scene *scene)
{
	prong_uuid id = prong_uuid_make();

	CU_ASSERT(job_queue_add(scene->queue, &nothing_job, id, "{\"a\":1}", 7, "request-1", NULL) == 0);
	return id;
}

static struct job_exchange_result exchange(struct scene *scene, const struct job_exchange *exchange)
{
	struct job_exchange_result result = { .refused = 999 };
	struct job_exchange call = *exchange;

	call.queue = "model";
	if (!call.owner)
		call.owner = 1;
	CU_ASSERT(job_queue_exchange(scene->queue, &scene->arena, &call, &result) == 0);
	return result;
}

static struct job_exchange_result fetch(struct scene *scene, size_t count)
{
	return exchange(scene, &(struct job_exchange){ .fetch = count });
}

static struct job_exchange_result judge(struct scene *scene, const struct delivery *delivery, enum job_outcome outcome,
					prong_duration delay)
{
	struct job_verdict verdict = { .attempt = delivery->attempt, .outcome = outcome, .delay = delay };

	verdict.error = outcome == JOB_RETRY || outcome == JOB_DEAD ? "{\"code\":\"x\"}" : NULL;
	memcpy(verdict.id, delivery->id, sizeof(verdict.id));
	return exchange(scene, &(struct job_exchange){ .verdicts = &verdict, .n_verdicts = 1 });
}

static struct job_counts counts(struct scene *scene)
{
	struct job_counts counts = { 0 };

	CU_ASSERT(job_queue_counts(scene->queue, "model", &counts) == 0);
	return counts;
}

static bool counts_are(struct scene *scene, uint64_t ready, uint64_t delayed, uint64_t inflight, uint64_t dead)
{
	struct job_counts now = counts(scene);

	return now.states[JOB_STATE_READY] == ready && now.states[JOB_STATE_DELAYED] == delayed &&
	       now.states[JOB_STATE_INFLIGHT] == inflight && now.states[JOB_STATE_DEAD] == dead;
}

/* How many keys the whole server holds, but for a wake token. */
static long long keys_left(struct scene *scene)
{
	redisReply *reply = NULL;
	long long count;

	CU_ASSERT(redis_commandf(scene->redis, TIMEOUT, &reply, "DEL prong:{model#0}:wake") == 0);
	reply_freep(&reply);
	CU_ASSERT(redis_commandf(scene->redis, TIMEOUT, &reply, "DBSIZE") == 0);
	count = reply ? reply->integer : -1;
	reply_freep(&reply);
	return count;
}

/* ---- the life of a job ---- */

static void runs_and_is_done(struct scene *scene)
{
	prong_uuid id = add(scene);
	char text[PRONG_UUID_TEXT_SIZE];
	struct job_exchange_result result;
	struct job_listing *listings = NULL;
	struct delivery *delivery;
	size_t count = 0;

	CU_ASSERT(counts_are(scene, 1, 0, 0, 0));
	result = fetch(scene, 10);
	CU_ASSERT_FATAL(result.n_deliveries == 1);
	delivery = &result.deliveries[0];
	CU_ASSERT_STRING_EQUAL(delivery->id, prong_uuid_format(id, text));
	CU_ASSERT_STRING_EQUAL(delivery->queue, "model");
	CU_ASSERT_STRING_EQUAL(delivery->name, "nothing");
	CU_ASSERT_STRING_EQUAL(delivery->payload, "{\"a\":1}");
	CU_ASSERT_EQUAL(delivery->payload_size, 7);
	CU_ASSERT_STRING_EQUAL(delivery->request_id, "request-1");
	CU_ASSERT_EQUAL(delivery->attempt, 1);
	CU_ASSERT_EQUAL(delivery->max_attempts, 3);
	CU_ASSERT_EQUAL(delivery->timeout, PRONG_SECONDS(60));
	CU_ASSERT(delivery->enqueued_at.us <= result.now.us && result.now.us - delivery->enqueued_at.us < 60000000);
	CU_ASSERT(result.next > PRONG_SECONDS(29) && result.next <= JOB_LEASE);
	CU_ASSERT(counts_are(scene, 0, 0, 1, 0));
	CU_ASSERT(job_queue_list(scene->queue, "model", JOB_STATE_INFLIGHT, 10, &scene->arena, &listings, &count) == 0);
	CU_ASSERT(count == 1 && string_equal(listings[0].id, text) && listings[0].attempt == 1);
	CU_ASSERT_EQUAL(fetch(scene, 10).n_deliveries, 0);

	result = judge(scene, delivery, JOB_DONE, 0);
	CU_ASSERT_EQUAL(result.refused, 0);
	CU_ASSERT_EQUAL(result.next, INT64_MAX);
	CU_ASSERT_EQUAL(keys_left(scene), 0);
	CU_ASSERT_EQUAL(judge(scene, delivery, JOB_DONE, 0).refused, 1);
}

TEST(job_queue, runs_and_is_done)
{
	play_shared(runs_and_is_done);
}

static void is_enqueued_once(struct scene *scene)
{
	prong_uuid id = add(scene);
	bool duplicate = false;

	CU_ASSERT(job_queue_add(scene->queue, &nothing_job, id, NULL, 0, NULL, &duplicate) == 0);
	CU_ASSERT(duplicate);
	CU_ASSERT(counts_are(scene, 1, 0, 0, 0));
	CU_ASSERT(job_queue_add(scene->queue, &nothing_job, prong_uuid_make(), NULL, 0, NULL, &duplicate) == 0);
	CU_ASSERT(!duplicate);
	CU_ASSERT(job_queue_add(scene->queue, &nothing_else_job, prong_uuid_make(), NULL, 0, NULL, NULL) == 0);
	CU_ASSERT(counts_are(scene, 2, 0, 0, 0));
}

TEST(job_queue, an_id_is_enqueued_once)
{
	play_shared(is_enqueued_once);
}

static void is_in_order(struct scene *scene)
{
	char ids[5][PRONG_UUID_TEXT_SIZE];
	struct job_exchange_result result;

	for (int i = 0; i < 5; i++)
		prong_uuid_format(add(scene), ids[i]);
	result = fetch(scene, 3);
	CU_ASSERT_FATAL(result.n_deliveries == 3);
	for (int i = 0; i < 3; i++)
		CU_ASSERT_STRING_EQUAL(result.deliveries[i].id, ids[i]);
	/* What goes back runs next. */
	judge(scene, &result.deliveries[1], JOB_RETURN, 0);
	result = fetch(scene, 3);
	CU_ASSERT_FATAL(result.n_deliveries == 3);
	CU_ASSERT_STRING_EQUAL(result.deliveries[0].id, ids[1]);
	CU_ASSERT_EQUAL(result.deliveries[0].attempt, 1);
	CU_ASSERT_STRING_EQUAL(result.deliveries[1].id, ids[3]);
}

TEST(job_queue, first_come_first_served)
{
	play_shared(is_in_order);
}

static void is_retried_and_buried(struct scene *scene)
{
	struct job_exchange_result result;
	struct delivery first;
	struct job_listing *listings = NULL;
	size_t count = 0;

	add(scene);
	first = fetch(scene, 1).deliveries[0];
	result = judge(scene, &first, JOB_RETRY, PRONG_SECONDS(100));
	CU_ASSERT_EQUAL(result.refused, 0);
	CU_ASSERT(result.next > PRONG_SECONDS(99) && result.next <= PRONG_SECONDS(100));
	CU_ASSERT(counts_are(scene, 0, 1, 0, 0));
	CU_ASSERT(job_queue_list(scene->queue, "model", JOB_STATE_DELAYED, 10, &scene->arena, &listings, &count) == 0);
	CU_ASSERT(count == 1 && string_equal(listings[0].error, "{\"code\":\"x\"}") && listings[0].attempt == 1);
	CU_ASSERT(count == 1 && listings[0].at.us > listings[0].enqueued_at.us);

	/* What is due already is promoted and fetched in the same trip. */
	add(scene);
	first = fetch(scene, 1).deliveries[0];
	judge(scene, &first, JOB_RETRY, -1);
	result = fetch(scene, 10);
	CU_ASSERT_FATAL(result.n_deliveries == 1);
	CU_ASSERT_STRING_EQUAL(result.deliveries[0].id, first.id);
	CU_ASSERT_EQUAL(result.deliveries[0].attempt, 2);
	CU_ASSERT_EQUAL(judge(scene, &first, JOB_DONE, 0).refused, 1); /* the first attempt's result is stale */
	judge(scene, &result.deliveries[0], JOB_DEAD, 0);
	CU_ASSERT(counts_are(scene, 0, 1, 0, 1));
	CU_ASSERT(job_queue_list(scene->queue, "model", JOB_STATE_DEAD, 10, &scene->arena, &listings, &count) == 0);
	CU_ASSERT(count == 1 && string_equal(listings[0].id, first.id) && listings[0].attempt == 2);
	CU_ASSERT(count == 1 && string_equal(listings[0].name, "nothing") && listings[0].max_attempts == 3);
}

TEST(job_queue, is_retried_and_buried)
{
	play_shared(is_retried_and_buried);
}

/* ---- leases ---- */

static void outlives_its_lease(struct scene *scene)
{
	struct job_exchange_result result;
	struct delivery old = { 0 };

	add(scene);
	for (int attempt = 1; attempt <= 3; attempt++) {
		result = exchange(scene,
				  &(struct job_exchange){ .owner = (uint64_t)attempt, .fetch = 1, .lease = PAST });
		CU_ASSERT_FATAL(result.n_deliveries == 1);
		CU_ASSERT_EQUAL(result.deliveries[0].attempt, attempt);
		if (attempt == 1)
			old = result.deliveries[0];
	}
	CU_ASSERT_EQUAL(fetch(scene, 1).n_deliveries, 0); /* the third attempt was the last allowed */
	CU_ASSERT(counts_are(scene, 0, 0, 0, 1));
	CU_ASSERT_EQUAL(judge(scene, &old, JOB_DONE, 0).refused, 1);
	CU_ASSERT(counts_are(scene, 0, 0, 0, 1));
}

TEST(job_queue, a_lease_that_ended_gives_the_job_to_another)
{
	play_shared(outlives_its_lease);
}

static void is_renewed(struct scene *scene)
{
	struct job_exchange_result result;
	bool lost[2] = { true, true };

	add(scene);
	add(scene);
	result = exchange(scene, &(struct job_exchange){ .fetch = 2, .lease = PAST });
	CU_ASSERT_FATAL(result.n_deliveries == 2);
	const struct delivery *deliveries[] = { &result.deliveries[0], &result.deliveries[1] };
	CU_ASSERT(job_queue_renew(scene->queue, "model", 1, 0, deliveries, 1, lost) == 0);
	CU_ASSERT(!lost[0]);
	CU_ASSERT_EQUAL(fetch(scene, 0).n_deliveries, 0); /* takes back the second one, which nobody renewed */
	CU_ASSERT(counts_are(scene, 1, 0, 1, 0));
	CU_ASSERT(job_queue_renew(scene->queue, "model", 1, 0, deliveries, 2, lost) == 0);
	CU_ASSERT(!lost[0] && lost[1]);
	CU_ASSERT(counts_are(scene, 1, 0, 1, 0)); /* renewing brings nothing back */
}

TEST(job_queue, leases_are_renewed)
{
	play_shared(is_renewed);
}

static void is_reclaimed(struct scene *scene)
{
	struct job_verdict *owned = NULL;
	struct job_exchange_result result;
	size_t count = 0;

	for (int i = 0; i < 5; i++)
		add(scene);
	exchange(scene, &(struct job_exchange){ .owner = 7, .fetch = 2 });
	exchange(scene, &(struct job_exchange){ .owner = 8, .fetch = 2 });
	CU_ASSERT(job_queue_owned(scene->queue, "model", 8, &scene->arena, &owned, &count) == 0);
	CU_ASSERT(count == 2 && owned[0].attempt == 1);
	CU_ASSERT(job_queue_reclaim(scene->queue, "model", 7, &count) == 0);
	CU_ASSERT_EQUAL(count, 2);
	CU_ASSERT(counts_are(scene, 3, 0, 2, 0));
	CU_ASSERT(job_queue_reclaim(scene->queue, "model", 7, &count) == 0);
	CU_ASSERT_EQUAL(count, 0);
	result = fetch(scene, 2);
	CU_ASSERT(result.n_deliveries == 2 && result.deliveries[0].attempt == 2);
}

TEST(job_queue, the_jobs_of_the_dead_are_reclaimed)
{
	play_shared(is_reclaimed);
}

/* ---- waking ---- */

static bool has_token(struct scene *scene)
{
	redisReply *reply = NULL;
	long long length;

	CU_ASSERT(redis_commandf(scene->redis, TIMEOUT, &reply, "LLEN prong:{model#0}:wake") == 0);
	length = reply ? reply->integer : -1;
	reply_freep(&reply);
	CU_ASSERT(length <= 1);
	return length == 1;
}

static void wakes(struct scene *scene)
{
	struct redis *blocking = redis_new(scene->loop, server_url(SERVER_REDIS), "waits");
	const char *queues[] = { "other-queue", "model" };
	size_t woken = 99;

	CU_ASSERT(job_queue_wait(blocking, queues, 2, PRONG_MILLISECONDS(10), &woken) == -ETIMEDOUT);
	add(scene);
	add(scene);
	CU_ASSERT(has_token(scene));
	CU_ASSERT(job_queue_wait(blocking, queues, 2, TIMEOUT, &woken) == 0);
	CU_ASSERT_EQUAL(woken, 1);
	CU_ASSERT(!has_token(scene));
	fetch(scene, 1); /* leaves one: the next consumer is woken */
	CU_ASSERT(has_token(scene));
	fetch(scene, 1); /* leaves none */
	CU_ASSERT(!has_token(scene));
	redis_free(blocking);
}

TEST(job_queue, one_token_wakes_one_consumer)
{
	play_shared(wakes);
}

/* ---- batches, and records that are not ours ---- */

static void takes_whole_batches(struct scene *scene)
{
	struct job_exchange_result result;
	struct job_verdict *verdicts = allocate_array(JOB_BATCH, sizeof(*verdicts));

	for (int i = 0; i < JOB_BATCH + 1; i++)
		add(scene);
	result = fetch(scene, JOB_BATCH);
	CU_ASSERT_FATAL(result.n_deliveries == JOB_BATCH);
	for (size_t i = 0; i < JOB_BATCH; i++) {
		memcpy(verdicts[i].id, result.deliveries[i].id, sizeof(verdicts[i].id));
		verdicts[i].attempt = 1;
		verdicts[i].outcome = i % 2 ? JOB_DONE : JOB_RETRY;
		verdicts[i].delay = -1;
	}
	result = exchange(scene,
			  &(struct job_exchange){ .verdicts = verdicts, .n_verdicts = JOB_BATCH, .fetch = JOB_BATCH });
	CU_ASSERT_EQUAL(result.refused, 0);
	CU_ASSERT_EQUAL(result.n_deliveries, JOB_BATCH / 2 + 1);
	result = exchange(scene, &(struct job_exchange){ .verdicts = verdicts, .n_verdicts = JOB_BATCH });
	CU_ASSERT_EQUAL(result.refused, JOB_BATCH);
	free(verdicts);
}

TEST(job_queue, takes_whole_batches)
{
	play_shared(takes_whole_batches);
}

static void reads_any_record(struct scene *scene)
{
	static const char *const records[] = { "", "\n", "12", "12\n{", "12\n[]\n", "12\n{\"name\":7}\n", "x\ny\nz" };
	struct job_exchange_result result;
	struct job_listing *listed;
	redisReply *reply = NULL;
	size_t count;

	for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
		char id[PRONG_UUID_TEXT_SIZE];

		prong_uuid_format(prong_uuid_make(), id);
		CU_ASSERT(redis_commandf(scene->redis, TIMEOUT, &reply, "HSET prong:{model#0}:body %s %s", id,
					 records[i]) == 0);
		reply_freep(&reply);
		CU_ASSERT(redis_commandf(scene->redis, TIMEOUT, &reply, "RPUSH prong:{model#0}:ready:0 %s", id) == 0);
		reply_freep(&reply);
	}
	result = exchange(scene, &(struct job_exchange){ .fetch = 100, .lease = PAST });
	CU_ASSERT_EQUAL(result.n_deliveries, ARRAY_SIZE(records));
	for (size_t i = 0; i < result.n_deliveries; i++)
		CU_ASSERT_STRING_EQUAL(result.deliveries[i].name, "");
	fetch(scene, 0); /* reaping them must not fail either */
	CU_ASSERT_EQUAL(counts(scene).states[JOB_STATE_INFLIGHT], 0);
	CU_ASSERT_EQUAL(job_queue_list(scene->queue, "model", JOB_STATE_DEAD, 100, &scene->arena, &listed, &count), 0);
	CU_ASSERT_EQUAL(count, ARRAY_SIZE(records));
}

TEST(job_queue, reads_any_record)
{
	play_shared(reads_any_record);
}

static void goes_on_beside_garbage(struct scene *scene)
{
	static const char *const commands[] = { "ZADD prong:{model#0}:inflight 1 garbage",
						"ZADD prong:{model#0}:inflight 1 #1#0",
						"ZADD prong:{model#0}:delayed 1 garbage" };
	redisReply *reply = NULL;
	char id[PRONG_UUID_TEXT_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		CU_ASSERT(redis_commandf(scene->redis, TIMEOUT, &reply, commands[i]) == 0);
		reply_freep(&reply);
	}
	prong_uuid_format(add(scene), id);
	CU_ASSERT(redis_commandf(scene->redis, TIMEOUT, &reply, "HSET prong:{model#0}:attempts %s garbage", id) == 0);
	reply_freep(&reply);
	CU_ASSERT_EQUAL(fetch(scene, 10).n_deliveries, 1);
	CU_ASSERT(counts_are(scene, 0, 0, 1, 0));
}

TEST(job_queue, goes_on_beside_garbage)
{
	play_shared(goes_on_beside_garbage);
}

static void survives_a_kill(struct scene *scene)
{
	struct job_exchange_result result;
	int64_t give_up = monotonic_us() + PRONG_SECONDS(30);
	redisReply *reply = NULL;
	int r;

	for (int i = 0; i < 10; i++)
		add(scene);
	result = fetch(scene, 4);
	CU_ASSERT_FATAL(result.n_deliveries == 4);
	judge(scene, &result.deliveries[0], JOB_DONE, 0);
	judge(scene, &result.deliveries[1], JOB_RETRY, PRONG_SECONDS(100));
	redis_server_kill(scene->server);
	redis_server_launch(scene->server);
	do {
		coroutine_sleep_until(monotonic_us() + PRONG_MILLISECONDS(20));
		r = redis_commandf(scene->redis, TIMEOUT, &reply, "PING");
		reply_freep(&reply);
	} while (r < 0 && monotonic_us() < give_up);
	CU_ASSERT(counts_are(scene, 6, 1, 2, 0));
	CU_ASSERT_EQUAL(judge(scene, &result.deliveries[2], JOB_DONE, 0).refused, 0); /* the scripts are loaded again */
	CU_ASSERT(counts_are(scene, 6, 1, 1, 0));
}

TEST(job_queue, survives_a_kill_of_redis)
{
	struct redis_server *server = redis_server_new(no_options);

	play(redis_server_url(server), server, survives_a_kill);
	redis_server_free(server);
}

static void works_when_full(struct scene *scene)
{
	struct job_exchange_result result;
	redisReply *reply = NULL;

	for (int i = 0; i < 4; i++)
		add(scene);
	result = fetch(scene, 3);
	CU_ASSERT_FATAL(result.n_deliveries == 3);
	CU_ASSERT(redis_commandf(scene->redis, TIMEOUT, &reply, "CONFIG SET maxmemory 1000") == 0);
	reply_freep(&reply);
	CU_ASSERT(job_queue_add(scene->queue, &nothing_job, prong_uuid_make(), NULL, 0, NULL, NULL) == -ENOMEM);
	CU_ASSERT_EQUAL(judge(scene, &result.deliveries[0], JOB_DONE, 0).refused, 0);
	CU_ASSERT_EQUAL(judge(scene, &result.deliveries[1], JOB_RETRY, PRONG_SECONDS(9)).refused, 0);
	CU_ASSERT_EQUAL(fetch(scene, 10).n_deliveries, 1);
	CU_ASSERT(counts_are(scene, 0, 1, 2, 0));
}

TEST(job_queue, a_full_server_takes_no_jobs_but_finishes_them)
{
	struct redis_server *server = redis_server_new(no_options);

	play(redis_server_url(server), server, works_when_full);
	redis_server_free(server);
}
