/* What people and their programs do with queues: look, retry, cancel, drain, pause, check. */
#include <stdio.h>

#include "common/buffer.h"
#include "common/jobs/job_engine.h"
#include "common/jobs/job_record.h"

const char *const job_state_names[] = {
	[JOB_STATE_READY] = "ready",
	[JOB_STATE_DELAYED] = "delayed",
	[JOB_STATE_RUNNING] = "running",
	[JOB_STATE_DEAD] = "dead",
	[JOB_STATES] = NULL,
};

/* ---- numbers ---- */

enum { STATS_BYTES = JOB_STATES, STATS_OLDEST, STATS_PAUSED, STATS_KEYS, STATS_CONSUMERS, STATS_RESULTS, STATS };

static int call_stats(struct job_queue *queue, const struct job_shard *shard, int64_t ret_numbers[STATS])
{
	_cleanup_(reply_freep) redisReply *reply = NULL;
	int r = job_call_simple(queue, shard, "stats", NULL, &reply);

	if (r < 0)
		return r;
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != STATS)
		return -EIO;
	for (size_t i = 0; i < STATS; i++)
		ret_numbers[i] = reply_integer(reply->element[i]);
	return 0;
}

static void add_stats(struct job_stats *stats, const int64_t numbers[STATS])
{
	for (size_t i = 0; i < JOB_STATES; i++)
		stats->states[i] += numbers[i] > 0 ? (uint64_t)numbers[i] : 0;
	stats->bytes += numbers[STATS_BYTES];
	if (numbers[STATS_OLDEST] > stats->oldest)
		stats->oldest = numbers[STATS_OLDEST];
	stats->paused = stats->paused || numbers[STATS_PAUSED];
	stats->keys += (size_t)numbers[STATS_KEYS];
	stats->results += (size_t)numbers[STATS_RESULTS];
	if ((size_t)numbers[STATS_CONSUMERS] > stats->consumers)
		stats->consumers = (size_t)numbers[STATS_CONSUMERS];
}

int job_queue_stats(struct job_queue *queue, const char *name, struct job_stats *ret_stats)
{
	size_t n_shards;
	const struct job_shard *shards = job_queue_shards(queue, name, &n_shards);
	struct job_stats stats = { 0 };

	for (size_t i = 0; i < n_shards; i++) {
		int64_t numbers[STATS];
		int r = call_stats(queue, &shards[i], numbers);

		if (r < 0)
			return r;
		add_stats(&stats, numbers);
	}
	*ret_stats = stats;
	return 0;
}

int job_queue_memory(struct job_queue *queue, const char *name, int64_t *ret_bytes)
{
	size_t n_shards;
	const struct job_shard *shards = job_queue_shards(queue, name, &n_shards);
	int64_t bytes = 0;

	for (size_t i = 0; i < n_shards; i++)
		for (enum job_key key = 0; key < JOB_KEYS; key++) {
			_cleanup_(reply_freep) redisReply *reply = NULL;
			int r = redis_commandf(queue->redis, JOB_TIMEOUT, &reply, "MEMORY USAGE %s SAMPLES 20",
					       shards[i].keys[key]);

			if (r < 0)
				return r;
			bytes += reply->type == REDIS_REPLY_INTEGER ? reply->integer : 0;
		}
	*ret_bytes = bytes;
	return 0;
}

/* ---- looking ---- */

#define LISTING_FIELDS 7

static void read_listing(redisReply *const fields[LISTING_FIELDS], const char *queue, enum job_state state,
			 struct arena *arena, struct job_listing *ret_listing, struct job_record *ret_record)
{
	const char *text = arena_format(arena, "%s\n", fields[4]->str);

	job_record_parse(text, fields[4]->len + 1, arena, ret_record);
	*ret_listing = (struct job_listing){
		.queue = queue,
		.name = ret_record->name,
		.state = state,
		.attempt = atoi(fields[1]->str),
		.max_attempts = ret_record->max_attempts,
		.crashes = atoi(fields[2]->str),
		.enqueued_at = ret_record->enqueued_at,
		.at = { strtoll(fields[3]->str, NULL, 10) },
		.key = ret_record->key,
		.error = fields[5]->len ? arena_strdup(arena, fields[5]->str) : NULL,
		.owner = arena_strdup(arena, fields[6]->str),
		.durable = ret_record->durable,
	};
	snprintf(ret_listing->id, sizeof(ret_listing->id), "%s", fields[0]->str);
}

struct lister {
	struct job_queue *queue;
	enum job_state state;
	struct arena *arena;
	size_t offset, limit; /* still to be left out, to be listed */
	struct job_listing *listings;
	size_t count;
};

/* Lists one shard's jobs of the state, or those of one owner there; `total` is how many there are. */
static int list_part(struct lister *lister, const struct job_shard *shard, const char *owner, size_t total)
{
	_cleanup_(reply_freep) redisReply *reply = NULL;
	struct job_record record;
	struct job_call call;
	int r;

	if (lister->offset >= total) {
		lister->offset -= total;
		return 0;
	}
	if (lister->limit == 0)
		return 0;
	job_call_init(&call, lister->arena, shard, JOB_KEYS, 5);
	if (owner)
		job_call_taken(&call, shard, owner);
	job_call_text(&call, job_state_names[lister->state]);
	job_call_integer(&call, (int64_t)lister->offset);
	job_call_integer(&call, (int64_t)lister->limit);
	job_call_text(&call, owner ? owner : "");
	r = job_call_run(&call, lister->queue->redis, "list", &reply);
	if (r < 0)
		return r;
	if (!reply_is_list(reply, LISTING_FIELDS))
		return -EIO;
	for (size_t i = 0; i < reply->elements; i += LISTING_FIELDS)
		read_listing(&reply->element[i], shard->queue->name, lister->state, lister->arena,
			     &lister->listings[lister->count++], &record);
	lister->limit -= reply->elements / LISTING_FIELDS;
	lister->offset = 0;
	return 0;
}

static int list_running(struct lister *lister, const char *name)
{
	struct job_owner *owners = NULL;
	size_t n_owners = 0;
	int r = job_queue_owners(lister->queue, name, lister->arena, &owners, &n_owners);

	for (size_t i = 0; r == 0 && i < n_owners; i++)
		r = list_part(lister, owners[i].shard, owners[i].name, owners[i].running);
	return r;
}

static int list_others(struct lister *lister, const char *name)
{
	size_t n_shards;
	const struct job_shard *shards = job_queue_shards(lister->queue, name, &n_shards);
	int r = 0;

	for (size_t i = 0; r == 0 && i < n_shards; i++) {
		int64_t numbers[STATS];

		r = call_stats(lister->queue, &shards[i], numbers);
		if (r == 0)
			r = list_part(lister, &shards[i], NULL, (size_t)numbers[lister->state]);
	}
	return r;
}

int job_queue_list(struct job_queue *queue, const char *name, enum job_state state, size_t offset, size_t limit,
		   struct arena *arena, struct job_listing **ret_listings, size_t *ret_count)
{
	struct lister lister = { .queue = queue, .state = state, .arena = arena, .offset = offset, .limit = limit };
	int r;

	lister.listings = arena_alloc(arena, limit * sizeof(*lister.listings));
	r = state == JOB_STATE_RUNNING ? list_running(&lister, name) : list_others(&lister, name);
	if (r < 0)
		return r;
	*ret_listings = lister.listings;
	*ret_count = lister.count;
	return 0;
}

enum { SHOW_STATE = LISTING_FIELDS, SHOW_PAYLOAD, SHOW_REPORT, SHOW_RESULT, SHOW_FIELDS };

static const char *text_or_null(const redisReply *reply, struct arena *arena)
{
	return reply->len ? arena_strndup(arena, reply->str, reply->len) : NULL;
}

/* Begins a call with the keys of the shard and of all who consume it; `n_words` more, and one for each of them. */
static int init_with_owners(struct job_call *call, struct job_queue *queue, const struct job_shard *shard,
			    struct arena *arena, size_t n_words, struct job_owner **ret_owners, size_t *ret_count)
{
	struct job_owner *owners;
	size_t count, here = 0;
	int r = job_queue_owners(queue, shard->queue->name, arena, &owners, &count);

	if (r < 0)
		return r;
	job_call_init(call, arena, shard, JOB_KEYS, n_words + 2 * count);
	for (size_t i = 0; i < count; i++)
		if (owners[i].shard == shard) {
			job_call_taken(call, shard, owners[i].name);
			owners[here++] = owners[i];
		}
	*ret_owners = owners;
	*ret_count = here;
	return 0;
}

/* Consumers came or went between two calls: again, but not for ever. */
#define TRIES 10

static bool owners_changed(const redisReply *reply)
{
	return reply->type == REDIS_REPLY_INTEGER && reply->integer < 0;
}

/* Calls a function that takes one id and knows all owners. */
static int call_of_id(struct job_queue *queue, const struct job_shard *shard, const char *function, const char *id,
		      struct arena *arena, struct job_owner **ret_owners, size_t *ret_count, redisReply **ret_reply)
{
	for (int i = 0; i < TRIES; i++) {
		struct job_call call;
		int r = init_with_owners(&call, queue, shard, arena, 1, ret_owners, ret_count);

		if (r < 0)
			return r;
		job_call_text(&call, id);
		reply_freep(ret_reply);
		*ret_reply = NULL;
		r = job_call_run(&call, queue->redis, function, ret_reply);
		if (r < 0)
			return r;
		if (!owners_changed(*ret_reply))
			return 0;
	}
	return -EAGAIN;
}

static enum job_state parse_state(const char *text)
{
	for (enum job_state state = 0; state < JOB_STATES; state++)
		if (string_equal(text, job_state_names[state]))
			return state;
	return JOB_STATE_READY;
}

int job_queue_show(struct job_queue *queue, const char *name, const char *id, struct arena *arena,
		   struct job_detail *ret_detail)
{
	const struct job_shard *shard = job_shard_of_id(queue, name, id);
	_cleanup_(reply_freep) redisReply *reply = NULL;
	struct job_detail detail = { 0 };
	struct job_record record;
	struct job_owner *owners;
	size_t n_owners;
	int r;

	r = call_of_id(queue, shard, "show", id, arena, &owners, &n_owners, &reply);
	if (r < 0)
		return r;
	if (!reply_is_list(reply, 1) || (reply->elements && reply->elements != SHOW_FIELDS))
		return -EIO;
	if (reply->elements == 0)
		return -ENOENT;
	read_listing(reply->element, shard->queue->name, parse_state(reply->element[SHOW_STATE]->str), arena,
		     &detail.listing, &record);
	detail.finished = reply->element[SHOW_STATE]->len == 0;
	detail.header = record.header;
	detail.payload = text_or_null(reply->element[SHOW_PAYLOAD], arena);
	detail.report = text_or_null(reply->element[SHOW_REPORT], arena);
	detail.result = text_or_null(reply->element[SHOW_RESULT], arena);
	if (*detail.listing.owner) {
		unsigned long owner = strtoul(detail.listing.owner, NULL, 10);

		if (owner >= n_owners)
			return -EIO;
		detail.listing.owner = owners[owner].name;
	}
	*ret_detail = detail;
	return 0;
}

/* ---- acting ---- */

int job_queue_retry(struct job_queue *queue, const char *name, const char *const ids[], size_t count)
{
	size_t n_shards;
	const struct job_shard *shards = job_queue_shards(queue, name, &n_shards);
	int retried = 0;

	check(count <= JOB_BATCH);
	for (size_t shard = 0; shard < n_shards; shard++) {
		_cleanup_(reply_freep) redisReply *reply = NULL;
		struct job_call call;
		struct arena arena;
		size_t same = 0;
		int r = 0;

		arena_init(&arena);
		job_call_init(&call, &arena, &shards[shard], JOB_KEYS, count);
		for (size_t i = 0; i < count; i++)
			if (job_shard_of_id(queue, name, ids[i]) == &shards[shard]) {
				job_call_text(&call, ids[i]);
				same++;
			}
		if (same)
			r = job_call_run(&call, queue->redis, "retry", &reply);
		arena_reset(&arena);
		if (r < 0)
			return r;
		retried += same ? (int)reply_integer(reply) : 0;
	}
	return retried;
}

int job_queue_cancel(struct job_queue *queue, const char *name, const char *id)
{
	const struct job_shard *shard = job_shard_of_id(queue, name, id);
	_cleanup_(reply_freep) redisReply *reply = NULL;
	struct job_owner *owners;
	size_t n_owners;
	struct arena arena;
	int r;

	arena_init(&arena);
	r = call_of_id(queue, shard, "cancel", id, &arena, &owners, &n_owners, &reply);
	arena_reset(&arena);
	if (r < 0)
		return r;
	return reply_integer(reply) ? 0 : -ENOENT;
}

/* How a queue is drained. */
struct drain {
	struct job_queue *queue;
	enum job_state state;
	job_drained *on_durable; /* NULL: none */
	void *argument;
	int64_t removed;
};

static int tell_durable(const struct drain *drain, const redisReply *ids)
{
	_cleanup_(freep) const char **texts = NULL;

	if (!drain->on_durable || ids->elements == 0)
		return 0;
	texts = allocate_array(ids->elements, sizeof(*texts));
	for (size_t i = 0; i < ids->elements; i++)
		texts[i] = ids->element[i]->str;
	return drain->on_durable(drain->argument, texts, ids->elements);
}

/* Returns how many places were looked at. */
static int drain_some(struct drain *drain, const struct job_shard *shard)
{
	_cleanup_(reply_freep) redisReply *reply = NULL;
	int r = job_call_simple(drain->queue, shard, "drain", job_state_names[drain->state], &reply);

	if (r < 0)
		return r;
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3 || !reply_is_list(reply->element[2], 1))
		return -EIO;
	drain->removed += reply_integer(reply->element[0]);
	r = tell_durable(drain, reply->element[2]);
	return r < 0 ? r : (int)reply_integer(reply->element[1]);
}

int64_t job_queue_drain(struct job_queue *queue, const char *name, enum job_state state, job_drained *on_durable,
			void *argument)
{
	struct drain drain = { .queue = queue, .state = state, .on_durable = on_durable, .argument = argument };
	size_t n_shards;
	const struct job_shard *shards = job_queue_shards(queue, name, &n_shards);

	check(state != JOB_STATE_RUNNING);
	for (size_t i = 0; i < n_shards; i++) {
		int looked_at;

		do
			looked_at = drain_some(&drain, &shards[i]);
		while (looked_at > 0);
		if (looked_at < 0)
			return looked_at;
	}
	return drain.removed;
}

int job_queue_pause(struct job_queue *queue, const char *name, bool paused)
{
	size_t n_shards;
	const struct job_shard *shards = job_queue_shards(queue, name, &n_shards);
	int r = 0;

	for (size_t i = 0; r >= 0 && i < n_shards; i++) {
		_cleanup_(reply_freep) redisReply *reply = NULL;

		r = job_call_simple(queue, &shards[i], "pause", paused ? "1" : "0", &reply);
	}
	return r;
}

/* ---- checking ---- */

static int call_fsck(struct job_queue *queue, const struct job_shard *shard, bool repair, struct arena *arena,
		     redisReply **ret_reply)
{
	for (int i = 0; i < TRIES; i++) {
		struct job_owner *owners;
		struct job_call call;
		size_t count;
		int r = init_with_owners(&call, queue, shard, arena, 1, &owners, &count);

		if (r < 0)
			return r;
		job_call_integer(&call, repair);
		for (size_t k = 0; k < count; k++)
			job_call_text(&call, owners[k].name);
		reply_freep(ret_reply);
		*ret_reply = NULL;
		r = job_call_run(&call, queue->redis, "fsck", ret_reply);
		if (r < 0)
			return r;
		if (!owners_changed(*ret_reply))
			return 0;
	}
	return -EAGAIN;
}

static int check_shard(struct job_queue *queue, const struct job_shard *shard, bool repair, struct arena *arena,
		       struct buffer *findings)
{
	_cleanup_(reply_freep) redisReply *reply = NULL;
	const redisReply *lines;
	int r = call_fsck(queue, shard, repair, arena, &reply);

	if (r < 0)
		return r;
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 || !reply_is_list(reply->element[1], 1))
		return -EIO;
	lines = reply->element[1];
	for (size_t i = 0; i < lines->elements; i++)
		buffer_add_format(findings, "%s shard %d: %s\n", shard->queue->name, shard->number,
				  lines->element[i]->str);
	return (int)reply_integer(reply->element[0]);
}

int job_queue_fsck(struct job_queue *queue, const char *name, bool repair, struct buffer *findings)
{
	size_t n_shards;
	const struct job_shard *shards = job_queue_shards(queue, name, &n_shards);
	int total = 0;

	for (size_t i = 0; i < n_shards; i++) {
		struct arena arena;
		int r;

		arena_init(&arena);
		r = check_shard(queue, &shards[i], repair, &arena, findings);
		arena_reset(&arena);
		if (r < 0)
			return r;
		total += r;
	}
	return total;
}
