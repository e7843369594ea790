#include "common/jobs/job_record.h"

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

/* Members of a header that has passed json_check(). */
struct header {
	struct arena *arena;
	struct json_slice name;
	const char *value;
};

static bool is_member(const struct header *header, const char *name)
{
	return header->name.length == strlen(name) && memcmp(header->name.text, name, header->name.length) == 0;
}

static void take_text(const struct header *header, const char *name, const char **ret_text)
{
	struct json_slice slice;
	size_t length;

	if (!is_member(header, name) || header->value[0] != '"')
		return;
	json_read_string(header->value, &slice);
	*ret_text = slice.escaped ? json_unescape(&slice, header->arena, &length)
				  : arena_strndup(header->arena, slice.text, slice.length);
}

static int64_t take_integer(const struct header *header, const char *name, int64_t otherwise)
{
	return is_member(header, name) ? strtoll(header->value, NULL, 10) : otherwise;
}

static bool take_flag(const struct header *header, const char *name, bool otherwise)
{
	return is_member(header, name) ? header->value[0] == 't' : otherwise;
}

static void take_member(const struct header *header, struct job_record *record)
{
	take_text(header, "name", &record->name);
	take_text(header, "request_id", &record->request_id);
	take_text(header, "trace", &record->trace_id);
	take_text(header, "key", &record->key);
	record->max_attempts = (int)take_integer(header, "max_attempts", record->max_attempts);
	record->timeout = take_integer(header, "timeout", record->timeout);
	record->scheduled_for.us = take_integer(header, "scheduled_for", record->scheduled_for.us);
	record->durable = take_flag(header, "durable", record->durable);
	record->history = take_flag(header, "history", record->history);
}

static void read_header(const char *text, size_t size, struct arena *arena, struct job_record *record)
{
	struct header header = { .arena = arena };
	const char *at = json_skip_space(text + 1);

	record->header = arena_strndup(arena, text, size);
	while (*at != '}') {
		at = json_skip_space(json_read_string(at, &header.name));
		header.value = json_skip_space(at + 1);
		at = json_skip(header.value);
		take_member(&header, record);
		at = json_skip_space(at);
		if (*at == ',')
			at = json_skip_space(at + 1);
	}
}

void job_record_parse(const char *text, size_t size, struct arena *arena, struct job_record *ret_record)
{
	struct job_record record = { .name = "", .request_id = "", .trace_id = "", .key = "", .header = "{}" };
	size_t length = 0;
	const char *line = take_line(&text, &size, &length), *detail;

	if (line) {
		record.enqueued_at.us = strtoll(line, NULL, 10);
		record.plain = !length || line[length - 1] != 'x';
		line = take_line(&text, &size, &length);
	}
	if (line && length && line[0] == '{' && json_check(line, length, arena, &detail) == 0) {
		read_header(line, length, arena, &record);
		record.payload = size ? arena_strndup(arena, text, size) : NULL;
		record.payload_size = size;
	}
	*ret_record = record;
}
