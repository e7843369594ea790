/* Within common/jobs: calls of the engine's functions, with the keys of one shard. */
#ifndef JOB_ENGINE_H
#define JOB_ENGINE_H

#include <inttypes.h>

#include "common/jobs/job_queue.h"

/* How long a function may take to answer: it runs for milliseconds, so that a silent server is noticed soon. */
#define JOB_TIMEOUT PRONG_SECONDS(3)

/* The arguments of a call: first the keys, then the rest. Words are borrowed, or live in the arena. */
struct job_call {
	struct arena *arena;
	const char **words;
	size_t *sizes;
	size_t count, capacity, n_keys;
};

/* Begins a call with the shard's first `n_keys` keys; room for `n_words` more. */
void job_call_init(struct job_call *call, struct arena *arena, const struct job_shard *shard, size_t n_keys,
		   size_t n_words);
void job_call_taken(struct job_call *call, const struct job_shard *shard, const char *owner); /* one more key */
void job_call_text(struct job_call *call, const char *text);
void job_call_bytes(struct job_call *call, const char *data, size_t size);
void job_call_integer(struct job_call *call, int64_t value);

/* The rules of the shard, as read_limits() of the engine takes them: so many words. */
#define JOB_LIMITS 9
void job_call_limits(struct job_call *call, const struct job_shard *shard);

/* Suspends; errors as redis_call(). The reply is the caller's. */
int job_call_run(struct job_call *call, struct redis *redis, const char *function, redisReply **ret_reply);

/* A call with the shard's keys and at most one argument (NULL: none). */
int job_call_simple(struct job_queue *queue, const struct job_shard *shard, const char *function, const char *argument,
		    redisReply **ret_reply);

/* What a queue-wide limit leaves one shard. */
int64_t job_shard_part(const struct job_shard *shard, int64_t limit);

/* A reply's element as a number, whether it came as an integer or as text. */
int64_t reply_integer(const redisReply *reply);

/* Whether the reply is an array of whole groups of `step` strings. */
bool reply_is_list(const redisReply *reply, size_t step);

#endif
