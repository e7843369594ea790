/*
 * The scripts against their invariants: random operations of several owners, valid and stale, on a small queue. After
 * each, the keys themselves are read: a live id is in exactly one place and has a body, nothing else has anything, and
 * every job ends. PRONG_TEST_SEED repeats a run.
 */
#include <stdio.h>

#include "common/jobs/job_queue.h"
#include "common/loop.h"
#include "tests/unit/common/servers.h"
#include "tests/unit/test.h"

#define OWNERS 3
#define STEPS 3000
#define MAX_ATTEMPTS 6
#define TIMEOUT PRONG_SECONDS(5)

static int nothing(struct prong_ctx *ctx)
{
	(void)ctx;
	return 0;
}
PRONG_JOB(nothing, .queue = "model", .max_attempts = MAX_ATTEMPTS);

struct held {
	struct job_verdict verdict;
	uint64_t owner;
};

struct model {
	struct loop *loop;
	struct redis *redis;
	struct job_queue *queue;
	struct arena arena;
	uint64_t seed, state;
	struct held held[1000]; /* the latest deliveries: stale ones are tried again on purpose */
	size_t n_held;
	size_t added, finished;
	bool broken;
};

static size_t roll(struct model *model, size_t below)
{
	/* xorshift64*: the run must be the same for the same seed. */
	model->state ^= model->state >> 12;
	model->state ^= model->state << 25;
	model->state ^= model->state >> 27;
	return (size_t)((model->state * 0x2545f4914f6cdd1dULL) >> 33) % below;
}

static void fail(struct model *model, const char *what)
{
	if (!model->broken)
		fprintf(stderr, "PRONG_TEST_SEED=%llu: %s\n", (unsigned long long)model->seed, what);
	model->broken = true;
}

/* ---- the invariants ---- */

static redisReply *read_key(struct model *model, const char *format, const char *key)
{
	redisReply *reply = NULL;

	if (redis_commandf(model->redis, TIMEOUT, &reply, format, key) < 0)
		fail(model, key);
	return reply;
}

static bool contains(const redisReply *ids, size_t step, const char *id, size_t length)
{
	for (size_t i = 0; i < ids->elements; i += step)
		if (ids->element[i]->len >= length && strncmp(ids->element[i]->str, id, length) == 0)
			return true;
	return false;
}

static void check_invariants(struct model *model)
{
	redisReply *body = read_key(model, "HKEYS %s", "prong:{model#0}:body");
	redisReply *ready = read_key(model, "LRANGE %s 0 -1", "prong:{model#0}:ready:0");
	redisReply *delayed = read_key(model, "ZRANGE %s 0 -1", "prong:{model#0}:delayed");
	redisReply *inflight = read_key(model, "ZRANGE %s 0 -1", "prong:{model#0}:inflight");
	redisReply *dead = read_key(model, "ZRANGE %s 0 -1", "prong:{model#0}:dead");
	redisReply *attempts = read_key(model, "HGETALL %s", "prong:{model#0}:attempts");
	redisReply *error = read_key(model, "HKEYS %s", "prong:{model#0}:error");
	redisReply *wake = read_key(model, "LLEN %s", "prong:{model#0}:wake");

	for (size_t i = 0; i < body->elements; i++) {
		const char *id = body->element[i]->str;
		size_t length = body->element[i]->len;
		int places = contains(ready, 1, id, length) + contains(delayed, 1, id, length) +
			     contains(inflight, 1, id, length) + contains(dead, 1, id, length);

		if (places != 1)
			fail(model, "a live id is not in exactly one place");
	}
	if (body->elements != ready->elements + delayed->elements + inflight->elements + dead->elements)
		fail(model, "something without a body is in a place, or twice in one");
	if (body->elements + model->finished != model->added)
		fail(model, "a job was lost or came from nowhere");
	for (size_t i = 0; i < attempts->elements; i += 2) {
		if (!contains(body, 1, attempts->element[i]->str, attempts->element[i]->len))
			fail(model, "attempts of a job that is gone");
		if (atoi(attempts->element[i + 1]->str) < 0 || atoi(attempts->element[i + 1]->str) > MAX_ATTEMPTS)
			fail(model, "an impossible number of attempts");
	}
	for (size_t i = 0; i < error->elements; i++)
		if (!contains(body, 1, error->element[i]->str, error->element[i]->len))
			fail(model, "an error of a job that is gone");
	if (wake->integer > 1 || (ready->elements > 0 && wake->integer == 0))
		fail(model, "jobs are ready, and there is not one token");
	redisReply *all[] = { body, ready, delayed, inflight, dead, attempts, error, wake };
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		freeReplyObject(all[i]);
}

/* ---- the operations ---- */

static void do_add(struct model *model)
{
	prong_uuid id = prong_uuid_make();
	bool duplicate = false;

	for (size_t times = 1 + roll(model, 2); times > 0; times--)
		if (job_queue_add(model->queue, &nothing_job, id, "{}", 2, "", &duplicate) < 0)
			fail(model, "add");
	model->added++;
}

static void remember(struct model *model, const struct job_exchange_result *result, uint64_t owner)
{
	for (size_t i = 0; i < result->n_deliveries; i++) {
		struct held *held = &model->held[model->n_held++ % ARRAY_SIZE(model->held)];

		*held = (struct held){ .owner = owner };
		memcpy(held->verdict.id, result->deliveries[i].id, sizeof(held->verdict.id));
		held->verdict.attempt = result->deliveries[i].attempt;
		if (result->deliveries[i].attempt > MAX_ATTEMPTS)
			fail(model, "more attempts than allowed");
	}
}

/* Mostly one of the newest, which are likely to be still held; NULL when there is none. */
static const struct held *pick(struct model *model)
{
	size_t seen = model->n_held < ARRAY_SIZE(model->held) ? model->n_held : ARRAY_SIZE(model->held);
	size_t back = 1 + roll(model, roll(model, 4) && seen > 20 ? 20 : seen ? seen : 1);

	return seen ? &model->held[(model->n_held - back) % ARRAY_SIZE(model->held)] : NULL;
}

static enum job_outcome random_outcome(struct model *model, int attempt)
{
	static const enum job_outcome outcomes[] = { JOB_DONE, JOB_DONE, JOB_DONE, JOB_RETRY, JOB_RETURN, JOB_DEAD };
	enum job_outcome outcome = outcomes[roll(model, ARRAY_SIZE(outcomes))];

	return outcome == JOB_RETRY && attempt >= MAX_ATTEMPTS ? JOB_DEAD : outcome;
}

static size_t count_bodies(struct model *model)
{
	redisReply *reply = read_key(model, "HLEN %s", "prong:{model#0}:body");
	size_t count = (size_t)reply->integer;

	freeReplyObject(reply);
	return count;
}

static void do_exchange(struct model *model)
{
	static const prong_duration leases[] = { 0, 0, 0, 0, 0, 0, -1, 300 };
	static const prong_duration delays[] = { -1, 0, 200, PRONG_SECONDS(1000) };
	struct job_verdict verdicts[20];
	struct job_exchange exchange = { .queue = "model",
					 .owner = 1 + roll(model, OWNERS),
					 .verdicts = verdicts,
					 .fetch = roll(model, 6),
					 .lease = leases[roll(model, ARRAY_SIZE(leases))] };
	size_t wanted = roll(model, ARRAY_SIZE(verdicts)), before = count_bodies(model);
	struct job_exchange_result result;

	for (size_t tries = 0; model->n_held > 0 && tries < wanted; tries++) {
		const struct held *held = pick(model);
		struct job_verdict *verdict = &verdicts[exchange.n_verdicts];

		if (held->owner != exchange.owner && roll(model, 4) > 0)
			continue;
		*verdict = held->verdict;
		verdict->outcome = random_outcome(model, verdict->attempt);
		verdict->delay = delays[roll(model, ARRAY_SIZE(delays))];
		for (size_t i = 0; i < exchange.n_verdicts; i++) /* one attempt has one verdict */
			if (string_equal(verdicts[i].id, verdict->id) && verdicts[i].attempt == verdict->attempt)
				verdict = NULL, i = exchange.n_verdicts;
		exchange.n_verdicts += verdict != NULL;
	}
	if (job_queue_exchange(model->queue, &model->arena, &exchange, &result) < 0) {
		fail(model, "exchange");
		return;
	}
	model->finished += before - count_bodies(model);
	remember(model, &result, exchange.owner);
}

static void do_renew(struct model *model)
{
	const struct held *held = pick(model);
	struct delivery delivery = { 0 };
	bool lost;

	if (!held)
		return;
	delivery.attempt = held->verdict.attempt;
	memcpy(delivery.id, held->verdict.id, sizeof(delivery.id));
	if (job_queue_renew(model->queue, "model", held->owner, 0, (const struct delivery *const[]){ &delivery }, 1,
			    &lost) < 0)
		fail(model, "renew");
}

static void do_reclaim(struct model *model)
{
	size_t count;

	if (job_queue_reclaim(model->queue, "model", 1 + roll(model, OWNERS), &count) < 0)
		fail(model, "reclaim");
}

/* Consumers' waiting takes the token; whoever took it makes an exchange. */
static void do_take_token(struct model *model)
{
	redisReply *reply = read_key(model, "RPOP %s", "prong:{model#0}:wake");

	freeReplyObject(reply);
	do_exchange(model);
}

static void (*const operations[])(struct model *model) = {
	do_add, do_add, do_exchange, do_exchange, do_exchange, do_renew, do_reclaim, do_take_token,
};

/* Every job that is left runs, is done, or dies; then nothing is left but the dead. */
static void finish_all(struct model *model)
{
	redisReply *reply;
	int64_t give_up = monotonic_us() + PRONG_SECONDS(30);
	struct job_counts counts = { 0 };

	for (uint64_t owner = 1; owner <= OWNERS; owner++) {
		size_t count;

		if (job_queue_reclaim(model->queue, "model", owner, &count) < 0)
			fail(model, "reclaim");
	}
	/* What was put off for long is due now. */
	reply = read_key(model, "ZRANGE %s 0 -1", "prong:{model#0}:delayed");
	for (size_t i = 0; i < reply->elements; i++) {
		redisReply *changed = NULL;

		redis_commandf(model->redis, TIMEOUT, &changed, "ZADD prong:{model#0}:delayed 1 %s",
			       reply->element[i]->str);
		reply_freep(&changed);
	}
	freeReplyObject(reply);
	do {
		struct job_verdict verdicts[100];
		struct job_exchange exchange = { .queue = "model", .owner = 99, .verdicts = verdicts, .fetch = 100 };
		struct job_exchange_result result;

		if (job_queue_exchange(model->queue, &model->arena, &exchange, &result) < 0)
			fail(model, "exchange");
		exchange.fetch = 0;
		exchange.n_verdicts = result.n_deliveries;
		for (size_t i = 0; i < result.n_deliveries; i++) {
			verdicts[i] = (struct job_verdict){ .attempt = result.deliveries[i].attempt };
			memcpy(verdicts[i].id, result.deliveries[i].id, sizeof(verdicts[i].id));
		}
		if (job_queue_exchange(model->queue, &model->arena, &exchange, &result) < 0 || result.refused > 0)
			fail(model, "a held job's result was refused");
		model->finished += exchange.n_verdicts;
		if (job_queue_counts(model->queue, "model", &counts) < 0 || monotonic_us() > give_up)
			fail(model, "jobs do not end");
	} while (!model->broken &&
		 counts.states[JOB_STATE_READY] + counts.states[JOB_STATE_DELAYED] + counts.states[JOB_STATE_INFLIGHT] >
			 0);
	check_invariants(model);
}

static void run_model(void *argument)
{
	struct model *model = argument;
	redisReply *reply = NULL;

	if (redis_commandf(model->redis, TIMEOUT, &reply, "FLUSHALL") < 0)
		fail(model, "FLUSHALL");
	reply_freep(&reply);
	for (int step = 0; step < STEPS && !model->broken; step++) {
		operations[roll(model, ARRAY_SIZE(operations))](model);
		check_invariants(model);
		arena_reset(&model->arena);
	}
	finish_all(model);
	arena_reset(&model->arena);
	loop_stop(model->loop);
}

TEST(job_model, keeps_its_invariants)
{
	static const char *queues[] = { "model" };
	static const struct prong_job *jobs[] = { &nothing_job };
	struct registry registry = { .n_queues = 1, .queues = queues, .n_jobs = 1, .jobs = jobs };
	const char *given = getenv("PRONG_TEST_SEED");
	struct model *model = allocate(sizeof(*model));

	model->seed = given ? strtoull(given, NULL, 10) : random_u64();
	model->state = model->seed | 1;
	model->loop = loop_new(10);
	model->redis = redis_new(model->loop, server_url(SERVER_REDIS), "model");
	model->queue = job_queue_new(model->redis, &registry);
	arena_init(&model->arena);
	CU_ASSERT_FATAL(coroutine_start(model->loop, run_model, model, NULL) == 0);
	loop_run(model->loop);
	CU_ASSERT(!model->broken);
	CU_ASSERT(model->finished > STEPS / 20); /* the run meant something */
	job_queue_free(model->queue);
	redis_free(model->redis);
	loop_free(model->loop);
	free(model);
}
