/* The consumers' half of the job queue. */
#include <stdio.h>

#include "common/jobs/job_shard.h"

extern const char embedded_jobs_exchange_lua[];
extern const char embedded_jobs_renew_lua[];
extern const char embedded_jobs_owned_lua[];

static struct redis_script exchange_script = { .source = embedded_jobs_exchange_lua };
static struct redis_script renew_script = { .source = embedded_jobs_renew_lua };
static struct redis_script owned_script = { .source = embedded_jobs_owned_lua };

static const char *integer_text(struct arena *arena, int64_t value)
{
	return arena_format(arena, "%" PRId64, value);
}

static const char *member_text(struct arena *arena, const char *id, int attempt, uint64_t owner)
{
	char *member = arena_alloc(arena, JOB_MEMBER_SIZE);

	job_member_format(id, attempt, owner, member);
	return member;
}

/* Writes the arguments of exchange.lua; returns how many. */
static size_t write_exchange(const struct job_shard *shard, struct arena *arena, const struct job_exchange *exchange,
			     const char **words)
{
	size_t n = JOB_KEYS + 3, n_done = 0;

	for (size_t i = 0; i < JOB_KEYS; i++)
		words[i] = shard->keys[i];
	words[JOB_KEYS] = arena_format(arena, JOB_OWNER_FORMAT, exchange->owner);
	words[JOB_KEYS + 1] = integer_text(arena, exchange->lease ? exchange->lease : JOB_LEASE);
	words[JOB_KEYS + 2] = integer_text(arena, (int64_t)exchange->fetch);
	n++; /* how many are done is known after them */
	for (size_t i = 0; i < exchange->n_verdicts; i++) {
		const struct job_verdict *verdict = &exchange->verdicts[i];

		if (verdict->outcome == JOB_DONE) {
			words[n++] = member_text(arena, verdict->id, verdict->attempt, exchange->owner);
			n_done++;
		}
	}
	words[JOB_KEYS + 3] = integer_text(arena, (int64_t)n_done);
	for (size_t i = 0; i < exchange->n_verdicts; i++) {
		static const char *const outcomes[] = {
			[JOB_RETRY] = "retry", [JOB_DEAD] = "dead", [JOB_RETURN] = "return"
		};
		const struct job_verdict *verdict = &exchange->verdicts[i];

		if (verdict->outcome == JOB_DONE)
			continue;
		words[n++] = member_text(arena, verdict->id, verdict->attempt, exchange->owner);
		words[n++] = outcomes[verdict->outcome];
		words[n++] = integer_text(arena, verdict->delay);
		words[n++] = verdict->error ? verdict->error : "{}";
	}
	return n;
}

static int read_delivery(redisReply *const fields[3], const char *queue, struct arena *arena,
			 struct delivery *ret_delivery)
{
	struct job_record record;

	if (fields[0]->type != REDIS_REPLY_STRING || fields[0]->len >= sizeof(ret_delivery->id) ||
	    fields[1]->type != REDIS_REPLY_STRING || fields[2]->type != REDIS_REPLY_STRING)
		return -EIO;
	job_record_parse(fields[2]->str, fields[2]->len, arena, &record);
	*ret_delivery = (struct delivery){
		.queue = queue,
		.attempt = atoi(fields[1]->str),
		.name = record.name,
		.payload = record.payload,
		.payload_size = record.payload_size,
		.max_attempts = record.max_attempts,
		.timeout = record.timeout,
		.request_id = record.request_id,
		.enqueued_at = record.enqueued_at,
	};
	memcpy(ret_delivery->id, fields[0]->str, fields[0]->len + 1);
	return 0;
}

static int read_exchange(const redisReply *reply, const char *queue, struct arena *arena,
			 struct job_exchange_result *ret_result)
{
	struct job_exchange_result result = { 0 };
	int64_t next;
	int r;

	if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 4 || (reply->elements - 4) % 3 != 0)
		return -EIO;
	result.refused = (size_t)reply->element[0]->integer;
	result.ready = (size_t)reply->element[1]->integer;
	next = strtoll(reply->element[2]->str, NULL, 10);
	result.next = next < 0 ? INT64_MAX : next;
	result.now.us = strtoll(reply->element[3]->str, NULL, 10);
	result.n_deliveries = (reply->elements - 4) / 3;
	result.deliveries = arena_alloc(arena, result.n_deliveries * sizeof(*result.deliveries));
	for (size_t i = 0; i < result.n_deliveries; i++) {
		r = read_delivery(&reply->element[4 + 3 * i], queue, arena, &result.deliveries[i]);
		if (r < 0)
			return r;
	}
	*ret_result = result;
	return 0;
}

int job_queue_exchange(struct job_queue *queue, struct arena *arena, const struct job_exchange *exchange,
		       struct job_exchange_result *ret_result)
{
	const struct job_shard *shard = job_shard_of(queue, exchange->queue);
	_cleanup_(reply_freep) redisReply *reply = NULL;
	_cleanup_(freep) const char **words = NULL;
	size_t n;
	int r;

	check(exchange->n_verdicts <= JOB_BATCH && exchange->fetch <= JOB_BATCH);
	words = allocate_array(JOB_KEYS + 4 + 4 * exchange->n_verdicts, sizeof(*words));
	n = write_exchange(shard, arena, exchange, words);
	r = redis_eval(queue->redis, JOB_TIMEOUT, &exchange_script, JOB_KEYS, n, words, NULL, &reply);
	if (r < 0)
		return r;
	return read_exchange(reply, shard->queue, arena, ret_result);
}

/* One call of renew.lua, for at most JOB_BATCH members. */
static int renew(struct job_queue *queue, const struct job_shard *shard, prong_duration lease,
		 char (*members)[JOB_MEMBER_SIZE], size_t count, bool ret_lost[])
{
	_cleanup_(reply_freep) redisReply *reply = NULL;
	const char *words[JOB_BATCH + 2];
	char lease_text[24];
	int r;

	snprintf(lease_text, sizeof(lease_text), "%" PRId64, lease);
	words[0] = shard->keys[JOB_KEY_INFLIGHT];
	words[1] = lease_text;
	for (size_t i = 0; i < count; i++) {
		words[2 + i] = members[i];
		ret_lost[i] = false;
	}
	r = redis_eval(queue->redis, JOB_TIMEOUT, &renew_script, 1, count + 2, words, NULL, &reply);
	if (r < 0)
		return r;
	if (reply->type != REDIS_REPLY_ARRAY)
		return -EIO;
	for (size_t i = 0; i < reply->elements; i++) {
		long long index = reply->element[i]->integer;

		if (index < 1 || index > (long long)count)
			return -EIO;
		ret_lost[index - 1] = true;
	}
	return 0;
}

int job_queue_renew(struct job_queue *queue, const char *name, uint64_t owner, prong_duration lease,
		    const struct delivery *const deliveries[], size_t count, bool ret_lost[])
{
	_cleanup_(freep) char(*members)[JOB_MEMBER_SIZE] = allocate_array(count, JOB_MEMBER_SIZE);
	const struct job_shard *shard = job_shard_of(queue, name);

	for (size_t i = 0; i < count; i++)
		job_member_format(deliveries[i]->id, deliveries[i]->attempt, owner, members[i]);
	for (size_t i = 0; i < count; i += JOB_BATCH) {
		size_t part = count - i < JOB_BATCH ? count - i : JOB_BATCH;
		int r = renew(queue, shard, lease ? lease : JOB_LEASE, members + i, part, ret_lost + i);

		if (r < 0)
			return r;
	}
	return 0;
}

int job_queue_owned(struct job_queue *queue, const char *name, uint64_t owner, struct arena *arena,
		    struct job_verdict **ret_owned, size_t *ret_count)
{
	const struct job_shard *shard = job_shard_of(queue, name);
	_cleanup_(reply_freep) redisReply *reply = NULL;
	const char *words[] = { shard->keys[JOB_KEY_INFLIGHT], arena_format(arena, JOB_OWNER_FORMAT, owner) };
	struct job_verdict *owned;
	int r;

	r = redis_eval(queue->redis, JOB_TIMEOUT, &owned_script, 1, ARRAY_SIZE(words), words, NULL, &reply);
	if (r < 0)
		return r;
	if (reply->type != REDIS_REPLY_ARRAY)
		return -EIO;
	owned = arena_alloc(arena, reply->elements * sizeof(*owned));
	for (size_t i = 0; i < reply->elements; i++) {
		r = job_member_parse(reply->element[i]->str, &owned[i]);
		if (r < 0)
			return r;
	}
	*ret_owned = owned;
	*ret_count = reply->elements;
	return 0;
}

/* Ends the leases, and has an exchange take back what outlived them: the one place where that is done. */
static int reclaim(struct job_queue *queue, const char *name, uint64_t owner, struct arena *arena, size_t *ret_count)
{
	const struct job_shard *shard = job_shard_of(queue, name);
	struct job_exchange_result result = { 0 };
	struct job_verdict *owned;
	size_t count, reclaimed = 0;
	int r;

	r = job_queue_owned(queue, name, owner, arena, &owned, &count);
	for (size_t i = 0; r == 0 && i < count; i += JOB_BATCH) {
		size_t part = count - i < JOB_BATCH ? count - i : JOB_BATCH;
		char(*members)[JOB_MEMBER_SIZE] = arena_alloc(arena, part * JOB_MEMBER_SIZE);
		bool *lost = arena_alloc(arena, part * sizeof(*lost));

		for (size_t k = 0; k < part; k++)
			job_member_format(owned[i + k].id, owned[i + k].attempt, owner, members[k]);
		r = renew(queue, shard, 0, members, part, lost);
		for (size_t k = 0; r == 0 && k < part; k++)
			reclaimed += !lost[k];
		if (r == 0)
			r = job_queue_exchange(queue, arena, &(struct job_exchange){ .queue = name, .owner = owner },
					       &result);
	}
	if (r < 0)
		return r;
	*ret_count = reclaimed;
	return 0;
}

int job_queue_reclaim(struct job_queue *queue, const char *name, uint64_t owner, size_t *ret_count)
{
	struct arena arena;
	int r;

	arena_init(&arena);
	r = reclaim(queue, name, owner, &arena, ret_count);
	arena_reset(&arena);
	return r;
}
