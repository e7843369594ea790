#include "common/basics.h"
#include "common/schema/field.h"
#include "common/schema/scalar.h"
#include "common/utf8.h"

struct query {
	struct binding binding;
	const struct prong_schema *schema;
	void *record;
	uint64_t seen[SCHEMA_MAX_FIELDS / 64];
};

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* application/x-www-form-urlencoded, strictly: -EINVAL for a '%' without two digits, -EILSEQ for what is not UTF-8. */
static int decode(struct arena *arena, const char *text, size_t size, const char **ret_text, size_t *ret_length)
{
	char *decoded = arena_alloc(arena, size + 1);
	size_t length = 0;

	for (size_t i = 0; i < size; i++) {
		char c = text[i];

		if (c == '+') {
			c = ' ';
		} else if (c == '%') {
			int high = size - i > 2 ? hex_value(text[i + 1]) : -1,
			    low = high >= 0 ? hex_value(text[i + 2]) : -1;

			if (low < 0)
				return -EINVAL;
			c = (char)(high << 4 | low);
			i += 2;
		}
		decoded[length++] = c;
	}
	if (utf8_length(decoded, length) < 0)
		return -EILSEQ;
	*ret_text = decoded;
	*ret_length = length;
	return 0;
}

static bool decode_error(struct binding *binding, const struct schema_path *path, int reason)
{
	return binding_error(binding, path, "format",
			     reason == -EINVAL ? "After %%, give two hexadecimal digits." : "Give UTF-8.");
}

/* Appends by repetition; the capacity is the power of two that the count has reached. */
static bool add_item(struct query *query, const struct prong_field *field, const struct schema_path *path,
		     const char *text, size_t length)
{
	void *place = (char *)query->record + field->offset;
	struct field_items items = field_items(place);
	size_t size = field_value_size(field);

	if (field->max_items && items.count > field->max_items)
		return false; /* one too many is enough to say so in the end */
	if ((items.count & (items.count - 1)) == 0) {
		void *grown = arena_alloc(query->binding.arena, (items.count ? items.count * 2 : 1) * size);

		if (items.count)
			memcpy(grown, items.items, items.count * size);
		items.items = grown;
	}
	if (!scalar_read(&query->binding, field, path, text, length, (char *)items.items + items.count * size))
		return false;
	items.count++;
	field_set_items(place, items);
	return true;
}

static bool bind_value(struct query *query, const struct prong_field *field, const struct schema_path *path,
		       const char *text, size_t length)
{
	size_t index = (size_t)(field - query->schema->fields);
	uint64_t bit = UINT64_C(1) << (index % 64), seen = query->seen[index / 64] & bit;

	query->seen[index / 64] |= bit;
	if (field->read_only)
		return binding_error(&query->binding, path, "read_only", "Leave this out; the server sets it.");
	if (field->array)
		return add_item(query, field, path, text, length);
	if (seen)
		return binding_error(&query->binding, path, "repeated", "Give this only once.");
	return scalar_read(&query->binding, field, path, text, length, (char *)query->record + field->offset);
}

static bool bind_pair(struct query *query, const char *text, size_t size)
{
	const char *equals = memchr(text, '=', size), *end = text + size, *name, *value;
	struct schema_path path = { .name = text, .length = equals ? (size_t)(equals - text) : size };
	const struct prong_field *field;
	size_t name_length, value_length;
	int r;

	r = decode(query->binding.arena, path.name, path.length, &name, &name_length);
	if (r < 0)
		return decode_error(&query->binding, &path, r);
	path.name = name;
	path.length = name_length;

	field = schema_field(query->schema, name, name_length);
	if (!field || field_kind(field) == PRONG_KIND_JSON || field_kind(field) == PRONG_KIND_OBJECT)
		return binding_error(&query->binding, &path, "unknown", "Remove this; there is no such parameter.");

	text = equals ? equals + 1 : end;
	r = decode(query->binding.arena, text, (size_t)(end - text), &value, &value_length);
	if (r < 0)
		return decode_error(&query->binding, &path, r);
	return bind_value(query, field, &path, value, value_length);
}

/* What can only be told once all is read. */
static void bind_end(struct query *query)
{
	for (size_t i = 0; i < query->schema->n_fields; i++) {
		const struct prong_field *field = &query->schema->fields[i];
		struct schema_path path = { .name = field->name, .length = strlen(field->name) };
		bool seen = query->seen[i / 64] >> (i % 64) & 1;

		if (field->required && !field->read_only && !seen)
			binding_missing_error(&query->binding, &path);
		else if (field->array && seen)
			rules_items(&query->binding, field, &path,
				    field_items((char *)query->record + field->offset).count);
	}
}

int schema_bind_query(const struct prong_schema *schema, const char *text, size_t size, struct arena *arena,
		      void **ret_record, struct schema_errors *errors)
{
	struct query query = {
		.binding = { .arena = arena, .errors = errors, .border = SCHEMA_BODY, .query = true },
		.schema = schema,
		.record = arena_alloc(arena, schema->size),
	};
	const char *end = text + size;

	check(schema->n_fields <= SCHEMA_MAX_FIELDS);
	errors->count = 0;
	while (text < end) {
		const char *ampersand = memchr(text, '&', (size_t)(end - text)),
			   *pair_end = ampersand ? ampersand : end;

		if (pair_end > text)
			bind_pair(&query, text, (size_t)(pair_end - text));
		text = pair_end + 1;
	}
	bind_end(&query);
	if (query.binding.failed)
		return -EINVAL;
	*ret_record = query.record;
	return 0;
}
