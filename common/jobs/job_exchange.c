/* The consumers' half of the job queue. */
#include <stdio.h>

#include "common/jobs/job_engine.h"
#include "common/jobs/job_record.h"

static const char *const outcomes[] = {
	[JOB_DONE] = "done", [JOB_RETRY] = "retry",   [JOB_CRASHED] = "crashed",
	[JOB_DEAD] = "dead", [JOB_RETURN] = "return", [JOB_CANCELLED] = "cancelled",
};

static bool is_plain(const struct job_verdict *verdict)
{
	return verdict->outcome == JOB_DONE && verdict->plain && !verdict->result;
}

static void write_verdicts(struct job_call *call, const struct job_exchange *exchange)
{
	for (size_t i = 0; i < exchange->n_verdicts; i++) {
		const struct job_verdict *verdict = &exchange->verdicts[i];

		if (!is_plain(verdict))
			continue;
		job_call_text(call, verdict->id);
		job_call_integer(call, verdict->attempt);
	}
	for (size_t i = 0; i < exchange->n_verdicts; i++) {
		const struct job_verdict *verdict = &exchange->verdicts[i];
		const char *text = verdict->outcome == JOB_DONE ? verdict->result : verdict->error;

		if (is_plain(verdict))
			continue;
		job_call_text(call, verdict->id);
		job_call_integer(call, verdict->attempt);
		job_call_text(call, outcomes[verdict->outcome]);
		job_call_integer(call, verdict->delay);
		job_call_text(call, text								? text
				    : verdict->outcome == JOB_DONE || verdict->outcome == JOB_CANCELLED ? ""
													: "{}");
		job_call_integer(call, verdict->keep_result);
	}
}

static void write_exchange(struct job_call *call, const struct job_exchange *exchange)
{
	size_t n_plain = 0;

	job_call_limits(call, exchange->shard);
	if (!exchange->owner)
		return;
	for (size_t i = 0; i < exchange->n_verdicts; i++)
		n_plain += is_plain(&exchange->verdicts[i]);
	job_call_text(call, exchange->owner);
	job_call_integer(call, exchange->lease ? exchange->lease : JOB_LEASE);
	job_call_text(call, exchange->identity ? exchange->identity : "");
	job_call_integer(call, (int64_t)exchange->fetch);
	job_call_integer(call, (int64_t)n_plain);
	job_call_integer(call, (int64_t)(exchange->n_verdicts - n_plain));
	job_call_integer(call, (int64_t)exchange->n_reports);
	for (size_t i = 0; i < exchange->n_reports; i++) {
		job_call_text(call, exchange->reports[i].id);
		job_call_integer(call, exchange->reports[i].attempt);
		job_call_text(call, exchange->reports[i].text);
	}
	write_verdicts(call, exchange);
}

static int read_delivery(redisReply *const fields[3], const char *queue, struct arena *arena,
			 struct delivery *ret_delivery)
{
	struct job_record record;

	if (fields[0]->len >= sizeof(ret_delivery->id))
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
		.trace_id = record.trace_id,
		.key = record.key,
		.enqueued_at = record.enqueued_at,
		.scheduled_for = record.scheduled_for,
		.durable = record.durable,
		.history = record.history,
		.plain = record.plain,
	};
	memcpy(ret_delivery->id, fields[0]->str, fields[0]->len + 1);
	return 0;
}

static const char **read_texts(const redisReply *reply, struct arena *arena, size_t *ret_count)
{
	const char **texts = arena_alloc(arena, reply->elements * sizeof(*texts));

	for (size_t i = 0; i < reply->elements; i++)
		texts[i] = arena_strdup(arena, reply->element[i]->str);
	*ret_count = reply->elements;
	return texts;
}

static struct job_buried *read_buried(const redisReply *reply, struct arena *arena, size_t *ret_count)
{
	size_t count = reply->elements / 4;
	struct job_buried *buried = arena_alloc(arena, count * sizeof(*buried));

	for (size_t i = 0; i < count; i++) {
		redisReply *const *fields = &reply->element[4 * i];

		snprintf(buried[i].id, sizeof(buried[i].id), "%s", fields[0]->str);
		buried[i].name = arena_strdup(arena, fields[1]->str);
		buried[i].code = arena_strdup(arena, fields[2]->str);
		buried[i].durable = fields[3]->str[0] == '1';
	}
	*ret_count = count;
	return buried;
}

enum { RECLAIMED, REFUSED, LEFT, NEXT, NOW, EXPIRED, CANCELLED, LAPSED, BURIED, DELIVERIES, EXCHANGE_FIELDS };

static int read_exchange(const redisReply *reply, const char *queue, struct arena *arena,
			 struct job_exchange_result *ret_result)
{
	struct job_exchange_result result = { 0 };
	const redisReply *deliveries;
	int64_t next;

	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != EXCHANGE_FIELDS ||
	    !reply_is_list(reply->element[CANCELLED], 1) || !reply_is_list(reply->element[LAPSED], 1) ||
	    !reply_is_list(reply->element[BURIED], 4) || !reply_is_list(reply->element[DELIVERIES], 3))
		return -EIO;
	result.reclaimed = reply_integer(reply->element[RECLAIMED]) != 0;
	result.refused = (size_t)reply_integer(reply->element[REFUSED]);
	result.ready = (size_t)reply_integer(reply->element[LEFT]);
	next = reply_integer(reply->element[NEXT]);
	result.next = next < 0 ? INT64_MAX : next;
	result.now.us = reply_integer(reply->element[NOW]);
	result.expired = (size_t)reply_integer(reply->element[EXPIRED]);
	result.cancelled = read_texts(reply->element[CANCELLED], arena, &result.n_cancelled);
	result.lapsed = read_texts(reply->element[LAPSED], arena, &result.n_lapsed);
	result.buried = read_buried(reply->element[BURIED], arena, &result.n_buried);
	deliveries = reply->element[DELIVERIES];
	result.n_deliveries = deliveries->elements / 3;
	result.deliveries = arena_alloc(arena, result.n_deliveries * sizeof(*result.deliveries));
	for (size_t i = 0; i < result.n_deliveries; i++) {
		int r = read_delivery(&deliveries->element[3 * i], queue, arena, &result.deliveries[i]);

		if (r < 0)
			return r;
	}
	*ret_result = result;
	return 0;
}

int job_queue_exchange(struct job_queue *queue, struct arena *arena, const struct job_exchange *exchange,
		       struct job_exchange_result *ret_result)
{
	_cleanup_(reply_freep) redisReply *reply = NULL;
	struct job_call call;
	int r;

	check(exchange->n_verdicts <= JOB_BATCH && exchange->n_reports <= JOB_BATCH && exchange->fetch <= JOB_BATCH);
	job_call_init(&call, arena, exchange->shard, JOB_KEYS,
		      1 + JOB_LIMITS + 7 + 6 * exchange->n_verdicts + 3 * exchange->n_reports);
	if (exchange->owner)
		job_call_taken(&call, exchange->shard, exchange->owner);
	write_exchange(&call, exchange);
	r = job_call_run(&call, queue->redis, "exchange", &reply);
	if (r < 0)
		return r;
	return read_exchange(reply, exchange->shard->queue->name, arena, ret_result);
}

int job_queue_held(struct job_queue *queue, const struct job_shard *shard, const char *owner, struct arena *arena,
		   struct job_verdict **ret_held, size_t *ret_count)
{
	_cleanup_(reply_freep) redisReply *reply = NULL;
	struct job_verdict *held;
	struct job_call call;
	int r;

	job_call_init(&call, arena, shard, JOB_KEYS, 1);
	job_call_taken(&call, shard, owner);
	r = job_call_run(&call, queue->redis, "held", &reply);
	if (r < 0)
		return r;
	if (!reply_is_list(reply, 2))
		return -EIO;
	held = arena_alloc(arena, reply->elements / 2 * sizeof(*held));
	for (size_t i = 0; i < reply->elements / 2; i++) {
		snprintf(held[i].id, sizeof(held[i].id), "%s", reply->element[2 * i]->str);
		held[i].attempt = atoi(reply->element[2 * i + 1]->str);
	}
	*ret_held = held;
	*ret_count = reply->elements / 2;
	return 0;
}

int job_queue_wait(struct redis *blocking, const struct job_shard *const shards[], size_t count, prong_duration timeout,
		   size_t *ret_shard)
{
	_cleanup_(reply_freep) redisReply *reply = NULL;
	_cleanup_(freep) const char **words = allocate_array(count + 2, sizeof(*words));
	_cleanup_(freep) char *seconds = format_text("%.3f", (double)timeout / 1e6);
	int r;

	words[0] = "BRPOP";
	for (size_t i = 0; i < count; i++)
		words[1 + i] = shards[i]->keys[JOB_KEY_WAKE];
	words[1 + count] = seconds;
	r = redis_command(blocking, timeout + PRONG_SECONDS(1), count + 2, words, NULL, &reply);
	if (r < 0)
		return r;
	if (reply->type == REDIS_REPLY_NIL)
		return -ETIMEDOUT;
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 || !reply->element[0]->str)
		return -EIO;
	for (size_t i = 0; i < count; i++)
		if (string_equal(words[1 + i], reply->element[0]->str)) {
			*ret_shard = i;
			return 0;
		}
	return -EIO;
}

/* ---- the dead, and those who leave ---- */

static void add_buried(struct job_reclaimed *reclaimed, const struct job_buried *buried, size_t count,
		       struct arena *arena)
{
	struct job_buried *all = arena_alloc(arena, (reclaimed->n_buried + count) * sizeof(*all));

	if (reclaimed->n_buried)
		memcpy(all, reclaimed->buried, reclaimed->n_buried * sizeof(*all));
	if (count)
		memcpy(all + reclaimed->n_buried, buried, count * sizeof(*all));
	reclaimed->buried = all;
	reclaimed->n_buried += count;
}

/* In as many calls as it takes. Adds to `reclaimed`. */
static int reclaim(struct job_queue *queue, const struct job_shard *shard, const char *owner, const char *mode,
		   const char *culprit, struct arena *arena, struct job_reclaimed *reclaimed)
{
	int64_t left;

	do {
		_cleanup_(reply_freep) redisReply *reply = NULL;
		struct job_buried *buried;
		struct job_call call;
		size_t count;
		int r;

		job_call_init(&call, arena, shard, JOB_KEYS, 1 + JOB_LIMITS + 3);
		job_call_taken(&call, shard, owner);
		job_call_limits(&call, shard);
		job_call_text(&call, owner);
		job_call_text(&call, mode);
		job_call_text(&call, culprit);
		r = job_call_run(&call, queue->redis, "reclaim", &reply);
		if (r < 0)
			return r;
		if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3 || !reply_is_list(reply->element[2], 4))
			return -EIO;
		left = reply_integer(reply->element[1]);
		buried = read_buried(reply->element[2], arena, &count);
		reclaimed->returned += (size_t)reply_integer(reply->element[0]) - count;
		add_buried(reclaimed, buried, count, arena);
	} while (left > 0);
	return 0;
}

int job_queue_reclaim(struct job_queue *queue, const struct job_shard *shard, const char *owner, struct arena *arena,
		      struct job_reclaimed *ret_reclaimed)
{
	struct job_reclaimed reclaimed = { 0 };
	int r = reclaim(queue, shard, owner, "lost", "", arena, &reclaimed);

	if (r < 0)
		return r;
	*ret_reclaimed = reclaimed;
	return 0;
}

int job_queue_leave(struct job_queue *queue, const struct job_shard *shard, const char *owner)
{
	_cleanup_(reply_freep) redisReply *reply = NULL;
	struct job_call call;
	struct arena arena;
	int r;

	arena_init(&arena);
	job_call_init(&call, &arena, shard, JOB_KEYS, 2);
	job_call_taken(&call, shard, owner);
	job_call_text(&call, owner);
	r = job_call_run(&call, queue->redis, "leave", &reply);
	arena_reset(&arena);
	return r;
}

/* Who is registered with one shard: by three in the reply, behind the server's time. */
static int call_owners(struct job_queue *queue, const struct job_shard *shard, struct arena *arena,
		       redisReply **ret_reply)
{
	struct job_call call;
	int r;

	job_call_init(&call, arena, shard, JOB_KEYS, 0);
	r = job_call_run(&call, queue->redis, "owners", ret_reply);
	if (r < 0)
		return r;
	return reply_is_list(*ret_reply, 1) && (*ret_reply)->elements % 3 == 1 ? 0 : -EIO;
}

static int reclaim_owners(struct job_queue *queue, const struct job_shard *shard, uint64_t incarnation,
			  const char *culprit, struct arena *arena, struct job_reclaimed *reclaimed)
{
	_cleanup_(reply_freep) redisReply *owners = NULL;
	char prefix[JOB_OWNER_SIZE];
	int r;

	snprintf(prefix, sizeof(prefix), "%016" PRIx64 "-", incarnation);
	r = call_owners(queue, shard, arena, &owners);
	for (size_t i = 1; r == 0 && i < owners->elements; i += 3)
		if (strncmp(owners->element[i]->str, prefix, strlen(prefix)) == 0)
			r = reclaim(queue, shard, owners->element[i]->str, "died", culprit, arena, reclaimed);
	return r;
}

int job_queue_reclaim_process(struct job_queue *queue, const char *name, uint64_t incarnation, prong_uuid culprit,
			      struct arena *arena, struct job_reclaimed *ret_reclaimed)
{
	struct job_reclaimed reclaimed = { 0 };
	char culprit_text[PRONG_UUID_TEXT_SIZE];
	size_t n_shards;
	const struct job_shard *shards = job_queue_shards(queue, name, &n_shards);
	int r = 0;

	prong_uuid_format(culprit, culprit_text);
	for (size_t i = 0; i < n_shards && r == 0; i++)
		r = reclaim_owners(queue, &shards[i], incarnation, culprit_text, arena, &reclaimed);
	if (r < 0)
		return r;
	*ret_reclaimed = reclaimed;
	return 0;
}

static int count_held(struct job_queue *queue, const struct job_shard *shard, const char *owner, struct arena *arena,
		      size_t *ret_count)
{
	_cleanup_(reply_freep) redisReply *reply = NULL;
	int r = redis_commandf(queue->redis, JOB_TIMEOUT, &reply, "HLEN %s",
			       arena_format(arena, "%staken:%s", shard->prefix, owner));

	if (r == 0)
		*ret_count = (size_t)reply->integer;
	return r;
}

int job_queue_owners(struct job_queue *queue, const char *name, struct arena *arena, struct job_owner **ret_owners,
		     size_t *ret_count)
{
	size_t n_shards, count = 0;
	const struct job_shard *shards = job_queue_shards(queue, name, &n_shards);
	struct job_owner *owners = NULL;

	for (size_t shard = 0; shard < n_shards; shard++) {
		_cleanup_(reply_freep) redisReply *reply = NULL;
		struct job_owner *more;
		int r = call_owners(queue, &shards[shard], arena, &reply);

		if (r < 0)
			return r;
		more = arena_alloc(arena, (count + reply->elements / 3) * sizeof(*more));
		if (count)
			memcpy(more, owners, count * sizeof(*more));
		owners = more;
		for (size_t i = 1; i < reply->elements; i += 3) {
			struct job_owner *owner = &owners[count++];

			owner->shard = &shards[shard];
			snprintf(owner->name, sizeof(owner->name), "%s", reply->element[i]->str);
			owner->incarnation = strtoull(owner->name, NULL, 16);
			owner->lease = reply_integer(reply->element[i + 1]) - reply_integer(reply->element[0]);
			owner->identity = arena_strdup(arena, reply->element[i + 2]->str);
			r = count_held(queue, &shards[shard], owner->name, arena, &owner->running);
			if (r < 0)
				return r;
		}
	}
	*ret_owners = owners;
	*ret_count = count;
	return 0;
}
