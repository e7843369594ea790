#include <signal.h>
#include <stdio.h>

#include "common/redis/redis_url.h"
#include "tests/unit/common/redis_scene.h"
#include "tests/unit/common/servers.h"
#include "tests/unit/test.h"

static const char *const no_options[] = { NULL };

/* ---- the URL ---- */

static bool refused(const char *text, const char *because)
{
	_cleanup_(freep) char *reason = NULL;

	return redis_check_url(text, &reason) == -EINVAL && strstr(reason, because);
}

TEST(redis_url, takes_tcp_apart)
{
	struct redis_url url;
	char *reason = NULL;

	CU_ASSERT_FATAL(redis_url_parse("redis://us%65r:p%40ss%2F@example.org:7000/12", &url, &reason) == 0);
	CU_ASSERT_STRING_EQUAL(url.host, "example.org");
	CU_ASSERT_STRING_EQUAL(url.port, "7000");
	CU_ASSERT_STRING_EQUAL(url.user, "user");
	CU_ASSERT_STRING_EQUAL(url.password, "p@ss/");
	CU_ASSERT_STRING_EQUAL(url.database, "12");
	redis_url_clear(&url);
	CU_ASSERT_FATAL(redis_url_parse("redis://:secret@[::1]/", &url, &reason) == 0);
	CU_ASSERT_STRING_EQUAL(url.host, "::1");
	CU_ASSERT_STRING_EQUAL(url.port, "6379");
	CU_ASSERT_PTR_NULL(url.user);
	CU_ASSERT_STRING_EQUAL(url.password, "secret");
	CU_ASSERT_STRING_EQUAL(url.database, "0");
	redis_url_clear(&url);
}

TEST(redis_url, takes_unix_apart)
{
	struct redis_url url;
	char *reason = NULL;

	CU_ASSERT_FATAL(redis_url_parse("unix:///run/re%20dis.sock?db=3", &url, &reason) == 0);
	CU_ASSERT_STRING_EQUAL(url.path, "/run/re dis.sock");
	CU_ASSERT_STRING_EQUAL(url.database, "3");
	CU_ASSERT_PTR_NULL(url.host);
	redis_url_clear(&url);
}

TEST(redis_url, says_what_is_wrong)
{
	CU_ASSERT(refused("", "neither"));
	CU_ASSERT(refused("localhost:6379", "neither"));
	CU_ASSERT(refused("rediss://host", "TLS"));
	CU_ASSERT(refused("redis://", "host is missing"));
	CU_ASSERT(refused("redis://:6379", "host is missing"));
	CU_ASSERT(refused("redis://host:", "port"));
	CU_ASSERT(refused("redis://host:0", "port"));
	CU_ASSERT(refused("redis://host:65536", "port"));
	CU_ASSERT(refused("redis://host:6379x", "port"));
	CU_ASSERT(refused("redis://[::1", "]"));
	CU_ASSERT(refused("redis://[::1]6379", "port"));
	CU_ASSERT(refused("redis://host/x", "database"));
	CU_ASSERT(refused("redis://host/1x", "database"));
	CU_ASSERT(refused("redis://host/9999999999", "database"));
	CU_ASSERT(refused("redis://host?db=1", "parameters"));
	CU_ASSERT(refused("redis://secret@host", "password"));
	CU_ASSERT(refused("redis://:%zz@host", "escape"));
	CU_ASSERT(refused("redis://:%00@host", "escape"));
	CU_ASSERT(refused("redis://:secret%4@host", "escape"));
	CU_ASSERT(refused("unix://relative", "absolute"));
	CU_ASSERT(refused("unix:///path?database=1", "db"));
	CU_ASSERT(refused("unix:///%2", "escape"));
	CU_ASSERT(!refused("redis://:secret%4@host", "secret"));
}

/* ---- commands ---- */

static void commands(struct scene *scene)
{
	redisReply *reply = NULL;

	CU_ASSERT(redis_commandf(scene->redis, TIMEOUT, &reply, "SET %s %b", "commands", "a\0b\r\n", (size_t)5) == 0);
	reply_freep(&reply);
	CU_ASSERT(redis_command(scene->redis, TIMEOUT, 2, (const char *[]){ "GET", "commands" }, NULL, &reply) == 0);
	CU_ASSERT(reply && reply->len == 5 && memcmp(reply->str, "a\0b\r\n", 5) == 0);
	reply_freep(&reply);
	CU_ASSERT(redis_commandf(scene->redis, TIMEOUT, &reply, "GET absent") == 0);
	CU_ASSERT(reply && reply->type == REDIS_REPLY_NIL);
	reply_freep(&reply);
	CU_ASSERT(redis_commandf(scene->redis, TIMEOUT, &reply, "INCR commands") == -EIO);
	CU_ASSERT_PTR_NULL(reply);
	CU_ASSERT(redis_connected(scene->redis));
	CU_ASSERT_STRING_EQUAL(redis_last_error(scene->redis), "");
}

TEST(redis, commands_and_their_errors)
{
	play(server_url(SERVER_REDIS), NULL, commands);
}

static bool server_lists(struct redis *redis, const char *name)
{
	_cleanup_(reply_freep) redisReply *reply = NULL;

	CU_ASSERT_FATAL(redis_commandf(redis, TIMEOUT, &reply, "CLIENT LIST") == 0);
	return strstr(reply->str, name) != NULL;
}

static void idle(struct scene *scene)
{
	struct redis *idle = redis_new_idle(scene->loop, server_url(SERVER_REDIS), "idle");

	CU_ASSERT(pings(scene->redis));
	CU_ASSERT(!server_lists(scene->redis, "name=idle"));
	CU_ASSERT(!redis_connected(idle) && !redis_is_cluster(idle));
	CU_ASSERT_STRING_EQUAL(redis_last_error(idle), "");
	CU_ASSERT(pings(idle));
	CU_ASSERT(server_lists(scene->redis, "name=idle"));
	redis_free(idle);
	redis_free(redis_new_idle(scene->loop, server_url(SERVER_REDIS), "idle"));
}

TEST(redis, an_idle_client_connects_when_it_is_used)
{
	play(server_url(SERVER_REDIS), NULL, idle);
}

struct crowd {
	struct scene *scene;
	struct coroutine *waiting;
	size_t left;
	long long sum;
};

static void one_of_the_crowd(void *argument)
{
	struct crowd *crowd = argument;
	_cleanup_(reply_freep) redisReply *reply = NULL;

	if (redis_commandf(crowd->scene->redis, TIMEOUT, &reply, "INCR crowd") == 0)
		crowd->sum += reply->integer;
	if (--crowd->left == 0)
		coroutine_wake(crowd->waiting, 0);
}

static void crowd(struct scene *scene)
{
	struct crowd crowd = { .scene = scene, .waiting = coroutine_current(), .left = 500 };
	_cleanup_(reply_freep) redisReply *reply = NULL;

	CU_ASSERT(redis_commandf(scene->redis, TIMEOUT, &reply, "DEL crowd") == 0);
	for (int i = 0; i < 500; i++)
		CU_ASSERT(coroutine_start(scene->loop, one_of_the_crowd, &crowd, NULL) == 0);
	CU_ASSERT(coroutine_wait(INT64_MAX) == 0);
	CU_ASSERT_EQUAL(crowd.sum, 500 * 501 / 2);
}

TEST(redis, many_coroutines_share_a_connection)
{
	play(server_url(SERVER_REDIS), NULL, crowd);
}

static void big(struct scene *scene)
{
	size_t size = 20 * 1000 * 1000;
	_cleanup_(freep) char *value = allocate(size);
	redisReply *reply = NULL;

	memset(value, 'x', size);
	CU_ASSERT(redis_commandf(scene->redis, PRONG_SECONDS(30), &reply, "SET big %b", value, size) == 0);
	reply_freep(&reply);
	CU_ASSERT(redis_commandf(scene->redis, PRONG_SECONDS(30), &reply, "GET big") == 0);
	CU_ASSERT(reply && reply->len == size && memcmp(reply->str, value, size) == 0);
	reply_freep(&reply);
	CU_ASSERT(redis_commandf(scene->redis, TIMEOUT, &reply, "DEL big") == 0);
	reply_freep(&reply);
}

TEST(redis, values_larger_than_the_sockets_buffers)
{
	play(server_url(SERVER_REDIS), NULL, big);
}

static void block_until_cancelled(void *argument)
{
	struct crowd *crowd = argument;
	redisReply *reply = NULL;

	crowd->sum = redis_commandf(crowd->scene->redis, TIMEOUT, &reply, "BRPOP nothing 1");
	coroutine_wake(crowd->waiting, 0);
}

static void cancel(struct scene *scene)
{
	struct crowd crowd = { .scene = scene, .waiting = coroutine_current() };
	struct coroutine *blocked;

	CU_ASSERT(pings(scene->redis));
	CU_ASSERT(coroutine_start(scene->loop, block_until_cancelled, &crowd, &blocked) == 0);
	coroutine_sleep_until(monotonic_us() + PRONG_MILLISECONDS(20));
	coroutine_cancel(blocked);
	CU_ASSERT(coroutine_wait(INT64_MAX) == 0);
	CU_ASSERT_EQUAL(crowd.sum, -ECANCELED);
	CU_ASSERT(pings(scene->redis)); /* after the answer that nobody waits for */
}

TEST(redis, a_cancelled_command_leaves_the_connection_in_order)
{
	play(server_url(SERVER_REDIS), NULL, cancel);
}

/* ---- functions ---- */

static const struct redis_library library = {
	.source = "#!lua name=unit_test\n"
		  "redis.register_function('unit_echo', function(keys, args) return { keys[1], args[1] } end)\n"
		  "redis.register_function('unit_full', function() return redis.error_reply('FULL of it') end)\n"
		  "redis.register_function('unit_refuse', function() return redis.error_reply('NO never') end)\n"
		  "redis.register_function('unit_set', function(keys) return redis.call('INCR', keys[1]) end)\n",
};

static int call(struct redis *redis, const char *function, redisReply **ret_reply)
{
	return redis_call(redis, TIMEOUT, &library, function, 1, 2, (const char *[]){ "key", "a\0b" },
			  (const size_t[]){ 3, 3 }, ret_reply);
}

static bool echoes(struct redis *redis)
{
	_cleanup_(reply_freep) redisReply *reply = NULL;

	return call(redis, "unit_echo", &reply) == 0 && reply->elements == 2 &&
	       string_equal(reply->element[0]->str, "key") && reply->element[1]->len == 3;
}

static void one_that_echoes(void *argument)
{
	struct crowd *crowd = argument;

	crowd->sum += echoes(crowd->scene->redis);
	if (--crowd->left == 0)
		coroutine_wake(crowd->waiting, 0);
}

static void functions(struct scene *scene)
{
	struct crowd crowd = { .scene = scene, .waiting = coroutine_current(), .left = 20 };
	redisReply *reply = NULL;

	CU_ASSERT(redis_commandf(scene->redis, TIMEOUT, &reply, "FUNCTION FLUSH") == 0);
	reply_freep(&reply);
	for (int i = 0; i < 20; i++) /* all find it absent, one loads it */
		CU_ASSERT(coroutine_start(scene->loop, one_that_echoes, &crowd, NULL) == 0);
	CU_ASSERT(coroutine_wait(INT64_MAX) == 0);
	CU_ASSERT_EQUAL(crowd.sum, 20);

	CU_ASSERT_EQUAL(call(scene->redis, "unit_full", &reply), -ENOSPC);
	CU_ASSERT_EQUAL(call(scene->redis, "unit_refuse", &reply), -EIO);
	CU_ASSERT_EQUAL(call(scene->redis, "unit_absent", &reply), -EIO);
	CU_ASSERT(redis_commandf(scene->redis, TIMEOUT, &reply, "SET key abc") == 0);
	reply_freep(&reply);
	CU_ASSERT_EQUAL(call(scene->redis, "unit_set", &reply), -EIO);
	CU_ASSERT_PTR_NULL(reply);
}

TEST(redis, functions_are_loaded_where_they_are_missing)
{
	play(server_url(SERVER_REDIS), NULL, functions);
}

static void functions_of_a_full_server(struct scene *scene)
{
	redisReply *reply = NULL;

	CU_ASSERT_EQUAL(call(scene->redis, "unit_echo", &reply), -ENOMEM); /* it cannot even be loaded */
	CU_ASSERT(redis_commandf(scene->redis, TIMEOUT, &reply, "CONFIG SET maxmemory 0") == 0);
	reply_freep(&reply);
	CU_ASSERT(echoes(scene->redis));
	CU_ASSERT(redis_commandf(scene->redis, TIMEOUT, &reply, "CONFIG SET maxmemory 1000") == 0);
	reply_freep(&reply);
	CU_ASSERT_EQUAL(call(scene->redis, "unit_echo", &reply), -ENOMEM);
	CU_ASSERT(redis_commandf(scene->redis, TIMEOUT, &reply, "CONFIG SET maxmemory 0") == 0);
	reply_freep(&reply);
	CU_ASSERT(redis_commandf(scene->redis, TIMEOUT, &reply, "REPLICAOF 127.0.0.1 1") == 0);
	reply_freep(&reply);
	CU_ASSERT_EQUAL(call(scene->redis, "unit_echo", &reply), -EROFS);
	CU_ASSERT_PTR_NULL(reply);
}

TEST(redis, functions_say_that_a_server_is_full_or_a_replica)
{
	struct redis_server *server = redis_server_new((const char *const[]){ "--maxmemory", "1000", NULL });

	play(redis_server_url(server), server, functions_of_a_full_server);
	redis_server_free(server);
}

/* ---- connecting ---- */

static void set_in_database_3(struct scene *scene)
{
	_cleanup_(reply_freep) redisReply *reply = NULL;

	CU_ASSERT(redis_commandf(scene->redis, TIMEOUT, &reply, "SET where three") == 0);
}

static void finds_nothing(struct scene *scene)
{
	_cleanup_(reply_freep) redisReply *reply = NULL;

	CU_ASSERT(redis_commandf(scene->redis, TIMEOUT, &reply, "GET where") == 0);
	CU_ASSERT(reply && reply->type == REDIS_REPLY_NIL);
}

static void is_refused(struct scene *scene)
{
	_cleanup_(reply_freep) redisReply *reply = NULL;

	CU_ASSERT(redis_commandf(scene->redis, TIMEOUT, &reply, "PING") == -EHOSTDOWN);
	CU_ASSERT(!redis_connected(scene->redis));
	CU_ASSERT(strlen(redis_last_error(scene->redis)) > 0);
	CU_ASSERT_PTR_NULL(strstr(redis_last_error(scene->redis), "s3cret"));
}

TEST(redis, passwords_and_databases)
{
	struct redis_server *server = redis_server_new((const char *const[]){ "--requirepass", "p@ss", NULL });
	int port = redis_server_port(server);
	_cleanup_(freep) char *third = format_text("redis://:p%%40ss@localhost:%d/3", port);
	_cleanup_(freep) char *first = format_text("redis://default:p%%40ss@127.0.0.1:%d", port);
	_cleanup_(freep) char *wrong = format_text("redis://:s3cret@127.0.0.1:%d", port);
	_cleanup_(freep) char *none = format_text("redis://127.0.0.1:%d", port);
	_cleanup_(freep) char *absent = format_text("redis://:p%%40ss@127.0.0.1:%d/99", port);

	play(third, server, set_in_database_3);
	play(first, server, finds_nothing);
	play(wrong, server, is_refused);
	play(none, server, is_refused);
	play(absent, server, is_refused);
	redis_server_free(server);
}

TEST(redis, nobody_listens)
{
	play("redis://127.0.0.1:1", NULL, is_refused);
	play("unix:///nowhere/socket", NULL, is_refused);
	play("redis://no-such-host.invalid", NULL, is_refused);
}

/* ---- losing the server ---- */

static void block_until_killed(void *argument)
{
	struct crowd *crowd = argument;
	redisReply *reply = NULL;

	crowd->sum = redis_commandf(crowd->scene->redis, PRONG_SECONDS(60), &reply, "BRPOP nothing 0");
	coroutine_wake(crowd->waiting, 0);
}

static void killed(struct scene *scene)
{
	struct crowd crowd = { .scene = scene, .waiting = coroutine_current() };
	_cleanup_(reply_freep) redisReply *reply = NULL;

	CU_ASSERT(redis_commandf(scene->redis, TIMEOUT, &reply, "SET kept yes") == 0);
	reply_freep(&reply);
	CU_ASSERT(coroutine_start(scene->loop, block_until_killed, &crowd, NULL) == 0);
	coroutine_sleep_until(monotonic_us() + PRONG_MILLISECONDS(20));
	redis_server_kill(scene->server);
	CU_ASSERT(coroutine_wait(INT64_MAX) == 0);
	CU_ASSERT_EQUAL(crowd.sum, -EHOSTDOWN);
	CU_ASSERT(redis_commandf(scene->redis, PRONG_SECONDS(60), &reply, "PING") == -EHOSTDOWN);
	redis_server_launch(scene->server);
	CU_ASSERT(pings_at_last(scene->redis));
	CU_ASSERT(redis_commandf(scene->redis, TIMEOUT, &reply, "GET kept") == 0);
	CU_ASSERT(reply && reply->type == REDIS_REPLY_STRING && string_equal(reply->str, "yes"));
}

TEST(redis, comes_back_after_a_kill)
{
	struct redis_server *server = redis_server_new(no_options);

	play(redis_server_url(server), server, killed);
	redis_server_free(server);
}

static void silent(struct scene *scene)
{
	_cleanup_(reply_freep) redisReply *reply = NULL;
	int64_t give_up = monotonic_us() + PRONG_SECONDS(30);

	CU_ASSERT(pings(scene->redis));
	redis_server_signal(scene->server, SIGSTOP);
	CU_ASSERT(redis_commandf(scene->redis, PRONG_MILLISECONDS(50), &reply, "PING") == -ETIMEDOUT);
	CU_ASSERT(redis_connected(scene->redis)); /* one late answer does not make a server dead */
	while (redis_connected(scene->redis) && monotonic_us() < give_up)
		coroutine_sleep_until(monotonic_us() + PRONG_MILLISECONDS(20));
	CU_ASSERT(!redis_connected(scene->redis));
	CU_ASSERT(strstr(redis_last_error(scene->redis), "silent") != NULL);
	redis_server_signal(scene->server, SIGCONT);
	CU_ASSERT(pings_at_last(scene->redis));
}

TEST(redis, replaces_a_connection_that_is_silent)
{
	struct redis_server *server = redis_server_new(no_options);

	play(redis_server_url(server), server, silent);
	redis_server_free(server);
}

static void loading(struct scene *scene)
{
	_cleanup_(reply_freep) redisReply *reply = NULL;
	int64_t give_up = monotonic_us() + PRONG_SECONDS(30);
	int r;

	CU_ASSERT(redis_commandf(scene->redis, TIMEOUT, &reply, "DEBUG POPULATE 20000 key 100") == 0);
	reply_freep(&reply);
	CU_ASSERT(redis_commandf(scene->redis, PRONG_SECONDS(30), &reply, "SAVE") == 0);
	reply_freep(&reply);
	redis_server_kill(scene->server);
	redis_server_launch(scene->server);
	do {
		coroutine_sleep_until(monotonic_us() + PRONG_MILLISECONDS(20));
		reply_freep(&reply);
		r = redis_commandf(scene->redis, TIMEOUT, &reply, "GET key:1");
	} while (r == -EHOSTDOWN && monotonic_us() < give_up);
	CU_ASSERT_EQUAL(r, -EBUSY);
	CU_ASSERT(redis_connected(scene->redis));
}

TEST(redis, says_that_a_server_is_loading)
{
	struct redis_server *server = redis_server_new((const char *const[]){
		"--enable-debug-command", "yes", "--appendonly", "no", "--key-load-delay", "200", "--rdbcompression",
		"no", "--loading-process-events-interval-bytes", "1024", NULL });

	play(redis_server_url(server), server, loading);
	redis_server_free(server);
}

/* ---- what a server must be like ---- */

static void is_fit(struct scene *scene)
{
	_cleanup_(freep) char *reason = NULL;

	CU_ASSERT(redis_check_server(scene->redis, TIMEOUT, &reason) == 0);
	CU_ASSERT_PTR_NULL(reason);
}

static void is_unfit(struct scene *scene)
{
	_cleanup_(freep) char *reason = NULL;

	CU_ASSERT(redis_check_server(scene->redis, TIMEOUT, &reason) == -EINVAL);
	CU_ASSERT(reason && strstr(reason, "allkeys-lru") && strstr(reason, "config set maxmemory-policy noeviction"));
}

TEST(redis, demands_noeviction)
{
	struct redis_server *server =
		redis_server_new((const char *const[]){ "--maxmemory-policy", "allkeys-lru", NULL });
	struct redis_server *hidden = redis_server_new(
		(const char *const[]){ "--maxmemory-policy", "allkeys-lru", "--rename-command", "CONFIG", "", NULL });

	play(server_url(SERVER_REDIS), NULL, is_fit);
	play(redis_server_url(server), server, is_unfit);
	play(redis_server_url(hidden), hidden, is_fit);
	redis_server_free(server);
	redis_server_free(hidden);
}

struct promise {
	const char *append, *sync, *save, *meaning;
	int level;
};

static void promises(struct scene *scene)
{
	static const struct promise expected[] = {
		{ "yes", "always", "", "synced with every write", 0 },
		{ "yes", "everysec", "", "may lose the last second", 0 },
		{ "yes", "no", "", "set appendfsync everysec", 0 },
		{ "no", "everysec", "3600 1", "only snapshots", 1 },
		{ "no", "everysec", "", "loses all jobs that are not durable; set appendonly yes", 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
		_cleanup_(freep) char *text = NULL;

		free(redis_server_ask(scene->server, "CONFIG SET appendonly %s appendfsync %s save %s",
				      expected[i].append, expected[i].sync, expected[i].save));
		CU_ASSERT_EQUAL(redis_persistence(scene->redis, TIMEOUT, &text), expected[i].level);
		CU_ASSERT(text && strstr(text, expected[i].meaning) && strncmp(text, "Redis ", 6) == 0);
	}
}

static void hides(struct scene *scene)
{
	_cleanup_(freep) char *text = NULL;

	CU_ASSERT_EQUAL(redis_persistence(scene->redis, TIMEOUT, &text), 1);
	CU_ASSERT(text && strstr(text, "hides CONFIG") && strstr(text, "noeviction"));
}

TEST(redis, says_what_a_crash_would_lose)
{
	struct redis_server *server = redis_server_new(no_options);
	struct redis_server *hidden = redis_server_new((const char *const[]){ "--rename-command", "CONFIG", "", NULL });

	play(redis_server_url(server), server, promises);
	play(redis_server_url(hidden), hidden, hides);
	redis_server_free(server);
	redis_server_free(hidden);
}

static void full(struct scene *scene)
{
	_cleanup_(reply_freep) redisReply *reply = NULL;

	CU_ASSERT(redis_commandf(scene->redis, TIMEOUT, &reply, "SET x y") == -ENOMEM);
	CU_ASSERT(pings(scene->redis));
}

TEST(redis, says_that_a_server_is_full)
{
	struct redis_server *server = redis_server_new((const char *const[]){ "--maxmemory", "1000", NULL });

	play(redis_server_url(server), server, full);
	redis_server_free(server);
}

static void read_only(struct scene *scene)
{
	_cleanup_(reply_freep) redisReply *reply = NULL;

	CU_ASSERT(redis_commandf(scene->redis, TIMEOUT, &reply, "REPLICAOF 127.0.0.1 1") == 0);
	reply_freep(&reply);
	CU_ASSERT(redis_commandf(scene->redis, TIMEOUT, &reply, "SET x y") == -EROFS);
	CU_ASSERT(!redis_connected(scene->redis)); /* it asks the name again */
	CU_ASSERT(pings_at_last(scene->redis));
}

TEST(redis, leaves_a_server_that_was_demoted)
{
	struct redis_server *server = redis_server_new(no_options);

	play(redis_server_url(server), server, read_only);
	redis_server_free(server);
}

static void alone(struct scene *scene)
{
	_cleanup_(reply_freep) redisReply *reply = NULL;

	CU_ASSERT(redis_commandf(scene->redis, TIMEOUT, &reply, "SET x y") == -EROFS);
	CU_ASSERT(pings(scene->redis));
}

TEST(redis, says_that_a_server_has_too_few_replicas_to_write)
{
	struct redis_server *server = redis_server_new((const char *const[]){ "--min-replicas-to-write", "1", NULL });

	play(redis_server_url(server), server, alone);
	redis_server_free(server);
}

static void demoted(struct scene *scene)
{
	struct crowd crowd = { .scene = scene, .waiting = coroutine_current() };

	CU_ASSERT(pings(scene->redis));
	CU_ASSERT(coroutine_start(scene->loop, block_until_killed, &crowd, NULL) == 0);
	coroutine_sleep_until(monotonic_us() + PRONG_MILLISECONDS(20));
	free(redis_server_ask(scene->server, "REPLICAOF 127.0.0.1 1"));
	CU_ASSERT(coroutine_wait(INT64_MAX) == 0);
	CU_ASSERT_EQUAL(crowd.sum, -EROFS);
	CU_ASSERT(pings_at_last(scene->redis));
}

TEST(redis, blocks_on_no_server_that_was_demoted)
{
	struct redis_server *server = redis_server_new(no_options);

	play(redis_server_url(server), server, demoted);
	redis_server_free(server);
}
