#include "common/schema/rules.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "common/basics.h"
#include "common/schema/field.h"
#include "common/schema/format.h"
#include "common/utf8.h"

static void write_name(struct buffer *out, const char *name, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (name[i] == '~')
			buffer_add_literal(out, "~0");
		else if (name[i] == '/')
			buffer_add_literal(out, "~1");
		else if (name[i] == '\0')
			buffer_add_literal(out, "\xEF\xBF\xBD"); /* a C string cannot hold it */
		else
			buffer_add_char(out, name[i]);
	}
}

static void write_pointer(struct buffer *out, const struct schema_path *path)
{
	if (!path)
		return;
	write_pointer(out, path->parent);
	buffer_add_char(out, '/');
	if (path->name)
		write_name(out, path->name, path->length);
	else
		buffer_add_integer(out, (int64_t)path->index);
}

static const char *pointer_text(const struct binding *binding, const struct schema_path *path)
{
	struct buffer out = { 0 };
	const char *text;

	if (binding->query)
		return arena_strndup(binding->arena, path->name, path->length);
	write_pointer(&out, path);
	text = arena_strndup(binding->arena, buffer_text(&out), out.size);
	buffer_free(&out);
	return text;
}

bool binding_error(struct binding *binding, const struct schema_path *path, const char *code, const char *format, ...)
{
	struct schema_errors *errors = binding->errors;
	struct schema_error *error;
	va_list arguments;

	binding->failed = true;
	if (!errors || errors->count == ARRAY_SIZE(errors->items))
		return false;
	error = &errors->items[errors->count++];
	error->pointer = pointer_text(binding, path);
	error->code = code;
	va_start(arguments, format);
	error->detail = arena_vformat(binding->arena, format, arguments);
	va_end(arguments);
	return false;
}

static const char *wanted_kind(const struct prong_field *field)
{
	switch (field_kind(field)) {
	case PRONG_KIND_BOOL:
		return "true or false";
	case PRONG_KIND_INT32:
	case PRONG_KIND_INT64:
		return "a whole number, without fraction and exponent";
	case PRONG_KIND_DOUBLE:
		return "a number";
	case PRONG_KIND_UUID:
		return "a UUID as a string";
	case PRONG_KIND_TIME:
		return "an RFC 3339 date and time as a string";
	case PRONG_KIND_OBJECT:
		return "an object";
	default:
		return "a string";
	}
}

bool binding_type_error(struct binding *binding, const struct prong_field *field, const struct schema_path *path)
{
	bool item = path && !path->name;

	return binding_error(binding, path, "type", "Give %s.",
			     field->array && !item && !binding->query ? "an array" : wanted_kind(field));
}

bool binding_missing_error(struct binding *binding, const struct schema_path *path)
{
	return binding_error(binding, path, "missing", "This is required.");
}

bool binding_null_error(struct binding *binding, const struct schema_path *path)
{
	return binding_error(binding, path, "null", "This cannot be null: give a value or leave it out.");
}

bool rules_value_error(struct binding *binding, const struct prong_field *field, const struct schema_path *path)
{
	struct buffer list = { 0 };

	for (size_t i = 0; field->values[i]; i++) {
		buffer_add_string(&list, i ? ", " : "");
		buffer_add_string(&list, field->values[i]);
	}
	binding_error(binding, path, "value", "Give one of: %s.", buffer_text(&list));
	buffer_free(&list);
	return false;
}

static bool is_one_of(const char *const *values, const char *text, size_t length)
{
	for (; *values; values++)
		if (strlen(*values) == length && memcmp(*values, text, length) == 0)
			return true;
	return false;
}

static const char *wanted_format(enum prong_format format)
{
	switch (format) {
	case PRONG_EMAIL:
		return "an e-mail address, such as ada@example.com";
	case PRONG_UUID:
		return "a UUID, such as 018f4e9a-0000-7000-8000-000000000000";
	case PRONG_DATE_TIME:
		return "an RFC 3339 date and time, such as 2026-01-31T23:59:59Z";
	default:
		return "a URI, such as https://example.com/";
	}
}

static bool rules_length(struct binding *binding, const struct prong_field *field, const struct schema_path *path,
			 size_t characters)
{
	if (characters < field->min_length)
		return binding_error(binding, path, "too_short", "Give at least %zu %s.", field->min_length,
				     field->min_length == 1 ? "character" : "characters");
	if (field->max_length && characters > field->max_length)
		return binding_error(binding, path, "too_long", "Give at most %zu %s.", field->max_length,
				     field->max_length == 1 ? "character" : "characters");
	return true;
}

bool rules_string(struct binding *binding, const struct prong_field *field, const struct schema_path *path,
		  const char *text, size_t length)
{
	int64_t characters;

	if (memchr(text, '\0', length))
		return binding_error(binding, path, "value", "Remove the character U+0000; it cannot be stored.");
	if (binding->trusted)
		return true;
	characters = utf8_length(text, length);
	if (characters < 0)
		return binding_error(binding, path, "value", "Give well-formed UTF-8.");
	if (!rules_length(binding, field, path, (size_t)characters))
		return false;
	if (field->values && !is_one_of(field->values, text, length))
		return rules_value_error(binding, field, path);
	if (field->format && !format_matches(field->format, text))
		return binding_error(binding, path, "format", "Give %s.", wanted_format(field->format));
	return true;
}

/* A bound that is no bound of the author's making is not worth a word. */
static bool range_error(struct binding *binding, const struct schema_path *path, const char *low, const char *high)
{
	if (low && high)
		return binding_error(binding, path, "range", "Give a number from %s to %s.", low, high);
	if (low)
		return binding_error(binding, path, "range", "Give a number of at least %s.", low);
	return binding_error(binding, path, "range", "Give a number of at most %s.", high);
}

bool rules_integer(struct binding *binding, const struct prong_field *field, const struct schema_path *path,
		   int64_t value)
{
	int64_t low = INT64_MIN, high = INT64_MAX;
	char low_text[32], high_text[32];

	if (field_kind(field) == PRONG_KIND_INT32) {
		low = INT32_MIN;
		high = INT32_MAX;
	}
	if (field->range.set && !binding->trusted) {
		low = field->range.low > low ? field->range.low : low;
		high = field->range.high < high ? field->range.high : high;
	}
	if (value >= low && value <= high)
		return true;
	snprintf(low_text, sizeof(low_text), "%" PRId64, low);
	snprintf(high_text, sizeof(high_text), "%" PRId64, high);
	return range_error(binding, path, low == INT64_MIN ? NULL : low_text, high == INT64_MAX ? NULL : high_text);
}

bool rules_double(struct binding *binding, const struct prong_field *field, const struct schema_path *path,
		  double value)
{
	const struct prong_range *range = &field->range;
	char low[32], high[32];

	if (!isfinite(value))
		return binding_error(binding, path, "range", "Give a number within the range of a double.");
	if (!range->set || binding->trusted || (value >= range->low_double && value <= range->high_double))
		return true;
	snprintf(low, sizeof(low), "%.15g", range->low_double);
	snprintf(high, sizeof(high), "%.15g", range->high_double);
	return range_error(binding, path, range->low_double <= -DBL_MAX ? NULL : low,
			   range->high_double >= DBL_MAX ? NULL : high);
}

bool rules_items(struct binding *binding, const struct prong_field *field, const struct schema_path *path, size_t count)
{
	if (binding->trusted)
		return true;
	if (count < field->min_items)
		return binding_error(binding, path, "too_few", "Give at least %zu %s.", field->min_items,
				     field->min_items == 1 ? "item" : "items");
	if (field->max_items && count > field->max_items)
		return binding_error(binding, path, "too_many", "Give at most %zu %s.", field->max_items,
				     field->max_items == 1 ? "item" : "items");
	return true;
}
