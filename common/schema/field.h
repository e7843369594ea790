/* How a field lies in its record: sizes, absence, and access without breaking C's aliasing rules. */
#ifndef FIELD_H
#define FIELD_H

#include <prong/schema.h>

/* What PRONG_ARRAY() makes, whatever the type of its items. */
struct field_items {
	size_t count;
	void *items;
};

static inline enum prong_kind field_kind(const struct prong_field *field)
{
	return (enum prong_kind)(field->kind & ~PRONG_KIND_OPTIONAL);
}

/* The size of the member, or of one item of an array; 0 for a kind that does not exist. */
size_t field_value_size(const struct prong_field *field);

/* Where the value is within the member: behind `set` where it is optional. */
const void *field_value(const struct prong_field *field, const void *place);

/* Whether the member can say that there is no value. */
bool field_can_be_absent(const struct prong_field *field);
bool field_is_absent(const struct prong_field *field, const void *place);

const void *field_pointer(const void *place);
void field_set_pointer(void *place, const void *pointer);
struct field_items field_items(const void *place);
void field_set_items(void *place, struct field_items items);

#endif
