#include "common/security/claims.h"

#include <json-c/json.h>

#include "common/basics.h"
#include "common/json.h"

static const char *const reserved[] = { "iss", "aud", "sub",   "sid",	"jti",	    "iat",
					"exp", "nbf", "scope", "epoch", "auth_time" };

/* A member of an object, as it was written. */
struct claim {
	const char *start, *end;
	struct json_slice name;
};

/* Goes from behind '{', or from behind a member, to the next one; NULL: there is none. */
static const char *next_claim(const char *at, struct claim *ret_claim)
{
	at = json_skip_space(at);
	if (*at == ',')
		at = json_skip_space(at + 1);
	if (*at == '}')
		return NULL;
	ret_claim->start = at;
	at = json_skip_space(json_read_string(at, &ret_claim->name));
	ret_claim->end = json_skip(json_skip_space(at + 1));
	return ret_claim->end;
}

/* The library's name that the claim has, or NULL. */
static const char *reserved_name(const struct claim *claim, struct arena *arena)
{
	size_t length;
	const char *name = json_unescape(&claim->name, arena, &length);

	for (size_t i = 0; i < ARRAY_SIZE(reserved); i++)
		if (length == strlen(reserved[i]) && memcmp(name, reserved[i], length) == 0)
			return reserved[i];
	return NULL;
}

static const char *first_of(const char *object)
{
	return json_skip_space(object) + 1;
}

static const char *check_claims(const char *claims, struct arena *arena)
{
	_cleanup_(json_object_putp) struct json_object *value = NULL;
	struct claim claim;
	const char *detail, *name;

	if (strlen(claims) > CLAIMS_MAX_SIZE)
		return arena_format(arena, "the claims have %zu bytes, more than %d", strlen(claims), CLAIMS_MAX_SIZE);
	/* Parsed, not only checked: what the reader of the token would refuse must not be signed. */
	if (json_parse(claims, strlen(claims), arena, &value, &detail) < 0)
		return arena_format(arena, "the claims are not valid JSON: %s", detail);
	if (!json_object_is_type(value, json_type_object))
		return "the claims are no JSON object";
	for (const char *at = first_of(claims); (at = next_claim(at, &claim));) {
		name = reserved_name(&claim, arena);
		if (name)
			return arena_format(arena, "the claim \"%s\" is the library's own: choose another name", name);
	}
	return NULL;
}

int claims_add(struct buffer *out, const char *claims, struct arena *arena, const char **ret_reason)
{
	const char *reason = check_claims(claims, arena);
	struct claim claim;

	if (reason) {
		*ret_reason = reason;
		return -EINVAL;
	}
	for (const char *at = first_of(claims); (at = next_claim(at, &claim));) {
		buffer_add_char(out, ',');
		buffer_add(out, claim.start, (size_t)(claim.end - claim.start));
	}
	return 0;
}

const char *claims_further(const char *json, struct arena *arena)
{
	_cleanup_(buffer_free) struct buffer out = { 0 };
	struct claim claim;

	for (const char *at = first_of(json); (at = next_claim(at, &claim));) {
		if (reserved_name(&claim, arena))
			continue;
		buffer_add_char(&out, out.size ? ',' : '{');
		buffer_add(&out, claim.start, (size_t)(claim.end - claim.start));
	}
	if (!out.size)
		return NULL;
	buffer_add_char(&out, '}');
	return arena_strndup(arena, out.data, out.size);
}
