#include "common/jobs/job_shard.h"

#include <json-c/json.h>
#include <stdio.h>

#include "common/json.h"

char *job_key(const char *queue, enum job_key key)
{
	static const char *const names[] = {
		[JOB_KEY_BODY] = "body",	 [JOB_KEY_READY] = "ready:0",	  [JOB_KEY_DELAYED] = "delayed",
		[JOB_KEY_INFLIGHT] = "inflight", [JOB_KEY_ATTEMPTS] = "attempts", [JOB_KEY_ERROR] = "error",
		[JOB_KEY_DEAD] = "dead",	 [JOB_KEY_WAKE] = "wake",
	};

	return format_text("prong:{%s#0}:%s", queue, names[key]);
}

const struct job_shard *job_shard_of(const struct job_queue *queue, const char *name)
{
	for (size_t i = 0; i < queue->n_shards; i++)
		if (string_equal(queue->shards[i].queue, name))
			return &queue->shards[i];
	panic("there is no queue %s", name);
}

void job_member_format(const char *id, int attempt, uint64_t owner, char member[JOB_MEMBER_SIZE])
{
	snprintf(member, JOB_MEMBER_SIZE, "%s#%d#" JOB_OWNER_FORMAT, id, attempt, owner);
}

int job_member_parse(const char *member, struct job_verdict *ret_verdict)
{
	const char *mark = strchr(member, '#');
	prong_uuid id;

	if (!mark || mark - member != PRONG_UUID_TEXT_SIZE - 1)
		return -EIO;
	memcpy(ret_verdict->id, member, PRONG_UUID_TEXT_SIZE - 1);
	ret_verdict->id[PRONG_UUID_TEXT_SIZE - 1] = '\0';
	ret_verdict->attempt = atoi(mark + 1);
	return prong_uuid_parse(ret_verdict->id, &id) < 0 ? -EIO : 0;
}

/* Takes one line off the text; NULL when there is none. */
static const char *take_line(const char **text, size_t *size, size_t *ret_length)
{
	const char *line = *text, *end = memchr(line, '\n', *size);

	if (!end)
		return NULL;
	*ret_length = (size_t)(end - line);
	*text = end + 1;
	*size -= *ret_length + 1;
	return line;
}

static const char *header_text(struct json_object *header, const char *key, struct arena *arena)
{
	struct json_object *value;

	if (!json_object_object_get_ex(header, key, &value) || !json_object_is_type(value, json_type_string))
		return "";
	return arena_strdup(arena, json_object_get_string(value));
}

static int64_t header_integer(struct json_object *header, const char *key)
{
	struct json_object *value;

	return json_object_object_get_ex(header, key, &value) ? json_object_get_int64(value) : 0;
}

void job_record_parse(const char *text, size_t size, struct arena *arena, struct job_record *ret_record)
{
	_cleanup_(json_object_putp) struct json_object *header = NULL;
	struct job_record record = { .name = "", .request_id = "" };
	size_t length = 0;
	const char *line = take_line(&text, &size, &length), *detail;

	if (line) {
		record.enqueued_at.us = strtoll(line, NULL, 10);
		line = take_line(&text, &size, &length);
	}
	if (line && json_parse(line, length, arena, &header, &detail) == 0 &&
	    json_object_is_type(header, json_type_object)) {
		record.name = header_text(header, "name", arena);
		record.request_id = header_text(header, "request_id", arena);
		record.max_attempts = (int)header_integer(header, "max_attempts");
		record.timeout = header_integer(header, "timeout");
		record.payload = size ? arena_strndup(arena, text, size) : NULL;
		record.payload_size = size;
	}
	*ret_record = record;
}

void job_record_write(const struct prong_job *job, const char *payload, size_t payload_size, const char *request_id,
		      struct buffer *out)
{
	buffer_add_literal(out, "{\"name\":");
	buffer_add_json_string(out, job->name, strlen(job->name));
	buffer_add_literal(out, ",\"max_attempts\":");
	buffer_add_integer(out, job_max_attempts(job));
	buffer_add_literal(out, ",\"timeout\":");
	buffer_add_integer(out, job_timeout(job));
	if (request_id && request_id[0]) {
		buffer_add_literal(out, ",\"request_id\":");
		buffer_add_json_string(out, request_id, strlen(request_id));
	}
	buffer_add_literal(out, "}\n");
	buffer_add(out, payload, payload_size);
}
