#include "common/json.h"

#include <json-c/json.h>
#include <limits.h>

#include "common/basics.h"

void json_object_putp(struct json_object **value)
{
	json_object_put(*value);
}

static void json_tokener_freep(struct json_tokener **tokener)
{
	if (*tokener)
		json_tokener_free(*tokener);
}

/* json-c takes a number that does not fit for the greatest one that does, and says nothing. */
static bool fits_64_bits(const char *number, size_t size)
{
	char copy[32];

	if (size >= sizeof(copy))
		return false;
	memcpy(copy, number, size);
	copy[size] = '\0';
	errno = 0;
	if (*copy == '-')
		strtoll(copy, NULL, 10);
	else
		strtoull(copy, NULL, 10);
	return errno == 0;
}

static bool all_integers_fit(const char *at, const char *end)
{
	struct json_slice slice;
	bool integer;

	while (at < end) {
		size_t size = json_number(at, (size_t)(end - at), &integer);

		if (size && integer && !fits_64_bits(at, size))
			return false;
		if (*at == '"')
			at = json_read_string(at, &slice);
		else
			at += size ? size : 1;
	}
	return true;
}

int json_parse(const char *text, size_t size, struct arena *arena, struct json_object **ret_value,
	       const char **ret_detail)
{
	_cleanup_(json_tokener_freep) struct json_tokener *tokener = NULL;
	struct json_object *value;
	int r;

	r = json_check(text, size, arena, ret_detail);
	if (r < 0)
		return r;
	if (size > INT_MAX || !all_integers_fit(text, text + size)) {
		*ret_detail = size > INT_MAX ? "This JSON text is too long."
					     : "This JSON text has a whole number that does not fit 64 bits.";
		return -EBADMSG;
	}

	tokener = json_tokener_new_ex(JSON_MAX_DEPTH + 1); /* json-c counts the scalar inside, too */
	if (!tokener)
		panic("out of memory");
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	value = json_tokener_parse_ex(tokener, text, (int)size);
	if (json_tokener_get_error(tokener) == json_tokener_continue)
		value = json_tokener_parse_ex(tokener, "", 1); /* a number may go on until something ends it */
	if (json_tokener_get_error(tokener) != json_tokener_success) {
		*ret_detail = arena_format(arena, "This JSON cannot be represented: %s.",
					   json_tokener_error_desc(json_tokener_get_error(tokener)));
		return -EBADMSG;
	}
	*ret_value = value;
	return 0;
}

static size_t count_digits(const char *text, size_t size)
{
	size_t count = 0;

	while (count < size && text[count] >= '0' && text[count] <= '9')
		count++;
	return count;
}

size_t json_number(const char *text, size_t size, bool *ret_integer)
{
	size_t at = size > 0 && text[0] == '-', digits;
	bool integer = true;

	digits = at < size && text[at] == '0' ? 1 : count_digits(text + at, size - at);
	if (!digits)
		return 0;
	at += digits;

	if (at < size && text[at] == '.') {
		digits = count_digits(text + at + 1, size - at - 1);
		if (!digits)
			return 0;
		at += 1 + digits;
		integer = false;
	}
	if (at < size && (text[at] == 'e' || text[at] == 'E')) {
		at++;
		if (at < size && (text[at] == '+' || text[at] == '-'))
			at++;
		digits = count_digits(text + at, size - at);
		if (!digits)
			return 0;
		at += digits;
		integer = false;
	}
	*ret_integer = integer;
	return at;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

const char *json_skip_space(const char *at)
{
	while (is_space(*at))
		at++;
	return at;
}

const char *json_read_string(const char *at, struct json_slice *ret_slice)
{
	const char *start = ++at;
	bool escaped = false;

	for (;; at++) {
		if (at - start > 16) /* long enough for a search that has to be set up */
			at += strcspn(at, "\"\\");
		if (*at == '"')
			break;
		if (*at == '\\') {
			escaped = true;
			at++;
		}
	}
	*ret_slice = (struct json_slice){ .text = start, .length = (size_t)(at - start), .escaped = escaped };
	return at + 1;
}

static const char *skip_nested(const char *at)
{
	struct json_slice slice;
	size_t depth = 0;

	do {
		if (*at == '"') {
			at = json_read_string(at, &slice);
			continue;
		}
		if (*at == '{' || *at == '[')
			depth++;
		else if (*at == '}' || *at == ']')
			depth--;
		at++;
	} while (depth);
	return at;
}

const char *json_skip(const char *at)
{
	struct json_slice slice;

	if (*at == '"')
		return json_read_string(at, &slice);
	if (*at == '{' || *at == '[')
		return skip_nested(at);
	while (*at != ',' && *at != '}' && *at != ']' && !is_space(*at))
		at++;
	return at;
}

static uint32_t code_unit(const char *digits)
{
	uint32_t unit = 0;

	for (int i = 0; i < 4; i++) {
		uint32_t c = (unsigned char)digits[i];

		unit = unit << 4 | (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
	}
	return unit;
}

static char *write_code_point(char *out, uint32_t c)
{
	if (c < 0x80) {
		*out++ = (char)c;
		return out;
	}
	if (c < 0x800) {
		*out++ = (char)(0xC0 | c >> 6);
	} else {
		if (c < 0x10000) {
			*out++ = (char)(0xE0 | c >> 12);
		} else {
			*out++ = (char)(0xF0 | c >> 18);
			*out++ = (char)(0x80 | (c >> 12 & 0x3F));
		}
		*out++ = (char)(0x80 | (c >> 6 & 0x3F));
	}
	*out++ = (char)(0x80 | (c & 0x3F));
	return out;
}

/* `*at` is after the backslash; leaves it after the escape. */
static char *write_escape(char *out, const char **at)
{
	static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
	char c = *(*at)++;
	const char *known;
	uint32_t unit;

	if (c != 'u') {
		known = strchr(from, c);
		*out++ = known ? to[known - from] : c;
		return out;
	}
	unit = code_unit(*at);
	*at += 4;
	if (unit >= 0xD800 && unit <= 0xDBFF) {
		unit = 0x10000 + ((unit - 0xD800) << 10) + (code_unit(*at + 2) - 0xDC00);
		*at += 6;
	}
	return write_code_point(out, unit);
}

const char *json_unescape(const struct json_slice *slice, struct arena *arena, size_t *ret_length)
{
	const char *at = slice->text, *end = at + slice->length;
	char *text, *out;

	if (!slice->escaped) {
		*ret_length = slice->length;
		return arena_strndup(arena, slice->text, slice->length);
	}
	/* No escape is shorter than what it stands for. */
	text = out = arena_alloc(arena, slice->length + 1);
	while (at < end) {
		if (*at != '\\') {
			*out++ = *at++;
			continue;
		}
		at++;
		out = write_escape(out, &at);
	}
	*ret_length = (size_t)(out - text);
	return text;
}

const char *json_compact(const char *at, size_t size, struct arena *arena)
{
	char *text = arena_alloc(arena, size + 1), *out = text;
	const char *end = at + size;
	bool quoted = false;

	for (; at < end; at++) {
		if (!quoted && is_space(*at))
			continue;
		if (*at == '"')
			quoted = !quoted;
		*out++ = *at;
		if (*at != '\\')
			continue;
		*out++ = *++at;
		if (*at == 'u' && memcmp(at + 1, "0000", 4) == 0)
			return NULL;
	}
	return text;
}
