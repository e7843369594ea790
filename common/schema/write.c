#include <math.h>

#include "common/basics.h"
#include "common/schema/field.h"
#include "common/schema/schema.h"

static void write_integer(int64_t value, struct buffer *out)
{
	buffer_add_integer(out, value);
}

static void write_uuid(const prong_uuid *uuid, struct buffer *out)
{
	char text[PRONG_UUID_TEXT_SIZE + 1];

	text[0] = '"';
	prong_uuid_format(*uuid, text + 1);
	text[PRONG_UUID_TEXT_SIZE] = '"';
	buffer_add(out, text, sizeof(text));
}

static void write_time(const prong_time *time, struct buffer *out)
{
	char text[PRONG_TIME_TEXT_SIZE];

	buffer_add_char(out, '"');
	buffer_add_string(out, prong_time_format(*time, text));
	buffer_add_char(out, '"');
}

static void write_string(const char *text, struct buffer *out)
{
	if (text)
		buffer_add_json_string(out, text, strlen(text));
	else
		buffer_add_literal(out, "null");
}

static void write_double(double value, struct buffer *out)
{
	if (isfinite(value))
		buffer_add_double(out, value);
	else
		buffer_add_literal(out, "null");
}

static const char *enum_text(const struct prong_field *field, unsigned value)
{
	for (unsigned i = 0; field->values[i]; i++)
		if (i == value)
			return field->values[i];
	return NULL;
}

/* One scalar or nested record; `value` is behind what makes it optional. */
static void write_value(const struct prong_field *field, enum schema_border border, const void *value,
			struct buffer *out)
{
	int64_t integer;

	switch (field_kind(field)) {
	case PRONG_KIND_BOOL:
		buffer_add_string(out, *(const bool *)value ? "true" : "false");
		break;
	case PRONG_KIND_INT32:
		write_integer(*(const int32_t *)value, out);
		break;
	case PRONG_KIND_INT64:
		memcpy(&integer, value, sizeof(integer)); /* a long or a long long */
		write_integer(integer, out);
		break;
	case PRONG_KIND_DOUBLE:
		write_double(*(const double *)value, out);
		break;
	case PRONG_KIND_UUID:
		write_uuid(value, out);
		break;
	case PRONG_KIND_TIME:
		write_time(value, out);
		break;
	case PRONG_KIND_ENUM:
		write_string(enum_text(field, *(const unsigned *)value), out);
		break;
	case PRONG_KIND_STRING:
		write_string(field_pointer(value), out);
		break;
	case PRONG_KIND_JSON:
		buffer_add_string(out, field_pointer(value) ? field_pointer(value) : "null");
		break;
	case PRONG_KIND_OBJECT:
		schema_write_json(field->schema, border, value, out);
		break;
	default:
		panic("field %s has no kind", field->name);
	}
}

static void write_items(const struct prong_field *field, enum schema_border border, const void *place,
			struct buffer *out)
{
	struct field_items items = field_items(place);
	size_t size = field_value_size(field);

	buffer_add_char(out, '[');
	for (size_t i = 0; i < items.count; i++) {
		if (i)
			buffer_add_char(out, ',');
		write_value(field, border, (const char *)items.items + i * size, out);
	}
	buffer_add_char(out, ']');
}

/* Names are identifiers of C: schema_check() sees to it that there is nothing to escape. */
static void write_name(const char *name, struct buffer *out)
{
	size_t length = strlen(name);
	char *place;

	buffer_reserve(out, length + 3);
	place = out->data + out->size;
	*place++ = '"';
	memcpy(place, name, length);
	memcpy(place + length, "\":", 2);
	out->size += length + 3;
}

/* Whether an absent member is left out altogether. */
static bool is_left_out(const struct prong_field *field)
{
	return !field->nullable && !(field->array && field->required);
}

void schema_write_json(const struct prong_schema *schema, enum schema_border border, const void *record,
		       struct buffer *out)
{
	char separator = '{';

	for (size_t i = 0; i < schema->n_fields; i++) {
		const struct prong_field *field = &schema->fields[i];
		const void *place = (const char *)record + field->offset;
		bool absent = field_is_absent(field, place);

		if ((border == SCHEMA_REPLY && field->write_only) || (absent && is_left_out(field)))
			continue;
		buffer_add_char(out, separator);
		separator = ',';
		write_name(field->name, out);
		if (absent && field->nullable)
			buffer_add_literal(out, "null");
		else if (field->array)
			write_items(field, border, place, out);
		else if (field_kind(field) == PRONG_KIND_OBJECT)
			write_value(field, border, field_pointer(place), out);
		else
			write_value(field, border, field_value(field, place), out);
	}
	if (separator == '{')
		buffer_add_char(out, '{');
	buffer_add_char(out, '}');
}
