#include "common/context.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/postgres/postgres.h"
#include "common/redis/redis.h"
#include "common/security/keyring.h"
#include "server/http/exchange.h"
#include "server/http/http_server.h"
#include "server/routes/routes.h"

#define CHECK_TIMEOUT PRONG_SECONDS(1)
#define CACHE_TIME PRONG_SECONDS(1)

enum dependency { POSTGRESQL, REDIS, DEPENDENCIES };
static const char *const dependency_names[DEPENDENCIES] = { "postgresql", "redis" };

/* A probe that waits for the running checks; on its stack. */
struct waiter {
	struct coroutine *coroutine;
	struct waiter *next, **previous;
};

/*
 * What the last checks of this process found. Both run on coroutines of their own, so that neither a slow one nor a
 * probe that is cancelled holds up the other probes.
 */
static struct {
	int64_t checked_at; /* monotonic µs; 0: never */
	int running;	    /* checks */
	bool up[DEPENDENCIES], known[DEPENDENCIES];
	struct waiter *waiters;
} readiness;

static void conclude(enum dependency dependency, bool up, const char *reason)
{
	if (!up && (readiness.up[dependency] || !readiness.known[dependency]))
		log_warning("%s is down: %s", dependency_names[dependency], reason);
	else if (up && readiness.known[dependency] && !readiness.up[dependency])
		log_info("%s is up again", dependency_names[dependency]);
	readiness.up[dependency] = up;
	readiness.known[dependency] = true;
	if (--readiness.running)
		return;
	readiness.checked_at = monotonic_us();
	for (struct waiter *waiter = readiness.waiters; waiter; waiter = waiter->next)
		coroutine_wake(waiter->coroutine, 0);
}

static void check_postgresql(void *argument)
{
	struct runtime *runtime = argument;
	const char *reason = NULL;
	int r = postgres_ping(runtime->postgres, CHECK_TIMEOUT, &reason);

	conclude(POSTGRESQL, r >= 0, reason && *reason ? reason : strerror(-r));
}

static void check_redis(void *argument)
{
	struct runtime *runtime = argument;
	_cleanup_(reply_freep) redisReply *reply = NULL;
	int r = redis_commandf(runtime->redis, CHECK_TIMEOUT, &reply, "PING");
	const char *reason = redis_last_error(runtime->redis);

	conclude(REDIS, r >= 0, *reason ? reason : strerror(-r));
}

static int wait_for_checks(void)
{
	struct waiter waiter = { .coroutine = coroutine_current(), .next = readiness.waiters };
	int r;

	waiter.previous = &readiness.waiters;
	if (waiter.next)
		waiter.next->previous = &waiter.next;
	readiness.waiters = &waiter;
	r = coroutine_wait(INT64_MAX);
	*waiter.previous = waiter.next;
	if (waiter.next)
		waiter.next->previous = waiter.previous;
	return r;
}

/* Suspends unless the last checks are recent. */
static int readiness_refresh(struct runtime *runtime)
{
	static coroutine_function *const checks[DEPENDENCIES] = { check_postgresql, check_redis };
	int r;

	if (readiness.running)
		return wait_for_checks();
	if (readiness.checked_at && monotonic_us() - readiness.checked_at < CACHE_TIME)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
		r = coroutine_start(runtime->loop, checks[i], runtime, NULL);
		if (r < 0)
			return r;
		readiness.running++;
	}
	return wait_for_checks();
}

static void add_check(struct buffer *out, const char *name, bool up)
{
	buffer_add_format(out, "%s\"%s\":{\"status\":\"%s\",\"critical\":true}",
			  out->data[out->size - 1] == '{' ? "" : ",", name, up ? "up" : "down");
}

int health_ready(struct prong_ctx *ctx)
{
	struct runtime *runtime = ctx->runtime;
	bool draining = ctx->exchange->server->draining, keys = true, ready;
	struct buffer json = { 0 };
	size_t n_keys;
	int r;

	r = readiness_refresh(runtime);
	if (r < 0)
		return r;
	if (runtime->keyring)
		keys = keyring_all(runtime->keyring, &n_keys) != NULL;
	ready = !draining && keys && readiness.up[POSTGRESQL] && readiness.up[REDIS];

	buffer_add_format(&json, "{\"status\":\"%s\",\"checks\":{",
			  ready	     ? "ready"
			  : draining ? "draining"
				     : "unavailable");
	for (size_t i = 0; i < DEPENDENCIES; i++)
		add_check(&json, dependency_names[i], readiness.up[i]);
	if (runtime->keyring)
		add_check(&json, "signing_keys", keys);
	buffer_add_literal(&json, "}}");
	prong_reply_bytes(ctx, ready ? 200 : 503, "application/json", json.data, json.size);
	buffer_free(&json);
	return 0;
}

static int reply_status(struct prong_ctx *ctx, const char *json)
{
	return prong_reply_bytes(ctx, 200, "application/json", json, strlen(json));
}

int health_live(struct prong_ctx *ctx)
{
	return reply_status(ctx, "{\"status\":\"ok\"}");
}

/* A process that answers has started: it serves only once it is whole. */
int health_startup(struct prong_ctx *ctx)
{
	return reply_status(ctx, "{\"status\":\"started\"}");
}
