/* Strict JSON in (RFC 8259, the I-JSON rules of RFC 7493): json-c behind the checks that it lacks. */
#ifndef JSON_H
#define JSON_H

#include <stddef.h>

#include "common/arena.h"

struct json_object;

/*
 * Parses exactly one JSON value. Refuses (-EBADMSG, with a sentence in `ret_detail` from the arena): a BOM, invalid
 * UTF-8, duplicate keys, lone surrogates, NaN and Infinity, comments, depth over 64, anything after the value. The caller
 * owns `ret_value` (json_object_put()).
 */
int json_parse(const char *text, size_t size, struct arena *arena, struct json_object **ret_value,
	       const char **ret_detail);

void json_object_putp(struct json_object **value); /* for _cleanup_ */

#endif
