#include "common/limits/rate_limit.h"

#include <signal.h>
#include <sys/wait.h>

#include "common/context.h"
#include "common/loop.h"
#include "common/redis/redis.h"
#include "tests/unit/common/redis_server.h"
#include "tests/unit/common/servers.h"
#include "tests/unit/test.h"

#define TIMEOUT PRONG_SECONDS(60)
#define NOWHERE "unix:///nonexistent/redis.sock"

/* So slow that nothing comes back while a test runs: what is let through is exact. */
static const struct prong_rate five = { 5, PRONG_HOURS(5) }, two = { 2, PRONG_HOURS(2) };

static struct settings settings = { .threads = 1, .max_requests = 100, .secret = "a secret" };
static struct registry registry;
static const char *const no_options[] = { NULL };

static struct runtime *open_runtime(const char *redis_url)
{
	settings.redis_url = redis_url;
	return runtime_new(&settings, &registry, NULL, "unit test", -1, RUNTIME_REDIS);
}

static void set_patience(struct runtime *runtime, prong_duration patience)
{
	rate_limits_free(runtime->rate_limits);
	runtime->rate_limits = rate_limits_new(settings.secret, patience);
}

static void play(const char *redis_url, int (*scene)(struct prong_ctx *ctx, void *argument), void *argument)
{
	struct runtime *runtime = open_runtime(redis_url);

	/* So long that a slow machine's Redis is not taken to be away. */
	if (!string_equal(redis_url, NOWHERE))
		set_patience(runtime, PRONG_SECONDS(20));
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
	for (int i = 0; i < 5; i++)
		CU_ASSERT_EQUAL(rate_limit_take(ctx, &limit, 1, &wait, &which), 0);
	CU_ASSERT(wait == -1 && which == 9);
	for (int i = 0; i < 3; i++) { /* what is refused is not counted */
		CU_ASSERT_EQUAL(rate_limit_take(ctx, &limit, 1, &wait, &which), -EDQUOT);
		elapsed = monotonic_us() - began;
		CU_ASSERT(wait <= PRONG_HOURS(1) && wait >= PRONG_HOURS(1) - elapsed - 1000);
		CU_ASSERT_EQUAL(which, 0);
	}

	rate_limit_give(ctx, &limit, 1);
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
	CU_ASSERT_EQUAL(rate_limit_take(ctx, limits + 3, 1, &wait, &which), 0);
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
	struct rate_limit odd[] = { { "test", "", two }, { "test", "\r\n{}*\xff", two } };
	prong_duration wait;
	size_t which;

	(void)argument;
	rate_limit_reset(ctx, &one, 1);
	rate_limit_reset(ctx, &other, 1);
	for (size_t i = 0; i < ARRAY_SIZE(odd); i++)
		rate_limit_reset(ctx, &odd[i], 1);
	CU_ASSERT_EQUAL(rate_limit_take(ctx, &one, 1, &wait, &which), 0);
	CU_ASSERT_EQUAL(rate_limit_take(ctx, &one, 1, &wait, &which), 0);
	CU_ASSERT_EQUAL(rate_limit_take(ctx, &one, 1, &wait, &which), -EDQUOT);
	CU_ASSERT_EQUAL(rate_limit_take(ctx, &other, 1, &wait, &which), 0);
	for (size_t i = 0; i < ARRAY_SIZE(odd); i++)
		CU_ASSERT_EQUAL(take_many(ctx, odd[i].key, two, 3), 2);
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
		play(NOWHERE, rules[i].run, NULL);
}

static int charge(struct prong_ctx *ctx, void *argument)
{
	struct rate_limit limit = { "charged", "key", two };
	prong_duration wait;
	size_t which;

	(void)argument;
	rate_limit_reset(ctx, &limit, 1);
	for (int i = 0; i < 3; i++)
		rate_limit_charge(ctx, &limit, 1);
	CU_ASSERT_EQUAL(rate_limit_take(ctx, &limit, 1, &wait, &which), -EDQUOT);
	CU_ASSERT(wait > PRONG_MINUTES(119) && wait <= PRONG_HOURS(2));
	rate_limit_give(ctx, &limit, 1);
	CU_ASSERT_EQUAL(rate_limit_take(ctx, &limit, 1, &wait, &which), -EDQUOT);
	rate_limit_give(ctx, &limit, 1);
	CU_ASSERT_EQUAL(rate_limit_take(ctx, &limit, 1, &wait, &which), 0);
	/* However much is charged, who waits does so for a period beyond the rule's at most. */
	for (int i = 0; i < 20; i++)
		rate_limit_charge(ctx, &limit, 1);
	CU_ASSERT_EQUAL(rate_limit_take(ctx, &limit, 1, &wait, &which), -EDQUOT);
	CU_ASSERT(wait <= PRONG_HOURS(3));
	rate_limit_reset(ctx, &limit, 1);
	return 0;
}

TEST(rate_limit, charges_beyond_what_is_left)
{
	play(server_url(SERVER_REDIS), charge, NULL);
	play(NOWHERE, charge, NULL);
}

/* ---- what stands in Redis ---- */

static int odd_values(struct prong_ctx *ctx, void *argument)
{
	static const char *const values[] = { "", "x", "nan", "-5", "99999999999999999999", "inf", "1e300" };
	struct redis_server *server = argument;
	struct rate_limit limit = { "odd", "203.0.113.77", two };
	prong_duration wait = 0;
	size_t which;

	CU_ASSERT_EQUAL(rate_limit_take(ctx, &limit, 1, &wait, &which), 0);
	_cleanup_(freep) char *key = redis_server_ask(server, "RANDOMKEY"), *size = redis_server_ask(server, "DBSIZE");

	CU_ASSERT_STRING_EQUAL(size, "1");
	CU_ASSERT_EQUAL(strncmp(key, "prong:{limits}:odd:", 19), 0);
	CU_ASSERT_PTR_NULL(strstr(key, "203"));
	CU_ASSERT_EQUAL(strlen(key), 19 + 32);
	_cleanup_(freep) char *left = redis_server_ask(server, "PTTL %s", key);

	CU_ASSERT(atoi(left) > 0 && atoi(left) <= 3600 * 1000); /* it goes when the bucket is empty */

	/* Another's rule, a clock that was set back, nonsense: nobody waits longer than a rule of theirs makes them. */
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		free(redis_server_ask(server, "SET %s %s", key, values[i]));
		int r = rate_limit_take(ctx, &limit, 1, &wait, &which);
		_cleanup_(freep) char *stored = redis_server_ask(server, "GET %s", key);

		/* What is no time at all is an empty bucket. */
		if (strlen(values[i]) == 20) {
			CU_ASSERT(r == -EDQUOT && wait == PRONG_HOURS(3));
		} else {
			CU_ASSERT(r == 0 && strlen(stored) == 16 && strspn(stored, "0123456789") == 16);
		}
	}
	return 0;
}

TEST(rate_limit, keys_are_hashed_and_vanish)
{
	struct redis_server *server = redis_server_new(no_options);

	play(redis_server_url(server), odd_values, server);
	redis_server_free(server);
}

static int other_secret(struct prong_ctx *ctx, void *argument)
{
	(void)argument;
	CU_ASSERT_EQUAL(take_many(ctx, "shared", two, 5), 2);
	return 0;
}

TEST(rate_limit, keys_are_of_one_secret)
{
	struct redis_server *server = redis_server_new(no_options);
	const char *secret = settings.secret;
	char *size;

	play(redis_server_url(server), other_secret, NULL);
	settings.secret = "another secret";
	play(redis_server_url(server), other_secret, NULL);
	settings.secret = NULL;
	play(redis_server_url(server), other_secret, NULL);
	settings.secret = secret;
	size = redis_server_ask(server, "DBSIZE");
	CU_ASSERT_STRING_EQUAL(size, "3");
	free(size);
	redis_server_free(server);
}

/* ---- many at once ---- */

#define CLIENTS 2
#define COROUTINES 40
#define TRIES 5 /* of each */

struct crowd {
	struct prong_ctx *ctx;
	int taken, running;
};

static void try_often(void *argument)
{
	static const struct prong_rate fifty = { 50, PRONG_HOURS(50) };
	struct crowd *crowd = argument;
	struct prong_ctx ctx;

	context_init(&ctx, crowd->ctx->runtime);
	crowd->taken += take_many(&ctx, "crowd", fifty, TRIES);
	context_end(&ctx);
	crowd->running--;
}

static int all_at_once(struct prong_ctx *ctx, void *argument)
{
	struct crowd crowd = { .ctx = ctx, .running = COROUTINES };

	for (int i = 0; i < COROUTINES; i++)
		CU_ASSERT_EQUAL(coroutine_start(ctx->runtime->loop, try_often, &crowd, NULL), 0);
	while (crowd.running > 0)
		coroutine_sleep_until(monotonic_us() + PRONG_MILLISECONDS(1));
	*(int *)argument = crowd.taken;
	return 0;
}

/* In a process of its own. Returns the end of a pipe from which the number of those let through will come. */
static int fork_client(const char *url)
{
	int ends[2], taken = -1;
	struct runtime *runtime;
	pid_t pid;

	check(pipe(ends) == 0);
	pid = fork();
	check(pid >= 0);
	if (pid == 0) {
		runtime = open_runtime(url);
		set_patience(runtime, PRONG_SECONDS(20));
		context_run(runtime, TIMEOUT, all_at_once, &taken);
		_exit(write(ends[1], &taken, sizeof(taken)) == sizeof(taken) ? 0 : 1);
	}
	close(ends[1]);
	return ends[0];
}

TEST(rate_limit, many_at_once_of_several_processes_take_what_there_is)
{
	struct redis_server *server = redis_server_new(no_options);
	int ends[CLIENTS], total = 0, taken;

	for (int i = 0; i < CLIENTS; i++)
		ends[i] = fork_client(redis_server_url(server));
	for (int i = 0; i < CLIENTS; i++) {
		CU_ASSERT_EQUAL(read(ends[i], &taken, sizeof(taken)), sizeof(taken));
		total += taken;
		close(ends[i]);
		wait(NULL);
	}
	CU_ASSERT_EQUAL(total, 50);
	redis_server_free(server);
}

/* ---- Redis goes and comes ---- */

static int survive(struct prong_ctx *ctx, void *argument)
{
	struct redis_server *server = argument;
	int64_t began;
	int taken;

	CU_ASSERT_EQUAL(take_many(ctx, "survivor", five, 3), 3);

	set_patience(ctx->runtime, RATE_LIMITS_PATIENCE);
	/* Silent: one call waits, and the others do not. */
	redis_server_signal(server, SIGSTOP);
	began = monotonic_us();
	CU_ASSERT_EQUAL(take_many(ctx, "survivor", five, 7), 5);
	for (int i = 0; i < 1000; i++)
		take(ctx, "flood", five);
	CU_ASSERT(monotonic_us() - began < 100 * RATE_LIMITS_PATIENCE);
	redis_server_signal(server, SIGCONT);

	/* Gone. */
	redis_server_kill(server);
	CU_ASSERT_EQUAL(take_many(ctx, "survivor", five, 7), 0);
	CU_ASSERT_EQUAL(take_many(ctx, "gone", five, 7), 5);

	/* Back: the local ones are forgotten. */
	redis_server_launch(server);
	redis_server_wait(server);
	began = monotonic_us();
	while ((taken = take_many(ctx, "gone", five, 5)) == 0 && monotonic_us() - began < PRONG_SECONDS(30))
		coroutine_sleep_until(monotonic_us() + PRONG_MILLISECONDS(20));
	CU_ASSERT(taken > 0);
	return 0;
}

TEST(rate_limit, holds_while_redis_is_away)
{
	struct redis_server *server = redis_server_new(no_options);

	play(redis_server_url(server), survive, server);
	redis_server_free(server);
}

static int run_out_of_time(struct prong_ctx *ctx, void *argument)
{
	struct redis_server *server = argument;
	_cleanup_(freep) char *size = NULL;

	CU_ASSERT_EQUAL(take(ctx, "hurried", five), 0);
	redis_server_signal(server, SIGSTOP);
	coroutine_set_deadline(coroutine_current(), monotonic_us() + PRONG_MILLISECONDS(50));
	CU_ASSERT_EQUAL(take(ctx, "hurried", five), -ETIMEDOUT);
	coroutine_set_deadline(coroutine_current(), INT64_MAX);
	redis_server_signal(server, SIGCONT);

	/* What was given up is executed all the same; there is no local bucket beside the one in Redis. */
	CU_ASSERT_EQUAL(take_many(ctx, "hurried", five, 9), 3);
	size = redis_server_ask(server, "DBSIZE");
	CU_ASSERT_STRING_EQUAL(size, "1");
	return 0;
}

TEST(rate_limit, a_context_out_of_time_does_not_mean_that_redis_is_away)
{
	struct redis_server *server = redis_server_new(no_options);

	play(redis_server_url(server), run_out_of_time, server);
	redis_server_free(server);
}

/* ---- Redis Cluster ---- */

static int in_cluster(struct prong_ctx *ctx, void *argument)
{
	(void)argument;
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		rules[i].run(ctx, NULL);
	CU_ASSERT(redis_is_cluster(ctx->runtime->redis));
	return 0;
}

TEST(rate_limit, rules_hold_in_a_cluster)
{
	struct redis_server *masters[REDIS_CLUSTER_MASTERS];

	redis_cluster_start(masters, no_options);
	for (int i = 0; i < REDIS_CLUSTER_MASTERS; i++)
		play(redis_server_url(masters[i]), in_cluster, NULL);
	redis_cluster_stop(masters);
}
