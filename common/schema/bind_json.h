/* JSON into records, for those who bind more than a body. */
#ifndef BIND_JSON_H
#define BIND_JSON_H

#include "common/schema/rules.h"

/*
 * Checks the JSON text of one member, an array, a nested record or raw JSON, and binds it; null leaves it absent.
 * False, with the errors reported, when it does not fit.
 */
bool bind_json_member(struct binding *binding, const struct prong_field *field, const char *text, size_t size,
		      void *record);

#endif
