/*
 * Schemas: one description of a record, declared beside its struct, serves every border that the record crosses:
 * JSON bodies and replies, query strings, SQL rows and job payloads.
 *
 *     struct note { prong_uuid id; const char *title; PRONG_ARRAY(const char *) tags; };
 *
 *     PRONG_SCHEMA(note,
 *         PRONG_FIELD(note, id, .read_only = true),
 *         PRONG_FIELD(note, title, .required = true, .min_length = 1, .max_length = 200),
 *         PRONG_FIELD_ARRAY(note, tags, .max_items = 20));
 *
 * defines `note_schema`, static to its file (put struct and schema into one header to share both). The kind of a field
 * follows from the member's C type; a member of any other type does not compile.
 *
 *     bool, int32_t, int64_t, double, char *, prong_uuid, prong_time, prong_json and their prong_opt_… forms
 *     an enum (unsigned; needs .values, in the order of its constants from 0)
 *     struct T *                PRONG_FIELD_OBJECT: a nested record
 *     PRONG_ARRAY(scalar)       PRONG_FIELD_ARRAY
 *     PRONG_ARRAY(struct T)     PRONG_FIELD_OBJECTS: an array of nested records
 *
 * What cannot be seen at compile time (an enum without values, nullable on a plain int, two fields of one name) is
 * reported when the program starts.
 */
#ifndef PRONG_SCHEMA_H
#define PRONG_SCHEMA_H

#include <prong/types.h>

enum prong_kind {
	PRONG_KIND_BOOL = 1,
	PRONG_KIND_INT32,
	PRONG_KIND_INT64,
	PRONG_KIND_DOUBLE,
	PRONG_KIND_STRING,
	PRONG_KIND_UUID,
	PRONG_KIND_TIME,
	PRONG_KIND_ENUM,
	PRONG_KIND_JSON,
	PRONG_KIND_OBJECT,
	PRONG_KIND_OPTIONAL = 0x100, /* or'ed in: the member is a prong_opt_… */
};

/* What the text of a string must look like. */
enum prong_format {
	PRONG_FORMAT_NONE,
	PRONG_EMAIL,	 /* local@domain, RFC 5321 lengths, no quoted local part */
	PRONG_UUID,	 /* 8-4-4-4-12 */
	PRONG_DATE_TIME, /* RFC 3339 */
	PRONG_URI,	 /* RFC 3986, absolute */
};

/* Inclusive bounds of a number. */
struct prong_range {
	bool set;
	int64_t low, high;
	double low_double, high_double;
};
#define PRONG_RANGE(low_, high_)                                                                     \
	{                                                                                            \
		.set = true, .low = (int64_t)(low_), .high = (int64_t)(high_), .low_double = (low_), \
		.high_double = (high_)                                                               \
	}

#define PRONG_VALUES(...) ((const char *const[]){ __VA_ARGS__, NULL })

struct prong_schema;

struct prong_field {
	const char *name; /* of the member, the JSON key and the SQL column alike */
	size_t offset;
	int kind; /* enum prong_kind, with PRONG_KIND_OPTIONAL or'ed in */
	bool array;
	const struct prong_schema *schema; /* of a nested record */

	bool required;	 /* absent in a body: 422 */
	bool nullable;	 /* null is taken as absence, and absence is written as null; otherwise it is left out */
	bool read_only;	 /* in replies only: 422 in a body */
	bool write_only; /* in bodies only: never in a reply */
	bool secret;	 /* never logged or shown; implies nothing about replies: add write_only */

	size_t min_length, max_length; /* of a string, in Unicode code points; 0 is no limit */
	size_t min_items, max_items;   /* of an array; 0 is no limit */
	struct prong_range range;      /* .range = PRONG_RANGE(1, 100) */
	const char *const *values;     /* .values = PRONG_VALUES("draft", "published") */
	enum prong_format format;
	const char *summary; /* one line for people */
};

struct prong_schema {
	const char *name;
	size_t size; /* of the struct */
	const struct prong_field *fields;
	size_t n_fields;
};

#define PRONG_SCHEMA(type, ...)                                                                               \
	__attribute__((unused)) static const struct prong_schema type##_schema = {                            \
		.name = #type,                                                                                \
		.size = sizeof(struct type),                                                                  \
		.fields = (const struct prong_field[]){ __VA_ARGS__ },                                        \
		.n_fields = sizeof((const struct prong_field[]){ __VA_ARGS__ }) / sizeof(struct prong_field), \
	}

#define PRONG_FIELD(type, member, ...)                                           \
	{                                                                        \
		.name = #member, .offset = offsetof(struct type, member),        \
		.kind = PRONG_KIND_OF(((struct type *)0)->member), ##__VA_ARGS__ \
	}

#define PRONG_FIELD_OBJECT(type, member, nested, ...)                                              \
	{                                                                                          \
		.name = #member, .offset = offsetof(struct type, member),                        \
		.kind = _Generic(((struct type *)0)->member, struct nested *                     \
				 : PRONG_KIND_OBJECT, const struct nested *                      \
				 : PRONG_KIND_OBJECT),                                           \
		.schema = &nested##_schema, ##__VA_ARGS__ \
	}

#define PRONG_FIELD_ARRAY(type, member, ...)                                              \
	{                                                                                 \
		.name = #member, .offset = offsetof(struct type, member), .array = true,  \
		.kind = PRONG_KIND_OF(((struct type *)0)->member.items[0]), ##__VA_ARGS__ \
	}

#define PRONG_FIELD_OBJECTS(type, member, nested, ...)                                             \
	{                                                                                          \
		.name = #member, .offset = offsetof(struct type, member), .array = true,         \
		.kind = _Generic(&((struct type *)0)->member.items[0], struct nested *           \
				 : PRONG_KIND_OBJECT, const struct nested *                      \
				 : PRONG_KIND_OBJECT),                                           \
		.schema = &nested##_schema, ##__VA_ARGS__ \
	}

/* clang-format off */
#define PRONG_KIND_OF(member) _Generic((member),                        \
	bool: PRONG_KIND_BOOL,                                          \
	int: PRONG_KIND_INT32,                                          \
	long: PRONG_KIND_INT64,                                         \
	long long: PRONG_KIND_INT64,                                    \
	double: PRONG_KIND_DOUBLE,                                      \
	char *: PRONG_KIND_STRING,                                      \
	const char *: PRONG_KIND_STRING,                                \
	unsigned int: PRONG_KIND_ENUM,                                  \
	prong_uuid: PRONG_KIND_UUID,                                    \
	prong_time: PRONG_KIND_TIME,                                    \
	prong_json: PRONG_KIND_JSON,                                    \
	prong_opt_bool: PRONG_KIND_BOOL | PRONG_KIND_OPTIONAL,          \
	prong_opt_int32: PRONG_KIND_INT32 | PRONG_KIND_OPTIONAL,        \
	prong_opt_int64: PRONG_KIND_INT64 | PRONG_KIND_OPTIONAL,        \
	prong_opt_double: PRONG_KIND_DOUBLE | PRONG_KIND_OPTIONAL,      \
	prong_opt_uuid: PRONG_KIND_UUID | PRONG_KIND_OPTIONAL,          \
	prong_opt_time: PRONG_KIND_TIME | PRONG_KIND_OPTIONAL)
/* clang-format on */

#endif
