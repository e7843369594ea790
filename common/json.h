/*
 * Strict JSON in (RFC 8259, the I-JSON rules of RFC 7493).
 *
 * json_check() decides what is well-formed; nothing else ever sees text that it refused. What passes is read in one of
 * two ways: as json-c's tree by json_parse(), for values without a schema, or in place by the json_skip() family, which
 * keeps numbers and raw values exactly as they were written and builds nothing.
 */
#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stddef.h>

#include "common/arena.h"

#define JSON_MAX_DEPTH 64

struct json_object;

/*
 * Whether the text is exactly one JSON value. Refuses (-EBADMSG, with a sentence in `ret_detail` from the arena that
 * says why and where): a BOM, invalid UTF-8, duplicate keys (compared after unescaping), lone surrogates, raw control
 * characters, NaN and Infinity, comments, arrays and objects nested deeper than 64, anything after the value.
 */
int json_check(const char *text, size_t size, struct arena *arena, const char **ret_detail);

/*
 * json_check(), then json-c's tree; also refuses whole numbers beyond 64 bits, which json-c cannot hold. The caller
 * owns `ret_value` (json_object_put()); a JSON null is NULL.
 */
int json_parse(const char *text, size_t size, struct arena *arena, struct json_object **ret_value,
	       const char **ret_detail);

void json_object_putp(struct json_object **value); /* for _cleanup_ */

/* The size of the JSON number at the beginning of the text, 0 if there is none; `ret_integer`: no fraction, no
 * exponent. */
size_t json_number(const char *text, size_t size, bool *ret_integer);

/*
 * Reading in place. The text must have passed json_check(), and `at` must be inside an object or array of it, whose end
 * is what stops these functions.
 */

/* What lies between the quotes of a string. */
struct json_slice {
	const char *text;
	size_t length;
	bool escaped; /* has backslashes */
};

const char *json_skip_space(const char *at);

/* `at` a value: returns what follows it. */
const char *json_skip(const char *at);

/* `at` a string: returns what follows it. */
const char *json_read_string(const char *at, struct json_slice *ret_slice);

/* The characters a string stands for, NUL-terminated; U+0000 may also be among them. */
const char *json_unescape(const struct json_slice *slice, struct arena *arena, size_t *ret_length);

/*
 * A copy of the value of `size` bytes at `at` (which may be the whole text) without the white space around its tokens;
 * NULL when a string in it contains U+0000, which PostgreSQL cannot store.
 */
const char *json_compact(const char *at, size_t size, struct arena *arena);

#endif
