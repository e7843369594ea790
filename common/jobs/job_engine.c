#include "common/jobs/job_engine.h"

#include <stdio.h>

extern const char embedded_engine_1_base_lua[];
extern const char embedded_engine_2_enqueue_lua[];
extern const char embedded_engine_3_consume_lua[];
extern const char embedded_engine_4_people_lua[];
extern const char embedded_engine_5_fsck_lua[];
extern const char embedded_engine_6_register_lua[];

static const struct redis_library *library(void)
{
	static const char *const parts[] = {
		embedded_engine_1_base_lua,   embedded_engine_2_enqueue_lua, embedded_engine_3_consume_lua,
		embedded_engine_4_people_lua, embedded_engine_5_fsck_lua,    embedded_engine_6_register_lua,
	};
	static struct redis_library made;

	if (!made.source)
		redis_library_make(&made, "jobs", parts, ARRAY_SIZE(parts));
	return &made;
}

void job_call_init(struct job_call *call, struct arena *arena, const struct job_shard *shard, size_t n_keys,
		   size_t n_words)
{
	*call = (struct job_call){ .arena = arena, .capacity = n_keys + n_words };
	call->words = arena_alloc(arena, call->capacity * sizeof(*call->words));
	call->sizes = arena_alloc(arena, call->capacity * sizeof(*call->sizes));
	for (size_t i = 0; i < n_keys; i++)
		job_call_text(call, shard->keys[i]);
	call->n_keys = n_keys;
}

void job_call_taken(struct job_call *call, const struct job_shard *shard, const char *owner)
{
	check(call->count == call->n_keys);
	job_call_text(call, arena_format(call->arena, "%staken:%s", shard->prefix, owner));
	call->n_keys++;
}

void job_call_bytes(struct job_call *call, const char *data, size_t size)
{
	check(call->count < call->capacity);
	call->words[call->count] = data;
	call->sizes[call->count++] = size;
}

void job_call_text(struct job_call *call, const char *text)
{
	job_call_bytes(call, text, strlen(text));
}

void job_call_integer(struct job_call *call, int64_t value)
{
	char text[24], *end = text + sizeof(text), *start = end;
	uint64_t left = value < 0 ? -(uint64_t)value : (uint64_t)value;
	char *word;

	do
		*--start = (char)('0' + left % 10);
	while (left /= 10);
	if (value < 0)
		*--start = '-';
	word = arena_alloc(call->arena, (size_t)(end - start) + 1);
	memcpy(word, start, (size_t)(end - start));
	job_call_bytes(call, word, (size_t)(end - start));
}

int64_t job_shard_part(const struct job_shard *shard, int64_t limit)
{
	int64_t shards = shard->queue->shards;

	return limit / shards + (shard->number < limit % shards);
}

void job_call_limits(struct job_call *call, const struct job_shard *shard)
{
	const struct prong_queue *queue = shard->queue;

	job_call_integer(call, job_shard_part(shard, queue->concurrency));
	job_call_integer(call, job_shard_part(shard, queue->rate.count));
	job_call_integer(call, queue->rate.per);
	job_call_integer(call, queue->key_concurrency);
	job_call_integer(call, queue->key_rate.count);
	job_call_integer(call, queue->key_rate.per);
	job_call_integer(call, queue->max_dead);
	job_call_integer(call, queue->dead_age);
	job_call_integer(call, queue->max_results);
}

int job_call_run(struct job_call *call, struct redis *redis, const char *function, redisReply **ret_reply)
{
	char name[sizeof(library()->version) + 16];

	snprintf(name, sizeof(name), "%s_%s", library()->version, function);
	return redis_call(redis, JOB_TIMEOUT, library(), name, call->n_keys, call->count, call->words, call->sizes,
			  ret_reply);
}

int job_call_simple(struct job_queue *queue, const struct job_shard *shard, const char *function, const char *argument,
		    redisReply **ret_reply)
{
	struct job_call call;
	struct arena arena;
	int r;

	arena_init(&arena);
	job_call_init(&call, &arena, shard, JOB_KEYS, 1);
	if (argument)
		job_call_text(&call, argument);
	r = job_call_run(&call, queue->redis, function, ret_reply);
	arena_reset(&arena);
	return r;
}

int64_t reply_integer(const redisReply *reply)
{
	return reply->type == REDIS_REPLY_INTEGER ? reply->integer : reply->str ? strtoll(reply->str, NULL, 10) : 0;
}

bool reply_is_list(const redisReply *reply, size_t step)
{
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements % step != 0)
		return false;
	for (size_t i = 0; i < reply->elements; i++)
		if (reply->element[i]->type != REDIS_REPLY_STRING)
			return false;
	return true;
}
