#include "common/log.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "common/buffer.h"
#include "common/log_output.h"
#include "common/utf8.h"

#define WAIT PRONG_MILLISECONDS(100)

#define NAME_MAX_SIZE 128

static struct {
	bool json, colour;
	enum prong_log_level level;
	struct buffer origin; /* who writes, in the line's format */
	struct buffer line;   /* being made */
	struct loop *loop;    /* NULL: lines are written at once */
	struct loop_task flush;
	struct event room;
	bool awaits_room;
	uint64_t reported; /* of those dropped */
	time_t second;	   /* whose text `clock` is */
	char clock[24];
} logger = { .level = PRONG_LOG_INFO };

static const char *const level_names[] = { "debug", "info", "warning", "error" };
static const char *const level_columns[] = { "\033[2mDEBUG\033[0m  ", "\033[36mINFO\033[0m   ",
					     "\033[33mWARNING\033[0m", "\033[31mERROR\033[0m  " };
static const char *const level_plain_columns[] = { "DEBUG  ", "INFO   ", "WARNING", "ERROR  " };

bool log_enabled(enum prong_log_level level)
{
	return level >= logger.level;
}

/* At most `limit` bytes of a text, not cutting through a character. */
static size_t cut(const char *text, size_t size, size_t limit)
{
	if (size <= limit)
		return size;
	while (limit > 0 && ((unsigned char)text[limit] & 0xC0) == 0x80)
		limit--;
	return limit;
}

static void add_json_text(struct buffer *line, const char *text, size_t limit)
{
	size_t size = strlen(text), kept = cut(text, size, limit);

	buffer_add_json_string(line, text, kept);
	if (kept < size) {
		line->size--;
		buffer_add_literal(line, "…\"");
	}
}

static void add_number(struct buffer *line, double number)
{
	if (!isfinite(number))
		buffer_add_literal(line, "null");
	else if (number == nearbyint(number) && fabs(number) < 1e15)
		buffer_add_integer(line, (int64_t)number);
	else
		buffer_add_double(line, number);
}

static void add_visible(struct buffer *line, const unsigned char *bytes, size_t length, bool quoted)
{
	if (length == 0) {
		buffer_add_literal(line, "\uFFFD");
	} else if (bytes[0] == '\n') {
		buffer_add_literal(line, "\\n");
	} else if (utf8_is_control(bytes, length)) {
		for (size_t i = 0; i < length; i++)
			buffer_add_format(line, "\\x%02x", bytes[i]);
	} else {
		if (quoted && (bytes[0] == '"' || bytes[0] == '\\'))
			buffer_add_char(line, '\\');
		buffer_add(line, bytes, length);
	}
}

static void add_plain_text(struct buffer *line, const char *text, size_t limit, bool quoted)
{
	const unsigned char *bytes = (const unsigned char *)text;
	size_t size = strlen(text), kept = cut(text, size, limit);

	for (size_t i = 0, length; i < kept; i += length ? length : 1) {
		length = utf8_sequence(bytes + i, kept - i);
		add_visible(line, bytes + i, length, quoted);
	}
	if (kept < size)
		buffer_add_literal(line, "…");
}

/* Quoted where a reader could take it for more than one value. */
static void add_plain_value(struct buffer *line, const char *text, size_t limit)
{
	bool quoted = !text[0];

	for (const char *c = text; *c && !quoted; c++)
		quoted = *c <= ' ' || *c > '~' || *c == '"' || *c == '=' || *c == '\\';
	if (quoted)
		buffer_add_char(line, '"');
	add_plain_text(line, text, limit, quoted);
	if (quoted)
		buffer_add_char(line, '"');
}

struct record {
	enum prong_log_level level;
	const char *message;
	struct log_cause cause;
	const struct log_field *fields;
	size_t n_fields;
	unsigned microseconds;
};

static bool has_text(const char *text)
{
	return text && text[0];
}

static void make_json(struct buffer *line, const struct record *record, size_t limit)
{
	buffer_add_format(line, "{\"@timestamp\":\"%s.%06uZ\",\"log.level\":\"%s\",\"message\":", logger.clock,
			  record->microseconds, level_names[record->level]);
	add_json_text(line, record->message, limit);
	buffer_add(line, logger.origin.data, logger.origin.size);
	if (has_text(record->cause.request_id)) {
		buffer_add_literal(line, ",\"http.request.id\":");
		add_json_text(line, record->cause.request_id, limit);
	}
	if (has_text(record->cause.trace_id)) {
		buffer_add_literal(line, ",\"trace.id\":");
		add_json_text(line, record->cause.trace_id, limit);
	}
	for (size_t i = 0; i < record->n_fields; i++) {
		const struct log_field *field = &record->fields[i];

		buffer_add_char(line, ',');
		buffer_add_json_string(line, field->name, strlen(field->name));
		buffer_add_char(line, ':');
		if (field->text)
			add_json_text(line, field->text, limit);
		else
			add_number(line, field->number);
	}
	buffer_add_literal(line, "}\n");
}

/* People are shown the trace's id only where it says more than the request's. */
static void add_plain_cause(struct buffer *line, const struct log_cause *cause, size_t limit)
{
	if (has_text(cause->request_id)) {
		buffer_add_literal(line, " request=");
		add_plain_value(line, cause->request_id, limit);
	}
	if (has_text(cause->trace_id) && !(cause->request_id && string_equal(cause->request_id, cause->trace_id))) {
		buffer_add_literal(line, " trace=");
		add_plain_value(line, cause->trace_id, limit);
	}
}

static void make_plain(struct buffer *line, const struct record *record, size_t limit)
{
	buffer_add_format(line, "%s.%03u %s", logger.clock, record->microseconds / 1000,
			  (logger.colour ? level_columns : level_plain_columns)[record->level]);
	buffer_add(line, logger.origin.data, logger.origin.size);
	add_plain_text(line, record->message, limit, false);
	for (size_t i = 0; i < record->n_fields; i++) {
		const struct log_field *field = &record->fields[i];

		buffer_add_format(line, " %s=", field->name);
		if (field->text)
			add_plain_value(line, field->text, limit);
		else
			add_number(line, field->number);
	}
	add_plain_cause(line, &record->cause, limit);
	buffer_add_char(line, '\n');
}

/* Formatting a date costs more than the rest of a line, and is new once a second. */
static unsigned read_clock(void)
{
	struct timespec now;
	struct tm parts;

	clock_gettime(CLOCK_REALTIME, &now);
	if (now.tv_sec != logger.second) {
		logger.second = now.tv_sec;
		if (logger.json)
			strftime(logger.clock, sizeof(logger.clock), "%Y-%m-%dT%H:%M:%S",
				 gmtime_r(&now.tv_sec, &parts));
		else
			strftime(logger.clock, sizeof(logger.clock), "%Y-%m-%d %H:%M:%S",
				 localtime_r(&now.tv_sec, &parts));
	}
	return (unsigned)(now.tv_nsec / 1000);
}

/* Cuts texts shorter and shorter until the line fits. */
static void add_record(struct record *record)
{
	record->microseconds = read_clock();
	for (size_t limit = LOG_LINE_MAX;; limit /= 2) {
		logger.line.size = 0;
		(logger.json ? make_json : make_plain)(&logger.line, record, limit);
		if (logger.line.size <= LOG_LINE_MAX)
			break;
		if (limit == 0)
			record->n_fields = 0;
	}
	log_output_add(logger.line.data, logger.line.size);
}

static void report_dropped(void)
{
	uint64_t dropped = log_output_dropped();
	char message[128];

	if (dropped == logger.reported)
		return;
	snprintf(message, sizeof(message), "%llu log lines were dropped: standard error is read too slowly, or failed",
		 (unsigned long long)(dropped - logger.reported));
	logger.reported = dropped;
	add_record(&(struct record){ .level = PRONG_LOG_WARNING, .message = message });
	log_output_write();
}

static void flush(void *argument)
{
	int r;

	(void)argument;
	if (logger.awaits_room)
		return;
	r = log_output_write();
	if (r == 0)
		report_dropped();
	else if (r == -EAGAIN)
		logger.awaits_room = event_add(&logger.room, NULL) == 0;
}

static void on_room(evutil_socket_t fd, short events, void *argument)
{
	(void)fd;
	(void)events;
	logger.awaits_room = false;
	flush(argument);
}

void log_line(enum prong_log_level level, const struct log_cause *cause, const struct log_field *fields,
	      size_t n_fields, const char *format, ...)
{
	struct record record = { .level = level, .fields = fields, .n_fields = n_fields };
	char message[LOG_LINE_MAX + 1];
	va_list arguments;

	if (!log_enabled(level))
		return;
	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	record.message = message;
	if (cause)
		record.cause = *cause;
	add_record(&record);
	if (logger.loop)
		loop_defer(logger.loop, &logger.flush);
	else if (log_output_wait(monotonic_us() + WAIT) == 0)
		report_dropped();
}

static void describe_origin(const char *service, const char *process)
{
	struct buffer *origin = &logger.origin;

	origin->size = 0;
	if (logger.json) {
		buffer_add_literal(origin, ",\"service.name\":");
		add_json_text(origin, service, NAME_MAX_SIZE);
		buffer_add_literal(origin, ",\"process.name\":");
		add_json_text(origin, process, NAME_MAX_SIZE);
		buffer_add_format(origin, ",\"process.pid\":%d", (int)getpid());
	} else {
		buffer_add_format(origin, " %-11s ", process);
	}
}

void log_open(const char *service, const char *process, enum prong_log_level level, bool json)
{
	log_output_open();
	logger.level = level;
	logger.json = json;
	logger.colour = log_output_is_terminal() && !getenv("NO_COLOR");
	logger.loop = NULL; /* after a fork: the parent's, which must not be touched */
	logger.awaits_room = false;
	logger.reported = 0;
	logger.second = -1;
	describe_origin(service, process);
}

void log_attach(struct loop *loop)
{
	logger.loop = loop;
	logger.flush = (struct loop_task){ .function = flush };
	logger.awaits_room = false;
	check(event_assign(&logger.room, loop_base(loop), log_output_fd(), EV_WRITE, on_room, NULL) == 0);
}

void log_detach(void)
{
	if (!logger.loop)
		return;
	event_del(&logger.room);
	logger.awaits_room = false;
	loop_undefer(logger.loop, &logger.flush);
	logger.loop = NULL;
	if (log_output_wait(monotonic_us() + WAIT) == 0)
		report_dropped();
}
