#include "common/json.h"
#include "common/schema/field.h"
#include "common/schema/schema.h"

/* All functions here walk text that json_check() has passed; those that return a pointer return what follows the value.
 */

#define HIDDEN "\"(secret)\""

static const char *hide(const char *at, struct buffer *out)
{
	buffer_add_literal(out, HIDDEN);
	return json_skip(at);
}

static const char *copy(const char *at, struct buffer *out)
{
	const char *next = json_skip(at);

	buffer_add(out, at, (size_t)(next - at));
	return next;
}

static const char *redact_object(const struct prong_schema *schema, const char *at, struct arena *arena,
				 struct buffer *out);

/* One value of a field that is not secret, or one item of its array. */
static const char *redact_value(const struct prong_field *field, const char *at, struct arena *arena,
				struct buffer *out)
{
	bool object = field_kind(field) == PRONG_KIND_OBJECT;

	if (*at == 'n' || field_kind(field) == PRONG_KIND_JSON)
		return copy(at, out);
	if (object && *at == '{')
		return redact_object(field->schema, at, arena, out);
	/* A scalar of another kind than the field's is shown: it may be why the record does not fit. */
	return object || *at == '{' || *at == '[' ? hide(at, out) : copy(at, out);
}

static const char *redact_items(const struct prong_field *field, const char *at, struct arena *arena,
				struct buffer *out)
{
	buffer_add_char(out, '[');
	at = json_skip_space(at + 1);
	while (*at != ']') {
		at = json_skip_space(redact_value(field, at, arena, out));
		if (*at == ',') {
			buffer_add_char(out, ',');
			at = json_skip_space(at + 1);
		}
	}
	buffer_add_char(out, ']');
	return at + 1;
}

static const char *redact_member(const struct prong_schema *schema, const char *at, struct arena *arena,
				 struct buffer *out)
{
	const struct prong_field *field;
	struct json_slice name;
	const char *next = json_read_string(at, &name);

	buffer_add(out, at, (size_t)(next - at));
	buffer_add_char(out, ':');
	if (name.escaped)
		name.text = json_unescape(&name, arena, &name.length);
	field = schema_field(schema, name.text, name.length);
	at = json_skip_space(json_skip_space(next) + 1);
	if (!field || field->secret)
		return hide(at, out);
	if (!field->array)
		return redact_value(field, at, arena, out);
	return *at == '[' ? redact_items(field, at, arena, out) : *at == 'n' ? copy(at, out) : hide(at, out);
}

/* Recursion is bounded by schema_check(): no schema is nested in itself. */
static const char *redact_object(const struct prong_schema *schema, const char *at, struct arena *arena,
				 struct buffer *out)
{
	buffer_add_char(out, '{');
	at = json_skip_space(at + 1);
	while (*at != '}') {
		at = json_skip_space(redact_member(schema, at, arena, out));
		if (*at == ',') {
			buffer_add_char(out, ',');
			at = json_skip_space(at + 1);
		}
	}
	buffer_add_char(out, '}');
	return at + 1;
}

void schema_redact_json(const struct prong_schema *schema, const char *text, size_t size, struct arena *arena,
			struct buffer *out)
{
	const char *detail;

	if (!schema || json_check(text, size, arena, &detail) < 0 || *json_skip_space(text) != '{')
		buffer_add_literal(out, HIDDEN);
	else
		redact_object(schema, json_skip_space(text), arena, out);
}
