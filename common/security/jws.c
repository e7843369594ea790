#include "common/security/jws.h"

#include <json-c/json.h>

#include "common/json.h"
#include "common/security/base64url.h"

bool jws_split(const char *token, size_t size, struct jws *ret_jws)
{
	const char *end = token + size, *first, *second;

	first = memchr(token, '.', size);
	if (!first)
		return false;
	second = memchr(first + 1, '.', (size_t)(end - first - 1));
	if (!second || memchr(second + 1, '.', (size_t)(end - second - 1)))
		return false;
	*ret_jws = (struct jws){
		.header = { token, (size_t)(first - token) },
		.payload = { first + 1, (size_t)(second - first - 1) },
		.signature = { second + 1, (size_t)(end - second - 1) },
	};
	return true;
}

struct json_object *jws_object(const struct jws_part *part, struct arena *arena, struct jws_part *ret_json)
{
	unsigned char *json = arena_alloc(arena, part->size + 1);
	struct json_object *value = NULL;
	const char *detail;
	size_t size;

	if (base64url_decode(part->text, part->size, json, part->size + 1, &size) < 0 ||
	    json_parse((const char *)json, size, arena, &value, &detail) < 0)
		return NULL;
	if (!json_object_is_type(value, json_type_object)) {
		json_object_put(value);
		return NULL;
	}
	if (ret_json)
		*ret_json = (struct jws_part){ (const char *)json, size };
	return value;
}

const char *jws_check_signature(const struct jws *jws, const struct signing_key *key)
{
	unsigned char signature[SIGNATURE_MAX_SIZE];
	size_t size;

	if (base64url_decode(jws->signature.text, jws->signature.size, signature, sizeof(signature), &size) < 0)
		return "malformed signature";
	if (!signing_key_verify(key, jws->header.text, jws->header.size + 1 + jws->payload.size, signature, size))
		return "wrong signature";
	return NULL;
}

const char *jws_string(struct json_object *object, const char *name)
{
	struct json_object *value;
	const char *text;

	if (!json_object_object_get_ex(object, name, &value) || !json_object_is_type(value, json_type_string))
		return NULL;
	text = json_object_get_string(value);
	return strlen(text) == (size_t)json_object_get_string_len(value) ? text : NULL;
}

bool jws_has_string(struct json_object *object, const char *name, const char *expected)
{
	const char *text = jws_string(object, name);

	return text && string_equal(text, expected);
}

bool jws_integer(struct json_object *object, const char *name, int64_t high, int64_t *ret_value)
{
	struct json_object *value;
	int64_t number;

	if (!json_object_object_get_ex(object, name, &value) || !json_object_is_type(value, json_type_int))
		return false;
	number = json_object_get_int64(value);
	if (number < 0 || number > high)
		return false;
	*ret_value = number;
	return true;
}
