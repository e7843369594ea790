#include "common/basics.h"
#include "common/json.h"
#include "common/schema/field.h"
#include "common/schema/rules.h"

static void validate_record(struct binding *binding, const struct prong_schema *schema, const struct schema_path *path,
			    const void *record);

static void validate_string(struct binding *binding, const struct prong_field *field, const struct schema_path *path,
			    const char *text)
{
	if (text)
		rules_string(binding, field, path, text, strlen(text));
	else
		binding_null_error(binding, path);
}

/* What binding would refuse again must not be written. */
static void validate_raw(struct binding *binding, const struct schema_path *path, const char *text, bool null_is_good)
{
	const char *detail;

	if (!text)
		binding_null_error(binding, path);
	else if (json_check(text, strlen(text), binding->arena, &detail) < 0)
		binding_error(binding, path, "value", "%s", detail);
	else if (!null_is_good && *json_skip_space(text) == 'n')
		binding_null_error(binding, path);
	else if (!json_compact(text, strlen(text), binding->arena))
		binding_error(binding, path, "value", "Remove the character U+0000; it cannot be stored.");
}

static void validate_enum(struct binding *binding, const struct prong_field *field, const struct schema_path *path,
			  unsigned value)
{
	for (unsigned i = 0; field->values[i]; i++)
		if (i == value)
			return;
	rules_value_error(binding, field, path);
}

static void validate_value(struct binding *binding, const struct prong_field *field, const struct schema_path *path,
			   const void *value)
{
	int64_t integer;

	switch (field_kind(field)) {
	case PRONG_KIND_INT32:
		rules_integer(binding, field, path, *(const int32_t *)value);
		break;
	case PRONG_KIND_INT64:
		memcpy(&integer, value, sizeof(integer));
		rules_integer(binding, field, path, integer);
		break;
	case PRONG_KIND_DOUBLE:
		rules_double(binding, field, path, *(const double *)value);
		break;
	case PRONG_KIND_TIME:
		integer = ((const prong_time *)value)->us;
		if (integer < PRONG_TIME_MIN || integer > PRONG_TIME_MAX)
			binding_error(binding, path, "range", "Give a time in the years 0000 to 9999.");
		break;
	case PRONG_KIND_ENUM:
		validate_enum(binding, field, path, *(const unsigned *)value);
		break;
	case PRONG_KIND_STRING:
		validate_string(binding, field, path, field_pointer(value));
		break;
	case PRONG_KIND_JSON:
		validate_raw(binding, path, field_pointer(value), field->array || field->nullable);
		break;
	case PRONG_KIND_OBJECT:
		validate_record(binding, field->schema, path, value);
		break;
	default: /* any bool and any UUID is good */
		break;
	}
}

static void validate_items(struct binding *binding, const struct prong_field *field, const struct schema_path *path,
			   const void *place)
{
	struct field_items items = field_items(place);
	size_t size = field_value_size(field);

	rules_items(binding, field, path, items.count);
	for (size_t i = 0; i < items.count; i++) {
		struct schema_path item = { .parent = path, .index = i };

		validate_value(binding, field, &item, (const char *)items.items + i * size);
	}
}

static void validate_field(struct binding *binding, const struct prong_field *field, const struct schema_path *path,
			   const void *place)
{
	bool absent = field_is_absent(field, place);

	if (absent && field->required && !field->nullable && !field->array)
		binding_missing_error(binding, path);
	else if (absent && (field->nullable || !field->required))
		return; /* written as null, or not at all */
	else if (field->array)
		validate_items(binding, field, path, place);
	else if (field_kind(field) == PRONG_KIND_OBJECT)
		validate_value(binding, field, path, field_pointer(place));
	else
		validate_value(binding, field, path, field_value(field, place));
}

static void validate_record(struct binding *binding, const struct prong_schema *schema, const struct schema_path *path,
			    const void *record)
{
	for (size_t i = 0; i < schema->n_fields; i++) {
		const struct prong_field *field = &schema->fields[i];
		struct schema_path member = { .parent = path, .name = field->name, .length = strlen(field->name) };

		validate_field(binding, field, &member, (const char *)record + field->offset);
	}
}

int schema_validate(const struct prong_schema *schema, const void *record, struct arena *arena,
		    struct schema_errors *errors)
{
	struct binding binding = { .arena = arena, .errors = errors, .border = SCHEMA_PAYLOAD };

	errors->count = 0;
	validate_record(&binding, schema, NULL, record);
	return binding.failed ? -EINVAL : 0;
}
