/* One scalar from its text: what JSON tokens, query strings and PostgreSQL's columns have in common. */
#ifndef SCALAR_H
#define SCALAR_H

#include "common/schema/rules.h"

/*
 * Reads `text` (decoded, not NUL-terminated) as the field's kind, checks its rules and stores it at `place`, the member
 * or one item of it. False, with the error reported, when it does not fit. Not for raw JSON and nested records.
 */
bool scalar_read(struct binding *binding, const struct prong_field *field, const struct schema_path *path,
		 const char *text, size_t length, void *place);

#endif
