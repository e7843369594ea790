#include "common/limits/rate_limit.h"

#include <stdio.h>

#include "common/context.h"
#include "common/redis/redis.h"
#include "tests/unit/common/redis_server.h"
#include "tests/unit/common/servers.h"
#include "tests/unit/test.h"

#define TIMEOUT PRONG_SECONDS(60)

/* So slow that nothing comes back while a test runs: what is let through is exact. */
static const struct prong_rate five = { 5, PRONG_HOURS(5) }, two = { 2, PRONG_HOURS(2) };

static struct settings settings = { .threads = 1, .max_requests = 100, .secret = "a secret" };
static struct registry registry;

static struct runtime *open_runtime(const char *redis_url)
{
	settings.redis_url = redis_url;
	return runtime_new(&settings, &registry, NULL, "unit test", -1, RUNTIME_REDIS);
}

static void play(const char *redis_url, int (*scene)(struct prong_ctx *ctx, void *argument), void *argument)
{
	struct runtime *runtime = open_runtime(redis_url);

	CU_ASSERT_EQUAL(context_run(runtime, TIMEOUT, scene, argument), 0);
	runtime_free(runtime);
}

static int take(struct prong_ctx *ctx, const char *key, struct prong_rate rate)
{
	prong_duration wait;
	size_t which;

	return rate_limit_take(ctx, &(struct rate_limit){ "test", key, rate }, 1, &wait, &which);
}

static int take_many(struct prong_ctx *ctx, const char *key, struct prong_rate rate, int tries)
{
	int taken = 0;

	for (int i = 0; i < tries; i++)
		taken += take(ctx, key, rate) == 0;
	return taken;
}

/* ---- the rules, in Redis and without it ---- */

static int let_through_exactly(struct prong_ctx *ctx, void *argument)
{
	struct rate_limit limit = { "exact", "key", five };
	prong_duration wait = -1;
	int64_t began, elapsed;
	size_t which = 9;

	(void)argument;
	rate_limit_reset(ctx, &limit, 1);
	began = monotonic_us();
	for (int i = 0; i < 5; i++) {
		CU_ASSERT_EQUAL(rate_limit_ask(ctx, &limit, 1, &wait, &which), 0);
		CU_ASSERT_EQUAL(rate_limit_take(ctx, &limit, 1, &wait, &which), 0);
	}
	CU_ASSERT(wait == -1 && which == 9);
	for (int i = 0; i < 3; i++) { /* what is refused is not counted */
		CU_ASSERT_EQUAL(rate_limit_take(ctx, &limit, 1, &wait, &which), -EDQUOT);
		elapsed = monotonic_us() - began;
		CU_ASSERT(wait <= PRONG_HOURS(1) && wait >= PRONG_HOURS(1) - elapsed - 1000);
		CU_ASSERT_EQUAL(which, 0);
	}
	CU_ASSERT_EQUAL(rate_limit_ask(ctx, &limit, 1, &wait, &which), -EDQUOT);

	rate_limit_give(ctx, &limit, 1);
	CU_ASSERT_EQUAL(take_many(ctx, "unused", two, 0), 0);
	CU_ASSERT_EQUAL(rate_limit_take(ctx, &limit, 1, &wait, &which), 0);
	CU_ASSERT_EQUAL(rate_limit_take(ctx, &limit, 1, &wait, &which), -EDQUOT);

	rate_limit_reset(ctx, &limit, 1);
	rate_limit_give(ctx, &limit, 1); /* of an empty bucket there is nothing to give back */
	for (int i = 0; i < 8; i++)
		CU_ASSERT_EQUAL(rate_limit_take(ctx, &limit, 1, &wait, &which), i < 5 ? 0 : -EDQUOT);
	rate_limit_reset(ctx, &limit, 1);
	return 0;
}

static int take_all_or_none(struct prong_ctx *ctx, void *argument)
{
	struct rate_limit limits[] = { { "wide", "key", five },
				       { "none", "key", { 0, 0 } },
				       { "narrow", "key", two },
				       { "wide", "other", five } };
	prong_duration wait;
	size_t which;

	(void)argument;
	rate_limit_reset(ctx, limits, 4);
	CU_ASSERT_EQUAL(rate_limit_take(ctx, limits, 4, &wait, &which), 0);
	CU_ASSERT_EQUAL(rate_limit_take(ctx, limits, 4, &wait, &which), 0);
	for (int i = 0; i < 5; i++) {
		CU_ASSERT_EQUAL(rate_limit_take(ctx, limits, 4, &wait, &which), -EDQUOT);
		CU_ASSERT_EQUAL(which, 2);
	}
	/* The wide ones have given two each. */
	for (int i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(rate_limit_take(ctx, limits, 1, &wait, &which), 0);
	CU_ASSERT_EQUAL(rate_limit_take(ctx, limits, 1, &wait, &which), -EDQUOT);
	CU_ASSERT_EQUAL(rate_limit_ask(ctx, limits + 3, 1, &wait, &which), 0);
	/* The longest wait counts: an hour each, and the wide one was taken from last. */
	CU_ASSERT_EQUAL(rate_limit_take(ctx, limits, 4, &wait, &which), -EDQUOT);
	CU_ASSERT_EQUAL(which, 0);
	CU_ASSERT_EQUAL(rate_limit_take(ctx, limits + 1, 1, &wait, &which), 0);
	CU_ASSERT_EQUAL(rate_limit_take(ctx, NULL, 0, &wait, &which), 0);
	rate_limit_reset(ctx, limits, 4);
	return 0;
}

static int keep_keys_apart(struct prong_ctx *ctx, void *argument)
{
	struct rate_limit one = { "ab", "c", two }, other = { "a", "bc", two };
	prong_duration wait;
	size_t which;

	(void)argument;
	rate_limit_reset(ctx, &one, 1);
	rate_limit_reset(ctx, &other, 1);
	CU_ASSERT_EQUAL(rate_limit_take(ctx, &one, 1, &wait, &which), 0);
	CU_ASSERT_EQUAL(rate_limit_take(ctx, &one, 1, &wait, &which), 0);
	CU_ASSERT_EQUAL(rate_limit_take(ctx, &one, 1, &wait, &which), -EDQUOT);
	CU_ASSERT_EQUAL(rate_limit_take(ctx, &other, 1, &wait, &which), 0);
	CU_ASSERT_EQUAL(take_many(ctx, "", two, 3), 2); /* a key may be empty, or have any bytes */
	CU_ASSERT_EQUAL(take_many(ctx, "\r\n{}*\xff", two, 3), 2);
	return 0;
}

/* A rule of a thousand a second lets that through again in time, and never more. */
static int refill(struct prong_ctx *ctx, void *argument)
{
	static const struct prong_rate fast = { 10, PRONG_MILLISECONDS(100) };
	int64_t began = monotonic_us(), elapsed;
	int taken = 0;

	(void)argument;
	do {
		taken += take(ctx, "refilled", fast) == 0;
		elapsed = monotonic_us() - began;
	} while (taken < 30);
	/* 30 are 10 at once and 20 in 10 ms each; clocks of two processes may differ by their resolution. */
	CU_ASSERT(elapsed >= PRONG_MILLISECONDS(199));
	return 0;
}

static const struct {
	int (*run)(struct prong_ctx *ctx, void *argument);
} rules[] = { { let_through_exactly }, { take_all_or_none }, { keep_keys_apart }, { refill } };

TEST(rate_limit, rules_hold_in_redis)
{
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		play(server_url(SERVER_REDIS), rules[i].run, NULL);
}

TEST(rate_limit, rules_hold_without_redis)
{
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		play("unix:///nonexistent/redis.sock", rules[i].run, NULL);
}
