/*
 * Trace context (W3C): the id that ties what many services did for one cause together. A request takes it from its
 * `traceparent` header or makes one; its jobs carry it on; log lines show it as trace.id. Pure functions but for the
 * random bytes.
 */
#ifndef TRACE_H
#define TRACE_H

#include <stdbool.h>
#include <stddef.h>

#define TRACE_ID_SIZE 33 /* 32 lower-case hexadecimal digits and the NUL */

/* 16 random bytes in hexadecimal; cheap, and not a secret. */
void trace_id_make(char ret_id[TRACE_ID_SIZE]);

/* Whether `text` is a trace id: 32 lower-case hexadecimal digits, not all of them zero. */
bool trace_id_is_valid(const char *text, size_t size);

/*
 * Takes the trace id out of a `traceparent` value of version 00. 0; or -EINVAL, with `ret_id` untouched, for anything
 * that is not exactly one: the caller then begins a trace of its own, as the specification asks.
 */
int trace_parent_read(const char *text, size_t size, char ret_id[TRACE_ID_SIZE]);

#endif
