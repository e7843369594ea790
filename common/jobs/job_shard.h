/* Within common/jobs: the keys of a queue and the shapes of what its scripts are given and return. */
#ifndef JOB_SHARD_H
#define JOB_SHARD_H

#include <inttypes.h>

#include "common/buffer.h"
#include "common/jobs/job_queue.h"

enum job_key {
	JOB_KEY_BODY,
	JOB_KEY_READY,
	JOB_KEY_DELAYED,
	JOB_KEY_INFLIGHT,
	JOB_KEY_ATTEMPTS,
	JOB_KEY_ERROR,
	JOB_KEY_DEAD,
	JOB_KEY_WAKE,
	JOB_KEYS,
};

/* A queue's part of the keyspace. */
struct job_shard {
	const char *queue; /* the registry's */
	char *keys[JOB_KEYS];
};

struct job_queue {
	struct redis *redis;
	struct job_shard *shards;
	size_t n_shards;
};

/* How long a script may take to answer: it runs for milliseconds, so that a silent server is noticed soon. */
#define JOB_TIMEOUT PRONG_SECONDS(3)

/* The queue of that name; one that is not in the registry is a broken invariant. */
const struct job_shard *job_shard_of(const struct job_queue *queue, const char *name);

/* The key as malloc'ed text. */
char *job_key(const char *queue, enum job_key key);

/*
 * "id#attempt#owner" in the in-flight set. The owner is padded so that members are longer than Redis' limit for compact
 * sets (zset-max-listpack-value, 64): those are searched from end to end.
 */
#define JOB_MEMBER_SIZE 88
#define JOB_OWNER_FORMAT "%032" PRIx64
void job_member_format(const char *id, int attempt, uint64_t owner, char member[JOB_MEMBER_SIZE]);

/* -EIO unless the member is well formed. */
int job_member_parse(const char *member, struct job_verdict *ret_verdict);

/* A record's parts; strings in the arena. A record that cannot be read has the name "". */
struct job_record {
	prong_time enqueued_at;
	const char *name, *request_id;
	int max_attempts;
	prong_duration timeout;
	const char *payload; /* NULL: none */
	size_t payload_size;
};
void job_record_parse(const char *text, size_t size, struct arena *arena, struct job_record *ret_record);

/* The record without its time, which the script adds. */
void job_record_write(const struct prong_job *job, const char *payload, size_t payload_size, const char *request_id,
		      struct buffer *out);

#endif
