#include "common/jobs/job_queue.h"

#include <stdio.h>

#include "common/buffer.h"
#include "common/jobs/job_shard.h"

extern const char embedded_jobs_enqueue_lua[];
extern const char embedded_jobs_counts_lua[];
extern const char embedded_jobs_list_lua[];

static struct redis_script enqueue_script = { .source = embedded_jobs_enqueue_lua };
static struct redis_script counts_script = { .source = embedded_jobs_counts_lua };
static struct redis_script list_script = { .source = embedded_jobs_list_lua };

const char *const job_state_names[] = {
	[JOB_STATE_READY] = "ready",
	[JOB_STATE_DELAYED] = "delayed",
	[JOB_STATE_INFLIGHT] = "inflight",
	[JOB_STATE_DEAD] = "dead",
	[JOB_STATES] = NULL,
};

struct job_queue *job_queue_new(struct redis *redis, const struct registry *registry)
{
	struct job_queue *queue = allocate(sizeof(*queue));

	queue->redis = redis;
	queue->n_shards = registry->n_queues;
	queue->shards = allocate_array(registry->n_queues, sizeof(*queue->shards));
	for (size_t i = 0; i < registry->n_queues; i++) {
		queue->shards[i].queue = registry->queues[i];
		for (enum job_key key = 0; key < JOB_KEYS; key++)
			queue->shards[i].keys[key] = job_key(registry->queues[i], key);
	}
	return queue;
}

struct job_queue *job_queue_free(struct job_queue *queue)
{
	if (!queue)
		return NULL;
	for (size_t i = 0; i < queue->n_shards; i++)
		for (enum job_key key = 0; key < JOB_KEYS; key++)
			free(queue->shards[i].keys[key]);
	free(queue->shards);
	free(queue);
	return NULL;
}

int job_queue_add(struct job_queue *queue, const struct prong_job *job, prong_uuid id, const char *payload,
		  size_t payload_size, const char *request_id, bool *ret_duplicate)
{
	const struct job_shard *shard = job_shard_of(queue, job_queue_name(job));
	_cleanup_(reply_freep) redisReply *reply = NULL;
	char id_text[PRONG_UUID_TEXT_SIZE];
	struct buffer record = { 0 };
	int r;

	job_record_write(job, payload, payload_size, request_id, &record);
	const char *words[] = { shard->keys[JOB_KEY_BODY], shard->keys[JOB_KEY_READY], shard->keys[JOB_KEY_WAKE],
				prong_uuid_format(id, id_text), record.data };
	size_t sizes[] = { strlen(words[0]), strlen(words[1]), strlen(words[2]), strlen(words[3]), record.size };
	r = redis_eval(queue->redis, JOB_TIMEOUT, &enqueue_script, 3, ARRAY_SIZE(words), words, sizes, &reply);
	buffer_free(&record);
	if (r < 0)
		return r;
	if (reply->type != REDIS_REPLY_INTEGER)
		return -EIO;
	if (ret_duplicate)
		*ret_duplicate = reply->integer == 0;
	return 0;
}

int job_queue_wait(struct redis *blocking, const char *const queues[], size_t n_queues, prong_duration timeout,
		   size_t *ret_queue)
{
	_cleanup_(reply_freep) redisReply *reply = NULL;
	_cleanup_(freep) const char **words = allocate_array(n_queues + 2, sizeof(*words));
	_cleanup_(freep) char *seconds = format_text("%.3f", (double)timeout / 1e6);
	int r;

	words[0] = "BRPOP";
	for (size_t i = 0; i < n_queues; i++)
		words[1 + i] = job_key(queues[i], JOB_KEY_WAKE);
	words[1 + n_queues] = seconds;
	r = redis_command(blocking, timeout + PRONG_SECONDS(1), n_queues + 2, words, NULL, &reply);
	if (r == 0 && reply->type == REDIS_REPLY_NIL)
		r = -ETIMEDOUT;
	if (r == 0 && (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 || !reply->element[0]->str))
		r = -EIO;
	for (size_t i = 0; i < n_queues; i++) {
		if (r == 0 && string_equal(words[1 + i], reply->element[0]->str))
			*ret_queue = i;
		free((char *)words[1 + i]);
	}
	return r;
}

int job_queue_counts(struct job_queue *queue, const char *name, struct job_counts *ret_counts)
{
	const struct job_shard *shard = job_shard_of(queue, name);
	_cleanup_(reply_freep) redisReply *reply = NULL;
	const char *keys[] = { shard->keys[JOB_KEY_READY], shard->keys[JOB_KEY_DELAYED], shard->keys[JOB_KEY_INFLIGHT],
			       shard->keys[JOB_KEY_DEAD] };
	int r;

	r = redis_eval(queue->redis, JOB_TIMEOUT, &counts_script, ARRAY_SIZE(keys), ARRAY_SIZE(keys), keys, NULL,
		       &reply);
	if (r < 0)
		return r;
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != JOB_STATES)
		return -EIO;
	for (size_t i = 0; i < JOB_STATES; i++)
		ret_counts->states[i] = (uint64_t)reply->element[i]->integer;
	return 0;
}

static void read_listing(redisReply *const fields[5], const char *queue, enum job_state state, struct arena *arena,
			 struct job_listing *listing)
{
	struct job_record record;

	job_record_parse(arena_format(arena, "%s\n", fields[3]->str), fields[3]->len + 1, arena, &record);
	*listing = (struct job_listing){
		.queue = queue,
		.name = record.name,
		.state = state,
		.attempt = atoi(fields[1]->str),
		.max_attempts = record.max_attempts,
		.enqueued_at = record.enqueued_at,
		.at = { strtoll(fields[2]->str, NULL, 10) },
		.error = fields[4]->len ? arena_strdup(arena, fields[4]->str) : NULL,
	};
	snprintf(listing->id, sizeof(listing->id), "%s", fields[0]->str);
}

int job_queue_list(struct job_queue *queue, const char *name, enum job_state state, size_t limit, struct arena *arena,
		   struct job_listing **ret_listings, size_t *ret_count)
{
	static const enum job_key members[] = { JOB_KEY_READY, JOB_KEY_DELAYED, JOB_KEY_INFLIGHT, JOB_KEY_DEAD };
	const struct job_shard *shard = job_shard_of(queue, name);
	_cleanup_(reply_freep) redisReply *reply = NULL;
	struct job_listing *listings;
	char limit_text[24];
	int r;

	snprintf(limit_text, sizeof(limit_text), "%zu", limit);
	const char *words[] = { shard->keys[JOB_KEY_BODY],   shard->keys[JOB_KEY_ATTEMPTS], shard->keys[JOB_KEY_ERROR],
				shard->keys[members[state]], job_state_names[state],	    limit_text };
	if (limit == 0) {
		*ret_count = 0;
		return 0;
	}
	r = redis_eval(queue->redis, JOB_TIMEOUT, &list_script, 4, ARRAY_SIZE(words), words, NULL, &reply);
	if (r < 0)
		return r;
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements % 5 != 0)
		return -EIO;
	listings = arena_alloc(arena, (reply->elements / 5) * sizeof(*listings));
	for (size_t i = 0; i < reply->elements / 5; i++)
		read_listing(&reply->element[5 * i], shard->queue, state, arena, &listings[i]);
	*ret_listings = listings;
	*ret_count = reply->elements / 5;
	return 0;
}
