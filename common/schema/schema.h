/*
 * What the library does with a schema (include/prong/schema.h): one table drives binding and writing at every border.
 * Nothing here suspends. All bound data lives in the arena given.
 */
#ifndef SCHEMA_H
#define SCHEMA_H

#include <prong/schema.h>

#include "common/arena.h"
#include "common/buffer.h"

/* Which border a record crosses; decides about read-only and write-only fields. */
enum schema_border {
	SCHEMA_BODY,  /* from a client: read-only fields are refused, and not missed where they are also required */
	SCHEMA_REPLY, /* to a client: write-only fields are left out */
	/* Between our own processes: every field passes, every required one is demanded, and what is unknown is passed
	 * over: while versions change, a newer one may be the sender. */
	SCHEMA_PAYLOAD,
	SCHEMA_TYPED, /* a payload that a person wrote: as SCHEMA_PAYLOAD, but what is unknown is refused */
};

/* What schema_check() allows; the first is no cost to anybody, the second bounds recursion on a coroutine's stack. */
#define SCHEMA_MAX_FIELDS 256
#define SCHEMA_MAX_NESTING 16

/* What is wrong with one value, as RFC 9457 extensions show it: {"pointer":"/tags/3","code":"too_long","detail":"…"} */
struct schema_error {
	const char *pointer; /* RFC 6901; a bare name for query strings */
	/* missing unknown repeated type null read_only too_short too_long too_few too_many range value format */
	const char *code;
	const char *detail; /* a sentence that says what to do */
};

struct schema_errors {
	size_t count; /* at most 100 are kept */
	struct schema_error items[100];
};

/* Reports the first mistake a programmer made in a schema: 0, or -EINVAL with a sentence that names schema and field.
 */
int schema_check(const struct prong_schema *schema, struct arena *arena, const char **ret_mistake);

/*
 * Parses and binds one JSON object. Returns 0; -EBADMSG when the text is not one well-formed JSON value (UTF-8 without
 * BOM, no duplicate keys, no lone surrogates, at most 64 deep, nothing after it) with `ret_detail` saying why and
 * where; -EINVAL when it is but does not fit, with every error in `errors`. `ret_record` is set only on success.
 */
int schema_bind_json(const struct prong_schema *schema, enum schema_border border, const char *text, size_t size,
		     struct arena *arena, void **ret_record, const char **ret_detail, struct schema_errors *errors);

/*
 * Binds a query string (without '?'): scalars and arrays of scalars by repetition; raw JSON and records have no place
 * in one, so their names are unknown. Percent-decoding is strict, '+' is a space. -EINVAL with every error: unknown or
 * repeated name, malformed value.
 */
int schema_bind_query(const struct prong_schema *schema, const char *text, size_t size, struct arena *arena,
		      void **ret_record, struct schema_errors *errors);

/*
 * Sets one field of `record` from PostgreSQL's text output of a column; `text` NULL is SQL NULL. Arrays and nested
 * records read json and jsonb: inside them, too, a name without a field is ignored and a field without a name stays
 * empty. -EINVAL when the text is not of the field's kind (a NaN, an infinity, json that json_check() refuses) or NULL
 * cannot be expressed by the member; lengths, ranges, values of strings and formats are not checked.
 */
int schema_bind_column(const struct prong_field *field, const char *text, size_t size, struct arena *arena,
		       void *record);

/* The field of that name, or NULL. */
const struct prong_field *schema_field(const struct prong_schema *schema, const char *name, size_t length);

/*
 * Whether they are the same; either may be NULL. A schema is static to each file that includes its header, so the same
 * one may stand at several addresses.
 */
bool schema_is(const struct prong_schema *a, const struct prong_schema *b);

/*
 * Appends the record as JSON, whatever its values. Absent values are null where nullable, else left out, but for an
 * absent array that is required: []. Raw JSON is taken as it is. No tree is built.
 */
void schema_write_json(const struct prong_schema *schema, enum schema_border border, const void *record,
		       struct buffer *out);

/*
 * Appends a record's JSON text for people to look at: what the schema marks secret is "(secret)", and so is what it
 * does not describe: members without a field, records and arrays where it has none, everything where `schema` is NULL
 * or the text is no well-formed object. The text need not fit the schema otherwise. `arena` is for names.
 */
void schema_redact_json(const struct prong_schema *schema, const char *text, size_t size, struct arena *arena,
			struct buffer *out);

/* Whether the record keeps its schema's rules, for payloads made by code: 0 or -EINVAL with every error. */
int schema_validate(const struct prong_schema *schema, const void *record, struct arena *arena,
		    struct schema_errors *errors);

#endif
