/*
 * The log: one JSON object a line on standard error (coloured text on a terminal), ECS names: @timestamp, log.level,
 * message, service.name, process.name, http.request.id,
 * trace.id. Lines gather in a bounded buffer that is written without
 * blocking at the end of the loop's turn; what finds no room is dropped and counted, and the count is logged later.
 * Before log_attach() and after log_detach() lines are written at once, waiting at most 100 ms.
 *
 * A line is at most 4096 bytes, so that processes that share a pipe never mix theirs: longer texts are cut. Whatever a
 * text contains, it stays one line and cannot pass for another. Only for the loop's thread.
 */
#ifndef LOG_H
#define LOG_H

#include <prong/context.h>

#include "common/loop.h"

struct log_field {
	const char *name;
	const char *text; /* NULL: `number` */
	double number;
};

/*
 * Once per process: in a forked one before it logs. `process` as in "http 0". `json` false writes text, coloured on a
 * terminal unless NO_COLOR is set.
 */
void log_open(const char *service, const char *process, enum prong_log_level level, bool json);
void log_attach(struct loop *loop);
void log_detach(void); /* writes what is left, waiting at most 100 ms */
bool log_enabled(enum prong_log_level level);

/* For whom the work is done that a line tells of. NULL and "" are none. */
struct log_cause {
	const char *request_id, *trace_id;
};

/* `cause` NULL: the process' own work. */
void log_line(enum prong_log_level level, const struct log_cause *cause, const struct log_field *fields,
	      size_t n_fields, const char *format, ...) __attribute__((format(printf, 5, 6)));
#define log_debug(...) log_line(PRONG_LOG_DEBUG, NULL, NULL, 0, __VA_ARGS__)
#define log_info(...) log_line(PRONG_LOG_INFO, NULL, NULL, 0, __VA_ARGS__)
#define log_warning(...) log_line(PRONG_LOG_WARNING, NULL, NULL, 0, __VA_ARGS__)
#define log_error(...) log_line(PRONG_LOG_ERROR, NULL, NULL, 0, __VA_ARGS__)

#endif
