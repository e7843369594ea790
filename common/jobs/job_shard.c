/* Queues and their shards, and which shard a job belongs to. */
#include <inttypes.h>
#include <stdio.h>

#include "common/jobs/job_queue.h"

#define SHARD_BITS 6 /* of an id's last byte */

static char *make_key(const struct job_shard *shard, enum job_key key)
{
	static const char *const names[] = {
		[JOB_KEY_BODY] = "body",       [JOB_KEY_READY] = "ready",   [JOB_KEY_WAKE] = "wake",
		[JOB_KEY_META] = "meta",       [JOB_KEY_RECENT] = "recent", [JOB_KEY_DELAYED] = "delayed",
		[JOB_KEY_RANKED] = "ranked",   [JOB_KEY_KEYED] = "keyed",   [JOB_KEY_TURNS] = "turns",
		[JOB_KEY_KEYS] = "keys",       [JOB_KEY_UNIQUE] = "unique", [JOB_KEY_TIMERS] = "timers",
		[JOB_KEY_STATE] = "state",     [JOB_KEY_DEAD] = "dead",	    [JOB_KEY_KEPT] = "kept",
		[JOB_KEY_CANCELS] = "cancels", [JOB_KEY_OWNERS] = "owners", [JOB_KEY_IDENTITIES] = "identities",
		[JOB_KEY_RESULTS] = "results",
	};

	return format_text("%s%s", shard->prefix, names[key]);
}

static void shard_init(struct job_shard *shard, const struct prong_queue *queue, size_t queue_index, int number)
{
	*shard = (struct job_shard){ .queue = queue, .queue_index = queue_index, .number = number };
	shard->prefix = format_text("prong:{%s#%d}:", queue->name, number);
	for (enum job_key key = 0; key < JOB_KEYS; key++)
		shard->keys[key] = make_key(shard, key);
}

struct job_queue *job_queue_new(struct loop *loop, struct redis *redis, const struct registry *registry)
{
	struct job_queue *queue = allocate(sizeof(*queue));

	queue->loop = loop;
	queue->redis = redis;
	queue->registry = registry;
	queue->first_shard = allocate_array(registry->n_queues + 1, sizeof(*queue->first_shard));
	for (size_t i = 0; i < registry->n_queues; i++) {
		queue->first_shard[i] = queue->n_shards;
		queue->n_shards += (size_t)registry->queues[i].shards;
	}
	queue->first_shard[registry->n_queues] = queue->n_shards;
	queue->shards = allocate_array(queue->n_shards, sizeof(*queue->shards));
	for (size_t i = 0; i < registry->n_queues; i++)
		for (int number = 0; number < registry->queues[i].shards; number++)
			shard_init(&queue->shards[queue->first_shard[i] + (size_t)number], &registry->queues[i], i,
				   number);
	return queue;
}

struct job_queue *job_queue_free(struct job_queue *queue)
{
	if (!queue)
		return NULL;
	for (size_t i = 0; i < queue->n_shards; i++) {
		check(!queue->shards[i].batch);
		for (enum job_key key = 0; key < JOB_KEYS; key++)
			free(queue->shards[i].keys[key]);
		free(queue->shards[i].prefix);
	}
	free(queue->shards);
	free(queue->first_shard);
	free(queue);
	return NULL;
}

struct job_shard *job_queue_shards(const struct job_queue *queue, const char *name, size_t *ret_count)
{
	const struct prong_queue *rules = registry_queue(queue->registry, name);
	size_t index;

	if (!rules)
		panic("there is no queue %s", name);
	index = (size_t)(rules - queue->registry->queues);
	*ret_count = (size_t)rules->shards;
	return &queue->shards[queue->first_shard[index]];
}

struct job_shard *job_shard_of_id(const struct job_queue *queue, const char *queue_name, const char *id)
{
	size_t count;
	struct job_shard *shards = job_queue_shards(queue, queue_name, &count);
	prong_uuid uuid;

	if (prong_uuid_parse(id, &uuid) < 0)
		return &shards[0];
	return &shards[(uuid.bytes[15] & ((1 << SHARD_BITS) - 1)) % count];
}

/* FNV-1a: the same shard for the same text in every process. */
static uint32_t hash_text(const char *text)
{
	uint32_t hash = 2166136261;

	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * 16777619;
	return hash;
}

prong_uuid job_id_make(const struct job_queue *queue, const struct prong_job *job,
		       const struct prong_enqueue_options *options)
{
	const char *text = options->key ? options->key : options->unique;
	prong_uuid id = prong_uuid_make();
	size_t count, shard;

	job_queue_shards(queue, job_queue_name(job), &count);
	shard = (text ? hash_text(text) : id.bytes[15]) % count;
	id.bytes[15] = (unsigned char)((id.bytes[15] & ~((1 << SHARD_BITS) - 1)) | shard);
	return id;
}

void job_owner_format(uint64_t incarnation, unsigned number, char owner[JOB_OWNER_SIZE])
{
	snprintf(owner, JOB_OWNER_SIZE, "%016" PRIx64 "-%u", incarnation, number);
}
