/* A growable byte buffer: what writes JSON, HTTP heads and log lines. Owns its memory. */
#ifndef BUFFER_H
#define BUFFER_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct buffer {
	char *data;
	size_t size, capacity;
};

void buffer_free(struct buffer *buffer); /* leaves it empty and usable */
void buffer_reserve(struct buffer *buffer, size_t more);

static inline void buffer_add(struct buffer *buffer, const void *data, size_t size)
{
	if (buffer->capacity - buffer->size < size)
		buffer_reserve(buffer, size);
	if (size)
		memcpy(buffer->data + buffer->size, data, size);
	buffer->size += size;
}

#define buffer_add_literal(buffer, literal) buffer_add((buffer), "" literal, sizeof(literal) - 1)
void buffer_add_string(struct buffer *buffer, const char *text);
void buffer_add_char(struct buffer *buffer, char c);
void buffer_add_integer(struct buffer *buffer, int64_t value);
void buffer_add_double(struct buffer *buffer, double value); /* as double_format(); JSON syntax, so finite */
void buffer_add_format(struct buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A JSON string with its quotes: control characters, quotes, backslashes escaped; invalid UTF-8 becomes U+FFFD. */
void buffer_add_json_string(struct buffer *buffer, const char *text, size_t size);

/* NUL-terminates without counting the NUL; returns the data. */
const char *buffer_text(struct buffer *buffer);

#endif
