#include "common/security/feed.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/context.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/redis/redis.h"

#define KEY "prong:{security}"
#define MISSED "missed" /* kind of the event that stands for some that could not be published */
#define LENGTH "10000"
#define BATCH "1000"
#define BLOCK "1000" /* ms: short, so that a server that has gone silent is noticed */
#define READ_TIMEOUT PRONG_MILLISECONDS(1500)
#define ASK_TIMEOUT PRONG_SECONDS(1)
#define PUBLISH_TIMEOUT PRONG_MILLISECONDS(500)
#define ASK_EVERY 5 /* reads that gave nothing */
#define PAUSE PRONG_SECONDS(1)

/* Of an entry of the stream: larger than those before it. */
struct entry_id {
	uint64_t ms, sequence;
};

struct feed {
	struct runtime *runtime;
	struct redis *redis; /* a connection of our own: reading blocks it */
	struct feed_listener listeners[FEED_LISTENERS];
	size_t n_listeners;
	struct coroutine *reader;
	bool connected;
	struct entry_id last; /* that was read, or that the stream had before */
	int idle;	      /* reads in a row that gave nothing */
	bool owing;	      /* something of this process was not published */
};

static int compare(struct entry_id a, struct entry_id b)
{
	if (a.ms != b.ms)
		return a.ms < b.ms ? -1 : 1;
	return a.sequence < b.sequence ? -1 : a.sequence > b.sequence;
}

/* ---- replies ---- */

static bool is_list(const redisReply *reply, size_t elements)
{
	return reply->type == REDIS_REPLY_ARRAY && reply->elements >= elements;
}

/* An entry is [id, [field, value, …]]; its id. False: it is none. */
static bool read_id(const redisReply *entry, struct entry_id *ret_id)
{
	struct entry_id id;

	if (!is_list(entry, 2) || entry->element[0]->type != REDIS_REPLY_STRING ||
	    sscanf(entry->element[0]->str, "%" SCNu64 "-%" SCNu64, &id.ms, &id.sequence) != 2)
		return false;
	*ret_id = id;
	return true;
}

/* ---- telling the listeners ---- */

static void tell_gap(struct feed *feed)
{
	for (size_t i = 0; i < feed->n_listeners; i++)
		feed->listeners[i].gap(feed->listeners[i].argument, feed->connected);
}

static void tell_event(struct feed *feed, const redisReply *fields)
{
	for (size_t i = 0; i + 1 < fields->elements; i += 2) {
		const redisReply *kind = fields->element[i], *text = fields->element[i + 1];

		if (kind->type != REDIS_REPLY_STRING || text->type != REDIS_REPLY_STRING)
			continue;
		if (string_equal(kind->str, MISSED))
			tell_gap(feed);
		else
			for (size_t j = 0; j < feed->n_listeners; j++)
				feed->listeners[j].event(feed->listeners[j].argument, kind->str, text->str);
	}
}

/* ---- reading ---- */

/* The stream's first or last entry, by `command`. 1; 0: it is empty, or not there; or a negative errno. */
static int ask_entry(struct feed *feed, const char *command, const char *from, const char *to, struct entry_id *ret_id)
{
	const char *argv[] = { command, KEY, from, to, "COUNT", "1" };
	_cleanup_(reply_freep) redisReply *reply = NULL;
	int r = redis_command(feed->redis, ASK_TIMEOUT, ARRAY_SIZE(argv), argv, NULL, &reply);

	if (r < 0)
		return r;
	return is_list(reply, 1) && read_id(reply->element[0], ret_id);
}

static int ask_first(struct feed *feed, struct entry_id *ret_id)
{
	return ask_entry(feed, "XRANGE", "-", "+", ret_id);
}

static int ask_last(struct feed *feed, struct entry_id *ret_id)
{
	return ask_entry(feed, "XREVRANGE", "+", "-", ret_id);
}

/* Begins behind what is there: the listeners look in PostgreSQL for all that came before. */
static int begin(struct feed *feed)
{
	struct entry_id last = { 0 };
	int r = ask_last(feed, &last);

	if (r < 0)
		return r;
	feed->last = last;
	feed->connected = true;
	feed->idle = 0;
	tell_gap(feed);
	return 0;
}

/* Whether what was read last has been cut off, so that others may have been after it. */
static int check_cut(struct feed *feed)
{
	struct entry_id first = { 0 };
	int r = ask_first(feed, &first);

	if (r > 0 && feed->last.ms && compare(first, feed->last) > 0)
		tell_gap(feed);
	return r < 0 ? r : 0;
}

/* Whether it is another stream by now, made after the one that was read had been deleted, and by an earlier clock. */
static int check_replaced(struct feed *feed)
{
	struct entry_id last = { 0 };
	int r = ask_last(feed, &last);

	if (r < 0 || compare(last, feed->last) >= 0)
		return r < 0 ? r : 0;
	feed->last = last;
	tell_gap(feed);
	return 0;
}

static int read_entries(struct feed *feed, const redisReply *entries)
{
	int r = check_cut(feed);

	for (size_t i = 0; i < entries->elements; i++) {
		if (!read_id(entries->element[i], &feed->last))
			return -EBADMSG;
		tell_event(feed, entries->element[i]->element[1]);
	}
	return r;
}

/* Waits for the next events: [[key, [entry, …]]], or nothing. */
static int read_on(struct feed *feed)
{
	char last[48];
	const char *argv[] = { "XREAD", "COUNT", BATCH, "BLOCK", BLOCK, "STREAMS", KEY, last };
	_cleanup_(reply_freep) redisReply *reply = NULL;
	int r;

	snprintf(last, sizeof(last), "%" PRIu64 "-%" PRIu64, feed->last.ms, feed->last.sequence);
	r = redis_command(feed->redis, READ_TIMEOUT, ARRAY_SIZE(argv), argv, NULL, &reply);
	if (r < 0)
		return r;
	if (is_list(reply, 1) && is_list(reply->element[0], 2) && is_list(reply->element[0]->element[1], 1)) {
		feed->idle = 0;
		return read_entries(feed, reply->element[0]->element[1]);
	}
	return ++feed->idle % ASK_EVERY == 0 ? check_replaced(feed) : 0;
}

static int publish(struct redis *redis, const char *kind, const char *text)
{
	const char *argv[] = { "XADD", KEY, "MAXLEN", "~", LENGTH, "*", kind, text };
	_cleanup_(reply_freep) redisReply *reply = NULL;

	return redis_command(redis, PUBLISH_TIMEOUT, ARRAY_SIZE(argv), argv, NULL, &reply);
}

/* What could not be published is lost, but not that it was. */
static int settle(struct feed *feed)
{
	int r = publish(feed->redis, MISSED, "");

	feed->owing = r < 0;
	return r;
}

static void read_always(void *argument)
{
	struct feed *feed = argument;
	int r;

	for (;;) {
		r = feed->connected ? read_on(feed) : begin(feed);
		if (r == 0 && feed->owing)
			r = settle(feed);
		if (r == -ECANCELED || coroutine_cancelled(feed->reader))
			break;
		if (r == 0)
			continue;
		if (feed->connected) {
			log_debug("the security feed is away: %s", strerror(-r));
			feed->connected = false;
			tell_gap(feed);
		} else if (r != -EHOSTDOWN && coroutine_sleep_until(monotonic_us() + PAUSE) < 0) {
			break; /* without a connection the command has waited already */
		}
	}
	feed->reader = NULL;
}

/* ---- the whole ---- */

struct feed *feed_new(struct runtime *runtime)
{
	_cleanup_(freep) char *name = format_text("%s feed", runtime->registry->app->name);
	struct feed *feed = allocate(sizeof(*feed));

	feed->runtime = runtime;
	feed->redis = redis_new(runtime->loop, runtime->settings->redis_url, name);
	if (coroutine_start(runtime->loop, read_always, feed, &feed->reader) < 0)
		panic("no coroutine for reading the security feed");
	return feed;
}

void feed_listen(struct feed *feed, const struct feed_listener *listener)
{
	check(feed->n_listeners < FEED_LISTENERS);
	feed->listeners[feed->n_listeners++] = *listener;
}

struct feed *feed_free(struct feed *feed)
{
	if (!feed)
		return NULL;
	coroutine_finish(feed->runtime->loop, &feed->reader);
	redis_free(feed->redis);
	free(feed);
	return NULL;
}

int feed_publish(struct prong_ctx *ctx, const char *kind, const char *text)
{
	int r = ctx->runtime->redis ? publish(ctx->runtime->redis, kind, text) : -EHOSTDOWN;

	if (r < 0)
		feed_owe(ctx->runtime->feed);
	return r;
}

void feed_owe(struct feed *feed)
{
	if (feed)
		feed->owing = true;
}
