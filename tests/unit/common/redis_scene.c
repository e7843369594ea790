#include "tests/unit/common/redis_scene.h"

#include "tests/unit/test.h"

static void play_coroutine(void *argument)
{
	struct scene *scene = argument;

	scene->body(scene);
	loop_stop(scene->loop);
}

static void run(const char *url, struct scene *scene)
{
	scene->loop = loop_new(1000);
	scene->redis = redis_new(scene->loop, url, "unit test");
	CU_ASSERT_FATAL(coroutine_start(scene->loop, play_coroutine, scene, NULL) == 0);
	loop_run(scene->loop);
	redis_free(scene->redis);
	loop_free(scene->loop);
}

void play(const char *url, struct redis_server *server, void (*body)(struct scene *scene))
{
	run(url, &(struct scene){ .server = server, .body = body });
}

void play_in_cluster(const char *url, struct redis_server **masters, void (*body)(struct scene *scene))
{
	run(url, &(struct scene){ .masters = masters, .body = body });
}

bool pings(struct redis *redis)
{
	_cleanup_(reply_freep) redisReply *reply = NULL;

	return redis_commandf(redis, TIMEOUT, &reply, "PING") == 0 && reply->type == REDIS_REPLY_STATUS;
}

bool pings_at_last(struct redis *redis)
{
	int64_t give_up = monotonic_us() + PRONG_SECONDS(30);

	while (!pings(redis)) {
		if (monotonic_us() > give_up)
			return false;
		coroutine_sleep_until(monotonic_us() + PRONG_MILLISECONDS(20));
	}
	return true;
}
