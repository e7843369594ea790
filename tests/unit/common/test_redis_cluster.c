#include <stdio.h>

#include "tests/unit/common/redis_scene.h"
#include "tests/unit/test.h"

/* Their slots are of the last third. */
#define MOVING "{moving}"
#define BLOCKING "{blocking}"

static const char *const fit[] = { "--maxmemory-policy", "noeviction", NULL };

static const struct redis_library library = {
	.source = "#!lua name=unit_cluster\n"
		  "redis.register_function('unit_put', function(keys, args)\n"
		  "  return redis.call('SET', keys[1], args[1])\n"
		  "end)\n",
};

static char *url_of(const struct redis_server *server)
{
	return format_text("redis://127.0.0.1:%d", redis_server_port(server));
}

/* ---- what the tests do ---- */

static int set_within(struct redis *redis, prong_duration timeout, const char *key)
{
	_cleanup_(reply_freep) redisReply *reply = NULL;

	return redis_commandf(redis, timeout, &reply, "SET %s %s", key, key);
}

static int set(struct redis *redis, const char *key)
{
	return set_within(redis, TIMEOUT, key);
}

static bool has(struct redis *redis, const char *key)
{
	_cleanup_(reply_freep) redisReply *reply = NULL;

	return redis_command(redis, TIMEOUT, 2, (const char *[]){ "GET", key }, NULL, &reply) == 0 &&
	       reply->type == REDIS_REPLY_STRING && string_equal(reply->str, key);
}

static int put(struct redis *redis, const char *key)
{
	_cleanup_(reply_freep) redisReply *reply = NULL;

	return redis_call(redis, TIMEOUT, &library, "unit_put", 1, 2, (const char *[]){ key, key }, NULL, &reply);
}

/* Tries until it succeeds, with a limit that only a failure reaches. */
static bool at_last(int (*function)(struct redis *redis, const char *key), struct redis *redis, const char *key)
{
	int64_t give_up = monotonic_us() + PRONG_SECONDS(60);

	while (function(redis, key) < 0) {
		if (monotonic_us() > give_up)
			return false;
		coroutine_sleep_until(monotonic_us() + PRONG_MILLISECONDS(20));
	}
	return true;
}

/* A key whose slot is of that third. */
static char *key_of(int third)
{
	for (int i = 0;; i++) {
		char *key = format_text("key:%d", i);

		if (redis_slot(key, strlen(key)) * REDIS_CLUSTER_MASTERS / 16384 == third)
			return key;
		free(key);
	}
}

static size_t connections(const struct redis_server *server)
{
	_cleanup_(freep) char *list = redis_server_ask(server, "CLIENT LIST");
	size_t n = 0;

	for (const char *at = list; (at = strstr(at, "name=unit-test")); at++)
		n++;
	return n;
}

/* ---- slots ---- */

static void compare_slots(const struct redis_server *server)
{
	static const char *const keys[] = {
		"123456789", "",     "{user1000}.following", "foo{}{bar}", "foo{{bar}}zap", "foo{bar}{zap}",
		"foo{bar",   "}{a}",
	};

	CU_ASSERT_EQUAL(redis_slot("123456789", 9), 0x31c3);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		_cleanup_(freep) char *slot = redis_server_ask(server, "CLUSTER KEYSLOT %s", keys[i]);

		CU_ASSERT_EQUAL(redis_slot(keys[i], strlen(keys[i])), atoi(slot));
	}
}

/* ---- reaching all of it ---- */

static void reach_all(struct scene *scene)
{
	for (int i = 0; i < 100; i++) {
		_cleanup_(freep) char *key = format_text("key:%d", i);

		CU_ASSERT_EQUAL(set(scene->redis, key), 0);
		CU_ASSERT(has(scene->redis, key));
	}
	CU_ASSERT(redis_is_cluster(scene->redis));
	CU_ASSERT(redis_connected(scene->redis));
	CU_ASSERT(pings(scene->redis));
}

static void reach_over_one_connection_each(struct scene *scene)
{
	reach_all(scene);
	for (int i = 0; i < REDIS_CLUSTER_MASTERS; i++)
		CU_ASSERT_EQUAL(connections(scene->masters[i]), 1);
}

struct crowd {
	struct scene *scene;
	struct coroutine *waiting;
	size_t begun, left, done;
};

static void one_of_the_crowd(void *argument)
{
	struct crowd *crowd = argument;
	_cleanup_(freep) char *key = format_text("key:%zu", crowd->begun++);

	crowd->done += put(crowd->scene->redis, key) == 0 && has(crowd->scene->redis, key);
	if (--crowd->left == 0)
		coroutine_wake(crowd->waiting, 0);
}

static void functions(struct scene *scene)
{
	struct crowd crowd = { .scene = scene, .waiting = coroutine_current(), .left = 500 };
	_cleanup_(reply_freep) redisReply *reply = NULL;

	for (int i = 0; i < 500; i++) /* from the first connection on */
		CU_ASSERT(coroutine_start(scene->loop, one_of_the_crowd, &crowd, NULL) == 0);
	CU_ASSERT(coroutine_wait(INT64_MAX) == 0);
	CU_ASSERT_EQUAL(crowd.done, 500);
	for (int i = 0; i < REDIS_CLUSTER_MASTERS; i++) {
		_cleanup_(freep) char *info = redis_server_ask(scene->masters[i], "INFO memory");

		CU_ASSERT(strstr(info, "number_of_libraries:1\r") != NULL);
	}
	/* A command whose first key is not its second word finds its way, too. */
	CU_ASSERT(redis_commandf(scene->redis, TIMEOUT, &reply, "OBJECT ENCODING key:1") == 0);
	CU_ASSERT(reply && reply->type == REDIS_REPLY_STRING);
}

static void keys_of_two_slots(struct scene *scene)
{
	_cleanup_(reply_freep) redisReply *reply = NULL;

	CU_ASSERT_EQUAL(redis_commandf(scene->redis, TIMEOUT, &reply, "MGET a b"), -EIO);
	CU_ASSERT_PTR_NULL(reply);
}

/* ---- a slot on its way ---- */

struct move {
	struct redis_server *from, *to;
	char *from_id, *to_id;
	int slot;
};

static void move_begin(struct move *move, struct redis_server **masters, const char *tag)
{
	move->slot = redis_slot(tag, strlen(tag));
	move->from = masters[move->slot * REDIS_CLUSTER_MASTERS / 16384];
	move->to = masters[move->from == masters[0]];
	move->from_id = redis_server_ask(move->from, "CLUSTER MYID");
	move->to_id = redis_server_ask(move->to, "CLUSTER MYID");
	free(redis_server_ask(move->to, "CLUSTER SETSLOT %d IMPORTING %s", move->slot, move->from_id));
	free(redis_server_ask(move->from, "CLUSTER SETSLOT %d MIGRATING %s", move->slot, move->to_id));
}

static void move_key(const struct move *move, const char *key)
{
	free(redis_server_ask(move->from, "MIGRATE 127.0.0.1 %d %s 0 5000", redis_server_port(move->to), key));
}

static void move_end(struct move *move)
{
	free(redis_server_ask(move->to, "CLUSTER SETSLOT %d NODE %s", move->slot, move->to_id));
	free(redis_server_ask(move->from, "CLUSTER SETSLOT %d NODE %s", move->slot, move->to_id));
	free(move->from_id);
	free(move->to_id);
}

struct pop {
	struct scene *scene;
	struct coroutine *waiting;
	int result;
};

static void pop_blocking(void *argument)
{
	struct pop *pop = argument;
	_cleanup_(reply_freep) redisReply *reply = NULL;

	pop->result = redis_commandf(pop->scene->redis, PRONG_SECONDS(60), &reply, "BRPOP " BLOCKING "list 60");
	if (pop->result == 0)
		pop->result = reply->type == REDIS_REPLY_ARRAY;
	coroutine_wake(pop->waiting, 0);
}

static void blocked(struct scene *scene)
{
	struct redis *other = redis_new(scene->loop, redis_server_url(scene->masters[0]), "unit test");
	struct pop pop = { .scene = scene, .waiting = coroutine_current() };
	_cleanup_(reply_freep) redisReply *reply = NULL;
	struct move move;

	CU_ASSERT(at_last(set, scene->redis, BLOCKING "x"));
	CU_ASSERT(coroutine_start(scene->loop, pop_blocking, &pop, NULL) == 0);
	CU_ASSERT(pings_at_last(other));
	move_begin(&move, scene->masters, BLOCKING);
	move_key(&move, BLOCKING "x");
	move_end(&move);
	CU_ASSERT(redis_commandf(other, TIMEOUT, &reply, "RPUSH " BLOCKING "list x") == 0);
	CU_ASSERT(coroutine_wait(INT64_MAX) == 0);
	CU_ASSERT_EQUAL(pop.result, 1);
	redis_free(other);
}

static void finish_move(void *argument)
{
	struct move *move = argument;

	coroutine_sleep_until(monotonic_us() + PRONG_MILLISECONDS(100));
	move_key(move, MOVING "old");
	move_end(move);
}

static void migrate(struct scene *scene)
{
	int64_t give_up = monotonic_us() + PRONG_SECONDS(30);
	_cleanup_(reply_freep) redisReply *reply = NULL;
	struct move move;
	int r;

	CU_ASSERT(set(scene->redis, MOVING "old") == 0);
	move_begin(&move, scene->masters, MOVING);
	free(redis_server_ask(move.to, "FUNCTION FLUSH"));
	CU_ASSERT(has(scene->redis, MOVING "old"));	     /* still where it was */
	CU_ASSERT_EQUAL(put(scene->redis, MOVING "new"), 0); /* ASK: the new node lacks the library */
	CU_ASSERT(has(scene->redis, MOVING "new"));
	do /* TRYAGAIN: one is here, the other there; time may run out over a try, too */
		r = redis_commandf(scene->redis, PRONG_MILLISECONDS(300), &reply, "MGET " MOVING "old " MOVING "new");
	while (r == -ETIMEDOUT && monotonic_us() < give_up);
	CU_ASSERT_EQUAL(r, -EBUSY);
	CU_ASSERT(coroutine_start(scene->loop, finish_move, &move, NULL) == 0);
	CU_ASSERT_EQUAL(redis_commandf(scene->redis, PRONG_SECONDS(60), &reply, "MGET " MOVING "old " MOVING "new"), 0);
	CU_ASSERT(reply && reply->elements == 2 && reply->element[0]->str && reply->element[1]->str);
	CU_ASSERT(has(scene->redis, MOVING "old"));
	CU_ASSERT(has(scene->redis, MOVING "new"));
}

/* ---- what a cluster must be like ---- */

static void is_fit(struct scene *scene)
{
	_cleanup_(freep) char *reason = NULL, *text = NULL;

	CU_ASSERT_EQUAL(redis_check_server(scene->redis, TIMEOUT, &reason), 0);
	CU_ASSERT_PTR_NULL(reason);
	CU_ASSERT_EQUAL(redis_persistence(scene->redis, TIMEOUT, &text), 0);
	CU_ASSERT(text && strstr(text, "Redis at 127.0.0.1:") && strstr(text, "synced with every write"));
}

static void names_the_database(struct scene *scene)
{
	_cleanup_(freep) char *reason = NULL;

	CU_ASSERT_EQUAL(redis_check_server(scene->redis, TIMEOUT, &reason), -EINVAL);
	CU_ASSERT(reason && strstr(reason, "the database 3"));
	CU_ASSERT(!pings(scene->redis));
}

static void names_the_node(struct scene *scene)
{
	_cleanup_(freep) char *reason = NULL, *text = NULL;
	_cleanup_(freep) char *node = format_text(":%d ", redis_server_port(scene->masters[2]));

	free(redis_server_ask(scene->masters[2], "CONFIG SET maxmemory-policy allkeys-lru"));
	free(redis_server_ask(scene->masters[2], "CONFIG SET appendonly no"));
	CU_ASSERT_EQUAL(redis_check_server(scene->redis, TIMEOUT, &reason), -EINVAL);
	CU_ASSERT(reason && strstr(reason, "allkeys-lru") && strstr(reason, node));
	CU_ASSERT_EQUAL(redis_persistence(scene->redis, TIMEOUT, &text), 1);
	CU_ASSERT(text && strstr(text, "writes no AOF") && strstr(text, node));
}

static void misses_a_slot(struct scene *scene)
{
	_cleanup_(freep) char *reason = NULL;

	for (int i = 0; i < REDIS_CLUSTER_MASTERS; i++)
		free(redis_server_ask(scene->masters[i], "CLUSTER DELSLOTS 0"));
	CU_ASSERT_EQUAL(redis_check_server(scene->redis, TIMEOUT, &reason), -EINVAL);
	CU_ASSERT(reason && strstr(reason, "16383 of its 16384 slots"));
}

TEST(redis_cluster, routes_by_slot)
{
	struct redis_server *masters[REDIS_CLUSTER_MASTERS];
	_cleanup_(freep) char *url = NULL, *database = NULL;

	redis_cluster_start(masters, fit);
	url = url_of(masters[1]);
	database = format_text("%s/3", url);
	compare_slots(masters[0]);
	play_in_cluster(url, masters, functions);
	play_in_cluster(url, masters, reach_over_one_connection_each);
	play_in_cluster(redis_server_url(masters[2]), masters, reach_all);
	play_in_cluster(url, masters, keys_of_two_slots);
	play_in_cluster(url, masters, is_fit);
	play_in_cluster(database, masters, names_the_database);
	play_in_cluster(url, masters, names_the_node);
	play_in_cluster(url, masters, misses_a_slot);
	redis_cluster_stop(masters);
}

TEST(redis_cluster, follows_slots_that_move)
{
	struct redis_server *masters[REDIS_CLUSTER_MASTERS];
	_cleanup_(freep) char *url = NULL;

	redis_cluster_start(masters, fit);
	url = url_of(masters[1]);
	play_in_cluster(url, masters, migrate);
	play_in_cluster(redis_server_url(masters[1]), masters, blocked);
	redis_cluster_stop(masters);
}

/* ---- losing nodes ---- */

static void lose_a_node(struct scene *scene)
{
	_cleanup_(freep) char *of_the_lost = key_of(1), *of_another = key_of(0);
	int64_t began;
	int r;

	CU_ASSERT_EQUAL(set(scene->redis, of_the_lost), 0);
	CU_ASSERT_EQUAL(set(scene->redis, of_another), 0);
	redis_server_kill(scene->masters[1]);
	began = monotonic_us();
	do { /* first the connection is lost, then the whole cluster declares itself down */
		r = set_within(scene->redis, PRONG_SECONDS(2), of_the_lost);
		CU_ASSERT(r == -EHOSTDOWN || r == -EBUSY || r == -ETIMEDOUT);
		r = set_within(scene->redis, PRONG_SECONDS(2), of_another);
		CU_ASSERT(r == 0 || r == -EBUSY || r == -ETIMEDOUT);
	} while (r != -EBUSY && monotonic_us() < began + PRONG_SECONDS(30));
	CU_ASSERT_EQUAL(r, -EBUSY);
	CU_ASSERT(pings(scene->redis));
	redis_server_launch(scene->masters[1]);
	CU_ASSERT(at_last(set, scene->redis, of_another));
	CU_ASSERT(at_last(put, scene->redis, of_the_lost));
	CU_ASSERT(has(scene->redis, of_the_lost));
}

TEST(redis_cluster, survives_the_loss_of_a_node)
{
	struct redis_server *masters[REDIS_CLUSTER_MASTERS];
	_cleanup_(freep) char *first = NULL, *lost = NULL;

	redis_cluster_start(masters, fit);
	first = url_of(masters[0]);
	lost = url_of(masters[1]);
	play_in_cluster(first, masters, lose_a_node);
	play_in_cluster(lost, masters, lose_a_node); /* the one that REDIS_URL names */
	redis_cluster_stop(masters);
}

static void fail_over(struct scene *scene)
{
	_cleanup_(freep) char *key = key_of(0);

	CU_ASSERT_EQUAL(put(scene->redis, key), 0); /* nothing else: the other masters are known, not connected */
	redis_server_kill(scene->masters[0]);
	CU_ASSERT(at_last(set, scene->redis, key));
	CU_ASSERT_EQUAL(put(scene->redis, key), 0);
	CU_ASSERT(pings(scene->redis));
}

TEST(redis_cluster, follows_a_failover)
{
	struct redis_server *masters[REDIS_CLUSTER_MASTERS], *replica;
	_cleanup_(freep) char *url = NULL;

	redis_cluster_start(masters, fit);
	replica = redis_cluster_replica(masters, 0);
	url = url_of(masters[0]);
	play_in_cluster(url, masters, fail_over);
	redis_server_free(replica);
	redis_cluster_stop(masters);
}
