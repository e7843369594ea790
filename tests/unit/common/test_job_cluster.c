/* The engine on a real Redis Cluster: a queue's shards are spread over its nodes. */
#include "tests/unit/common/job_scene.h"

#define SHARDS 8
#define JOBS 80

static struct redis_server *masters[REDIS_CLUSTER_MASTERS];

/* How many of the cluster's nodes have keys of the queue. */
static size_t nodes_in_use(void)
{
	size_t count = 0;

	for (int i = 0; i < REDIS_CLUSTER_MASTERS; i++) {
		_cleanup_(freep) char *size = redis_server_ask(masters[i], "DBSIZE");

		count += atoi(size) > 0;
	}
	return count;
}

/* Fetches all that a shard has and finishes it; unless `kindly`, the first one dies. Returns how many there were. */
static size_t work_off(struct scene *scene, const struct job_shard *shard, bool kindly)
{
	struct job_exchange_result fetched =
		scene_exchange(scene, 1, (struct job_exchange){ .shard = shard, .fetch = JOBS });
	struct job_verdict *verdicts = arena_alloc(&scene->arena, (fetched.n_deliveries + 1) * sizeof(*verdicts));

	for (size_t i = 0; i < fetched.n_deliveries; i++) {
		verdicts[i] = (struct job_verdict){
			.attempt = fetched.deliveries[i].attempt,
			.plain = fetched.deliveries[i].plain,
			.outcome = kindly || i > 0 ? JOB_DONE : JOB_DEAD,
			.error = kindly || i > 0 ? NULL : "{\"code\":\"x\",\"message\":\"y\"}",
		};
		memcpy(verdicts[i].id, fetched.deliveries[i].id, sizeof(verdicts[i].id));
	}
	CU_ASSERT_EQUAL(scene_exchange(scene, 1,
				       (struct job_exchange){ .shard = shard,
							      .verdicts = verdicts,
							      .n_verdicts = fetched.n_deliveries })
				.refused,
			0);
	return fetched.n_deliveries;
}

static void spread(struct scene *scene)
{
	static const char *const keys[] = { NULL, "one", "two" };
	struct job_listing *dead = NULL;
	const char *ids[SHARDS];
	size_t n_shards, n_dead = 0, done = 0;
	struct job_shard *shards = job_queue_shards(scene->queue, "model", &n_shards);
	struct redis *blocking = redis_new(scene->loop, redis_server_url(masters[1]), "unit test");
	int64_t bytes = 0;

	CU_ASSERT_EQUAL(n_shards, SHARDS);
	for (int i = 0; i < JOBS; i++)
		scene_add(scene, "1",
			  (struct prong_enqueue_options){ .key = keys[i % ARRAY_SIZE(keys)], .priority = i % 3 - 1 });
	CU_ASSERT(scene_counts_are(scene, JOBS, 0, 0, 0));
	CU_ASSERT_EQUAL(nodes_in_use(), REDIS_CLUSTER_MASTERS);
	CU_ASSERT_EQUAL(job_queue_memory(scene->queue, "model", &bytes), 0);
	CU_ASSERT(bytes > JOBS);

	for (size_t i = 0; i < n_shards; i++) {
		size_t woken = 99;

		/* Shards without jobs have no token. */
		if (job_queue_wait(blocking, (const struct job_shard *[]){ &shards[i] }, 1, PRONG_MILLISECONDS(10),
				   &woken) == 0)
			CU_ASSERT_EQUAL(woken, 0);
		done += work_off(scene, &shards[i], false);
		memset(scene->registered, 0, sizeof(scene->registered)); /* an owner is of one shard */
	}
	CU_ASSERT_EQUAL(done, JOBS);
	CU_ASSERT_EQUAL(job_queue_list(scene->queue, "model", JOB_STATE_DEAD, 0, SHARDS, &scene->arena, &dead, &n_dead),
			0);
	CU_ASSERT(n_dead > 2);
	for (size_t i = 0; i < n_dead; i++)
		ids[i] = dead[i].id;
	CU_ASSERT_EQUAL(job_queue_retry(scene->queue, "model", ids, n_dead), (int)n_dead);
	CU_ASSERT(scene_counts_are(scene, n_dead, 0, 0, 0));
	CU_ASSERT_EQUAL(job_queue_cancel(scene->queue, "model", ids[0]), 0);
	CU_ASSERT(scene_counts_are(scene, n_dead - 1, 0, 0, 0));
	redis_free(blocking);
}

static void survives(struct scene *scene)
{
	int64_t give_up = monotonic_us() + PRONG_SECONDS(60);
	struct job_stats stats;
	size_t n_shards, done = 0;
	struct job_shard *shards = job_queue_shards(scene->queue, "model", &n_shards);

	for (int i = 0; i < JOBS; i++)
		scene_add(scene, "1", (struct prong_enqueue_options){ 0 });
	redis_server_kill(masters[1]);
	redis_server_launch(masters[1]);
	while (job_queue_stats(scene->queue, "model", &stats) < 0 && monotonic_us() < give_up)
		scene_sleep(PRONG_MILLISECONDS(20));
	CU_ASSERT(scene_counts_are(scene, JOBS, 0, 0, 0));
	for (size_t i = 0; i < n_shards; i++) {
		done += work_off(scene, &shards[i], true);
		memset(scene->registered, 0, sizeof(scene->registered));
	}
	CU_ASSERT_EQUAL(done, JOBS);
	CU_ASSERT(scene_counts_are(scene, 0, 0, 0, 0));
}

TEST(job_cluster, a_queue_is_spread_over_the_nodes)
{
	redis_cluster_start(masters, (const char *const[]){ NULL });
	scene_play_on(masters[0], spread, &(struct prong_queue){ .shards = SHARDS });
	redis_cluster_stop(masters);
}

TEST(job_cluster, no_job_is_lost_with_a_node)
{
	redis_cluster_start(masters, (const char *const[]){ NULL });
	scene_play_on(masters[0], survives, &(struct prong_queue){ .shards = SHARDS });
	redis_cluster_stop(masters);
}
