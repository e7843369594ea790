#include "server/http/characters.h"
#include "server/http/parser.h"

#include "common/utf8.h"

/* Decodes one segment into `out`. Returns its decoded size, or -EBADMSG. */
static int64_t decode_segment(const char *at, const char *end, char *out)
{
	char *const begin = out;

	while (at < end) {
		char c = *at++;

		if (c == '%') {
			if (end - at < 2 || !http_is(at[0], HTTP_HEX) || !http_is(at[1], HTTP_HEX))
				return -EBADMSG;
			c = (char)(http_hex(at[0]) << 4 | http_hex(at[1]));
			at += 2;
			if (c == '/' || c == '\0')
				return -EBADMSG;
		} else if (!http_is(c, HTTP_PATH)) {
			return -EBADMSG;
		}
		*out++ = c;
	}
	return out - begin;
}

static bool is_dots(const char *text, size_t size)
{
	return size > 0 && size <= 2 && text[0] == '.' && text[size - 1] == '.';
}

static bool is_ascii(const char *text, size_t size)
{
	unsigned char all = 0;

	for (size_t i = 0; i < size; i++)
		all |= (unsigned char)text[i];
	return all < 0x80;
}

int http_split_path(struct http_text path, char *space, struct http_text segments[HTTP_MAX_SEGMENTS], size_t *ret_count)
{
	const char *at = path.data, *const end = path.data + path.size;
	bool too_many = false;
	size_t count = 0;

	if (path.size == 0 || *at != '/')
		return -EBADMSG;
	while (path.size > 1 && at < end) {
		const char *begin = at + 1;
		int64_t size;

		at = memchr(begin, '/', (size_t)(end - begin));
		if (!at)
			at = end;
		size = decode_segment(begin, at, space);
		if (size < 0)
			return -EBADMSG;
		if (is_dots(space, (size_t)size))
			return -EBADMSG;
		if (!is_ascii(space, (size_t)size) && utf8_length(space, (size_t)size) < 0)
			return -EBADMSG;
		if (count == HTTP_MAX_SEGMENTS)
			too_many = true;
		else
			segments[count++] = (struct http_text){ space, (size_t)size };
		space[size] = '\0';
		space += size + 1;
	}
	if (too_many)
		return -ENOENT;
	*ret_count = count;
	return 0;
}
