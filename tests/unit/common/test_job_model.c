/*
 * The engine against its invariants: random operations of producers, several owners valid and stale, and people, on a
 * small queue with every rule. After each the checker reads all keys (job_queue_fsck()): a live id is in exactly one
 * place, nothing else has anything, every counter counts. At last every job ends. PRONG_TEST_SEED repeats a run.
 */
#include <stdio.h>

#include "common/jobs/job_queue.h"
#include "common/loop.h"
#include "tests/unit/common/servers.h"
#include "tests/unit/test.h"

#define OWNERS 3
#define KEYS 4
#define STEPS 3000
#define MAX_ATTEMPTS 6
#define MAX_CRASHES 3
#define MAX_DEAD 15

static int nothing(struct prong_ctx *ctx)
{
	(void)ctx;
	return 0;
}
PRONG_JOB(nothing, .queue = "model", .max_attempts = MAX_ATTEMPTS, .max_crashes = MAX_CRASHES);

struct held {
	struct job_verdict verdict;
	size_t owner;
	unsigned name; /* that the owner had */
};

struct model {
	struct loop *loop;
	struct redis *redis;
	struct job_queue *queue;
	struct job_shard *shard;
	struct arena arena;
	uint64_t seed, state;
	unsigned names[OWNERS]; /* the number behind each owner's incarnation */
	bool registered[OWNERS];
	struct held held[500]; /* the latest deliveries: stale ones are tried again on purpose */
	size_t n_held, delivered;
	prong_uuid ids[200]; /* the latest jobs, some long gone */
	size_t n_ids;
	bool paused, broken;
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

static void check_invariants(struct model *model, const char *after)
{
	struct buffer findings = { 0 };
	int count = job_queue_fsck(model->queue, "model", false, &findings);

	if (count != 0) {
		fprintf(stderr, "after %s: %d findings\n%s", after, count, buffer_text(&findings));
		fail(model, "the checker found something");
	}
	buffer_free(&findings);
}

/* ---- producers ---- */

static const char *some_key(struct model *model, const char *kind)
{
	return arena_format(&model->arena, "%s%zu", kind, roll(model, KEYS));
}

static struct prong_enqueue_options some_options(struct model *model)
{
	static const prong_duration times[] = { 1, 300, 5000, PRONG_SECONDS(1000) };
	struct prong_enqueue_options options = { 0 };

	if (roll(model, 3) == 0)
		options.key = some_key(model, "key");
	if (roll(model, 4) == 0)
		options.priority = (int)roll(model, 5) - 2;
	if (roll(model, 6) == 0)
		options.expires = times[roll(model, ARRAY_SIZE(times))];
	if (roll(model, 4) == 0) {
		options.unique = some_key(model, "unique");
		options.unique_until = roll(model, 2) ? PRONG_UNTIL_STARTED : PRONG_UNTIL_FINISHED;
		if (roll(model, 3) == 0)
			options.throttle = times[roll(model, ARRAY_SIZE(times))];
		else if (roll(model, 2) == 0)
			options.debounce = times[roll(model, ARRAY_SIZE(times))];
	}
	if (roll(model, 5) == 0 && !options.debounce)
		options.delay = times[roll(model, ARRAY_SIZE(times))];
	return options;
}

static void do_add(struct model *model)
{
	struct job_draft drafts[8];
	struct job_added added[8];
	size_t count = 1 + roll(model, ARRAY_SIZE(drafts));

	for (size_t i = 0; i < count; i++) {
		drafts[i] = (struct job_draft){ .job = &nothing_job, .payload = "{}", .payload_size = 2 };
		drafts[i].options = some_options(model);
		drafts[i].id = job_id_make(model->queue, &nothing_job, &drafts[i].options);
		model->ids[model->n_ids++ % ARRAY_SIZE(model->ids)] = drafts[i].id;
	}
	if (job_queue_add(model->queue, drafts, count, added) < 0)
		fail(model, "add");
}

static const char *some_id(struct model *model)
{
	size_t known = model->n_ids < ARRAY_SIZE(model->ids) ? model->n_ids : ARRAY_SIZE(model->ids);

	return known ? prong_uuid_format(model->ids[roll(model, known)],
					 arena_alloc(&model->arena, PRONG_UUID_TEXT_SIZE))
		     : "00000000-0000-0000-0000-000000000000";
}

/* What a relay sends again is there once. */
static void do_relay(struct model *model)
{
	struct job_relayed job = { .record = "1\n{\"name\":\"nothing\",\"max_attempts\":6}\n{}" };
	prong_uuid id = prong_uuid_make();

	prong_uuid_format(id, job.id);
	job.record_size = strlen(job.record);
	job.due.us = roll(model, 3) ? 0 : prong_time_now().us + PRONG_MILLISECONDS(1);
	for (size_t times = 1 + roll(model, 3); times > 0; times--)
		if (job_queue_relay(model->queue, "model", &job, 1) < 0)
			fail(model, "relay");
	model->ids[model->n_ids++ % ARRAY_SIZE(model->ids)] = id;
}

/* ---- consumers ---- */

static void owner_name(const struct model *model, size_t owner, unsigned name, char text[JOB_OWNER_SIZE])
{
	(void)model;
	job_owner_format(0xa000 + owner, name, text);
}

static void remember(struct model *model, const struct job_exchange_result *result, size_t owner)
{
	for (size_t i = 0; i < result->n_deliveries; i++) {
		struct held *held = &model->held[model->n_held++ % ARRAY_SIZE(model->held)];

		*held = (struct held){ .owner = owner, .name = model->names[owner] };
		memcpy(held->verdict.id, result->deliveries[i].id, sizeof(held->verdict.id));
		held->verdict.attempt = result->deliveries[i].attempt;
		held->verdict.plain = result->deliveries[i].plain;
		if (result->deliveries[i].attempt > MAX_ATTEMPTS)
			fail(model, "more attempts than allowed");
	}
	model->delivered += result->n_deliveries;
}

/* Mostly one of the newest, which are likely to be still held; NULL when there is none. */
static const struct held *pick(struct model *model)
{
	size_t seen = model->n_held < ARRAY_SIZE(model->held) ? model->n_held : ARRAY_SIZE(model->held);
	size_t back = 1 + roll(model, roll(model, 4) && seen > 20 ? 20 : seen ? seen : 1);

	return seen ? &model->held[(model->n_held - back) % ARRAY_SIZE(model->held)] : NULL;
}

static struct job_verdict some_verdict(struct model *model, const struct held *held)
{
	static const enum job_outcome outcomes[] = { JOB_DONE,	  JOB_DONE,   JOB_DONE, JOB_RETRY,
						     JOB_CRASHED, JOB_RETURN, JOB_DEAD, JOB_CANCELLED };
	static const prong_duration delays[] = { 0, 0, 200, PRONG_SECONDS(1000) };
	struct job_verdict verdict = held->verdict;

	verdict.outcome = outcomes[roll(model, ARRAY_SIZE(outcomes))];
	if (verdict.outcome == JOB_RETRY && verdict.attempt >= MAX_ATTEMPTS)
		verdict.outcome = JOB_DEAD;
	verdict.delay = delays[roll(model, ARRAY_SIZE(delays))];
	if (verdict.outcome == JOB_DONE && roll(model, 4) == 0) {
		verdict.result = "{\"sum\":1}";
		verdict.keep_result = roll(model, 2) ? 100 : PRONG_SECONDS(1000);
	}
	return verdict;
}

static bool is_among(const struct job_verdict *verdicts, size_t count, const struct job_verdict *one)
{
	for (size_t i = 0; i < count; i++)
		if (string_equal(verdicts[i].id, one->id) && verdicts[i].attempt == one->attempt)
			return true;
	return false;
}

static void run_exchange(struct model *model, struct job_exchange *exchange, size_t owner)
{
	struct job_exchange_result result;
	char name[JOB_OWNER_SIZE];

	owner_name(model, owner, model->names[owner], name);
	exchange->shard = model->shard;
	exchange->owner = name;
	exchange->identity = model->registered[owner] ? NULL : "model";
	if (job_queue_exchange(model->queue, &model->arena, exchange, &result) < 0) {
		fail(model, "exchange");
		return;
	}
	model->registered[owner] = !result.reclaimed;
	model->names[owner] += result.reclaimed;
	if (model->paused && result.n_deliveries)
		fail(model, "a paused queue was fetched from");
	remember(model, &result, owner);
}

static void do_exchange(struct model *model)
{
	static const prong_duration leases[] = { 0, 0, 0, 0, 0, 0, 1, 300 };
	struct job_verdict verdicts[20];
	struct job_report report = { .text = "{\"done\":1,\"total\":2}" };
	size_t owner = roll(model, OWNERS), wanted = roll(model, ARRAY_SIZE(verdicts));
	struct job_exchange exchange = { .verdicts = verdicts,
					 .fetch = roll(model, 6),
					 .lease = leases[roll(model, ARRAY_SIZE(leases))] };

	for (size_t tries = 0; model->n_held > 0 && tries < wanted; tries++) {
		const struct held *held = pick(model);
		struct job_verdict verdict = some_verdict(model, held);

		if ((held->owner == owner || roll(model, 4) == 0) && !is_among(verdicts, exchange.n_verdicts, &verdict))
			verdicts[exchange.n_verdicts++] = verdict;
	}
	if (model->n_held > 0 && roll(model, 4) == 0) {
		const struct held *held = pick(model);

		memcpy(report.id, held->verdict.id, sizeof(report.id));
		report.attempt = held->verdict.attempt;
		exchange.reports = &report;
		exchange.n_reports = 1;
	}
	run_exchange(model, &exchange, owner);
}

static void do_housekeeping(struct model *model)
{
	struct job_exchange_result result;

	if (job_queue_exchange(model->queue, &model->arena, &(struct job_exchange){ .shard = model->shard }, &result) <
	    0)
		fail(model, "housekeeping");
	for (size_t i = 0; i < result.n_lapsed; i++) {
		struct job_reclaimed reclaimed;

		if (job_queue_reclaim(model->queue, model->shard, result.lapsed[i], &model->arena, &reclaimed) < 0)
			fail(model, "reclaim");
	}
}

static void do_die(struct model *model)
{
	const struct held *held = pick(model);
	struct job_reclaimed reclaimed;
	size_t owner = roll(model, OWNERS);
	prong_uuid culprit = { 0 };

	if (held && held->owner == owner && roll(model, 2))
		prong_uuid_parse(held->verdict.id, &culprit);
	if (job_queue_reclaim_process(model->queue, "model", 0xa000 + owner, culprit, &model->arena, &reclaimed) < 0)
		fail(model, "reclaim_process");
}

static void do_leave(struct model *model)
{
	size_t owner = roll(model, OWNERS);
	char name[JOB_OWNER_SIZE];

	owner_name(model, owner, model->names[owner], name);
	if (job_queue_leave(model->queue, model->shard, name) < 0)
		fail(model, "leave");
}

/* Consumers' waiting takes the token; whoever took it makes an exchange. */
static void do_take_token(struct model *model)
{
	_cleanup_(reply_freep) redisReply *reply = NULL;

	redis_commandf(model->redis, PRONG_SECONDS(5), &reply, "RPOP %s", model->shard->keys[JOB_KEY_WAKE]);
	do_exchange(model);
}

/* ---- people ---- */

static void do_cancel(struct model *model)
{
	int r = job_queue_cancel(model->queue, "model", some_id(model));

	if (r < 0 && r != -ENOENT)
		fail(model, "cancel");
}

static void do_retry(struct model *model)
{
	const char *ids[] = { some_id(model), some_id(model), some_id(model) };

	if (job_queue_retry(model->queue, "model", ids, ARRAY_SIZE(ids)) < 0)
		fail(model, "retry");
}

static void do_show(struct model *model)
{
	struct job_detail detail;
	int r = job_queue_show(model->queue, "model", some_id(model), &model->arena, &detail);

	if (r < 0 && r != -ENOENT)
		fail(model, "show");
}

/* Between the two questions time goes on, and a job may become due. */
static void do_list(struct model *model)
{
	struct job_listing *listings;
	struct job_stats stats;
	size_t count;
	enum job_state state = (enum job_state)roll(model, JOB_STATES);

	for (int attempt = 0; attempt < 5; attempt++) {
		if (job_queue_stats(model->queue, "model", &stats) < 0 ||
		    job_queue_list(model->queue, "model", state, 0, 1000, &model->arena, &listings, &count) < 0) {
			fail(model, "list");
			return;
		}
		if (count == stats.states[state] || stats.states[state] > 1000)
			return;
	}
	fail(model, "as many are listed as are counted");
}

static void do_pause(struct model *model)
{
	model->paused = !model->paused && roll(model, 3) == 0;
	if (job_queue_pause(model->queue, "model", model->paused) < 0)
		fail(model, "pause");
}

static void do_drain(struct model *model)
{
	static const enum job_state states[] = { JOB_STATE_READY, JOB_STATE_DELAYED, JOB_STATE_DEAD };

	if (roll(model, 20) == 0 && job_queue_drain(model->queue, "model", states[roll(model, 3)], NULL, NULL) < 0)
		fail(model, "drain");
}

#define OPERATION(name)          \
	{                        \
#name, do_##name \
	}
static const struct {
	const char *name;
	void (*run)(struct model *model);
} operations[] = {
	OPERATION(add),	       OPERATION(add),	    OPERATION(relay), OPERATION(exchange), OPERATION(exchange),
	OPERATION(exchange),   OPERATION(exchange), OPERATION(die),   OPERATION(leave),	   OPERATION(housekeeping),
	OPERATION(take_token), OPERATION(cancel),   OPERATION(retry), OPERATION(show),	   OPERATION(list),
	OPERATION(pause),      OPERATION(drain),
};

/* ---- the end ---- */

/* Every job that is left runs and is done; then only the dead are left. */
static void finish_all(struct model *model)
{
	int64_t give_up = monotonic_us() + PRONG_SECONDS(30);
	struct job_stats stats = { 0 };

	job_queue_pause(model->queue, "model", false);
	model->paused = false;
	job_queue_drain(model->queue, "model", JOB_STATE_DELAYED, NULL, NULL);
	do {
		struct job_exchange exchange = { .shard = model->shard, .owner = "00000000000000bb-0", .fetch = 100 };
		struct job_exchange_result result;
		struct job_reclaimed reclaimed;
		struct job_verdict verdicts[100];

		for (size_t owner = 0; owner < OWNERS; owner++)
			job_queue_reclaim_process(model->queue, "model", 0xa000 + owner, (prong_uuid){ 0 },
						  &model->arena, &reclaimed);
		exchange.identity = "last";
		if (job_queue_exchange(model->queue, &model->arena, &exchange, &result) < 0)
			fail(model, "exchange");
		exchange.fetch = 0;
		exchange.verdicts = verdicts;
		exchange.n_verdicts = result.n_deliveries;
		for (size_t i = 0; i < result.n_deliveries; i++) {
			verdicts[i] = (struct job_verdict){ .attempt = result.deliveries[i].attempt,
							    .plain = result.deliveries[i].plain };
			memcpy(verdicts[i].id, result.deliveries[i].id, sizeof(verdicts[i].id));
		}
		if (job_queue_exchange(model->queue, &model->arena, &exchange, &result) < 0 || result.refused > 0)
			fail(model, "a held job's result was refused");
		if (job_queue_stats(model->queue, "model", &stats) < 0 || monotonic_us() > give_up)
			fail(model, "jobs do not end");
		arena_reset(&model->arena);
	} while (!model->broken && stats.states[JOB_STATE_READY] + stats.states[JOB_STATE_RUNNING] > 0);
	if (stats.states[JOB_STATE_DEAD] > MAX_DEAD)
		fail(model, "more dead are kept than may be");
	check_invariants(model, "all");
}

static void run_model(void *argument)
{
	struct model *model = argument;
	_cleanup_(reply_freep) redisReply *reply = NULL;

	if (redis_commandf(model->redis, PRONG_SECONDS(5), &reply, "FLUSHALL") < 0)
		fail(model, "FLUSHALL");
	for (int step = 0; step < STEPS && !model->broken; step++) {
		size_t operation = roll(model, ARRAY_SIZE(operations));

		operations[operation].run(model);
		check_invariants(model, operations[operation].name);
		arena_reset(&model->arena);
	}
	if (!model->broken)
		finish_all(model);
	arena_reset(&model->arena);
	loop_stop(model->loop);
}

static void play(struct prong_queue *queue)
{
	static const struct prong_job *jobs[] = { &nothing_job };
	struct registry registry = { .n_queues = 1, .queues = queue, .n_jobs = 1, .jobs = jobs };
	const char *given = getenv("PRONG_TEST_SEED");
	struct model *model = allocate(sizeof(*model));
	size_t n_shards;

	model->seed = given ? strtoull(given, NULL, 10) : random_u64();
	model->state = model->seed | 1;
	model->loop = loop_new(10);
	model->redis = redis_new(model->loop, server_url(SERVER_REDIS), "model");
	model->queue = job_queue_new(model->loop, model->redis, &registry);
	model->shard = job_queue_shards(model->queue, "model", &n_shards);
	arena_init(&model->arena);
	CU_ASSERT_FATAL(coroutine_start(model->loop, run_model, model, NULL) == 0);
	loop_run(model->loop);
	CU_ASSERT(!model->broken);
	CU_ASSERT(model->delivered > STEPS / 20); /* the run meant something */
	job_queue_free(model->queue);
	redis_free(model->redis);
	loop_free(model->loop);
	free(model);
}

TEST(job_model, keeps_its_invariants)
{
	play(&(struct prong_queue){
		.name = "model", .shards = 1, .max_dead = MAX_DEAD, .max_results = 10, .dead_age = PRONG_DAYS(1) });
}

TEST(job_model, keeps_its_invariants_under_limits)
{
	play(&(struct prong_queue){ .name = "model",
				    .shards = 1,
				    .concurrency = 8,
				    .rate = { 100, PRONG_MILLISECONDS(20) },
				    .key_concurrency = 2,
				    .key_rate = { 5, PRONG_MILLISECONDS(10) },
				    .max_dead = MAX_DEAD,
				    .max_results = 10,
				    .dead_age = PRONG_MILLISECONDS(50) });
}
