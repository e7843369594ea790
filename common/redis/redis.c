#include "common/redis/redis.h"

#include <stdarg.h>

#include "common/log.h"
#include "common/redis/redis_send.h"

#define LOADS 3 /* of a library, for one call: each redirection may lead to a node that lacks it */

/* ---- what replies mean ---- */

static bool says(const char *error, const char *code)
{
	const char *inner = strstr(error, ": -"); /* a script's error that quotes a command's */

	return redis_error_is(error, code) || (inner && strncmp(inner + 3, code, strlen(code)) == 0);
}

/* Nothing was executed, and later it may be. */
static bool is_busy(const char *error)
{
	return says(error, "LOADING") || says(error, "BUSY") || says(error, "TRYAGAIN") || says(error, "CLUSTERDOWN") ||
	       says(error, "MOVED") || says(error, "ASK");
}

/* What an error reply means. */
static int judge(const struct redis_route *route, const char *error)
{
	if (is_busy(error))
		return -EBUSY;
	if (says(error, "FULL"))
		return -ENOSPC;
	log_error("Redis: %s%s", route->node->connection->label, error);
	if (says(error, "OOM"))
		return -ENOMEM;
	if (says(error, "READONLY") || says(error, "UNBLOCKED")) {
		/* It was demoted: the name may lead to its successor by now. */
		redis_connection_fail(route->node->connection, "the server is a replica");
		return -EROFS;
	}
	return says(error, "MISCONF") || says(error, "NOREPLICAS") ? -EROFS : -EIO;
}

/* Ends a call: the reply becomes the caller's, an error reply becomes its errno. */
static int finish(const struct redis_route *route, int r, redisReply *reply, redisReply **ret_reply)
{
	if (r < 0)
		return r;
	if (reply->type == REDIS_REPLY_ERROR) {
		r = judge(route, reply->str);
		freeReplyObject(reply);
		return r;
	}
	*ret_reply = reply;
	return 0;
}

static bool is_error(const redisReply *reply, const char *text)
{
	return reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, text, strlen(text)) == 0;
}

/* ---- commands ---- */

/* The place of a command's first key among its words; 0: it has none. */
static size_t key_place(size_t argc, const char *const argv[])
{
	size_t place = 1;

	if (string_equal(argv[0], "XREAD"))
		while (place < argc && !string_equal(argv[place++], "STREAMS"))
			;
	return place < argc ? place : 0;
}

int redis_command(struct redis *redis, prong_duration timeout, size_t argc, const char *const argv[],
		  const size_t lengths[], redisReply **ret_reply)
{
	_cleanup_(redis_route_end) struct redis_route route = { .slot = -1 };
	struct redis_words words = { .argc = argc, .argv = argv, .lengths = lengths };
	size_t key = key_place(argc, argv);
	redisReply *reply = NULL;
	int r;

	if (key)
		route.key = argv[key], route.key_length = lengths ? lengths[key] : strlen(argv[key]);
	r = redis_send(redis, &route, &words, monotonic_us() + timeout, &reply);
	return finish(&route, r, reply, ret_reply);
}

/* The second word of a command in RESP; NULL where there is none. */
static const char *key_in(const char *text, size_t *ret_length)
{
	char *word;
	size_t size;

	if (atoi(text + 1) < 2)
		return NULL;
	size = strtoul(strchr(text, '$') + 1, &word, 10);
	*ret_length = strtoul(word + size + 5, &word, 10); /* after CR LF, the first word, CR LF and '$' */
	return word + 2;
}

int redis_commandf(struct redis *redis, prong_duration timeout, redisReply **ret_reply, const char *format, ...)
{
	_cleanup_(redis_route_end) struct redis_route route = { .slot = -1 };
	_cleanup_(freep) char *text = NULL;
	struct redis_words words;
	redisReply *reply = NULL;
	va_list arguments;
	int size, r;

	va_start(arguments, format);
	size = redisvFormatCommand(&text, format, arguments);
	va_end(arguments);
	check(size > 0);
	route.key = key_in(text, &route.key_length);
	words = (struct redis_words){ .text = text, .text_size = (size_t)size };
	r = redis_send(redis, &route, &words, monotonic_us() + timeout, &reply);
	return finish(&route, r, reply, ret_reply);
}

/* ---- functions ---- */

/* Loads it where the route leads. Another process may have done so meanwhile. */
static int load_library(struct redis *redis, struct redis_route *route, const struct redis_library *library,
			int64_t deadline)
{
	const char *argv[] = { "FUNCTION", "LOAD", library->source };
	_cleanup_(reply_freep) redisReply *reply = NULL;
	redisReply *answer = NULL;
	int r = redis_send(redis, route, &(struct redis_words){ .argc = 3, .argv = argv }, deadline, &answer);

	if (r == 0 && is_error(answer, "ERR Library") && strstr(answer->str, "already exists")) {
		freeReplyObject(answer);
		return 0;
	}
	return finish(route, r, answer, &reply);
}

int redis_call(struct redis *redis, prong_duration timeout, const struct redis_library *library, const char *function,
	       size_t n_keys, size_t argc, const char *const argv[], const size_t lengths[], redisReply **ret_reply)
{
	_cleanup_(freep) const char **words = allocate_array(argc + 3, sizeof(*words));
	_cleanup_(freep) size_t *sizes = allocate_array(argc + 3, sizeof(*sizes));
	_cleanup_(freep) char *count = format_text("%zu", n_keys);
	_cleanup_(redis_route_end) struct redis_route route = { .slot = -1 };
	struct redis_words call = { .argc = argc + 3, .argv = words, .lengths = sizes };
	int64_t deadline = monotonic_us() + timeout;
	redisReply *reply = NULL;
	int r;

	words[0] = "FCALL", sizes[0] = 5;
	words[1] = function, sizes[1] = strlen(function);
	words[2] = count, sizes[2] = strlen(count);
	for (size_t i = 0; i < argc; i++) {
		words[3 + i] = argv[i];
		sizes[3 + i] = lengths ? lengths[i] : strlen(argv[i]);
	}
	if (n_keys > 0)
		route.key = words[3], route.key_length = sizes[3];
	r = redis_send(redis, &route, &call, deadline, &reply);
	for (int i = 0; i < LOADS && r == 0 && is_error(reply, "ERR Function not found"); i++) {
		reply_freep(&reply);
		r = load_library(redis, &route, library, deadline);
		if (r == 0)
			r = redis_send(redis, &route, &call, deadline, &reply);
	}
	return finish(&route, r, reply, ret_reply);
}

void reply_freep(redisReply **reply)
{
	if (*reply)
		freeReplyObject(*reply);
	*reply = NULL;
}
