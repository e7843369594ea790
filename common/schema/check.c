#include "common/basics.h"
#include "common/schema/field.h"
#include "common/schema/schema.h"

/* The schemas from the outermost to the one at hand, to find one nested in itself. */
struct nesting {
	const struct nesting *outer;
	const struct prong_schema *schema;
	size_t depth;
};

static bool is_identifier(const char *name)
{
	if (!*name || (*name >= '0' && *name <= '9'))
		return false;
	for (; *name; name++)
		if (!(*name >= 'a' && *name <= 'z') && !(*name >= 'A' && *name <= 'Z') &&
		    !(*name >= '0' && *name <= '9') && *name != '_')
			return false;
	return true;
}

static bool is_number(enum prong_kind kind)
{
	return kind == PRONG_KIND_INT32 || kind == PRONG_KIND_INT64 || kind == PRONG_KIND_DOUBLE;
}

static const char *values_mistake(const struct prong_field *field)
{
	enum prong_kind kind = field_kind(field);

	if (!field->values)
		return kind == PRONG_KIND_ENUM ? "an enum (or unsigned int) needs .values" : NULL;
	if (kind != PRONG_KIND_ENUM && kind != PRONG_KIND_STRING)
		return ".values are only for enums and strings";
	if (!field->values[0])
		return ".values is empty";
	for (size_t i = 0; field->values[i]; i++)
		for (size_t j = 0; j < i; j++)
			if (string_equal(field->values[i], field->values[j]))
				return "two of .values are alike";
	return NULL;
}

static bool range_is_empty(const struct prong_field *field)
{
	return field_kind(field) == PRONG_KIND_DOUBLE ? !(field->range.low_double <= field->range.high_double)
						      : field->range.low > field->range.high;
}

static const char *rules_mistake(const struct prong_field *field)
{
	bool string = field_kind(field) == PRONG_KIND_STRING;

	if ((field->min_length || field->max_length) && !string)
		return ".min_length and .max_length are only for strings";
	if (field->max_length && field->min_length > field->max_length)
		return ".min_length is greater than .max_length";
	if ((field->min_items || field->max_items) && !field->array)
		return ".min_items and .max_items are only for arrays";
	if (field->max_items && field->min_items > field->max_items)
		return ".min_items is greater than .max_items";
	if (field->range.set && !is_number(field_kind(field)))
		return ".range is only for numbers";
	if (field->range.set && range_is_empty(field))
		return ".range has its low bound above its high one";
	if (field->format && !string)
		return ".format is only for strings";
	if ((unsigned)field->format > PRONG_URI)
		return ".format is none of enum prong_format";
	return NULL;
}

static const char *field_mistake(const struct prong_schema *schema, const struct prong_field *field)
{
	enum prong_kind kind = field_kind(field);
	size_t size;

	if (!is_identifier(field->name))
		return "its name is not an identifier";
	if ((kind == PRONG_KIND_OBJECT) != (field->schema != NULL))
		return kind == PRONG_KIND_OBJECT ? "a nested record needs .schema"
						 : ".schema is only for nested records";
	size = field->array ? sizeof(struct field_items) : field_value_size(field);
	if (kind < PRONG_KIND_BOOL || kind > PRONG_KIND_OBJECT || !field_value_size(field))
		return "its kind does not exist";
	if (field->offset > schema->size || size > schema->size - field->offset)
		return "it is not within its struct";
	if (field->array && field->kind & PRONG_KIND_OPTIONAL)
		return "the items of an array cannot be optional";
	if (field->nullable && !field_can_be_absent(field))
		return kind == PRONG_KIND_ENUM ? "an enum cannot be .nullable; use a string with .values"
					       : "to be .nullable its member must be a prong_opt_…";
	if (field->read_only && field->write_only)
		return "it cannot be both .read_only and .write_only";
	return NULL;
}

static const char *schema_mistake(const struct prong_schema *schema)
{
	if (!schema->name || !is_identifier(schema->name))
		return "its name is not an identifier";
	if (!schema->fields || !schema->n_fields)
		return "it has no fields";
	if (schema->n_fields > SCHEMA_MAX_FIELDS)
		return "it has more than 256 fields";
	for (size_t i = 0; i < schema->n_fields; i++)
		if (!schema->fields[i].name)
			return "a field has no name";
	return NULL;
}

static bool is_nested_in_itself(const struct nesting *nesting)
{
	for (const struct nesting *outer = nesting->outer; outer; outer = outer->outer)
		if (outer->schema == nesting->schema)
			return true;
	return false;
}

static const char *check_schema(const struct nesting *nesting, struct arena *arena);

static const char *check_field(const struct nesting *nesting, const struct prong_field *field, struct arena *arena)
{
	const struct prong_schema *schema = nesting->schema;
	struct nesting inner = { .outer = nesting, .schema = field->schema, .depth = nesting->depth + 1 };
	const char *mistake;

	mistake = field_mistake(schema, field);
	if (!mistake)
		mistake = values_mistake(field);
	if (!mistake)
		mistake = rules_mistake(field);
	if (!mistake && schema_field(schema, field->name, strlen(field->name)) != field)
		mistake = "another field has the same name";
	if (!mistake && field->schema && is_nested_in_itself(&inner))
		mistake = "a record cannot be nested in itself; use a prong_json";
	if (!mistake && field->schema && inner.depth > SCHEMA_MAX_NESTING)
		mistake = "records are nested more than 16 deep";
	if (mistake)
		return arena_format(arena, "Schema %s, field %s: %s.", schema->name, field->name, mistake);
	return field->schema ? check_schema(&inner, arena) : NULL;
}

static const char *check_schema(const struct nesting *nesting, struct arena *arena)
{
	const struct prong_schema *schema = nesting->schema;
	const char *mistake = schema_mistake(schema);

	if (mistake)
		return arena_format(arena, "Schema %s: %s.", schema->name ? schema->name : "(unnamed)", mistake);
	for (size_t i = 0; i < schema->n_fields && !mistake; i++)
		mistake = check_field(nesting, &schema->fields[i], arena);
	return mistake;
}

int schema_check(const struct prong_schema *schema, struct arena *arena, const char **ret_mistake)
{
	const struct nesting outermost = { .schema = schema };
	const char *mistake = check_schema(&outermost, arena);

	if (!mistake)
		return 0;
	*ret_mistake = mistake;
	return -EINVAL;
}
