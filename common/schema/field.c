#include "common/schema/field.h"

#include "common/basics.h"
#include "common/schema/schema.h"

const struct prong_field *schema_field(const struct prong_schema *schema, const char *name, size_t length)
{
	for (size_t i = 0; i < schema->n_fields; i++) {
		const char *known = schema->fields[i].name;

		if (strlen(known) == length && memcmp(known, name, length) == 0)
			return &schema->fields[i];
	}
	return NULL;
}

bool schema_is(const struct prong_schema *a, const struct prong_schema *b)
{
	return a == b || (a && b && a->size == b->size && a->n_fields == b->n_fields && string_equal(a->name, b->name));
}

static size_t optional_size(enum prong_kind kind)
{
	switch (kind) {
	case PRONG_KIND_BOOL:
		return sizeof(prong_opt_bool);
	case PRONG_KIND_INT32:
		return sizeof(prong_opt_int32);
	case PRONG_KIND_INT64:
		return sizeof(prong_opt_int64);
	case PRONG_KIND_DOUBLE:
		return sizeof(prong_opt_double);
	case PRONG_KIND_UUID:
		return sizeof(prong_opt_uuid);
	case PRONG_KIND_TIME:
		return sizeof(prong_opt_time);
	default:
		return 0;
	}
}

size_t field_value_size(const struct prong_field *field)
{
	enum prong_kind kind = field_kind(field);

	if (field->kind & PRONG_KIND_OPTIONAL)
		return optional_size(kind);
	switch (kind) {
	case PRONG_KIND_BOOL:
		return sizeof(bool);
	case PRONG_KIND_INT32:
		return sizeof(int32_t);
	case PRONG_KIND_INT64:
		return sizeof(int64_t);
	case PRONG_KIND_DOUBLE:
		return sizeof(double);
	case PRONG_KIND_UUID:
		return sizeof(prong_uuid);
	case PRONG_KIND_TIME:
		return sizeof(prong_time);
	case PRONG_KIND_ENUM:
		return sizeof(unsigned);
	case PRONG_KIND_STRING:
	case PRONG_KIND_JSON:
		return sizeof(char *);
	case PRONG_KIND_OBJECT:
		return field->array ? field->schema->size : sizeof(void *);
	default:
		return 0;
	}
}

const void *field_value(const struct prong_field *field, const void *place)
{
	if (!(field->kind & PRONG_KIND_OPTIONAL))
		return place;
	switch (field_kind(field)) {
	case PRONG_KIND_INT32:
		return &((const prong_opt_int32 *)place)->value;
	case PRONG_KIND_INT64:
		return &((const prong_opt_int64 *)place)->value;
	case PRONG_KIND_DOUBLE:
		return &((const prong_opt_double *)place)->value;
	case PRONG_KIND_UUID:
		return &((const prong_opt_uuid *)place)->value;
	case PRONG_KIND_TIME:
		return &((const prong_opt_time *)place)->value;
	default:
		return &((const prong_opt_bool *)place)->value;
	}
}

bool field_can_be_absent(const struct prong_field *field)
{
	enum prong_kind kind = field_kind(field);

	return field->array || field->kind & PRONG_KIND_OPTIONAL || kind == PRONG_KIND_STRING ||
	       kind == PRONG_KIND_JSON || kind == PRONG_KIND_OBJECT;
}

bool field_is_absent(const struct prong_field *field, const void *place)
{
	if (field->array) {
		struct field_items items = field_items(place);

		return items.count == 0 && !items.items;
	}
	if (field->kind & PRONG_KIND_OPTIONAL)
		return !*(const bool *)place; /* `set` comes first in every prong_opt_… */
	return field_can_be_absent(field) && !field_pointer(place);
}

const void *field_pointer(const void *place)
{
	const void *pointer;

	memcpy(&pointer, place, sizeof(pointer));
	return pointer;
}

void field_set_pointer(void *place, const void *pointer)
{
	memcpy(place, &pointer, sizeof(pointer));
}

struct field_items field_items(const void *place)
{
	struct field_items items;

	memcpy(&items, place, sizeof(items));
	return items;
}

void field_set_items(void *place, struct field_items items)
{
	memcpy(place, &items, sizeof(items));
}
