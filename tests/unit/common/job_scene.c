#include "tests/unit/common/job_scene.h"

static int nothing(struct prong_ctx *ctx)
{
	(void)ctx;
	return 0;
}
const struct prong_job scene_job = {
	.name = "nothing", .run = nothing, .queue = "model", .max_attempts = 3, .max_crashes = 2
};
const struct prong_job scene_other_job = { .name = "nothing_else", .run = nothing, .queue = "other-queue" };

static void expect_order(struct scene *scene)
{
	struct buffer findings = { 0 };
	int count = job_queue_fsck(scene->queue, "model", false, &findings);

	CU_ASSERT_EQUAL(count, 0);
	if (count)
		fputs(buffer_text(&findings), stderr);
	buffer_free(&findings);
}

static void play_coroutine(void *argument)
{
	struct scene *scene = argument;

	scene_command(scene, "FLUSHALL");
	scene->body(scene);
	expect_order(scene);
	loop_stop(scene->loop);
}

static void play(const char *url, struct scene *scene, const struct prong_queue *rules)
{
	static const struct prong_job *jobs[] = { &scene_job, &scene_other_job };
	struct prong_queue queues[] = { rules ? *rules : (struct prong_queue){ 0 }, { .name = "other-queue" } };
	struct registry registry = { .n_queues = 2, .queues = queues, .n_jobs = 2, .jobs = jobs };
	size_t n_shards;

	for (size_t i = 0; i < ARRAY_SIZE(queues); i++) {
		queues[i].shards = queues[i].shards ? queues[i].shards : 1;
		queues[i].max_dead = queues[i].max_dead ? queues[i].max_dead : 10000;
		queues[i].max_results = queues[i].max_results ? queues[i].max_results : 10000;
		queues[i].dead_age = queues[i].dead_age ? queues[i].dead_age : PRONG_DAYS(30);
	}
	queues[0].name = "model";
	arena_init(&scene->arena);
	scene->loop = loop_new(3000);
	scene->redis = redis_new(scene->loop, url, "unit test");
	scene->queue = job_queue_new(scene->loop, scene->redis, &registry);
	scene->shard = job_queue_shards(scene->queue, "model", &n_shards);
	CU_ASSERT_FATAL(coroutine_start(scene->loop, play_coroutine, scene, NULL) == 0);
	loop_run(scene->loop);
	job_queue_free(scene->queue);
	redis_free(scene->redis);
	loop_free(scene->loop);
	arena_reset(&scene->arena);
}

void scene_play(void (*body)(struct scene *scene), const struct prong_queue *rules)
{
	struct scene scene = { .body = body };

	play(server_url(SERVER_REDIS), &scene, rules);
}

void scene_play_on(struct redis_server *server, void (*body)(struct scene *scene), const struct prong_queue *rules)
{
	struct scene scene = { .server = server, .body = body };

	play(redis_server_url(server), &scene, rules);
}

prong_uuid scene_add(struct scene *scene, const char *payload, struct prong_enqueue_options options)
{
	struct job_draft draft = {
		.job = &scene_job,
		.id = job_id_make(scene->queue, &scene_job, &options),
		.payload = payload,
		.payload_size = strlen(payload),
		.request_id = "request-1",
		.options = options,
	};
	struct job_added added = { 0 };
	prong_uuid id = { 0 };

	CU_ASSERT(job_queue_add(scene->queue, &draft, 1, &added) == 0);
	CU_ASSERT(prong_uuid_parse(added.id, &id) == 0);
	return id;
}

const char *scene_owner(struct scene *scene, size_t owner)
{
	char *name = arena_alloc(&scene->arena, JOB_OWNER_SIZE);

	job_owner_format(owner, 0, name);
	return name;
}

struct job_exchange_result scene_exchange(struct scene *scene, size_t owner, struct job_exchange exchange)
{
	struct job_exchange_result result = { .refused = 999 };

	exchange.shard = exchange.shard ? exchange.shard : scene->shard;
	exchange.owner = scene_owner(scene, owner);
	exchange.identity = scene->registered[owner] ? NULL : "unit test";
	CU_ASSERT(job_queue_exchange(scene->queue, &scene->arena, &exchange, &result) == 0);
	scene->registered[owner] = !result.reclaimed;
	return result;
}

struct job_exchange_result scene_fetch(struct scene *scene, size_t count)
{
	return scene_exchange(scene, 1, (struct job_exchange){ .fetch = count });
}

static struct job_verdict verdict_on(const struct delivery *delivery, enum job_outcome outcome, prong_duration delay)
{
	struct job_verdict verdict = {
		.attempt = delivery->attempt, .plain = delivery->plain, .outcome = outcome, .delay = delay
	};

	if (outcome == JOB_RETRY || outcome == JOB_DEAD || outcome == JOB_CRASHED)
		verdict.error = "{\"code\":\"x\",\"message\":\"y\"}";
	memcpy(verdict.id, delivery->id, sizeof(verdict.id));
	return verdict;
}

struct job_exchange_result scene_judge(struct scene *scene, const struct delivery *delivery, enum job_outcome outcome,
				       prong_duration delay)
{
	struct job_verdict verdict = verdict_on(delivery, outcome, delay);

	return scene_exchange(scene, 1, (struct job_exchange){ .verdicts = &verdict, .n_verdicts = 1 });
}

void scene_finish(struct scene *scene, const struct job_exchange_result *fetched)
{
	struct job_verdict *verdicts = arena_alloc(&scene->arena, (fetched->n_deliveries + 1) * sizeof(*verdicts));

	for (size_t i = 0; i < fetched->n_deliveries; i++)
		verdicts[i] = verdict_on(&fetched->deliveries[i], JOB_DONE, 0);
	CU_ASSERT_EQUAL(
		scene_exchange(scene, 1,
			       (struct job_exchange){ .verdicts = verdicts, .n_verdicts = fetched->n_deliveries })
			.refused,
		0);
}

const char *scene_payloads(struct scene *scene, const struct job_exchange_result *result)
{
	char *text = arena_strdup(&scene->arena, "");

	for (size_t i = 0; i < result->n_deliveries; i++)
		text = arena_format(&scene->arena, "%s%s%s", text, i ? "," : "", result->deliveries[i].payload);
	return text;
}

bool scene_counts_are(struct scene *scene, uint64_t ready, uint64_t delayed, uint64_t running, uint64_t dead)
{
	struct job_stats stats = { 0 };

	CU_ASSERT(job_queue_stats(scene->queue, "model", &stats) == 0);
	return stats.states[JOB_STATE_READY] == ready && stats.states[JOB_STATE_DELAYED] == delayed &&
	       stats.states[JOB_STATE_RUNNING] == running && stats.states[JOB_STATE_DEAD] == dead;
}

void scene_sleep(prong_duration duration)
{
	coroutine_sleep_until(monotonic_us() + duration);
}

int64_t scene_command(struct scene *scene, const char *command)
{
	_cleanup_(reply_freep) redisReply *reply = NULL;

	CU_ASSERT(redis_commandf(scene->redis, TIMEOUT, &reply, command) == 0);
	return reply && reply->type == REDIS_REPLY_INTEGER ? reply->integer : 0;
}
