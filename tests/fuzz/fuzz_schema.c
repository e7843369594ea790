/*
 * Fuzzes what stands between a client's text and a record: JSON bodies, payloads, query strings, columns. Besides
 * memory errors, it checks what must hold for every input:
 *  - json-c reads what json_check() accepts, and finds as many names as there are;
 *  - an accepted record is valid, and written and bound again it is written the same;
 *  - whatever a column was bound to is written as JSON.
 */
#include <json-c/json.h>
#include <stdint.h>

#include "common/basics.h"
#include "common/json.h"
#include "common/schema/schema.h"
#include "tests/unit/common/every_kind.h"

static size_t count_members(struct json_object *value)
{
	size_t count = 0;

	if (json_object_is_type(value, json_type_object)) {
		json_object_object_foreach(value, name, member)
		{
			(void)name;
			count += 1 + count_members(member);
		}
	} else if (json_object_is_type(value, json_type_array)) {
		for (size_t i = 0; i < json_object_array_length(value); i++)
			count += count_members(json_object_array_get_idx(value, i));
	}
	return count;
}

static size_t count_colons(const char *text, size_t size)
{
	bool quoted = false;
	size_t count = 0;

	for (size_t i = 0; i < size; i++) {
		if (quoted && text[i] == '\\')
			i++;
		else if (text[i] == '"')
			quoted = !quoted;
		else if (!quoted && text[i] == ':')
			count++;
	}
	return count;
}

static void fuzz_json(const char *text, size_t size, struct arena *arena)
{
	struct json_object *value;
	const char *detail;

	if (json_check(text, size, arena, &detail) < 0) {
		check(json_parse(text, size, arena, &value, &detail) == -EBADMSG);
		return;
	}
	if (json_parse(text, size, arena, &value, &detail) < 0) {
		check(strstr(detail, "does not fit 64 bits"));
		return;
	}
	if (!memmem(text, size, "\\u0000", 6)) /* where json-c ends a name */
		check(count_members(value) == count_colons(text, size));
	json_object_put(value);
}

static void check_round_trip(const struct every_kind *record, struct arena *arena)
{
	struct buffer text = { 0 }, again = { 0 };
	struct schema_errors errors;
	const char *detail;
	void *bound;

	check(schema_validate(&every_kind_schema, record, arena, &errors) == 0);
	schema_write_json(&every_kind_schema, SCHEMA_PAYLOAD, record, &text);
	check(schema_bind_json(&every_kind_schema, SCHEMA_PAYLOAD, text.data, text.size, arena, &bound, &detail,
			       &errors) == 0);
	schema_write_json(&every_kind_schema, SCHEMA_PAYLOAD, bound, &again);
	check(text.size == again.size && memcmp(text.data, again.data, text.size) == 0);
	buffer_free(&text);
	buffer_free(&again);
}

static void fuzz_bind(enum schema_border border, const char *text, size_t size, struct arena *arena)
{
	struct schema_errors errors;
	const char *detail;
	void *record;
	int r = schema_bind_json(&every_kind_schema, border, text, size, arena, &record, &detail, &errors);

	check(r == 0 || r == -EBADMSG || (r == -EINVAL && errors.count > 0));
	if (r == 0)
		check_round_trip(record, arena);
}

static void fuzz_query(const char *text, size_t size, struct arena *arena)
{
	struct schema_errors errors;
	void *record;
	int r = schema_bind_query(&every_kind_schema, text, size, arena, &record, &errors);

	check(r == 0 || (r == -EINVAL && errors.count > 0));
	if (r == 0)
		check_round_trip(record, arena);
}

static void fuzz_columns(const char *text, size_t size, struct arena *arena)
{
	struct every_kind record = { 0 };
	struct buffer out = { 0 };
	const char *detail;

	for (size_t i = 0; i < every_kind_schema.n_fields; i++)
		schema_bind_column(&every_kind_schema.fields[i], text, size, arena, &record);
	schema_write_json(&every_kind_schema, SCHEMA_PAYLOAD, &record, &out);
	check(json_check(out.data, out.size, arena, &detail) == 0);
	buffer_free(&out);
}

static void fuzz_redact(const char *text, size_t size, struct arena *arena)
{
	struct buffer out = { 0 };
	const char *detail;

	schema_redact_json(&every_kind_schema, text, size, arena, &out);
	check(json_check(out.data, out.size, arena, &detail) == 0);
	buffer_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* A copy that fits exactly, so that reading beyond it is seen. */
	char *text = malloc(size ? size : 1);
	struct arena arena;

	memcpy(text, data, size);
	arena_init(&arena);
	fuzz_json(text, size, &arena);
	fuzz_bind(SCHEMA_BODY, text, size, &arena);
	fuzz_bind(SCHEMA_PAYLOAD, text, size, &arena);
	fuzz_bind(SCHEMA_TYPED, text, size, &arena);
	fuzz_redact(text, size, &arena);
	fuzz_query(text, size, &arena);
	fuzz_columns(text, size, &arena);
	arena_reset(&arena);
	free(text);
	return 0;
}
