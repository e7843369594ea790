#include "common/basics.h"
#include "common/schema/bind_json.h"
#include "common/schema/field.h"
#include "common/schema/scalar.h"

static int set_absent(const struct prong_field *field, void *place)
{
	if (!field_can_be_absent(field))
		return -EINVAL;
	memset(place, 0, field->array ? sizeof(struct field_items) : field_value_size(field));
	return 0;
}

int schema_bind_column(const struct prong_field *field, const char *text, size_t size, struct arena *arena,
		       void *record)
{
	struct binding binding = { .arena = arena, .border = SCHEMA_PAYLOAD, .trusted = true };
	void *place = (char *)record + field->offset;
	enum prong_kind kind = field_kind(field);
	bool good;

	if (!text)
		return set_absent(field, place);
	if (field->array || kind == PRONG_KIND_OBJECT || kind == PRONG_KIND_JSON)
		good = set_absent(field, place) == 0 && bind_json_member(&binding, field, text, size, record);
	else if (kind == PRONG_KIND_BOOL && size == 1 && (*text == 't' || *text == 'f'))
		good = scalar_read(&binding, field, NULL, *text == 't' ? "true" : "false", *text == 't' ? 4 : 5, place);
	else
		good = scalar_read(&binding, field, NULL, text, size, place);
	return good ? 0 : -EINVAL;
}
