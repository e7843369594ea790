#include "common/jobs/job_record.h"

#include <json-c/json.h>

#include "common/buffer.h"
#include "common/json.h"

/* ---- writing ---- */

static bool concerns_engine(const struct prong_enqueue_options *options)
{
	return options->key || options->priority || options->expires || options->unique;
}

static void add_text(struct buffer *out, const char *name, const char *text)
{
	if (!text || !*text)
		return;
	buffer_add_format(out, ",\"%s\":", name);
	buffer_add_json_string(out, text, strlen(text));
}

static void add_integer(struct buffer *out, const char *name, int64_t value)
{
	if (value)
		buffer_add_format(out, ",\"%s\":%lld", name, (long long)value);
}

static void add_flag(struct buffer *out, const char *name, bool flag)
{
	if (flag)
		buffer_add_format(out, ",\"%s\":true", name);
}

/* A debounced job's key is free again when it starts: what comes while it runs must not be lost. */
static bool until_started(const struct prong_enqueue_options *options)
{
	return options->unique && (options->unique_until == PRONG_UNTIL_STARTED || options->debounce);
}

void job_record_write(const struct job_draft *draft, struct buffer *out)
{
	const struct prong_enqueue_options *options = &draft->options;

	buffer_add_integer(out, prong_time_now().us);
	if (concerns_engine(options))
		buffer_add_literal(out, " x");
	buffer_add_literal(out, "\n{\"name\":");
	buffer_add_json_string(out, draft->job->name, strlen(draft->job->name));
	buffer_add_literal(out, ",\"max_attempts\":");
	buffer_add_integer(out, job_max_attempts(draft->job));
	buffer_add_literal(out, ",\"timeout\":");
	buffer_add_integer(out, job_timeout(draft->job));
	if (draft->job->max_crashes)
		add_integer(out, "max_crashes", draft->job->max_crashes);
	add_text(out, "request_id", draft->request_id);
	add_text(out, "trace", draft->trace_id);
	add_flag(out, "durable", draft->job->durable || options->durable);
	add_flag(out, "history", draft->job->history);
	add_integer(out, "scheduled_for", draft->scheduled_for.us);
	add_text(out, "key", options->key);
	add_integer(out, "priority", options->priority);
	add_integer(out, "expires", options->expires);
	add_text(out, "unique", options->unique);
	add_flag(out, "until_started", until_started(options));
	add_integer(out, "throttle", options->throttle);
	add_integer(out, "debounce", options->debounce);
	buffer_add_literal(out, "}\n");
	buffer_add(out, draft->payload, draft->payload_size);
}

/* ---- reading ---- */

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

static bool header_flag(struct json_object *header, const char *key)
{
	struct json_object *value;

	return json_object_object_get_ex(header, key, &value) && json_object_get_boolean(value);
}

void job_record_parse(const char *text, size_t size, struct arena *arena, struct job_record *ret_record)
{
	_cleanup_(json_object_putp) struct json_object *header = NULL;
	struct job_record record = { .name = "", .request_id = "", .trace_id = "", .key = "", .header = "{}" };
	size_t length = 0;
	const char *line = take_line(&text, &size, &length), *detail;

	if (line) {
		record.enqueued_at.us = strtoll(line, NULL, 10);
		record.plain = line[length - 1] != 'x';
		line = take_line(&text, &size, &length);
	}
	if (line && json_parse(line, length, arena, &header, &detail) == 0 &&
	    json_object_is_type(header, json_type_object)) {
		record.header = arena_strndup(arena, line, length);
		record.name = header_text(header, "name", arena);
		record.request_id = header_text(header, "request_id", arena);
		record.trace_id = header_text(header, "trace", arena);
		record.key = header_text(header, "key", arena);
		record.max_attempts = (int)header_integer(header, "max_attempts");
		record.timeout = header_integer(header, "timeout");
		record.scheduled_for.us = header_integer(header, "scheduled_for");
		record.durable = header_flag(header, "durable");
		record.history = header_flag(header, "history");
		record.payload = size ? arena_strndup(arena, text, size) : NULL;
		record.payload_size = size;
	}
	*ret_record = record;
}
