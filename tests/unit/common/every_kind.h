/* A record with every kind of field, for the unit tests and the fuzzer. */
#ifndef EVERY_KIND_H
#define EVERY_KIND_H

#include <prong/schema.h>

#include <float.h>

enum colour { COLOUR_RED, COLOUR_GREEN, COLOUR_BLUE };

struct part {
	const char *label;
	prong_opt_double weight;
	PRONG_ARRAY(int32_t) sizes;
};
PRONG_SCHEMA(part, PRONG_FIELD(part, label, .required = true, .max_length = 20),
	     PRONG_FIELD(part, weight, .nullable = true, .range = PRONG_RANGE(0, DBL_MAX)),
	     PRONG_FIELD_ARRAY(part, sizes, .required = true, .range = PRONG_RANGE(-5, 5)));

struct every_kind {
	bool flag;
	int32_t small;
	int64_t big;
	double real;
	const char *text;
	prong_uuid uuid;
	prong_time time;
	enum colour colour;
	prong_json raw;
	prong_opt_bool opt_flag;
	prong_opt_int32 opt_small;
	prong_opt_int64 opt_big;
	prong_opt_double opt_real;
	prong_opt_uuid opt_uuid;
	prong_opt_time opt_time;
	char *email;
	const char *link;
	const char *state;
	struct part *part;
	PRONG_ARRAY(struct part) parts;
	PRONG_ARRAY(bool) flags;
	PRONG_ARRAY(int64_t) bigs;
	PRONG_ARRAY(double) reals;
	PRONG_ARRAY(const char *) texts;
	PRONG_ARRAY(prong_uuid) uuids;
	PRONG_ARRAY(prong_time) times;
	PRONG_ARRAY(enum colour) colours;
	PRONG_ARRAY(prong_json) raws;
};
PRONG_SCHEMA(every_kind, PRONG_FIELD(every_kind, flag), PRONG_FIELD(every_kind, small, .range = PRONG_RANGE(-100, 100)),
	     PRONG_FIELD(every_kind, big), PRONG_FIELD(every_kind, real, .range = PRONG_RANGE(-1e300, 1e300)),
	     PRONG_FIELD(every_kind, text, .required = true, .min_length = 1, .max_length = 40),
	     PRONG_FIELD(every_kind, uuid), PRONG_FIELD(every_kind, time),
	     PRONG_FIELD(every_kind, colour, .values = PRONG_VALUES("red", "green", "blue")),
	     PRONG_FIELD(every_kind, raw), PRONG_FIELD(every_kind, opt_flag, .nullable = true),
	     PRONG_FIELD(every_kind, opt_small), PRONG_FIELD(every_kind, opt_big, .nullable = true),
	     PRONG_FIELD(every_kind, opt_real), PRONG_FIELD(every_kind, opt_uuid, .nullable = true),
	     PRONG_FIELD(every_kind, opt_time, .read_only = true),
	     PRONG_FIELD(every_kind, email, .format = PRONG_EMAIL, .nullable = true),
	     PRONG_FIELD(every_kind, link, .format = PRONG_URI, .write_only = true),
	     PRONG_FIELD(every_kind, state, .values = PRONG_VALUES("draft", "published")),
	     PRONG_FIELD_OBJECT(every_kind, part, part, .nullable = true),
	     PRONG_FIELD_OBJECTS(every_kind, parts, part, .max_items = 5),
	     PRONG_FIELD_ARRAY(every_kind, flags, .nullable = true),
	     PRONG_FIELD_ARRAY(every_kind, bigs, .min_items = 2), PRONG_FIELD_ARRAY(every_kind, reals),
	     PRONG_FIELD_ARRAY(every_kind, texts, .max_length = 8, .max_items = 4),
	     PRONG_FIELD_ARRAY(every_kind, uuids), PRONG_FIELD_ARRAY(every_kind, times),
	     PRONG_FIELD_ARRAY(every_kind, colours, .values = PRONG_VALUES("red", "green", "blue")),
	     PRONG_FIELD_ARRAY(every_kind, raws));

#endif
