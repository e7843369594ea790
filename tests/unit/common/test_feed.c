#include "common/security/feed.h"

#include <signal.h>

#include "common/context.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/redis/redis.h"
#include "tests/unit/common/redis_server.h"
#include "tests/unit/test.h"

static const struct prong_app app = { .name = "feed test" };
static const struct registry registry = { .app = &app };
static const char *const no_options[] = { NULL };

/* A process that reads the feed and can publish, and what it has heard. */
struct listening {
	struct settings settings;
	struct runtime runtime;
	struct feed *feed;
	int events, gaps;
	bool connected;
	char last[64]; /* event, as "kind text" */
};

static void on_event(void *argument, const char *kind, const char *text)
{
	struct listening *listening = argument;

	listening->events++;
	snprintf(listening->last, sizeof(listening->last), "%s %s", kind, text);
}

static void on_gap(void *argument, bool connected)
{
	struct listening *listening = argument;

	listening->gaps++;
	listening->connected = connected;
}

static void listening_open(struct listening *listening, const char *url)
{
	log_open("test", "test", PRONG_LOG_ERROR + 1, false); /* lost connections are what is tested */
	*listening = (struct listening){ .settings.redis_url = url };
	listening->runtime = (struct runtime){ .settings = &listening->settings, .registry = &registry };
	listening->runtime.loop = loop_new(16);
	listening->runtime.redis = redis_new(listening->runtime.loop, url, "feed test");
	listening->feed = listening->runtime.feed = feed_new(&listening->runtime);
	feed_listen(listening->feed, &(struct feed_listener){ on_event, on_gap, listening });
}

static void listening_close(struct listening *listening)
{
	feed_free(listening->feed);
	redis_free(listening->runtime.redis);
	loop_free(listening->runtime.loop);
}

static bool is_connected(const struct listening *listening)
{
	return listening->connected;
}

static bool is_away(const struct listening *listening)
{
	return !listening->connected;
}

struct condition {
	struct listening *listening;
	bool (*holds)(const struct listening *listening);
	int events, gaps; /* at least so many */
};

static int wait_for(struct prong_ctx *ctx, void *argument)
{
	const struct condition *condition = argument;
	const struct listening *listening = condition->listening;

	(void)ctx;
	while (!condition->holds(listening) || listening->events < condition->events ||
	       listening->gaps < condition->gaps) {
		int r = coroutine_sleep_until(monotonic_us() + PRONG_MILLISECONDS(1));

		if (r < 0)
			return r;
	}
	return 0;
}

static bool comes(struct listening *listening, bool (*holds)(const struct listening *listening), int events, int gaps)
{
	return context_run(&listening->runtime, PRONG_SECONDS(60), wait_for,
			   &(struct condition){ listening, holds, events, gaps }) == 0;
}

static int publish(struct prong_ctx *ctx, void *argument)
{
	return feed_publish(ctx, "kind", argument);
}

/* The connection that publishes comes back by itself, not at the moment when the one that reads does. */
static int publish_at_last(struct prong_ctx *ctx, void *argument)
{
	int r;

	do {
		r = publish(ctx, argument);
	} while (r < 0 && coroutine_sleep_until(monotonic_us() + PRONG_MILLISECONDS(10)) == 0);
	return r;
}

static bool is_told(struct listening *listening, const char *text)
{
	char expected[64];
	int events = listening->events;

	snprintf(expected, sizeof(expected), "kind %s", text);
	return context_run(&listening->runtime, PRONG_SECONDS(30), publish_at_last, (void *)text) == 0 &&
	       comes(listening, is_connected, events + 1, 0) && strcmp(listening->last, expected) == 0;
}

TEST(feed, tells_of_events)
{
	struct redis_server *server = redis_server_new(no_options);
	struct listening listening;

	listening_open(&listening, redis_server_url(server));
	CU_ASSERT(comes(&listening, is_connected, 0, 1));
	CU_ASSERT(is_told(&listening, "one"));
	CU_ASSERT(is_told(&listening, "two"));
	CU_ASSERT_EQUAL(listening.events, 2);
	CU_ASSERT_EQUAL(listening.gaps, 1);
	listening_close(&listening);

	/* What was there before is not told: who listens looks elsewhere for it. */
	listening_open(&listening, redis_server_url(server));
	CU_ASSERT(comes(&listening, is_connected, 0, 1));
	CU_ASSERT(is_told(&listening, "three"));
	CU_ASSERT_EQUAL(listening.events, 1);
	listening_close(&listening);
	redis_server_free(server);
}

TEST(feed, is_cut_to_a_length)
{
	struct redis_server *server = redis_server_new(no_options);
	_cleanup_(freep) char *length = NULL;
	struct listening listening;

	free(redis_server_ask(
		server, "EVAL %s 0",
		"for i = 1, 12000 do redis.call('XADD', 'prong:{security}', '*', 'a', 'b') end return 1"));
	listening_open(&listening, redis_server_url(server));
	CU_ASSERT(comes(&listening, is_connected, 0, 1));
	CU_ASSERT(is_told(&listening, "one"));
	length = redis_server_ask(server, "XLEN prong:{security}");
	CU_ASSERT(atoi(length) >= 10000 && atoi(length) < 10200);
	listening_close(&listening);
	redis_server_free(server);
}

TEST(feed, says_that_it_was_away)
{
	struct redis_server *server = redis_server_new(no_options);
	struct listening listening;

	listening_open(&listening, redis_server_url(server));
	CU_ASSERT(comes(&listening, is_connected, 0, 1));
	CU_ASSERT(is_told(&listening, "one"));
	redis_server_kill(server);
	CU_ASSERT(comes(&listening, is_away, 1, 2));
	CU_ASSERT(context_run(&listening.runtime, PRONG_SECONDS(10), publish, (void *)"lost") < 0);
	redis_server_launch(server);
	redis_server_wait(server);
	CU_ASSERT(comes(&listening, is_connected, 1, 3));
	CU_ASSERT(is_told(&listening, "two"));

	/* A server that says nothing is away too. */
	redis_server_signal(server, SIGSTOP);
	CU_ASSERT(comes(&listening, is_away, 2, 4));
	redis_server_signal(server, SIGCONT);
	CU_ASSERT(comes(&listening, is_connected, 2, 5));
	CU_ASSERT(is_told(&listening, "three"));
	listening_close(&listening);
	redis_server_free(server);
}

TEST(feed, says_that_an_event_was_not_published)
{
	struct redis_server *server = redis_server_new(no_options);
	struct listening listening;
	struct redis *working;

	listening_open(&listening, redis_server_url(server));
	CU_ASSERT(comes(&listening, is_connected, 0, 1));
	working = listening.runtime.redis;
	listening.runtime.redis = redis_new(listening.runtime.loop, "unix:///nowhere", "feed test");
	CU_ASSERT(context_run(&listening.runtime, PRONG_SECONDS(10), publish, (void *)"lost") < 0);
	CU_ASSERT(comes(&listening, is_connected, 0, 2));
	redis_free(listening.runtime.redis);
	listening.runtime.redis = working;
	CU_ASSERT(is_told(&listening, "one"));
	CU_ASSERT_EQUAL(listening.events, 1);
	CU_ASSERT_EQUAL(listening.gaps, 2);
	listening_close(&listening);
	redis_server_free(server);
}

TEST(feed, says_that_events_were_cut_off)
{
	struct redis_server *server = redis_server_new(no_options);
	struct listening listening;

	listening_open(&listening, redis_server_url(server));
	CU_ASSERT(comes(&listening, is_connected, 0, 1));
	CU_ASSERT(is_told(&listening, "one"));
	/* At once: what was read last, and an event that was not, are cut off before the next is read. */
	free(redis_server_ask(server, "EVAL %s 0",
			      "redis.call('XADD', 'prong:{security}', '*', 'kind', 'unread')"
			      "redis.call('XADD', 'prong:{security}', 'MAXLEN', '1', '*', 'kind', 'two') return 1"));
	CU_ASSERT(comes(&listening, is_connected, 2, 2));
	CU_ASSERT_STRING_EQUAL(listening.last, "kind two");
	listening_close(&listening);
	redis_server_free(server);
}

TEST(feed, survives_a_stream_that_was_deleted)
{
	struct redis_server *server = redis_server_new(no_options);
	struct listening listening;

	listening_open(&listening, redis_server_url(server));
	CU_ASSERT(comes(&listening, is_connected, 0, 1));
	CU_ASSERT(is_told(&listening, "one"));
	free(redis_server_ask(server, "FLUSHALL"));
	CU_ASSERT(is_told(&listening, "two"));

	/* By a clock that went back, the new stream's events are all older than what was read. */
	free(redis_server_ask(server, "EVAL %s 0",
			      "redis.call('DEL', 'prong:{security}')"
			      "redis.call('XADD', 'prong:{security}', '1-1', 'kind', 'unread') return 1"));
	CU_ASSERT(comes(&listening, is_connected, 2, 3));
	CU_ASSERT(is_told(&listening, "three"));
	listening_close(&listening);
	redis_server_free(server);
}

TEST(feed, passes_over_what_is_no_event)
{
	struct redis_server *server = redis_server_new(no_options);
	struct listening listening;

	listening_open(&listening, redis_server_url(server));
	CU_ASSERT(comes(&listening, is_connected, 0, 1));
	free(redis_server_ask(server, "XADD prong:{security} * %b %b", "", (size_t)0, "", (size_t)0));
	CU_ASSERT(comes(&listening, is_connected, 1, 1));
	CU_ASSERT(is_told(&listening, "one"));
	/* A key of another type takes no events; once it is gone, all is well. */
	free(redis_server_ask(server, "DEL prong:{security}"));
	free(redis_server_ask(server, "SET prong:{security} x"));
	CU_ASSERT(context_run(&listening.runtime, PRONG_SECONDS(10), publish, (void *)"lost") < 0);
	CU_ASSERT(comes(&listening, is_away, 2, 2));
	free(redis_server_ask(server, "DEL prong:{security}"));
	CU_ASSERT(comes(&listening, is_connected, 2, 3));
	CU_ASSERT(is_told(&listening, "two"));
	listening_close(&listening);
	redis_server_free(server);
}

TEST(feed, can_be_left_at_any_time)
{
	struct redis_server *server = redis_server_new(no_options);
	struct listening listening;

	listening_open(&listening, redis_server_url(server));
	listening_close(&listening);
	listening_open(&listening, redis_server_url(server));
	CU_ASSERT(comes(&listening, is_connected, 0, 1));
	redis_server_kill(server);
	listening_close(&listening);
	CU_ASSERT_PTR_NULL(feed_free(NULL));
	redis_server_free(server);
}

static int publish_without_redis(struct prong_ctx *ctx, void *argument)
{
	ctx->runtime->redis = NULL;
	return publish(ctx, argument);
}

TEST(feed, needs_redis_to_publish)
{
	struct runtime runtime = { .loop = loop_new(4) };

	CU_ASSERT_EQUAL(context_run(&runtime, PRONG_SECONDS(1), publish_without_redis, (void *)"x"), -EHOSTDOWN);
	loop_free(runtime.loop);
}

TEST(feed, reads_from_a_cluster)
{
	static const char *const options[] = { "--maxmemory-policy", "noeviction", NULL };
	struct redis_server *masters[REDIS_CLUSTER_MASTERS];
	struct listening listening;

	redis_cluster_start(masters, options);
	for (size_t i = 0; i < REDIS_CLUSTER_MASTERS; i++) {
		_cleanup_(freep) char *url = format_text("redis://127.0.0.1:%d", redis_server_port(masters[i]));

		listening_open(&listening, url);
		CU_ASSERT(comes(&listening, is_connected, 0, 1));
		CU_ASSERT(is_told(&listening, "one"));
		CU_ASSERT(is_told(&listening, "two"));
		CU_ASSERT_EQUAL(listening.gaps, 1);
		listening_close(&listening);
	}
	redis_cluster_stop(masters);
}
