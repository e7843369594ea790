/* The producers' half of the job queue. */
#include <sodium.h>
#include <stdio.h>

#include "common/buffer.h"
#include "common/jobs/job_engine.h"

#define CALL_BYTES (4 * 1024 * 1024) /* of records in one call, beyond a single large one */
#define ENQUEUE_KEYS (JOB_KEY_TIMERS + 1)

/* Jobs of one call: three words each. Records lie one after the other in `records`. */
struct parcel {
	struct parcel_job {
		char id[PRONG_UUID_TEXT_SIZE];
		char when[24];
		size_t record, record_size;
	} * jobs;
	size_t count, capacity;
	struct buffer records;
};

static void parcel_clear(struct parcel *parcel)
{
	free(parcel->jobs);
	buffer_free(&parcel->records);
	*parcel = (struct parcel){ 0 };
}

static struct parcel_job *parcel_add(struct parcel *parcel, const char *id)
{
	struct parcel_job *job;

	if (parcel->count == parcel->capacity) {
		parcel->capacity = parcel->capacity ? 2 * parcel->capacity : 4;
		parcel->jobs = reallocate(parcel->jobs, parcel->capacity * sizeof(*parcel->jobs));
	}
	job = &parcel->jobs[parcel->count++];
	*job = (struct parcel_job){ .record = parcel->records.size };
	snprintf(job->id, sizeof(job->id), "%s", id);
	return job;
}

static void parcel_add_draft(struct parcel *parcel, const struct job_draft *draft)
{
	char id[PRONG_UUID_TEXT_SIZE];
	struct parcel_job *job = parcel_add(parcel, prong_uuid_format(draft->id, id));

	if (draft->options.at.us)
		snprintf(job->when, sizeof(job->when), "%" PRId64, draft->options.at.us);
	else if (draft->options.delay)
		snprintf(job->when, sizeof(job->when), "+%" PRId64, draft->options.delay);
	job_record_write(draft, &parcel->records);
	job->record_size = parcel->records.size - job->record;
}

static bool parcel_is_full(const struct parcel *parcel)
{
	return parcel->count >= JOB_BATCH || parcel->records.size >= CALL_BYTES;
}

/* A reply lost with the connection, not a server that stayed away for the second that commands wait for one. */
static bool worth_repeating(int result, int64_t started)
{
	return result == -EHOSTDOWN && monotonic_us() - started < PRONG_SECONDS(1);
}

static int call_enqueue(struct job_call *call, struct redis *redis, redisReply **ret_reply)
{
	int64_t started = monotonic_us();
	int r;

	do
		r = job_call_run(call, redis, "enqueue", ret_reply);
	while (worth_repeating(r, started));
	return r;
}

static int read_holders(const redisReply *reply, struct job_added *added, size_t count)
{
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements % 2 != 0)
		return -EIO;
	for (size_t i = 0; i < reply->elements; i += 2) {
		size_t index = (size_t)reply_integer(reply->element[i]);

		if (index >= count || reply->element[i + 1]->type != REDIS_REPLY_STRING)
			return -EIO;
		snprintf(added[index].id, sizeof(added[index].id), "%s", reply->element[i + 1]->str);
		added[index].existing = true;
	}
	return 0;
}

/* One call. `relayed`: ids that are live stay as they are, and need no token for that. */
static int send_parcel(struct job_queue *queue, const struct job_shard *shard, const struct parcel *parcel,
		       bool relayed, struct job_added *ret_added)
{
	_cleanup_(reply_freep) redisReply *reply = NULL;
	char token[2 * sizeof(uint64_t) + 1] = "";
	struct job_call call;
	struct arena arena;
	int r;

	arena_init(&arena);
	job_call_init(&call, &arena, shard, ENQUEUE_KEYS, 3 + 3 * parcel->count);
	if (!relayed) {
		uint64_t number;

		randombytes_buf(&number, sizeof(number));
		sodium_bin2hex(token, sizeof(token), (unsigned char *)&number, sizeof(number));
	}
	job_call_text(&call, token);
	job_call_integer(&call, relayed ? 0 : job_shard_part(shard, shard->queue->max_bytes));
	job_call_integer(&call, relayed);
	for (size_t i = 0; i < parcel->count; i++) {
		const struct parcel_job *job = &parcel->jobs[i];

		memcpy(ret_added[i].id, job->id, sizeof(job->id));
		ret_added[i].existing = false;
		job_call_text(&call, job->id);
		job_call_text(&call, job->when);
		job_call_bytes(&call, parcel->records.data + job->record, job->record_size);
	}
	r = call_enqueue(&call, queue->redis, &reply);
	arena_reset(&arena);
	return r < 0 ? r : read_holders(reply, ret_added, parcel->count);
}

/* ---- enqueues of one turn go together ---- */

/* In the frame of a coroutine that waits for its one job. */
struct waiter {
	struct coroutine *coroutine;
	struct job_added *ret_added;
	bool ended;
};

/* Single enqueues of many coroutines; freed by its own coroutine. */
struct job_batch {
	struct job_queue *queue;
	struct job_shard *shard;
	struct parcel parcel;
	struct waiter **waiters; /* by the parcel's jobs; NULL: it has given up */
	struct loop_task task;
};

static void batch_end(struct job_batch *batch, int result, const struct job_added *added)
{
	for (size_t i = 0; i < batch->parcel.count; i++) {
		struct waiter *waiter = batch->waiters[i];

		if (!waiter)
			continue;
		if (result >= 0)
			*waiter->ret_added = added[i];
		waiter->ended = true;
		coroutine_wake(waiter->coroutine, result);
	}
	parcel_clear(&batch->parcel);
	free(batch->waiters);
	free(batch);
}

static void batch_main(void *argument)
{
	struct job_batch *batch = argument;
	_cleanup_(freep) struct job_added *added = allocate_array(batch->parcel.count, sizeof(*added));

	batch_end(batch, send_parcel(batch->queue, batch->shard, &batch->parcel, false, added), added);
}

/* The turn is over, or the batch is full: what comes from now on goes with the next. */
static void batch_send(void *argument)
{
	struct job_batch *batch = argument;

	batch->shard->batch = NULL;
	if (coroutine_start(batch->queue->loop, batch_main, batch, NULL) < 0)
		batch_end(batch, -EAGAIN, NULL);
}

static struct job_batch *batch_get(struct job_queue *queue, struct job_shard *shard)
{
	struct job_batch *batch = shard->batch;

	if (batch)
		return batch;
	batch = allocate(sizeof(*batch));
	batch->queue = queue;
	batch->shard = shard;
	batch->task = (struct loop_task){ .function = batch_send, .argument = batch };
	loop_defer(queue->loop, &batch->task);
	shard->batch = batch;
	return batch;
}

static int add_one(struct job_queue *queue, struct job_shard *shard, const struct job_draft *draft,
		   struct job_added *ret_added)
{
	struct job_batch *batch = batch_get(queue, shard);
	struct waiter waiter = { .coroutine = coroutine_current(), .ret_added = ret_added };
	size_t index = batch->parcel.count;
	int r;

	batch->waiters = reallocate(batch->waiters, (index + 1) * sizeof(*batch->waiters));
	batch->waiters[index] = &waiter;
	parcel_add_draft(&batch->parcel, draft);
	if (parcel_is_full(&batch->parcel)) {
		loop_undefer(queue->loop, &batch->task);
		batch_send(batch);
	}
	r = coroutine_wait(INT64_MAX);
	if (!waiter.ended)
		batch->waiters[index] = NULL;
	return r;
}

/* ---- the calls ---- */

/* Sends drafts[indexes[0 … count − 1]], all of one shard, and puts what became of them in their places. */
static int send_drafts(struct job_queue *queue, struct job_shard *shard, const struct job_draft *drafts,
		       const size_t *indexes, size_t count, struct job_added *ret_added)
{
	_cleanup_(freep) struct job_added *added = allocate_array(JOB_BATCH, sizeof(*added));
	struct parcel parcel = { 0 };
	size_t sent = 0;
	int r = 0;

	while (sent < count && r >= 0) {
		size_t first = sent;

		while (sent < count && !parcel_is_full(&parcel))
			parcel_add_draft(&parcel, &drafts[indexes[sent++]]);
		r = send_parcel(queue, shard, &parcel, false, added);
		for (size_t i = 0; r >= 0 && i < parcel.count; i++)
			ret_added[indexes[first + i]] = added[i];
		parcel_clear(&parcel);
	}
	return r;
}

static struct job_shard *shard_of_draft(const struct job_queue *queue, const struct job_draft *draft)
{
	char id[PRONG_UUID_TEXT_SIZE];

	return job_shard_of_id(queue, job_queue_name(draft->job), prong_uuid_format(draft->id, id));
}

int job_queue_add(struct job_queue *queue, const struct job_draft *drafts, size_t count, struct job_added *ret_added)
{
	_cleanup_(freep) struct job_shard **shards = NULL;
	_cleanup_(freep) size_t *indexes = NULL;
	int r = 0;

	if (count == 1)
		return add_one(queue, shard_of_draft(queue, drafts), drafts, ret_added);
	shards = allocate_array(count, sizeof(*shards));
	indexes = allocate_array(count, sizeof(*indexes));
	for (size_t i = 0; i < count; i++)
		shards[i] = shard_of_draft(queue, &drafts[i]);
	for (size_t i = 0; i < count && r >= 0; i++) {
		struct job_shard *shard = shards[i];
		size_t same = 0;

		if (!shard)
			continue;
		for (size_t j = i; j < count; j++)
			if (shards[j] == shard) {
				indexes[same++] = j;
				shards[j] = NULL;
			}
		r = send_drafts(queue, shard, drafts, indexes, same, ret_added);
	}
	return r;
}

int job_queue_relay(struct job_queue *queue, const char *name, const struct job_relayed *jobs, size_t count)
{
	_cleanup_(freep) struct job_added *added = allocate_array(JOB_BATCH, sizeof(*added));
	struct parcel parcel = { 0 };
	size_t n_shards;
	struct job_shard *shards = job_queue_shards(queue, name, &n_shards);
	int r = 0;

	for (size_t shard = 0; shard < n_shards && r >= 0; shard++) {
		for (size_t i = 0; i < count && r >= 0; i++) {
			struct parcel_job *job;

			if (job_shard_of_id(queue, name, jobs[i].id) != &shards[shard])
				continue;
			job = parcel_add(&parcel, jobs[i].id);
			if (jobs[i].due.us)
				snprintf(job->when, sizeof(job->when), "%" PRId64, jobs[i].due.us);
			buffer_add(&parcel.records, jobs[i].record, jobs[i].record_size);
			job->record_size = jobs[i].record_size;
			if (parcel_is_full(&parcel)) {
				r = send_parcel(queue, &shards[shard], &parcel, true, added);
				parcel_clear(&parcel);
			}
		}
		if (r >= 0 && parcel.count > 0)
			r = send_parcel(queue, &shards[shard], &parcel, true, added);
		parcel_clear(&parcel);
	}
	return r;
}

/* Of ids[indexes[0 … count − 1]], all of one shard. */
static int find_missing(struct job_queue *queue, const struct job_shard *shard, const char *const ids[],
			const size_t *indexes, size_t count, bool ret_missing[])
{
	_cleanup_(reply_freep) redisReply *reply = NULL;
	struct job_call call;
	struct arena arena;
	int r;

	arena_init(&arena);
	job_call_init(&call, &arena, shard, 1, count);
	for (size_t i = 0; i < count; i++)
		job_call_text(&call, ids[indexes[i]]);
	r = job_call_run(&call, queue->redis, "exist", &reply);
	arena_reset(&arena);
	if (r < 0)
		return r;
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != count)
		return -EIO;
	for (size_t i = 0; i < count; i++)
		ret_missing[indexes[i]] = reply->element[i]->integer == 0;
	return 0;
}

int job_queue_missing(struct job_queue *queue, const char *name, const char *const ids[], size_t count,
		      bool ret_missing[])
{
	size_t indexes[JOB_BATCH], n_shards;
	struct job_shard *shards = job_queue_shards(queue, name, &n_shards);
	int r = 0;

	for (size_t shard = 0; shard < n_shards; shard++) {
		size_t same = 0;

		for (size_t i = 0; i < count && r >= 0; i++) {
			if (job_shard_of_id(queue, name, ids[i]) == &shards[shard])
				indexes[same++] = i;
			if (same == JOB_BATCH) {
				r = find_missing(queue, &shards[shard], ids, indexes, same, ret_missing);
				same = 0;
			}
		}
		if (same > 0 && r >= 0)
			r = find_missing(queue, &shards[shard], ids, indexes, same, ret_missing);
	}
	return r;
}

int job_queue_epoch(struct job_queue *queue, const char *name, char ret_epoch[PRONG_UUID_TEXT_SIZE])
{
	size_t n_shards, length = 0;
	struct job_shard *shards = job_queue_shards(queue, name, &n_shards);
	char epoch[PRONG_UUID_TEXT_SIZE];
	unsigned char hash[18] = { 0 };

	/* Of all shards: what one node of a cluster lost counts too. */
	for (size_t i = 0; i < n_shards; i++) {
		_cleanup_(reply_freep) redisReply *reply = NULL;
		int r = job_call_simple(queue, &shards[i], "epoch", prong_uuid_format(prong_uuid_make(), epoch),
					&reply);

		if (r < 0)
			return r;
		if (reply->type != REDIS_REPLY_STRING)
			return -EIO;
		for (length = 0; length < reply->len; length++)
			hash[length % sizeof(hash)] =
				(unsigned char)(hash[length % sizeof(hash)] * 31 + reply->str[length]);
	}
	sodium_bin2hex(epoch, sizeof(epoch), hash, sizeof(hash));
	memcpy(ret_epoch, epoch, sizeof(epoch));
	return 0;
}
