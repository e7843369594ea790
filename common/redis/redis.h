/*
 * Redis for one process: hiredis without blocking, on the loop, with our own connect, time-out and reconnect. Commands
 * of many coroutines share one connection, pipelined by nature; a client that blocks on the server (BRPOP) uses one of
 * its own. After a loss it reconnects with jittered backoff (50 ms … 2 s); commands meanwhile wait for at most one
 * second, then -EHOSTDOWN. A command that was sent and lost its reply is -EHOSTDOWN too: it may have been executed.
 *
 * Where REDIS_URL leads to any node of a Redis Cluster, the same calls reach all of it, over a connection to each node
 * that is needed. A command goes where the slot of its first key is, which is its second word, or of redis_command()'s
 * XREAD the one after STREAMS; all its keys are of that slot. Others (PING, CONFIG GET …) go to any one node.
 * Redirections are followed, and what the cluster cannot do just now (CLUSTERDOWN, TRYAGAIN) is repeated until the
 * time-out, then -EBUSY.
 */
#ifndef REDIS_H
#define REDIS_H

#include <hiredis/hiredis.h>

#include "common/loop.h"

struct redis;

/* Checks a REDIS_URL: 0, or -EINVAL with the reason (malloc'ed). */
int redis_check_url(const char *url, char **ret_reason);

/* `name` shows in CLIENT LIST. Connects in the background. */
struct redis *redis_new(struct loop *loop, const char *url, const char *name);

/* As redis_new(), but connects when the first command is to be sent. */
struct redis *redis_new_idle(struct loop *loop, const char *url, const char *name);

struct redis *redis_free(struct redis *redis); /* nobody may be waiting; returns NULL */

/*
 * Sends one command and suspends until its reply, at most `timeout` or the coroutine's deadline. The caller owns
 * `ret_reply` (freeReplyObject()). Errors: -EHOSTDOWN, -ETIMEDOUT, -ECANCELED, -EBUSY (LOADING, BUSY and the like: not
 * executed), -ENOMEM (OOM), -EROFS (READONLY, MISCONF, NOREPLICAS, or demoted to a replica meanwhile), -ENOSPC (FULL,
 * which only scripts of ours say, of a limit of theirs), -EIO with any other error reply, which is logged. Replies of
 * error type are never returned. When the oldest unanswered command is a second overdue the connection is replaced: a
 * silent server is a dead one.
 */
int redis_command(struct redis *redis, prong_duration timeout, size_t argc, const char *const argv[],
		  const size_t lengths[], redisReply **ret_reply);

/* printf-style with %s and %b as in hiredis, for the simple ones. */
int redis_commandf(struct redis *redis, prong_duration timeout, redisReply **ret_reply, const char *format, ...);

/*
 * A library of Redis functions. `source` begins with "#!lua name=…". Names of libraries and functions are unique in a
 * server: another text under the same names is not loaded, so all of them change with the text.
 */
struct redis_library {
	const char *source;
	char version[32]; /* where redis_library_make() made it: with this and '_' its functions' names begin */
};

/*
 * Makes a library of texts in Lua, one after the other, whose version is `name` and their hash; they find it in
 * VERSION. `library->source` is malloc'ed, for as long as the process lives.
 */
void redis_library_make(struct redis_library *library, const char *name, const char *const parts[], size_t count);

/*
 * Calls a function of the library with the first `n_keys` of `argv` as its KEYS and the others as its ARGV. The library
 * is loaded where the server does not know the function. A function refuses with
 * `redis.error_reply('FULL what is full')` for -ENOSPC; any other error of its own is -EIO, and logged. Suspends;
 * errors as redis_command().
 */
int redis_call(struct redis *redis, prong_duration timeout, const struct redis_library *library, const char *function,
	       size_t n_keys, size_t argc, const char *const argv[], const size_t lengths[], redisReply **ret_reply);

bool redis_connected(const struct redis *redis);	 /* in a cluster: to one of its nodes at least */
const char *redis_last_error(const struct redis *redis); /* "" where none; names no password */

/* Whether it is a cluster, as far as is known: false before the first connection. */
bool redis_is_cluster(const struct redis *redis);

/* The slot of a key in a cluster, 0 … 16383: of what stands between its first { and the next }, or of all of it. */
int redis_slot(const char *key, size_t length);

/*
 * For start-up: refuses a server before Redis 7, any maxmemory-policy but noeviction, and a cluster that does not serve
 * all slots or is asked for another database than 0: -EINVAL with a sentence that says what to change in `ret_reason`
 * (malloc'ed). Looks at every master of a cluster. A server that hides CONFIG is taken as it is. Suspends.
 */
int redis_check_server(struct redis *redis, prong_duration timeout, char **ret_reason);

/*
 * Says what a crash of Redis or its host would lose, by its appendonly, appendfsync and save: a sentence for the log
 * (malloc'ed), of the worst master of a cluster. 1 where it is a warning, else 0. Suspends; errors as redis_command().
 */
int redis_persistence(struct redis *redis, prong_duration timeout, char **ret_text);

void reply_freep(redisReply **reply); /* for _cleanup_ */

#endif
