/*
 * Where log lines go: standard error, through a bounded buffer, never blocking. For common/log.c, and its tests.
 *
 * Standard error may be shared with other processes, so it is not made non-blocking: that would change it for them.
 * Pipes and terminals are opened a second time instead, sockets are written with MSG_DONTWAIT, and what can be neither
 * is asked first.
 */
#ifndef LOG_OUTPUT_H
#define LOG_OUTPUT_H

#include <limits.h>

#include "common/basics.h"

/* A pipe takes so much in one piece or not at all, so that lines of several processes never mix. */
#define LOG_LINE_MAX PIPE_BUF

#define LOG_BUFFER_SIZE ((size_t)256 * 1024)

/* Begins anew with what standard error is now; forgets unwritten lines: after a fork they are the parent's. */
void log_output_open(void);
bool log_output_is_terminal(void);
int log_output_fd(void); /* to await room in; -1: none */

/* Keeps a line of at most LOG_LINE_MAX bytes with its newline, or counts it as dropped. */
void log_output_add(const char *line, size_t size);

/*
 * Writes what can be written now. 0 when nothing is left; -EAGAIN; another negative errno when it can never be written:
 * it was then dropped.
 */
int log_output_write(void);

/* As log_output_write(), but waits until `deadline` (monotonic µs) for room. */
int log_output_wait(int64_t deadline);

uint64_t log_output_dropped(void);

#endif
