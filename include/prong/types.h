/* Value types that cross every border: JSON, SQL, job payloads. All are plain values; copy them freely. */
#ifndef PRONG_TYPES_H
#define PRONG_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(default)

#ifdef __cplusplus
#error "Prong is a C library: wrap your C++ behind a C interface."
#endif

/* A UUID (RFC 9562) in network byte order. */
typedef struct prong_uuid {
	unsigned char bytes[16];
} prong_uuid;

/* An instant: microseconds since 1970-01-01T00:00:00Z, the resolution PostgreSQL keeps. RFC 3339 text on the wire. */
typedef struct prong_time {
	int64_t us;
} prong_time;

/* What RFC 3339 can say: from 0000-01-01T00:00:00Z to 9999-12-31T23:59:59.999999Z. */
#define PRONG_TIME_MIN (INT64_C(-62167219200) * 1000000)
#define PRONG_TIME_MAX (INT64_C(253402300800) * 1000000 - 1)

/* A JSON value kept as text, for members whose shape is not the schema's business. NULL when absent. */
typedef struct prong_json {
	const char *text;
} prong_json;

/* A length of time in microseconds. */
typedef int64_t prong_duration;
#define PRONG_MILLISECONDS(n) ((prong_duration)(n)*1000)
#define PRONG_SECONDS(n) ((prong_duration)(n)*1000000)
#define PRONG_MINUTES(n) PRONG_SECONDS((prong_duration)(n)*60)
#define PRONG_HOURS(n) PRONG_MINUTES((prong_duration)(n)*60)
#define PRONG_DAYS(n) PRONG_HOURS((prong_duration)(n)*24)

/*
 * Scalars that may be absent (JSON: missing or null; SQL: NULL). Strings, raw JSON, objects and arrays need none of
 * these: NULL, of an array its items, is their absence.
 */
typedef struct prong_opt_bool {
	bool set;
	bool value;
} prong_opt_bool;
typedef struct prong_opt_int32 {
	bool set;
	int32_t value;
} prong_opt_int32;
typedef struct prong_opt_int64 {
	bool set;
	int64_t value;
} prong_opt_int64;
typedef struct prong_opt_double {
	bool set;
	double value;
} prong_opt_double;
typedef struct prong_opt_uuid {
	bool set;
	prong_uuid value;
} prong_opt_uuid;
typedef struct prong_opt_time {
	bool set;
	prong_time value;
} prong_opt_time;

/* An array member of a record: PRONG_ARRAY(const char *) tags; then note->tags.items[0 … count - 1]. */
#define PRONG_ARRAY(type)     \
	struct {              \
		size_t count; \
		type *items;  \
	}

/* Room for a value's text with its NUL. */
#define PRONG_UUID_TEXT_SIZE 37
#define PRONG_TIME_TEXT_SIZE 40

/* A new UUID version 7 (RFC 9562 §5.7, method 3 of §6.2): ordered by creation time in microseconds, 62 random bits. */
prong_uuid prong_uuid_make(void);

/* Reads the 8-4-4-4-12 form, either case. Returns 0, or -EINVAL with `ret_uuid` untouched. */
int prong_uuid_parse(const char *text, prong_uuid *ret_uuid);

/* Writes the lowercase 8-4-4-4-12 form and its NUL into `text`; returns `text`. */
char *prong_uuid_format(prong_uuid uuid, char text[PRONG_UUID_TEXT_SIZE]);

bool prong_uuid_equal(prong_uuid a, prong_uuid b);

/* The wall clock. */
prong_time prong_time_now(void);

/*
 * Reads RFC 3339 (`2026-01-31T23:59:59.123456Z`, any offset, `T` or a space, at most 6 digits of a second kept) and
 * PostgreSQL's ISO output (`+00`). A leap second becomes the second after it. Returns 0; -EINVAL for anything else,
 * such as a date that does not exist, `infinity`, or an instant outside the years 0000 to 9999 in UTC.
 */
int prong_time_parse(const char *text, prong_time *ret_time);

/*
 * Writes RFC 3339 in UTC, with microseconds only where there are any; returns `text`. Years outside 0000 to 9999 are
 * written with a sign and six digits, which prong_time_parse() does not read.
 */
char *prong_time_format(prong_time time, char text[PRONG_TIME_TEXT_SIZE]);

#pragma GCC visibility pop

#endif
