#include "worker/isolation_wire.h"

#include "common/jobs/running.h"

#define MAX_CODE 256
#define MAX_DETAIL 16384

/* ---- numbers and texts, one behind the other ---- */

static void put_number(struct buffer *out, int64_t number)
{
	buffer_add(out, &number, sizeof(number));
}

/* NULL has the size -1. */
static void put_text(struct buffer *out, const char *text, size_t size)
{
	put_number(out, text ? (int64_t)size : -1);
	if (text) {
		buffer_add(out, text, size);
		buffer_add_char(out, '\0');
	}
}

static void put_string(struct buffer *out, const char *text)
{
	put_text(out, text, text ? strlen(text) : 0);
}

static void put_cut(struct buffer *out, const char *text, size_t max_size)
{
	put_text(out, text, text ? strnlen(text, max_size) : 0);
}

struct reader {
	const char *at, *end;
	bool broken;
};

static int64_t take_number(struct reader *reader)
{
	int64_t number;

	if (reader->broken || reader->end - reader->at < (ptrdiff_t)sizeof(number)) {
		reader->broken = true;
		return 0;
	}
	memcpy(&number, reader->at, sizeof(number));
	reader->at += sizeof(number);
	return number;
}

static const char *take_text(struct reader *reader, size_t *ret_size)
{
	int64_t size = take_number(reader);
	const char *text = reader->at;

	*ret_size = 0;
	if (reader->broken || size == -1)
		return NULL;
	if (size < 0 || size >= reader->end - text || text[size] != '\0') {
		reader->broken = true;
		return NULL;
	}
	reader->at += size + 1;
	*ret_size = (size_t)size;
	return text;
}

static const char *take_string(struct reader *reader)
{
	size_t size;

	return take_text(reader, &size);
}

/* ---- the request ---- */

void isolation_request_write(struct buffer *out, const struct delivery *delivery, int64_t deadline)
{
	put_number(out, deadline);
	put_string(out, delivery->id);
	put_string(out, delivery->queue);
	put_number(out, delivery->attempt);
	put_string(out, delivery->name);
	put_text(out, delivery->payload, delivery->payload_size);
	put_number(out, delivery->max_attempts);
	put_number(out, delivery->timeout);
	put_string(out, delivery->request_id);
	put_string(out, delivery->trace_id);
	put_string(out, delivery->key);
	put_number(out, delivery->enqueued_at.us);
	put_number(out, delivery->scheduled_for.us);
	put_number(out, delivery->durable);
	put_number(out, delivery->history);
	put_number(out, delivery->plain);
}

bool isolation_request_read(const char *data, size_t size, struct delivery *ret_delivery, int64_t *ret_deadline)
{
	struct reader reader = { .at = data, .end = data + size };
	struct delivery delivery = { 0 };
	int64_t deadline = take_number(&reader);
	const char *id = take_string(&reader);

	delivery.queue = take_string(&reader);
	delivery.attempt = (int)take_number(&reader);
	delivery.name = take_string(&reader);
	delivery.payload = take_text(&reader, &delivery.payload_size);
	delivery.max_attempts = (int)take_number(&reader);
	delivery.timeout = take_number(&reader);
	delivery.request_id = take_string(&reader);
	delivery.trace_id = take_string(&reader);
	delivery.key = take_string(&reader);
	delivery.enqueued_at.us = take_number(&reader);
	delivery.scheduled_for.us = take_number(&reader);
	delivery.durable = take_number(&reader) != 0;
	delivery.history = take_number(&reader) != 0;
	delivery.plain = take_number(&reader) != 0;
	if (reader.broken || reader.at != reader.end || !id || strlen(id) >= sizeof(delivery.id))
		return false;
	memcpy(delivery.id, id, strlen(id) + 1);
	*ret_delivery = delivery;
	*ret_deadline = deadline;
	return true;
}

/* ---- the report ---- */

static size_t begin_frame(struct buffer *out, enum isolation_frame kind)
{
	struct isolation_frame_head head = { .kind = kind };

	buffer_add(out, &head, sizeof(head));
	return out->size;
}

static void end_frame(struct buffer *out, size_t body)
{
	struct isolation_frame_head *head = (void *)(out->data + body - sizeof(*head));
	uint32_t size = (uint32_t)(out->size - body);

	check(size <= ISOLATION_MAX_FRAME);
	memcpy(&head->size, &size, sizeof(size));
}

void isolation_progress_write(struct buffer *out, int64_t done, int64_t total)
{
	size_t body = begin_frame(out, ISOLATION_PROGRESS);

	put_number(out, done);
	put_number(out, total);
	end_frame(out, body);
}

void isolation_line_write(struct buffer *out, const char *line)
{
	size_t body = begin_frame(out, ISOLATION_LINE);

	put_cut(out, line, JOB_LOG_SIZE);
	end_frame(out, body);
}

void isolation_outcome_write(struct buffer *out, const struct isolation_outcome *outcome)
{
	size_t body = begin_frame(out, ISOLATION_OUTCOME);

	put_number(out, outcome->result);
	put_number(out, outcome->problem.status);
	put_cut(out, outcome->problem.code, MAX_CODE);
	put_cut(out, outcome->problem.detail, MAX_DETAIL);
	put_number(out, outcome->problem.retry_after);
	put_number(out, outcome->final);
	put_number(out, outcome->postponed);
	put_number(out, outcome->retry_after);
	put_number(out, outcome->already_done);
	put_text(out, outcome->json, outcome->json_size);
	end_frame(out, body);
}

ssize_t isolation_frame_find(const char *data, size_t size, struct isolation_frame_head *ret_head)
{
	struct isolation_frame_head head;

	if (size < sizeof(head))
		return 0;
	memcpy(&head, data, sizeof(head));
	if (head.size > ISOLATION_MAX_FRAME)
		return -EBADMSG;
	if (size - sizeof(head) < head.size)
		return 0;
	*ret_head = head;
	return (ssize_t)(sizeof(head) + head.size);
}

int isolation_progress_read(const char *body, size_t size, int64_t *ret_done, int64_t *ret_total)
{
	struct reader reader = { .at = body, .end = body + size };
	int64_t done = take_number(&reader), total = take_number(&reader);

	if (reader.broken || reader.at != reader.end)
		return -EBADMSG;
	*ret_done = done;
	*ret_total = total;
	return 0;
}

int isolation_line_read(const char *body, size_t size, const char **ret_line)
{
	struct reader reader = { .at = body, .end = body + size };
	const char *line = take_string(&reader);

	if (reader.broken || reader.at != reader.end || !line)
		return -EBADMSG;
	*ret_line = line;
	return 0;
}

static bool is_possible(const struct problem *problem)
{
	return problem->status == 0 || (problem->status >= 400 && problem->status <= 599 && problem->code);
}

int isolation_outcome_read(const char *body, size_t size, struct isolation_outcome *ret_outcome)
{
	struct reader reader = { .at = body, .end = body + size };
	struct isolation_outcome outcome = { 0 };
	int64_t result = take_number(&reader);

	outcome.result = (int)result;
	outcome.problem.status = (int)take_number(&reader);
	outcome.problem.code = take_string(&reader);
	outcome.problem.detail = take_string(&reader);
	outcome.problem.retry_after = (int)take_number(&reader);
	outcome.final = take_number(&reader) != 0;
	outcome.postponed = take_number(&reader) != 0;
	outcome.retry_after = take_number(&reader);
	outcome.already_done = take_number(&reader) != 0;
	outcome.json = take_text(&reader, &outcome.json_size);
	if (reader.broken || reader.at != reader.end || outcome.result != result || !is_possible(&outcome.problem) ||
	    outcome.retry_after < 0 || outcome.json_size > JOB_MAX_RESULT)
		return -EBADMSG;
	*ret_outcome = outcome;
	return 0;
}
