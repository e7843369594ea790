#include "common/schema/scalar.h"

#include "common/basics.h"
#include "common/json.h"
#include "common/schema/field.h"

/* A NUL-terminated copy for functions that need one; text that is too long is of no kind that fits. */
#define SHORT_TEXT_SIZE 64

static bool copy_short(const char *text, size_t length, char copy[SHORT_TEXT_SIZE])
{
	if (length >= SHORT_TEXT_SIZE || memchr(text, '\0', length))
		return false;
	memcpy(copy, text, length);
	copy[length] = '\0';
	return true;
}

static bool read_bool(struct binding *binding, const struct prong_field *field, const struct schema_path *path,
		      const char *text, size_t length, bool *value)
{
	*value = length == 4 && memcmp(text, "true", 4) == 0;
	return *value || (length == 5 && memcmp(text, "false", 5) == 0) || binding_type_error(binding, field, path);
}

/* The digits have been checked; -ERANGE beyond 64 bits. */
static int parse_integer(const char *text, size_t length, int64_t *ret_value)
{
	bool negative = *text == '-';
	int64_t value = 0;

	for (size_t i = negative; i < length; i++) {
		int digit = text[i] - '0';

		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, negative ? -digit : digit, &value))
			return -ERANGE;
	}
	*ret_value = value;
	return 0;
}

static bool read_integer(struct binding *binding, const struct prong_field *field, const struct schema_path *path,
			 const char *text, size_t length, int64_t *value)
{
	bool integer = false;

	if (json_number(text, length, &integer) != length || !integer)
		return binding_type_error(binding, field, path);
	if (parse_integer(text, length, value) < 0)
		return binding_error(binding, path, "range", "Give a number that fits 64 bits.");
	return rules_integer(binding, field, path, *value);
}

static bool read_double(struct binding *binding, const struct prong_field *field, const struct schema_path *path,
			const char *text, size_t length, double *value)
{
	char copy[SHORT_TEXT_SIZE];
	bool integer;

	if (!length || json_number(text, length, &integer) != length)
		return binding_type_error(binding, field, path);
	*value = strtod(copy_short(text, length, copy) ? copy : arena_strndup(binding->arena, text, length), NULL);
	return rules_double(binding, field, path, *value);
}

static bool read_uuid(struct binding *binding, const struct schema_path *path, const char *text, size_t length,
		      prong_uuid *value)
{
	char copy[SHORT_TEXT_SIZE];

	return (copy_short(text, length, copy) && prong_uuid_parse(copy, value) == 0) ||
	       binding_error(binding, path, "format", "Give a UUID, such as 018f4e9a-0000-7000-8000-000000000000.");
}

static bool read_time(struct binding *binding, const struct schema_path *path, const char *text, size_t length,
		      prong_time *value)
{
	char copy[SHORT_TEXT_SIZE];

	return (copy_short(text, length, copy) && prong_time_parse(copy, value) == 0) ||
	       binding_error(binding, path, "format", "Give an RFC 3339 date and time, such as 2026-01-31T23:59:59Z.");
}

static bool read_enum(struct binding *binding, const struct prong_field *field, const struct schema_path *path,
		      const char *text, size_t length, unsigned *value)
{
	for (unsigned i = 0; field->values[i]; i++) {
		if (strlen(field->values[i]) == length && memcmp(field->values[i], text, length) == 0) {
			*value = i;
			return true;
		}
	}
	return rules_value_error(binding, field, path);
}

static bool read_string(struct binding *binding, const struct prong_field *field, const struct schema_path *path,
			const char *text, size_t length, void *place)
{
	const char *copy = arena_strndup(binding->arena, text, length);

	if (!rules_string(binding, field, path, copy, length))
		return false;
	field_set_pointer(place, copy);
	return true;
}

static bool read_value(struct binding *binding, const struct prong_field *field, const struct schema_path *path,
		       const char *text, size_t length, void *place)
{
	int64_t integer;

	switch (field_kind(field)) {
	case PRONG_KIND_BOOL:
		return read_bool(binding, field, path, text, length, place);
	case PRONG_KIND_INT32:
		if (!read_integer(binding, field, path, text, length, &integer))
			return false;
		*(int32_t *)place = (int32_t)integer;
		return true;
	case PRONG_KIND_INT64:
		if (!read_integer(binding, field, path, text, length, &integer))
			return false;
		memcpy(place, &integer, sizeof(integer)); /* a long or a long long */
		return true;
	case PRONG_KIND_DOUBLE:
		return read_double(binding, field, path, text, length, place);
	case PRONG_KIND_UUID:
		return read_uuid(binding, path, text, length, place);
	case PRONG_KIND_TIME:
		return read_time(binding, path, text, length, place);
	case PRONG_KIND_ENUM:
		return read_enum(binding, field, path, text, length, place);
	case PRONG_KIND_STRING:
		return read_string(binding, field, path, text, length, place);
	default:
		panic("field %s is no scalar", field->name);
	}
}

bool scalar_read(struct binding *binding, const struct prong_field *field, const struct schema_path *path,
		 const char *text, size_t length, void *place)
{
	if (!read_value(binding, field, path, text, length, (void *)field_value(field, place)))
		return false;
	if (field->kind & PRONG_KIND_OPTIONAL)
		*(bool *)place = true; /* `set` */
	return true;
}
