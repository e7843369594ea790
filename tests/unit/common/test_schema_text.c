#include <stdio.h>

#include "common/basics.h"
#include "common/schema/schema.h"
#include "tests/unit/common/every_kind.h"
#include "tests/unit/test.h"

struct search {
	const char *q;
	int32_t limit;
	prong_opt_bool archived;
	prong_opt_double score;
	prong_opt_time since;
	prong_opt_uuid owner;
	enum colour colour;
	int64_t cursor;
	prong_json raw;
	struct part *part;
	PRONG_ARRAY(const char *) tags;
	PRONG_ARRAY(int32_t) ids;
	const char *fixed;
};
PRONG_SCHEMA(search, PRONG_FIELD(search, q, .max_length = 5), PRONG_FIELD(search, limit, .range = PRONG_RANGE(1, 100)),
	     PRONG_FIELD(search, archived), PRONG_FIELD(search, score), PRONG_FIELD(search, since),
	     PRONG_FIELD(search, owner), PRONG_FIELD(search, colour, .values = PRONG_VALUES("red", "green", "blue")),
	     PRONG_FIELD(search, cursor, .required = true), PRONG_FIELD(search, raw),
	     PRONG_FIELD_OBJECT(search, part, part), PRONG_FIELD_ARRAY(search, tags, .max_items = 3, .max_length = 3),
	     PRONG_FIELD_ARRAY(search, ids, .min_items = 2), PRONG_FIELD(search, fixed, .read_only = true));

static struct arena arena;

static int bind_query(const char *text, struct search **ret_record, struct schema_errors *errors)
{
	/* Without a NUL after it, so that reading too far is seen. */
	size_t size = strlen(text);
	char *exact = malloc(size ? size : 1);
	int r;

	memcpy(exact, text, size);
	r = schema_bind_query(&search_schema, exact, size, &arena, (void **)ret_record, errors);
	free(exact);
	return r;
}

static void assert_query(const char *text, const char *expected)
{
	struct schema_errors errors;
	struct search *record = NULL;
	struct buffer lines = { 0 };

	arena_init(&arena);
	CU_ASSERT_EQUAL(bind_query(text, &record, &errors), *expected ? -EINVAL : 0);
	CU_ASSERT_EQUAL(record == NULL, *expected != '\0');
	for (size_t i = 0; i < errors.count; i++)
		buffer_add_format(&lines, "%s %s\n", errors.items[i].pointer, errors.items[i].code);
	if (!string_equal(buffer_text(&lines), expected))
		fprintf(stderr, "%s:\n%s", text, buffer_text(&lines));
	CU_ASSERT_STRING_EQUAL(buffer_text(&lines), expected);
	buffer_free(&lines);
	arena_reset(&arena);
}

TEST(schema_query, binds)
{
	struct schema_errors errors;
	struct search *record = NULL;

	arena_init(&arena);
	CU_ASSERT_EQUAL_FATAL(
		bind_query("q=a+b%2B%C3%A4&limit=100&archived=true&score=-1.5e2&since=2026-01-31T23:59:59%2B01:00"
			   "&owner=018f4e9a-0000-7000-8000-000000000001&colour=green&cursor=-9&tags=a"
			   "&t%61gs=&ids=1&tags=%26%3D&ids=2&ids=3",
			   &record, &errors),
		0);
	CU_ASSERT_STRING_EQUAL(record->q, "a b+\xC3\xA4");
	CU_ASSERT_EQUAL(record->limit, 100);
	CU_ASSERT(record->archived.set && record->archived.value);
	CU_ASSERT(record->score.set && record->score.value == -150.0);
	CU_ASSERT(record->since.set && record->since.value.us == INT64_C(1769900399000000));
	CU_ASSERT(record->owner.set && record->owner.value.bytes[15] == 1);
	CU_ASSERT_EQUAL(record->colour, COLOUR_GREEN);
	CU_ASSERT_EQUAL(record->cursor, -9);
	CU_ASSERT_EQUAL_FATAL(record->tags.count, 3);
	CU_ASSERT_STRING_EQUAL(record->tags.items[0], "a");
	CU_ASSERT_STRING_EQUAL(record->tags.items[1], "");
	CU_ASSERT_STRING_EQUAL(record->tags.items[2], "&=");
	CU_ASSERT_EQUAL_FATAL(record->ids.count, 3);
	CU_ASSERT(record->ids.items[0] == 1 && record->ids.items[1] == 2 && record->ids.items[2] == 3);
	arena_reset(&arena);
}

TEST(schema_query, refuses)
{
	assert_query("", "cursor missing\n");
	assert_query("cursor=1", "");
	assert_query("&&cursor=1&", "");
	assert_query("cursor=1&q", "");
	assert_query("cursor=1&q==", "");
	assert_query("cursor=1&cursor=1", "cursor repeated\n");
	assert_query("cursor=x&cursor=1", "cursor type\ncursor repeated\n");
	assert_query("cursor=1&x=1", "x unknown\n");
	assert_query("cursor=1&=1", " unknown\n");
	assert_query("cursor=1&=", " unknown\n");
	assert_query("cursor=1&raw=1&part=1", "raw unknown\npart unknown\n");
	assert_query("cursor=1&fixed=1", "fixed read_only\n");
	assert_query("cursor=", "cursor type\n");
	assert_query("cursor", "cursor type\n");
	assert_query("cursor=+1", "cursor type\n");
	assert_query("cursor=%2B1", "cursor type\n");
	assert_query("cursor=01", "cursor type\n");
	assert_query("cursor=1.0", "cursor type\n");
	assert_query("cursor=0x1", "cursor type\n");
	assert_query("cursor=1%00", "cursor type\n");
	assert_query("cursor=9223372036854775808", "cursor range\n");
	assert_query("cursor=1&limit=101", "limit range\n");
	assert_query("cursor=1&limit=99999999999999999999999", "limit range\n");
	assert_query("cursor=1&archived=1", "archived type\n");
	assert_query("cursor=1&archived=TRUE", "archived type\n");
	assert_query("cursor=1&archived", "archived type\n");
	assert_query("cursor=1&score=NaN", "score type\n");
	assert_query("cursor=1&score=inf", "score type\n");
	assert_query("cursor=1&score=1e999", "score range\n");
	assert_query("cursor=1&score=", "score type\n");
	assert_query("cursor=1&since=today&owner=me&colour=pink", "since format\nowner format\ncolour value\n");
	assert_query("cursor=1&q=123456", "q too_long\n");
	assert_query("cursor=1&q=%", "q format\n");
	assert_query("cursor=1&q=%4", "q format\n");
	assert_query("cursor=1&q=%4g", "q format\n");
	assert_query("cursor=1&q=%FF", "q format\n");
	assert_query("cursor=1&q=%ED%A0%80", "q format\n");
	assert_query("cursor=1&q=a%00b", "q value\n");
	assert_query("cursor=1&%zz=1", "%zz format\n");
	assert_query("cursor=1&ids=1", "ids too_few\n");
	assert_query("cursor=1&ids=1&ids=x", "ids type\nids too_few\n");
	assert_query("cursor=1&tags=1&tags=2&tags=3&tags=4&tags=5", "tags too_many\n");
	assert_query("cursor=1&tags=1234", "tags too_long\n");
	assert_query("cursor=1&a%2Fb%7E=1", "a/b~ unknown\n");
}

static int bind_column(const char *name, const char *text, struct every_kind *record)
{
	const struct prong_field *field = schema_field(&every_kind_schema, name, strlen(name));
	char *exact;
	int r;

	CU_ASSERT_PTR_NOT_NULL_FATAL(field);
	if (!text)
		return schema_bind_column(field, NULL, 0, &arena, record);
	exact = malloc(strlen(text) + 1);
	memcpy(exact, text, strlen(text));
	exact[strlen(text)] = '7'; /* not a NUL: the size must do */
	r = schema_bind_column(field, exact, strlen(text), &arena, record);
	free(exact);
	return r;
}

TEST(schema_column, binds)
{
	struct every_kind record = { 0 };

	arena_init(&arena);
	CU_ASSERT_EQUAL(bind_column("flag", "t", &record), 0);
	CU_ASSERT(record.flag);
	CU_ASSERT_EQUAL(bind_column("flag", "f", &record), 0);
	CU_ASSERT_FALSE(record.flag);
	CU_ASSERT_EQUAL(bind_column("small", "-2147483648", &record), 0);
	CU_ASSERT_EQUAL(record.small, INT32_MIN);
	CU_ASSERT_EQUAL(bind_column("big", "9223372036854775807", &record), 0);
	CU_ASSERT_EQUAL(record.big, INT64_MAX);
	CU_ASSERT_EQUAL(bind_column("real", "1e+308", &record), 0);
	CU_ASSERT_EQUAL(record.real, 1e308);
	CU_ASSERT_EQUAL(bind_column("real", "-0.000123", &record), 0);
	CU_ASSERT_EQUAL(record.real, -0.000123);
	CU_ASSERT_EQUAL(bind_column("text", "", &record), 0);
	CU_ASSERT_STRING_EQUAL(record.text, "");
	CU_ASSERT_EQUAL(bind_column("uuid", "018f4e9a-0000-7000-8000-000000000001", &record), 0);
	CU_ASSERT_EQUAL(record.uuid.bytes[15], 1);
	CU_ASSERT_EQUAL(bind_column("time", "2026-01-31 23:59:59.123+00", &record), 0);
	CU_ASSERT_EQUAL(record.time.us, INT64_C(1769903999123000));
	CU_ASSERT_EQUAL(bind_column("opt_time", "2026-01-31 23:59:59.123+05:30", &record), 0);
	CU_ASSERT(record.opt_time.set && record.opt_time.value.us == INT64_C(1769884199123000));
	CU_ASSERT_EQUAL(bind_column("opt_flag", "t", &record), 0);
	CU_ASSERT(record.opt_flag.set && record.opt_flag.value);
	CU_ASSERT_EQUAL(bind_column("opt_small", "0", &record), 0);
	CU_ASSERT(record.opt_small.set && record.opt_small.value == 0);
	CU_ASSERT_EQUAL(bind_column("colour", "blue", &record), 0);
	CU_ASSERT_EQUAL(record.colour, COLOUR_BLUE);
	CU_ASSERT_EQUAL(bind_column("raw", "{\"a\": [1, 2.50]}", &record), 0);
	CU_ASSERT_STRING_EQUAL(record.raw.text, "{\"a\":[1,2.50]}");
	CU_ASSERT_EQUAL(bind_column("raw", " 12 ", &record), 0);
	CU_ASSERT_STRING_EQUAL(record.raw.text, "12");
	CU_ASSERT_EQUAL(bind_column("raw", "null", &record), 0);
	CU_ASSERT_PTR_NULL(record.raw.text);
	CU_ASSERT_EQUAL(bind_column("bigs", "[1]", &record), 0);
	CU_ASSERT(record.bigs.count == 1 && record.bigs.items[0] == 1);
	CU_ASSERT_EQUAL(bind_column("part", "{\"sizes\": [9], \"new\": {\"x\": 1}}", &record), 0);
	CU_ASSERT(record.part->sizes.count == 1 && record.part->sizes.items[0] == 9 && !record.part->label);
	CU_ASSERT_EQUAL(bind_column("parts", "[{\"label\": null}, {}]", &record), 0);
	CU_ASSERT_EQUAL(record.parts.count, 2);
	CU_ASSERT_EQUAL(bind_column("parts", "null", &record), 0);
	CU_ASSERT(record.parts.count == 0 && !record.parts.items);
	arena_reset(&arena);
}

TEST(schema_column, does_not_check_rules)
{
	struct every_kind record = { 0 };

	arena_init(&arena);
	CU_ASSERT_EQUAL(bind_column("small", "1000", &record), 0);
	CU_ASSERT_EQUAL(bind_column("email", "not an address", &record), 0);
	CU_ASSERT_EQUAL(bind_column("state", "forgotten", &record), 0);
	CU_ASSERT_EQUAL(bind_column("texts", "[\"longer than eight\"]", &record), 0);
	arena_reset(&arena);
}

TEST(schema_column, null)
{
	static const char *const absent[] = { "text",	  "raw",      "opt_flag", "opt_small", "opt_big",
					      "opt_real", "opt_uuid", "part",	  "opt_time",  "email",
					      "parts",	  "flags",    "texts" };
	static const char *const plain[] = { "flag", "small", "big", "real", "uuid", "time", "colour" };
	struct every_kind record, empty = { 0 };

	arena_init(&arena);
	memset(&record, 0xFF, sizeof(record));
	for (size_t i = 0; i < ARRAY_SIZE(absent); i++)
		CU_ASSERT_EQUAL(bind_column(absent[i], NULL, &record), 0);
	CU_ASSERT(!record.text && !record.raw.text && !record.part && !record.email && !record.parts.items);
	CU_ASSERT_EQUAL(memcmp(&record.opt_flag, &empty.opt_flag, sizeof(record.opt_flag)), 0);
	CU_ASSERT_EQUAL(memcmp(&record.opt_time, &empty.opt_time, sizeof(record.opt_time)), 0);
	CU_ASSERT_EQUAL(memcmp(&record.texts, &empty.texts, sizeof(record.texts)), 0);
	for (size_t i = 0; i < ARRAY_SIZE(plain); i++)
		CU_ASSERT_EQUAL(bind_column(plain[i], NULL, &record), -EINVAL);
	arena_reset(&arena);
}

TEST(schema_column, refuses_other_kinds)
{
	static const struct {
		const char *name, *text;
	} cases[] = {
		{ "flag", "" },
		{ "flag", "1" },
		{ "flag", "yes" },
		{ "small", "" },
		{ "small", "2147483648" },
		{ "small", "1.0" },
		{ "small", "x" },
		{ "big", "9223372036854775808" },
		{ "real", "NaN" },
		{ "real", "Infinity" },
		{ "real", "-Infinity" },
		{ "real", "" },
		{ "uuid", "x" },
		{ "time", "infinity" },
		{ "time", "2026-01-31" },
		{ "time", "10000-01-01 00:00:00+00" },
		{ "time", "0044-03-15 00:00:00+00 BC" },
		{ "colour", "pink" },
		{ "raw", "{" },
		{ "raw", "" },
		{ "raw", "{1,2}" },
		{ "raw", "\"\\u0000\"" },
		{ "bigs", "{1,2}" },
		{ "bigs", "[1,\"2\"]" },
		{ "bigs", "[null]" },
		{ "bigs", "1" },
		{ "part", "[]" },
		{ "part", "{\"sizes\":1}" },
		{ "parts", "[{\"sizes\":[\"\"]}]" },
	};
	struct every_kind record = { 0 };

	arena_init(&arena);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int r = bind_column(cases[i].name, cases[i].text, &record);

		if (r != -EINVAL)
			fprintf(stderr, "%s %s: %d\n", cases[i].name, cases[i].text, r);
		CU_ASSERT_EQUAL(r, -EINVAL);
	}
	arena_reset(&arena);
}
