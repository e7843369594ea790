#include <math.h>
#include <stdio.h>

#include "common/basics.h"
#include "common/schema/schema.h"
#include "tests/unit/common/every_kind.h"
#include "tests/unit/test.h"

static struct arena arena;
static struct schema_errors errors;

static void assert_written(const struct prong_schema *schema, enum schema_border border, const void *record,
			   const char *expected)
{
	struct buffer out = { 0 };

	buffer_add_char(&out, '>');
	schema_write_json(schema, border, record, &out);
	CU_ASSERT_STRING_EQUAL(buffer_text(&out) + 1, expected);
	buffer_free(&out);
}

TEST(schema_write, every_kind)
{
	bool flags[] = { true, false };
	int32_t sizes[] = { 1, -2 };
	const char *texts[] = { "", "\"\\\n\x01", "\xC3\xA4", NULL };
	enum colour colours[] = { COLOUR_BLUE, COLOUR_RED, (enum colour)77 };
	prong_json raws[] = { { "{\"a\":1}" }, { NULL } };
	struct part part = { .label = "l", .sizes = { 2, sizes } };
	struct part parts[] = { { .label = "m", .weight = { true, 0.1 } }, { .label = "n" } };
	struct every_kind record = {
		.flag = true,
		.small = -7,
		.big = INT64_MIN,
		.real = 0.25,
		.text = "t",
		.time = { 1500000 },
		.colour = COLOUR_GREEN,
		.raw = { "[1.0]" },
		.opt_flag = { true, false },
		.opt_small = { true, 0 },
		.email = (char *)"ada@example.com",
		.link = "a:",
		.part = &part,
		.parts = { 2, parts },
		.flags = { 2, flags },
		.texts = { 4, texts },
		.colours = { 3, colours },
		.raws = { 2, raws },
	};

	record.uuid.bytes[0] = 0xAB;
	assert_written(&every_kind_schema, SCHEMA_PAYLOAD, &record,
		       "{\"flag\":true,\"small\":-7,\"big\":-9223372036854775808,\"real\":0.25,\"text\":\"t\","
		       "\"uuid\":\"ab000000-0000-0000-0000-000000000000\",\"time\":\"1970-01-01T00:00:01.500000Z\","
		       "\"colour\":\"green\",\"raw\":[1.0],\"opt_flag\":false,\"opt_small\":0,\"opt_big\":null,"
		       "\"opt_uuid\":null,\"email\":\"ada@example.com\",\"link\":\"a:\","
		       "\"part\":{\"label\":\"l\",\"weight\":null,\"sizes\":[1,-2]},"
		       "\"parts\":[{\"label\":\"m\",\"weight\":0.1,\"sizes\":[]},{\"label\":\"n\",\"weight\":null,"
		       "\"sizes\":[]}],"
		       "\"flags\":[true,false],\"texts\":[\"\",\"\\\"\\\\\\n\\u0001\",\"\xC3\xA4\",null],"
		       "\"colours\":[\"blue\",\"red\",null],\"raws\":[{\"a\":1},null]}");
}

TEST(schema_write, absent_fields)
{
	struct every_kind record = { 0 };
	bool none;

	assert_written(&every_kind_schema, SCHEMA_PAYLOAD, &record,
		       "{\"flag\":false,\"small\":0,\"big\":0,\"real\":0,"
		       "\"uuid\":\"00000000-0000-0000-0000-000000000000\",\"time\":\"1970-01-01T00:00:00Z\","
		       "\"colour\":\"red\",\"opt_flag\":null,\"opt_big\":null,\"opt_uuid\":null,\"email\":null,"
		       "\"part\":null,\"flags\":null}");
	record.real = NAN;
	record.flags.items = &none;
	assert_written(&every_kind_schema, SCHEMA_PAYLOAD, &record,
		       "{\"flag\":false,\"small\":0,\"big\":0,\"real\":null,"
		       "\"uuid\":\"00000000-0000-0000-0000-000000000000\",\"time\":\"1970-01-01T00:00:00Z\","
		       "\"colour\":\"red\",\"opt_flag\":null,\"opt_big\":null,\"opt_uuid\":null,\"email\":null,"
		       "\"part\":null,\"flags\":[]}");
}

struct credentials {
	const char *password;
	struct credentials_part {
		const char *hidden;
	} * part;
};
PRONG_SCHEMA(credentials_part, PRONG_FIELD(credentials_part, hidden, .write_only = true));
PRONG_SCHEMA(credentials, PRONG_FIELD(credentials, password, .write_only = true, .secret = true),
	     PRONG_FIELD_OBJECT(credentials, part, credentials_part));

TEST(schema_write, write_only_fields_stay_out_of_replies)
{
	struct credentials_part part = { .hidden = "h" };
	struct credentials record = { .password = "p", .part = &part };

	assert_written(&credentials_schema, SCHEMA_REPLY, &record, "{\"part\":{}}");
	assert_written(&credentials_schema, SCHEMA_PAYLOAD, &record,
		       "{\"password\":\"p\",\"part\":{\"hidden\":\"h\"}}");
	record.part = NULL;
	assert_written(&credentials_schema, SCHEMA_REPLY, &record, "{}");
}

static void assert_invalid(const struct every_kind *record, const char *expected)
{
	struct buffer lines = { 0 };

	arena_init(&arena);
	CU_ASSERT_EQUAL(schema_validate(&every_kind_schema, record, &arena, &errors), *expected ? -EINVAL : 0);
	for (size_t i = 0; i < errors.count; i++)
		buffer_add_format(&lines, "%s %s\n", errors.items[i].pointer, errors.items[i].code);
	CU_ASSERT_STRING_EQUAL(buffer_text(&lines), expected);
	buffer_free(&lines);
	arena_reset(&arena);
}

TEST(schema_validate, finds_what_binding_would_refuse)
{
	const char *texts[] = { "123456789", NULL, "\xFF" };
	enum colour colours[] = { COLOUR_RED, (enum colour)3 };
	prong_json raws[] = { { "null" }, { "{" }, { "\"\\u0000\"" }, { NULL } };
	int32_t sizes[] = { 5, 6 };
	struct part parts[6] = { { .label = "a" },
				 { 0 },
				 { .label = "c", .sizes = { 2, sizes } },
				 { .label = "d", .weight = { true, -0.1 } },
				 { .label = "e" },
				 { .label = "f" } };
	struct every_kind record = { 0 };
	int64_t bigs[] = { 1 };
	double reals[] = { 0.5, INFINITY };

	assert_invalid(&record, "/text missing\n");
	record.text = "";
	assert_invalid(&record, "/text too_short\n");
	record.text = "x";
	assert_invalid(&record, "");

	record.small = 101;
	record.real = NAN;
	record.time.us = PRONG_TIME_MAX + 1;
	record.colour = (enum colour)3;
	record.raw.text = "null";
	record.opt_time = (prong_opt_time){ .set = true, .value = { INT64_MIN } };
	record.email = (char *)"ada";
	record.state = "gone";
	record.parts.items = parts;
	record.parts.count = 6;
	record.bigs.items = bigs;
	record.bigs.count = 1;
	record.reals.items = reals;
	record.reals.count = 2;
	record.texts.items = texts;
	record.texts.count = 3;
	record.colours.items = colours;
	record.colours.count = 2;
	record.raws.items = raws;
	record.raws.count = 4;
	assert_invalid(&record,
		       "/small range\n/real range\n/time range\n/colour value\n/raw null\n/opt_time range\n"
		       "/email format\n/state value\n/parts too_many\n/parts/1/label missing\n/parts/2/sizes/1 range\n"
		       "/parts/3/weight range\n/bigs too_few\n/reals/1 range\n/texts/0 too_long\n/texts/1 null\n"
		       "/texts/2 value\n/colours/1 value\n/raws/1 value\n/raws/2 value\n/raws/3 null\n");
}
