/* What a server must be like, and what it promises: for start-up. */
#include "common/redis/redis_send.h"

/* What one master says of itself. */
struct facts {
	char *who;	    /* "Redis", in a cluster with its address */
	redisReply *server; /* INFO server */
	redisReply *config; /* CONFIG GET of what concerns us; an error reply where it is hidden */
};

static void facts_clear(struct facts *facts)
{
	free(facts->who);
	reply_freep(&facts->server);
	reply_freep(&facts->config);
}

/* Says what is so of one master: 0, or -EINVAL with the reason. */
typedef int facts_function(const struct facts *facts, void *argument, char **ret_reason);

/* The value of a setting; NULL where CONFIG is hidden. */
static const char *setting(const struct facts *facts, const char *name)
{
	const redisReply *config = facts->config;

	if (config->type != REDIS_REPLY_ARRAY)
		return NULL;
	for (size_t i = 0; i + 1 < config->elements; i += 2)
		if (config->element[i]->str && string_equal(config->element[i]->str, name))
			return config->element[i + 1]->str;
	return NULL;
}

/* A server that hides a command behind an error is taken as it is, and nothing is logged. */
static int ask(struct redis *redis, struct redis_route *route, int64_t deadline, size_t argc, const char *const argv[],
	       redisReply **ret_reply)
{
	int r = redis_send(redis, route, &(struct redis_words){ .argc = argc, .argv = argv }, deadline, ret_reply);

	if (r == 0 && (*ret_reply)->type == REDIS_REPLY_ERROR && redis_error_is((*ret_reply)->str, "LOADING"))
		return -EBUSY;
	return r;
}

static int check_node(struct redis *redis, struct redis_node *node, int64_t deadline, facts_function *function,
		      void *argument, char **ret_reason)
{
	static const char *const info[] = { "INFO", "server" };
	static const char *const config[] = {
		"CONFIG", "GET", "maxmemory-policy", "appendonly", "appendfsync", "save"
	};
	_cleanup_(redis_route_end) struct redis_route route = { .slot = -1, .pinned = true };
	_cleanup_(facts_clear) struct facts facts = { 0 };
	int r;

	redis_route_to(&route, node);
	facts.who = redis_is_cluster(redis) ? format_text("Redis at %s:%s", node->url.host, node->url.port)
					    : duplicate("Redis");
	r = ask(redis, &route, deadline, ARRAY_SIZE(info), info, &facts.server);
	if (r == 0)
		r = ask(redis, &route, deadline, ARRAY_SIZE(config), config, &facts.config);
	return r < 0 ? r : function(&facts, argument, ret_reason);
}

/* Learns of all masters. */
static int read_map(struct redis *redis, int64_t deadline, char **ret_reason)
{
	static const char *const words[] = { "CLUSTER", "SLOTS" };
	_cleanup_(redis_route_end) struct redis_route route = { .slot = -1 };
	_cleanup_(reply_freep) redisReply *reply = NULL;
	int r = ask(redis, &route, deadline, ARRAY_SIZE(words), words, &reply);
	size_t served;

	if (r < 0)
		return r;
	if (reply->type == REDIS_REPLY_ERROR)
		*ret_reason = format_text("the cluster does not tell its slots (CLUSTER SLOTS): %s", reply->str);
	served = redis_cluster_take_map(redis, route.node, reply);
	if (!*ret_reason && served < REDIS_SLOTS)
		*ret_reason = format_text("the cluster serves %zu of its %d slots: run `redis-cli --cluster check` and "
					  "`redis-cli --cluster fix`",
					  served, REDIS_SLOTS);
	return *ret_reason ? -EINVAL : 0;
}

static int check_masters(struct redis *redis, int64_t deadline, facts_function *function, void *argument,
			 char **ret_reason)
{
	static const char *const words[] = { "PING" };
	_cleanup_(redis_route_end) struct redis_route route = { .slot = -1 };
	_cleanup_(reply_freep) redisReply *reply = NULL;
	int r = ask(redis, &route, deadline, ARRAY_SIZE(words), words, &reply);

	if (redis_is_cluster(redis) && !string_equal(redis->home->url.database, "0")) {
		*ret_reason = format_text("it names the database %s, but a Redis Cluster has no other than 0: leave "
					  "it out",
					  redis->home->url.database);
		return -EINVAL;
	}
	if (r < 0)
		return r;
	if (!redis_is_cluster(redis))
		return check_node(redis, redis->home, deadline, function, argument, ret_reason);
	r = read_map(redis, deadline, ret_reason);
	for (struct redis_node *node = redis->home, *next; node && r == 0; node = next) {
		node->holders++;
		if (node->listed)
			r = check_node(redis, node, deadline, function, argument, ret_reason);
		next = node->next;
		node->holders--;
	}
	return r;
}

/* ---- what a server must be like ---- */

static int is_fit(const struct facts *facts, void *argument, char **ret_reason)
{
	const char *version =
		facts->server->type == REDIS_REPLY_STRING ? strstr(facts->server->str, "redis_version:") : NULL;
	const char *policy = setting(facts, "maxmemory-policy");

	(void)argument;
	if (version && atoi(version + 14) < 7) {
		*ret_reason = format_text("%s %.*s is too old: 7.0 or later is needed, for its functions", facts->who,
					  (int)strcspn(version + 14, "\r\n"), version + 14);
		return -EINVAL;
	}
	if (!policy || string_equal(policy, "noeviction"))
		return 0;
	*ret_reason = format_text("%s would throw jobs away when its memory is full (maxmemory-policy is %s): run "
				  "`redis-cli config set maxmemory-policy noeviction`, and put `maxmemory-policy "
				  "noeviction` into its redis.conf",
				  facts->who, policy);
	return -EINVAL;
}

int redis_check_server(struct redis *redis, prong_duration timeout, char **ret_reason)
{
	return check_masters(redis, monotonic_us() + timeout, is_fit, NULL, ret_reason);
}

/* ---- what it promises ---- */

enum persistence { SYNCED, EVERY_SECOND, UNSYNCED, HIDDEN, SNAPSHOTS, NOTHING }; /* ever worse */

struct promise {
	enum persistence persistence;
	char *text; /* of the worst so far; NULL: none yet */
};

static enum persistence persistence_of(const struct facts *facts)
{
	const char *append = setting(facts, "appendonly"), *sync = setting(facts, "appendfsync"),
		   *save = setting(facts, "save");

	if (!append || !sync || !save)
		return HIDDEN;
	if (!string_equal(append, "yes"))
		return *save ? SNAPSHOTS : NOTHING;
	if (string_equal(sync, "always"))
		return SYNCED;
	return string_equal(sync, "everysec") ? EVERY_SECOND : UNSYNCED;
}

static int note_persistence(const struct facts *facts, void *argument, char **ret_reason)
{
	static const char *const meanings[] = {
		[SYNCED] = "keeps jobs in its AOF, synced with every write: a crash of its host loses none",
		[EVERY_SECOND] = "keeps jobs in its AOF, synced every second: a crash of its host may lose the last "
				 "second",
		[UNSYNCED] =
			"keeps jobs in its AOF, which its system writes to disk when it likes: a crash of its host may "
			"lose the last half minute; set appendfsync everysec",
		[HIDDEN] =
			"hides CONFIG and is taken as it is: see that its maxmemory-policy is noeviction, and that it "
			"writes an AOF (appendonly yes)",
		[SNAPSHOTS] =
			"writes no AOF, only snapshots: a crash of it loses all jobs since the last one that are not "
			"durable; set appendonly yes",
		[NOTHING] = "writes no AOF: a restart of it loses all jobs that are not durable; set appendonly yes",
	};
	struct promise *worst = argument;
	enum persistence persistence = persistence_of(facts);

	(void)ret_reason;
	if (worst->text && persistence <= worst->persistence)
		return 0;
	free(worst->text);
	worst->text = format_text("%s %s", facts->who, meanings[persistence]);
	worst->persistence = persistence;
	return 0;
}

int redis_persistence(struct redis *redis, prong_duration timeout, char **ret_text)
{
	_cleanup_(freep) char *reason = NULL;
	struct promise worst = { 0 };
	int r = check_masters(redis, monotonic_us() + timeout, note_persistence, &worst, &reason);

	if (r < 0) {
		free(worst.text);
		return r;
	}
	*ret_text = worst.text;
	return worst.persistence >= HIDDEN;
}
