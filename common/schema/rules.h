/*
 * The rules of values, one set for JSON, query strings and records made by code, and how a broken one is reported.
 * Every function returns true when the value may pass.
 */
#ifndef RULES_H
#define RULES_H

#include "common/schema/schema.h"

/* One act of binding or validating. */
struct binding {
	struct arena *arena;
	struct schema_errors *errors; /* NULL: nobody asks */
	enum schema_border border;
	bool query;   /* errors name the field instead of pointing to it */
	bool trusted; /* from our own database: only what the record cannot hold is refused */
	bool failed;  /* there was an error */
};

/* Where a value stands: a chain from it to the root, kept on the stack, made text only for an error. */
struct schema_path {
	const struct schema_path *parent; /* NULL: the root */
	const char *name;		  /* of a member; NULL: an item */
	size_t length;
	size_t index;
};

/* Adds an error unless there are enough; always false. `path` NULL is the whole document. */
bool binding_error(struct binding *binding, const struct schema_path *path, const char *code, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* The error of a value of another kind. */
bool binding_type_error(struct binding *binding, const struct prong_field *field, const struct schema_path *path);
bool binding_missing_error(struct binding *binding, const struct schema_path *path);
bool binding_null_error(struct binding *binding, const struct schema_path *path);

/* `text` is NUL-terminated, but may have more NULs before its end. */
bool rules_string(struct binding *binding, const struct prong_field *field, const struct schema_path *path,
		  const char *text, size_t length);
bool rules_integer(struct binding *binding, const struct prong_field *field, const struct schema_path *path,
		   int64_t value);
bool rules_double(struct binding *binding, const struct prong_field *field, const struct schema_path *path,
		  double value);
bool rules_items(struct binding *binding, const struct prong_field *field, const struct schema_path *path,
		 size_t count);

/* The error of a text or number that is none of the field's values. */
bool rules_value_error(struct binding *binding, const struct prong_field *field, const struct schema_path *path);

#endif
