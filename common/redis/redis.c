#include "common/redis/redis.h"

#include <stdarg.h>

#include "common/log.h"
#include "common/redis/redis_connection.h"

#define WAIT_FOR_CONNECTION PRONG_SECONDS(1)

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Waits a second at most for a connection. */
static int wait_until_ready(struct redis *redis, int64_t deadline)
{
	int64_t patience = monotonic_us() + WAIT_FOR_CONNECTION;
	struct redis_waiter waiter;
	int r = 0;

	while (r == 0 && redis->state != REDIS_READY) {
		waiter = (struct redis_waiter){ &redis->waiters, redis->waiters.previous, coroutine_current() };
		waiter.previous->next = &waiter;
		redis->waiters.previous = &waiter;
		r = coroutine_wait(earlier(patience, deadline));
		waiter.previous->next = waiter.next;
		waiter.next->previous = waiter.previous;
	}
	if (r == -ETIMEDOUT && monotonic_us() >= patience)
		return -EHOSTDOWN;
	return r;
}

/* Waits for the answer to a command that was appended. The reply may be an error reply. */
static int await(struct redis *redis, prong_duration timeout, int64_t deadline, redisReply **ret_reply)
{
	struct redis_pending *pending = redis_connection_sent(redis, timeout, coroutine_current());
	redisReply *reply;
	int r = coroutine_wait(deadline);

	if (!pending->answered) {
		check(r < 0);
		pending->waiter = NULL;
		return r;
	}
	r = pending->result;
	reply = pending->reply;
	free(pending);
	if (r < 0)
		return r;
	*ret_reply = reply;
	return 0;
}

/* As redis_command(), but error replies are returned like others. */
static int command_raw(struct redis *redis, prong_duration timeout, size_t argc, const char *const argv[],
		       const size_t lengths[], redisReply **ret_reply)
{
	int64_t deadline = monotonic_us() + timeout;
	int r = wait_until_ready(redis, deadline);

	if (r < 0)
		return r;
	redis_write_command(&redis->out, argc, argv, lengths);
	return await(redis, timeout, deadline, ret_reply);
}

static bool says(const char *text, const char *code)
{
	size_t size = strlen(code);
	const char *inner;

	if (strncmp(text, code, size) == 0 && (text[size] == ' ' || text[size] == '\0'))
		return true;
	inner = strstr(text, ": -"); /* a script's error that quotes a command's */
	return inner && strncmp(inner + 3, code, size) == 0;
}

/* What an error reply means. */
static int judge(struct redis *redis, const char *error)
{
	if (says(error, "LOADING") || says(error, "BUSY") || says(error, "TRYAGAIN"))
		return -EBUSY;
	if (says(error, "FULL"))
		return -ENOSPC;
	log_error("Redis: %s", error);
	if (says(error, "OOM"))
		return -ENOMEM;
	if (says(error, "READONLY")) {
		/* It was demoted: the name may lead to its successor by now. */
		redis_connection_fail(redis, "the server is a replica");
		return -EROFS;
	}
	return says(error, "MISCONF") ? -EROFS : -EIO;
}

/* Ends a call: the reply becomes the caller's, an error reply becomes its errno. */
static int finish(struct redis *redis, int r, redisReply *reply, redisReply **ret_reply)
{
	if (r < 0)
		return r;
	if (reply->type == REDIS_REPLY_ERROR) {
		r = judge(redis, reply->str);
		freeReplyObject(reply);
		return r;
	}
	*ret_reply = reply;
	return 0;
}

int redis_command(struct redis *redis, prong_duration timeout, size_t argc, const char *const argv[],
		  const size_t lengths[], redisReply **ret_reply)
{
	redisReply *reply = NULL;
	int r = command_raw(redis, timeout, argc, argv, lengths, &reply);

	return finish(redis, r, reply, ret_reply);
}

int redis_commandf(struct redis *redis, prong_duration timeout, redisReply **ret_reply, const char *format, ...)
{
	_cleanup_(freep) char *command = NULL;
	int64_t deadline = monotonic_us() + timeout;
	redisReply *reply = NULL;
	va_list arguments;
	int size, r;

	va_start(arguments, format);
	size = redisvFormatCommand(&command, format, arguments);
	va_end(arguments);
	check(size > 0);
	r = wait_until_ready(redis, deadline);
	if (r < 0)
		return r;
	buffer_add(&redis->out, command, (size_t)size);
	r = await(redis, timeout, deadline, &reply);
	return finish(redis, r, reply, ret_reply);
}

/* Has the server name the script: hashing it is the server's business anyhow. */
static int load_script(struct redis *redis, prong_duration timeout, struct redis_script *script)
{
	_cleanup_(reply_freep) redisReply *reply = NULL;
	int r = redis_command(redis, timeout, 3, (const char *[]){ "SCRIPT", "LOAD", script->source }, NULL, &reply);

	if (r < 0)
		return r;
	if (reply->type != REDIS_REPLY_STRING || reply->len != sizeof(script->sha1) - 1)
		return -EIO;
	memcpy(script->sha1, reply->str, sizeof(script->sha1));
	return 0;
}

int redis_eval(struct redis *redis, prong_duration timeout, struct redis_script *script, size_t n_keys, size_t argc,
	       const char *const argv[], const size_t lengths[], redisReply **ret_reply)
{
	_cleanup_(freep) const char **words = allocate_array(argc + 3, sizeof(*words));
	_cleanup_(freep) size_t *sizes = allocate_array(argc + 3, sizeof(*sizes));
	_cleanup_(freep) char *count = format_text("%zu", n_keys);
	redisReply *reply = NULL;
	int r;

	if (script->sha1[0] == '\0') {
		r = load_script(redis, timeout, script);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < argc; i++) {
		words[3 + i] = argv[i];
		sizes[3 + i] = lengths ? lengths[i] : strlen(argv[i]);
	}
	words[0] = "EVALSHA", sizes[0] = 7;
	words[1] = script->sha1, sizes[1] = strlen(script->sha1);
	words[2] = count, sizes[2] = strlen(count);
	r = command_raw(redis, timeout, argc + 3, words, sizes, &reply);
	if (r == 0 && reply->type == REDIS_REPLY_ERROR && says(reply->str, "NOSCRIPT")) {
		reply_freep(&reply);
		words[0] = "EVAL", sizes[0] = 4;
		words[1] = script->source, sizes[1] = strlen(script->source);
		r = command_raw(redis, timeout, argc + 3, words, sizes, &reply);
	}
	return finish(redis, r, reply, ret_reply);
}

/* Another process may have loaded it meanwhile. */
static int load_library(struct redis *redis, int64_t deadline, const struct redis_library *library)
{
	redisReply *reply = NULL;
	int r = command_raw(redis, deadline - monotonic_us(), 3,
			    (const char *[]){ "FUNCTION", "LOAD", library->source }, NULL, &reply);

	if (r == 0 && reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "ERR Library", 11) == 0 &&
	    strstr(reply->str, "already exists")) {
		freeReplyObject(reply);
		return 0;
	}
	r = finish(redis, r, reply, &reply);
	if (r == 0)
		freeReplyObject(reply);
	return r;
}

int redis_call(struct redis *redis, prong_duration timeout, const struct redis_library *library, const char *function,
	       size_t n_keys, size_t argc, const char *const argv[], const size_t lengths[], redisReply **ret_reply)
{
	_cleanup_(freep) const char **words = allocate_array(argc + 3, sizeof(*words));
	_cleanup_(freep) size_t *sizes = allocate_array(argc + 3, sizeof(*sizes));
	_cleanup_(freep) char *count = format_text("%zu", n_keys);
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
	r = command_raw(redis, timeout, argc + 3, words, sizes, &reply);
	if (r == 0 && reply->type == REDIS_REPLY_ERROR && string_equal(reply->str, "ERR Function not found")) {
		reply_freep(&reply);
		r = load_library(redis, deadline, library);
		if (r == 0)
			r = command_raw(redis, deadline - monotonic_us(), argc + 3, words, sizes, &reply);
	}
	return finish(redis, r, reply, ret_reply);
}

bool redis_connected(const struct redis *redis)
{
	return redis->state == REDIS_READY;
}

const char *redis_last_error(const struct redis *redis)
{
	return redis->error;
}

/* A server that hides a command behind an error is taken as it is, and nothing is logged. */
static int ask(struct redis *redis, prong_duration timeout, size_t argc, const char *const argv[],
	       redisReply **ret_reply)
{
	int r = command_raw(redis, timeout, argc, argv, NULL, ret_reply);

	if (r == 0 && (*ret_reply)->type == REDIS_REPLY_ERROR && says((*ret_reply)->str, "LOADING"))
		return -EBUSY;
	return r;
}

static int check_version(struct redis *redis, prong_duration timeout, char **ret_reason)
{
	_cleanup_(reply_freep) redisReply *reply = NULL;
	const char *version;
	int r = ask(redis, timeout, 2, (const char *[]){ "INFO", "server" }, &reply);

	if (r < 0)
		return r;
	version = reply->type == REDIS_REPLY_STRING ? strstr(reply->str, "redis_version:") : NULL;
	if (!version || atoi(version + 14) >= 7)
		return 0;
	*ret_reason = format_text("Redis %.*s is too old: 7.0 or later is needed, for its scripts",
				  (int)strcspn(version + 14, "\r\n"), version + 14);
	return -EINVAL;
}

int redis_check_server(struct redis *redis, prong_duration timeout, char **ret_reason)
{
	_cleanup_(reply_freep) redisReply *reply = NULL;
	int r = check_version(redis, timeout, ret_reason);

	if (r < 0)
		return r;
	r = ask(redis, timeout, 3, (const char *[]){ "CONFIG", "GET", "maxmemory-policy" }, &reply);
	if (r < 0)
		return r;
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 || !reply->element[1]->str ||
	    string_equal(reply->element[1]->str, "noeviction"))
		return 0;
	*ret_reason = format_text("Redis would throw jobs away when its memory is full (maxmemory-policy is %s): run "
				  "`redis-cli config set maxmemory-policy noeviction`, and put `maxmemory-policy "
				  "noeviction` into its redis.conf",
				  reply->element[1]->str);
	return -EINVAL;
}

void reply_freep(redisReply **reply)
{
	if (*reply)
		freeReplyObject(*reply);
	*reply = NULL;
}
