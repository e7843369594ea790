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
 * What cannot be seen at compile time (an enum without values, nullable on a plain int, two fields of one name, a
 * record nested in itself) is reported when the program starts.
 *
 * At every border: whole numbers are JSON numbers without fraction and exponent; U+0000 is refused in all text, because
 * PostgreSQL cannot store it; a double that is not finite is written as null.
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
	PRONG_EMAIL,	 /* local@domain in ASCII, RFC 5321 lengths, no quoted local part, no address in brackets */
	PRONG_UUID,	 /* 8-4-4-4-12 */
	PRONG_DATE_TIME, /* RFC 3339, as prong_time_parse() reads it */
	PRONG_URI,	 /* RFC 3986, with a scheme; any scheme: compare it before following or showing the URI */
};

/* Inclusive bounds of a number; for one bound only, give INT64_MIN, INT64_MAX, -DBL_MAX or DBL_MAX as the other. */
struct prong_range {
	bool set;
	int64_t low, high;
	double low_double, high_double;
};

/* clang-format off */
#define PRONG_RANGE(low_, high_)                                                                 \
	{ .set = true, .low = PRONG_WHOLE(low_), .high = PRONG_WHOLE(high_),                     \
	  .low_double = (double)(low_), .high_double = (double)(high_) }
#define PRONG_WHOLE(bound) _Generic((bound),                                                     \
	double: (bound) >= 0x1p63 ? INT64_MAX : (bound) < -0x1p63 ? INT64_MIN : (int64_t)(bound), \
	default: (int64_t)(bound))
/* clang-format on */

#define PRONG_VALUES(...) ((const char *const[]){ __VA_ARGS__, NULL })

struct prong_schema;

struct prong_field {
	const char *name; /* of the member, the JSON key and the SQL column alike */
	size_t offset;
	int kind; /* enum prong_kind, with PRONG_KIND_OPTIONAL or'ed in */
	bool array;
	const struct prong_schema *schema; /* of a nested record */

	bool required;	 /* absent in a body: 422, unless it is also read-only; an empty array is then written as [] */
	bool nullable;	 /* null is taken as absence, and absence is written as null; otherwise it is left out */
	bool read_only;	 /* in replies only: 422 in a body */
	bool write_only; /* in bodies only: never in a reply */
	bool secret;	 /* never logged or shown; implies nothing about replies: add write_only */

	/* Of an array, the rules below but for min_items and max_items are its items'. */
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

/* clang-format off */
#define PRONG_FIELD_OBJECT(type, member, nested, ...)                                            \
	{                                                                                        \
		.name = #member, .offset = offsetof(struct type, member),                        \
		.kind = PRONG_KIND_OF_OBJECT(&((struct type *)0)->member, nested),               \
		.schema = &nested##_schema, ##__VA_ARGS__                                        \
	}

#define PRONG_FIELD_ARRAY(type, member, ...)                                                     \
	{                                                                                        \
		.name = #member, .offset = offsetof(struct type, member),                        \
		.array = PRONG_IS_ARRAY(type, member),                                           \
		.kind = PRONG_KIND_OF(((struct type *)0)->member.items[0]), ##__VA_ARGS__        \
	}

#define PRONG_FIELD_OBJECTS(type, member, nested, ...)                                           \
	{                                                                                        \
		.name = #member, .offset = offsetof(struct type, member),                        \
		.array = PRONG_IS_ARRAY(type, member),                                           \
		.kind = PRONG_KIND_OF_OBJECT(&((struct type *)0)->member.items, nested),         \
		.schema = &nested##_schema, ##__VA_ARGS__                                        \
	}

/* By the member's address, because a C array would decay to a pointer and pass for one. */
#define PRONG_KIND_OF(member) _Generic(&(member),                       \
	bool *: PRONG_KIND_BOOL,                                        \
	int *: PRONG_KIND_INT32,                                        \
	long *: PRONG_KIND_INT64,                                       \
	long long *: PRONG_KIND_INT64,                                  \
	double *: PRONG_KIND_DOUBLE,                                    \
	char **: PRONG_KIND_STRING,                                     \
	const char **: PRONG_KIND_STRING,                               \
	unsigned int *: PRONG_KIND_ENUM,                                \
	prong_uuid *: PRONG_KIND_UUID,                                  \
	prong_time *: PRONG_KIND_TIME,                                  \
	prong_json *: PRONG_KIND_JSON,                                  \
	prong_opt_bool *: PRONG_KIND_BOOL | PRONG_KIND_OPTIONAL,        \
	prong_opt_int32 *: PRONG_KIND_INT32 | PRONG_KIND_OPTIONAL,      \
	prong_opt_int64 *: PRONG_KIND_INT64 | PRONG_KIND_OPTIONAL,      \
	prong_opt_double *: PRONG_KIND_DOUBLE | PRONG_KIND_OPTIONAL,    \
	prong_opt_uuid *: PRONG_KIND_UUID | PRONG_KIND_OPTIONAL,        \
	prong_opt_time *: PRONG_KIND_TIME | PRONG_KIND_OPTIONAL)
#define PRONG_KIND_OF_OBJECT(address, nested) _Generic((address),       \
	struct nested **: PRONG_KIND_OBJECT,                            \
	const struct nested **: PRONG_KIND_OBJECT)

/* True; does not compile unless the member is laid out as PRONG_ARRAY() does it. */
#define PRONG_IS_ARRAY(type, member)                                                             \
	(sizeof(char[offsetof(struct type, member.count) == offsetof(struct type, member) &&     \
		     offsetof(struct type, member.items) == offsetof(struct type, member) + sizeof(size_t) && \
		     _Generic(&((struct type *)0)->member.count, size_t *: 1, default: 0) ? 1 : -1]) == 1)
/* clang-format on */

_Static_assert(sizeof(long) == sizeof(int64_t), "Prong needs a 64-bit system");

#endif
