#include "common/limits/rate_limit.h"

#include <sodium.h>
#include <stdio.h>

#include "common/context.h"
#include "common/limits/local_limits.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/redis/redis.h"

#define PREFIX "prong:{limits}:"
#define RETRY_INTERVAL PRONG_SECONDS(1)
#define WORDS_PER_LIMIT 3 /* the key, the interval, the period */

extern const char embedded_limits_rate_limit_lua[];

struct rate_limits {
	prong_duration patience;
	unsigned char hash_key[crypto_generichash_KEYBYTES];
	struct local_limits *local; /* NULL until Redis was away for the first time */
	bool away;		    /* Redis */
	int64_t ask_again_at;	    /* monotonic µs: while it is away, local until then */
};

/* One call: the limits that are any, as buckets. */
struct call {
	struct prong_ctx *ctx;
	struct rate_limits *limits;
	size_t count;
	struct bucket buckets[RATE_LIMITS_MAX];
	const char *names[RATE_LIMITS_MAX];
	size_t indices[RATE_LIMITS_MAX]; /* the caller's */
};

struct rate_limits *rate_limits_new(const char *secret, prong_duration patience)
{
	struct rate_limits *limits = allocate(sizeof(*limits));
	static const char purpose[crypto_generichash_KEYBYTES] = "prong rate limits";

	limits->patience = patience;
	if (!secret)
		secret = "";
	crypto_generichash(limits->hash_key, sizeof(limits->hash_key), (const unsigned char *)secret, strlen(secret),
			   (const unsigned char *)purpose, sizeof(purpose));
	return limits;
}

struct rate_limits *rate_limits_free(struct rate_limits *limits)
{
	if (!limits)
		return NULL;
	local_limits_free(limits->local);
	sodium_memzero(limits->hash_key, sizeof(limits->hash_key));
	free(limits);
	return NULL;
}

/* ---- a call ---- */

static void identify(const struct rate_limits *limits, const struct rate_limit *limit, unsigned char id[BUCKET_ID_SIZE])
{
	crypto_generichash_state state;

	crypto_generichash_init(&state, limits->hash_key, sizeof(limits->hash_key), BUCKET_ID_SIZE);
	crypto_generichash_update(&state, (const unsigned char *)limit->name, strlen(limit->name) + 1);
	crypto_generichash_update(&state, (const unsigned char *)limit->key, strlen(limit->key));
	crypto_generichash_final(&state, id, BUCKET_ID_SIZE);
}

static void call_init(struct call *call, struct prong_ctx *ctx, const struct rate_limit limits[], size_t count)
{
	call->ctx = ctx;
	call->limits = ctx->runtime->rate_limits;
	call->count = 0;
	check(count <= RATE_LIMITS_MAX);
	for (size_t i = 0; i < count; i++) {
		if (limits[i].rate.count == 0)
			continue;
		check(limits[i].rate.per >= limits[i].rate.count);
		identify(call->limits, &limits[i], call->buckets[call->count].id);
		call->buckets[call->count].rate = limits[i].rate;
		call->names[call->count] = limits[i].name;
		call->indices[call->count++] = i;
	}
}

static const struct redis_library *library(void)
{
	static struct redis_library made;

	if (!made.source)
		redis_library_make(&made, "limits", (const char *const[]){ embedded_limits_rate_limit_lua }, 1);
	return &made;
}

static int read_reply(const redisReply *reply, prong_duration *ret_wait, size_t *ret_which)
{
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 || reply->element[0]->type != REDIS_REPLY_INTEGER)
		return -EIO;
	if (reply->element[0]->integer == 0)
		return 0;
	*ret_wait = reply->element[0]->integer;
	*ret_which = (size_t)reply->element[1]->integer;
	return -EDQUOT;
}

/* Errors as redis_call(), and -EDQUOT. */
static int call_redis(const struct call *call, const char *function, prong_duration *ret_wait, size_t *ret_which)
{
	_cleanup_(reply_freep) redisReply *reply = NULL;
	const char *words[RATE_LIMITS_MAX * WORDS_PER_LIMIT];
	struct prong_ctx *ctx = call->ctx;
	char hex[2 * BUCKET_ID_SIZE + 1], name[sizeof(library()->version) + 8];
	int r;

	for (size_t i = 0; i < call->count; i++) {
		const struct prong_rate *rate = &call->buckets[i].rate;
		const char **arguments = words + call->count + 2 * i;

		sodium_bin2hex(hex, sizeof(hex), call->buckets[i].id, BUCKET_ID_SIZE);
		words[i] = arena_format(&ctx->arena, PREFIX "%s:%s", call->names[i], hex);
		arguments[0] = arena_format(&ctx->arena, "%lld", (long long)(rate->per / rate->count));
		arguments[1] = arena_format(&ctx->arena, "%lld", (long long)rate->per);
	}
	snprintf(name, sizeof(name), "%s_%s", library()->version, function);
	r = redis_call(ctx->runtime->redis, call->limits->patience, library(), name, call->count,
		       call->count * WORDS_PER_LIMIT, words, NULL, &reply);
	return r < 0 ? r : read_reply(reply, ret_wait, ret_which);
}

/* ---- Redis away and back ---- */

/* Whether Redis is to be asked. While it is away only one call in a second does. */
static bool is_redis_due(struct rate_limits *limits)
{
	int64_t now = monotonic_us();

	if (!limits->away)
		return true;
	if (now < limits->ask_again_at)
		return false;
	limits->ask_again_at = now + RETRY_INTERVAL;
	return true;
}

static void note_redis(struct rate_limits *limits, int result)
{
	bool away = result < 0 && result != -EDQUOT;

	if (away && !limits->local)
		limits->local = local_limits_new();
	if (away && !limits->away)
		log_warning("rate limits: Redis is away (%s): each process limits by itself", strerror(-result));
	if (!away && limits->away)
		log_info("rate limits: Redis is back");
	limits->away = away;
	if (away)
		limits->ask_again_at = monotonic_us() + RETRY_INTERVAL;
}

/* Redis' answer; -EHOSTDOWN: there is none, and limits are local for now; -ECANCELED, -ETIMEDOUT: the context is over.
 */
static int try_redis(const struct call *call, const char *function, prong_duration *ret_wait, size_t *ret_which)
{
	int64_t began = monotonic_us();
	int r;

	if (!is_redis_due(call->limits))
		return -EHOSTDOWN;
	r = call_redis(call, function, ret_wait, ret_which);
	/* The context's own end says nothing about Redis. */
	if (r == -ECANCELED || (r == -ETIMEDOUT && monotonic_us() - began < call->limits->patience))
		return r;
	note_redis(call->limits, r);
	return r == 0 || r == -EDQUOT ? r : -EHOSTDOWN;
}

/* ---- the calls ---- */

int rate_limit_take(struct prong_ctx *ctx, const struct rate_limit limits[], size_t count, prong_duration *ret_wait,
		    size_t *ret_which)
{
	struct call call;
	size_t which = 0;
	int r;

	call_init(&call, ctx, limits, count);
	if (call.count == 0)
		return 0;
	r = try_redis(&call, "take", ret_wait, &which);
	if (r == -EHOSTDOWN)
		r = local_limits_take(call.limits->local, monotonic_us(), call.buckets, call.count, ret_wait, &which);
	if (r == -EDQUOT)
		*ret_which = call.indices[which < call.count ? which : 0];
	return r;
}

bool rate_limits_are_local(const struct rate_limits *limits)
{
	return limits->away;
}

/* Redis, or the local table while it is away; nothing to decide. */
static void move(struct prong_ctx *ctx, const struct rate_limit limits[], size_t count, const char *function,
		 void (*local)(struct local_limits *, int64_t, const struct bucket[], size_t))
{
	prong_duration wait;
	struct call call;
	size_t which;

	call_init(&call, ctx, limits, count);
	if (call.count > 0 && try_redis(&call, function, &wait, &which) == -EHOSTDOWN)
		local(call.limits->local, monotonic_us(), call.buckets, call.count);
}

void rate_limit_charge(struct prong_ctx *ctx, const struct rate_limit limits[], size_t count)
{
	move(ctx, limits, count, "charge", local_limits_charge);
}

void rate_limit_give(struct prong_ctx *ctx, const struct rate_limit limits[], size_t count)
{
	move(ctx, limits, count, "give", local_limits_give);
}

void rate_limit_reset(struct prong_ctx *ctx, const struct rate_limit limits[], size_t count)
{
	prong_duration wait;
	struct call call;
	size_t which;

	call_init(&call, ctx, limits, count);
	if (call.count == 0)
		return;
	try_redis(&call, "reset", &wait, &which);
	/* Here too, where it was counted if Redis has come or gone meanwhile. */
	if (call.limits->local)
		local_limits_reset(call.limits->local, call.buckets, call.count);
}
