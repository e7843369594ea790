#include "common/schema/bind_json.h"

#include "common/basics.h"
#include "common/json.h"
#include "common/schema/field.h"
#include "common/schema/scalar.h"

/*
 * All functions here walk text that json_check() has passed; those that return a pointer return what follows the value,
 * whether it was bound or refused.
 */

static const char *bind_object(struct binding *binding, const struct prong_schema *schema,
			       const struct schema_path *path, const char *at, void *record);

static bool has_field(const uint64_t seen[], size_t index)
{
	return seen[index / 64] >> (index % 64) & 1;
}

static const char *bind_string(struct binding *binding, const struct prong_field *field, const struct schema_path *path,
			       const char *at, void *place)
{
	struct json_slice slice;
	const char *next = json_read_string(at, &slice);

	if (slice.escaped)
		slice.text = json_unescape(&slice, binding->arena, &slice.length);
	scalar_read(binding, field, path, slice.text, slice.length, place);
	return next;
}

static void bind_raw(struct binding *binding, const struct schema_path *path, const char *at, size_t size, void *place)
{
	const char *text = json_compact(at, size, binding->arena);

	if (text)
		field_set_pointer(place, text);
	else
		binding_error(binding, path, "value", "Remove the character U+0000; it cannot be stored.");
}

/* Whether a token that begins so can be of the kind; what it is exactly is for scalar_read(). */
static bool token_fits(enum prong_kind kind, char first)
{
	switch (kind) {
	case PRONG_KIND_BOOL:
		return first == 't' || first == 'f';
	case PRONG_KIND_INT32:
	case PRONG_KIND_INT64:
	case PRONG_KIND_DOUBLE:
		return first == '-' || (first >= '0' && first <= '9');
	case PRONG_KIND_OBJECT:
		return first == '{';
	case PRONG_KIND_JSON:
		return true;
	default:
		return first == '"';
	}
}

/* One value that is not null: a scalar, or a nested record, whose memory is at `place`. */
static const char *bind_value(struct binding *binding, const struct prong_field *field, const struct schema_path *path,
			      const char *at, void *place)
{
	enum prong_kind kind = field_kind(field);
	const char *next;

	if (!token_fits(kind, *at)) {
		binding_type_error(binding, field, path);
		return json_skip(at);
	}
	if (kind == PRONG_KIND_OBJECT)
		return bind_object(binding, field->schema, path, at, place);
	if (kind != PRONG_KIND_JSON && *at == '"')
		return bind_string(binding, field, path, at, place);
	next = json_skip(at);
	if (kind == PRONG_KIND_JSON)
		bind_raw(binding, path, at, (size_t)(next - at), place);
	else
		scalar_read(binding, field, path, at, (size_t)(next - at), place);
	return next;
}

static size_t count_items(const char *at)
{
	size_t count = 0;

	for (at = json_skip_space(at + 1); *at != ']'; count++) {
		at = json_skip_space(json_skip(at));
		if (*at == ',')
			at = json_skip_space(at + 1);
	}
	return count;
}

static const char *bind_items(struct binding *binding, const struct prong_field *field, const struct schema_path *path,
			      const char *at, void *place)
{
	struct field_items items = { .count = count_items(at) };
	size_t size = field_value_size(field);

	/* Before anything is allocated for them. */
	if (!rules_items(binding, field, path, items.count))
		return json_skip(at);
	items.items = arena_alloc(binding->arena, items.count ? items.count * size : 1);

	at = json_skip_space(at + 1);
	for (size_t i = 0; i < items.count; i++) {
		struct schema_path item = { .parent = path, .index = i };

		if (*at == 'n' && field_kind(field) != PRONG_KIND_JSON) {
			binding_null_error(binding, &item);
			at = json_skip(at);
		} else {
			at = bind_value(binding, field, &item, at, (char *)items.items + i * size);
		}
		at = json_skip_space(at);
		if (*at == ',')
			at = json_skip_space(at + 1);
	}
	field_set_items(place, items);
	return at + 1;
}

static const char *bind_null(struct binding *binding, const struct prong_field *field, const struct schema_path *path,
			     const char *at)
{
	if (!field->nullable && !(binding->trusted && field_can_be_absent(field)))
		binding_null_error(binding, path);
	return json_skip(at);
}

static const char *bind_field(struct binding *binding, const struct prong_field *field, const struct schema_path *path,
			      const char *at, void *record)
{
	void *place = (char *)record + field->offset, *nested;

	if (binding->border == SCHEMA_BODY && field->read_only) {
		binding_error(binding, path, "read_only", "Leave this out; the server sets it.");
		return json_skip(at);
	}
	if (*at == 'n')
		return bind_null(binding, field, path, at);
	if (field->array) {
		if (*at == '[')
			return bind_items(binding, field, path, at, place);
		binding_type_error(binding, field, path);
		return json_skip(at);
	}
	if (field_kind(field) != PRONG_KIND_OBJECT)
		return bind_value(binding, field, path, at, place);
	nested = arena_alloc(binding->arena, field->schema->size);
	field_set_pointer(place, nested);
	return bind_value(binding, field, path, at, nested);
}

static const char *bind_pair(struct binding *binding, const struct prong_schema *schema, const struct schema_path *path,
			     const char *at, void *record, uint64_t seen[])
{
	const struct prong_field *field;
	struct schema_path member;
	struct json_slice name;
	size_t index;

	at = json_read_string(at, &name);
	at = json_skip_space(json_skip_space(at) + 1);
	if (name.escaped)
		name.text = json_unescape(&name, binding->arena, &name.length);
	member = (struct schema_path){ .parent = path, .name = name.text, .length = name.length };

	field = schema_field(schema, name.text, name.length);
	if (!field) {
		if (!binding->trusted && binding->border != SCHEMA_PAYLOAD)
			binding_error(binding, &member, "unknown", "Remove this; there is no such field.");
		return json_skip(at);
	}
	index = (size_t)(field - schema->fields);
	seen[index / 64] |= UINT64_C(1) << (index % 64);
	return bind_field(binding, field, &member, at, record);
}

static void check_missing(struct binding *binding, const struct prong_schema *schema, const struct schema_path *path,
			  const uint64_t seen[])
{
	for (size_t i = 0; i < schema->n_fields; i++) {
		const struct prong_field *field = &schema->fields[i];
		struct schema_path member = { .parent = path, .name = field->name, .length = strlen(field->name) };

		if (field->required && !has_field(seen, i) && !(binding->border == SCHEMA_BODY && field->read_only))
			binding_missing_error(binding, &member);
	}
}

/* Recursion is bounded by schema_check(): no schema is nested in itself. */
static const char *bind_object(struct binding *binding, const struct prong_schema *schema,
			       const struct schema_path *path, const char *at, void *record)
{
	uint64_t seen[SCHEMA_MAX_FIELDS / 64] = { 0 };

	check(schema->n_fields <= SCHEMA_MAX_FIELDS);
	at = json_skip_space(at + 1);
	while (*at != '}') {
		at = json_skip_space(bind_pair(binding, schema, path, at, record, seen));
		if (*at == ',')
			at = json_skip_space(at + 1);
	}
	if (!binding->trusted)
		check_missing(binding, schema, path, seen);
	return at + 1;
}

bool bind_json_member(struct binding *binding, const struct prong_field *field, const char *text, size_t size,
		      void *record)
{
	const struct schema_path path = { .name = field->name, .length = strlen(field->name) };
	enum prong_kind kind = field_kind(field);
	const char *end = text + size, *detail;

	if (json_check(text, size, binding->arena, &detail) < 0)
		return binding_error(binding, &path, "value", "%s", detail);
	text = json_skip_space(text);
	if (*text == 'n')
		return true;
	if (!field->array && kind == PRONG_KIND_JSON)
		bind_raw(binding, &path, text, (size_t)(end - text), (char *)record + field->offset);
	else if (*text == (field->array ? '[' : '{'))
		bind_field(binding, field, &path, text, record);
	else
		binding_type_error(binding, field, &path);
	return !binding->failed;
}

int schema_bind_json(const struct prong_schema *schema, enum schema_border border, const char *text, size_t size,
		     struct arena *arena, void **ret_record, const char **ret_detail, struct schema_errors *errors)
{
	struct binding binding = { .arena = arena, .errors = errors, .border = border };
	void *record;
	int r;

	errors->count = 0;
	r = json_check(text, size, arena, ret_detail);
	if (r < 0)
		return r;
	text = json_skip_space(text);
	if (*text != '{') {
		binding_error(&binding, NULL, "type", "Give a JSON object.");
		return -EINVAL;
	}
	record = arena_alloc(arena, schema->size);
	bind_object(&binding, schema, NULL, text, record);
	if (binding.failed)
		return -EINVAL;
	*ret_record = record;
	return 0;
}
