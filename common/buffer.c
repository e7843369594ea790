#include "common/buffer.h"

#include <stdio.h>

#include "common/basics.h"
#include "common/number.h"
#include "common/utf8.h"

void buffer_free(struct buffer *buffer)
{
	free(buffer->data);
	*buffer = (struct buffer){ 0 };
}

void buffer_reserve(struct buffer *buffer, size_t more)
{
	size_t needed = buffer->size + more, capacity = buffer->capacity ? buffer->capacity : 256;

	if (needed <= buffer->capacity)
		return;
	if (needed < more || needed > SIZE_MAX / 2)
		panic("out of memory: a buffer of %zu + %zu bytes", buffer->size, more);
	while (capacity < needed)
		capacity *= 2;
	buffer->data = reallocate(buffer->data, capacity);
	buffer->capacity = capacity;
}

void buffer_add_string(struct buffer *buffer, const char *text)
{
	buffer_add(buffer, text, strlen(text));
}

void buffer_add_char(struct buffer *buffer, char c)
{
	buffer_add(buffer, &c, 1);
}

void buffer_add_integer(struct buffer *buffer, int64_t value)
{
	char room[NUMBER_TEXT_SIZE], *text = integer_format(value, room);

	buffer_add(buffer, text, (size_t)(room + sizeof(room) - 1 - text));
}

void buffer_add_double(struct buffer *buffer, double value)
{
	char text[NUMBER_TEXT_SIZE];

	buffer_add(buffer, text, (size_t)double_format(value, text));
}

void buffer_add_format(struct buffer *buffer, const char *format, ...)
{
	va_list arguments, again;
	int length;

	va_start(arguments, format);
	va_copy(again, arguments);
	length = vsnprintf(NULL, 0, format, again);
	va_end(again);
	check(length >= 0);
	buffer_reserve(buffer, (size_t)length + 1);
	vsnprintf(buffer->data + buffer->size, (size_t)length + 1, format, arguments);
	va_end(arguments);
	buffer->size += (size_t)length;
}

static void add_escaped(struct buffer *buffer, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";
	char escape[6] = { '\\', 'u', '0', '0', hex[c >> 4], hex[c & 15] };

	switch (c) {
	case '"':
		buffer_add_literal(buffer, "\\\"");
		break;
	case '\\':
		buffer_add_literal(buffer, "\\\\");
		break;
	case '\n':
		buffer_add_literal(buffer, "\\n");
		break;
	case '\r':
		buffer_add_literal(buffer, "\\r");
		break;
	case '\t':
		buffer_add_literal(buffer, "\\t");
		break;
	default:
		buffer_add(buffer, escape, sizeof(escape));
	}
}

void buffer_add_json_string(struct buffer *buffer, const char *text, size_t size)
{
	const unsigned char *bytes = (const unsigned char *)text;
	size_t i = 0, plain = 0; /* where the run of bytes that stand for themselves began */

	buffer_reserve(buffer, size + 2);
	buffer_add_char(buffer, '"');
	while ((i += utf8_plain(text + i, size - i)) < size) {
		bool escape = bytes[i] < 0x20 || bytes[i] == '"' || bytes[i] == '\\' || bytes[i] == 0x7F;
		size_t length = bytes[i] < 0x80 ? !escape : utf8_sequence(bytes + i, size - i);

		if (length) {
			i += length;
			continue;
		}
		buffer_add(buffer, text + plain, i - plain);
		if (escape)
			add_escaped(buffer, bytes[i]);
		else
			buffer_add_literal(buffer, "\xEF\xBF\xBD");
		plain = ++i;
	}
	buffer_add(buffer, text + plain, i - plain);
	buffer_add_char(buffer, '"');
}

const char *buffer_text(struct buffer *buffer)
{
	buffer_reserve(buffer, 1);
	buffer->data[buffer->size] = '\0';
	return buffer->data;
}
