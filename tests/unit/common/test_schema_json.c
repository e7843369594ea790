#include <math.h>
#include <stdio.h>

#include "common/basics.h"
#include "common/schema/schema.h"
#include "tests/unit/common/every_kind.h"
#include "tests/unit/test.h"

static struct arena arena;
static struct schema_errors errors;
static const char *detail;

static int bind(enum schema_border border, const char *text, struct every_kind **ret_record)
{
	detail = NULL;
	return schema_bind_json(&every_kind_schema, border, text, strlen(text), &arena, (void **)ret_record, &detail,
				&errors);
}

/* Errors as lines of "pointer code", in the order in which they are found. */
static void assert_errors(const char *text, const char *expected)
{
	struct every_kind *record = NULL;
	struct buffer lines = { 0 };

	arena_init(&arena);
	CU_ASSERT_EQUAL(bind(SCHEMA_BODY, text, &record), -EINVAL);
	CU_ASSERT_PTR_NULL(record);
	for (size_t i = 0; i < errors.count; i++) {
		buffer_add_format(&lines, "%s %s\n", errors.items[i].pointer, errors.items[i].code);
		CU_ASSERT(strlen(errors.items[i].detail) > 10);
	}
	if (!string_equal(buffer_text(&lines), expected))
		fprintf(stderr, "%s:\n%s", text, buffer_text(&lines));
	CU_ASSERT_STRING_EQUAL(buffer_text(&lines), expected);
	buffer_free(&lines);
	arena_reset(&arena);
}

/* Of one member beside the required one; "" when it must pass. */
static void assert_member(const char *member, const char *expected)
{
	_cleanup_(freep) char *text = format_text("{\"text\":\"x\",%s}", member);
	struct every_kind *record;

	if (*expected) {
		assert_errors(text, expected);
		return;
	}
	arena_init(&arena);
	CU_ASSERT_EQUAL(bind(SCHEMA_BODY, text, &record), 0);
	CU_ASSERT_EQUAL(errors.count, 0);
	if (errors.count)
		fprintf(stderr, "%s: %s %s\n", text, errors.items[0].pointer, errors.items[0].detail);
	arena_reset(&arena);
}

TEST(schema_json, binds_every_kind)
{
	struct every_kind *record = NULL;
	char text[PRONG_UUID_TEXT_SIZE];

	arena_init(&arena);
	CU_ASSERT_EQUAL_FATAL(
		bind(SCHEMA_BODY,
		     " { \"flag\" : true , \"small\":-100,\"big\":-9223372036854775808,\"real\":1e3,"
		     "\"text\":\"h\\u00e9\\n\xE2\x82\xAC\",\"uuid\":\"018F4E9A-0000-7000-8000-000000000001\","
		     "\"time\":\"2026-01-31T23:59:59.5+01:00\",\"colour\":\"blue\",\"raw\":{ \"a\" : [1.0,\"b c\"] },"
		     "\"opt_flag\":false,\"opt_small\":0,\"opt_big\":null,\"opt_real\":-0.0,"
		     "\"opt_uuid\":\"018f4e9a-0000-7000-8000-000000000002\",\"email\":null,"
		     "\"link\":\"https:\\/\\/example.com\\/\",\"state\":\"published\","
		     "\"part\":{\"label\":\"\",\"weight\":2.5,\"sizes\":[1,-5]},"
		     "\"parts\":[{\"label\":\"p\",\"weight\":null,\"sizes\":[]}, {\"sizes\":[ 5 ],\"label\":\"q\"}],"
		     "\"flags\":[true,false],\"bigs\":[ 1 , 2 ],\"reals\":[0.1],\"texts\":[],"
		     "\"uuids\":[\"018f4e9a-0000-7000-8000-000000000003\"],\"times\":[\"1970-01-01T00:00:01Z\"],"
		     "\"colours\":[\"green\",\"red\"],\"raws\":[null,{},\"s\"]}\n",
		     &record),
		0);
	CU_ASSERT(record->flag);
	CU_ASSERT_EQUAL(record->small, -100);
	CU_ASSERT_EQUAL(record->big, INT64_MIN);
	CU_ASSERT_EQUAL(record->real, 1000.0);
	CU_ASSERT_STRING_EQUAL(record->text, "h\xC3\xA9\n\xE2\x82\xAC");
	CU_ASSERT_STRING_EQUAL(prong_uuid_format(record->uuid, text), "018f4e9a-0000-7000-8000-000000000001");
	CU_ASSERT_EQUAL(record->time.us, INT64_C(1769900399500000));
	CU_ASSERT_EQUAL(record->colour, COLOUR_BLUE);
	CU_ASSERT_STRING_EQUAL(record->raw.text, "{\"a\":[1.0,\"b c\"]}");
	CU_ASSERT(record->opt_flag.set && !record->opt_flag.value);
	CU_ASSERT(record->opt_small.set && record->opt_small.value == 0);
	CU_ASSERT_FALSE(record->opt_big.set);
	CU_ASSERT(record->opt_real.set && signbit(record->opt_real.value));
	CU_ASSERT(record->opt_uuid.set && record->opt_uuid.value.bytes[15] == 2);
	CU_ASSERT_FALSE(record->opt_time.set);
	CU_ASSERT_PTR_NULL(record->email);
	CU_ASSERT_STRING_EQUAL(record->link, "https://example.com/");
	CU_ASSERT_STRING_EQUAL(record->state, "published");
	CU_ASSERT_STRING_EQUAL(record->part->label, "");
	CU_ASSERT(record->part->weight.set && record->part->weight.value == 2.5);
	CU_ASSERT(record->part->sizes.count == 2 && record->part->sizes.items[1] == -5);
	CU_ASSERT_EQUAL_FATAL(record->parts.count, 2);
	CU_ASSERT_FALSE(record->parts.items[0].weight.set);
	CU_ASSERT_STRING_EQUAL(record->parts.items[1].label, "q");
	CU_ASSERT(record->parts.items[1].sizes.count == 1 && record->parts.items[1].sizes.items[0] == 5);
	CU_ASSERT(record->flags.count == 2 && record->flags.items[0] && !record->flags.items[1]);
	CU_ASSERT(record->bigs.count == 2 && record->bigs.items[1] == 2);
	CU_ASSERT(record->reals.count == 1 && record->reals.items[0] == 0.1);
	CU_ASSERT(record->texts.count == 0 && record->texts.items);
	CU_ASSERT(record->uuids.count == 1 && record->uuids.items[0].bytes[15] == 3);
	CU_ASSERT(record->times.count == 1 && record->times.items[0].us == 1000000);
	CU_ASSERT(record->colours.count == 2 && record->colours.items[0] == COLOUR_GREEN);
	CU_ASSERT_EQUAL_FATAL(record->raws.count, 3);
	CU_ASSERT_STRING_EQUAL(record->raws.items[0].text, "null");
	CU_ASSERT_STRING_EQUAL(record->raws.items[2].text, "\"s\"");
	arena_reset(&arena);
}

TEST(schema_json, absent_fields_are_empty)
{
	static const struct every_kind empty;
	struct every_kind *record = NULL;

	arena_init(&arena);
	CU_ASSERT_EQUAL_FATAL(bind(SCHEMA_BODY, "{\"text\":\"x\"}", &record), 0);
	record->text = NULL;
	CU_ASSERT_EQUAL(memcmp(record, &empty, sizeof(empty)), 0);
	arena_reset(&arena);
}

TEST(schema_json, malformed_text_is_another_error)
{
	struct every_kind *record = NULL;

	arena_init(&arena);
	CU_ASSERT_EQUAL(bind(SCHEMA_BODY, "{\"text\":\"x\",\"text\":\"y\"}", &record), -EBADMSG);
	CU_ASSERT_EQUAL(errors.count, 0);
	CU_ASSERT_STRING_EQUAL(detail,
			       "This is not valid JSON at line 1, column 13: this name occurs twice in its object.");
	CU_ASSERT_EQUAL(bind(SCHEMA_BODY, "", &record), -EBADMSG);
	CU_ASSERT_PTR_NULL(record);
	arena_reset(&arena);
}

TEST(schema_json, the_document_must_be_an_object)
{
	assert_errors("[]", " type\n");
	assert_errors("null", " type\n");
	assert_errors("1", " type\n");
	assert_errors(" \"text\" ", " type\n");
}

TEST(schema_json, types)
{
	assert_member("\"flag\":1", "/flag type\n");
	assert_member("\"flag\":\"true\"", "/flag type\n");
	assert_member("\"small\":true", "/small type\n");
	assert_member("\"small\":\"1\"", "/small type\n");
	assert_member("\"small\":1.0", "/small type\n");
	assert_member("\"small\":1e1", "/small type\n");
	assert_member("\"small\":[1]", "/small type\n");
	assert_member("\"small\":-0", "");
	assert_member("\"real\":\"0\"", "/real type\n");
	assert_member("\"real\":7", "");
	assert_member("\"link\":1", "/link type\n");
	assert_member("\"link\":{\"a\":\"}\"}", "/link type\n");
	assert_member("\"uuid\":7", "/uuid type\n");
	assert_member("\"time\":7", "/time type\n");
	assert_member("\"colour\":0", "/colour type\n");
	assert_member("\"part\":[]", "/part type\n");
	assert_member("\"part\":\"\"", "/part type\n");
	assert_member("\"parts\":{}", "/parts type\n");
	assert_member("\"parts\":[[]]", "/parts/0 type\n");
	assert_member("\"flags\":true", "/flags type\n");
	assert_member("\"flags\":[true,0,false,{}]", "/flags/1 type\n/flags/3 type\n");
	assert_member("\"raw\":false", "");
}

TEST(schema_json, nulls)
{
	assert_errors("{\"text\":null}", "/text null\n");
	assert_member("\"flag\":null", "/flag null\n");
	assert_member("\"opt_small\":null", "/opt_small null\n");
	assert_member("\"opt_flag\":null", "");
	assert_member("\"raw\":null", "/raw null\n");
	assert_member("\"part\":null", "");
	assert_member("\"parts\":null", "/parts null\n");
	assert_member("\"parts\":[null]", "/parts/0 null\n");
	assert_member("\"flags\":null", "");
	assert_member("\"flags\":[null]", "/flags/0 null\n");
}

TEST(schema_json, presence)
{
	assert_errors("{}", "/text missing\n");
	assert_member("\"part\":{}", "/part/label missing\n/part/sizes missing\n");
	assert_member("\"parts\":[{\"label\":\"\",\"sizes\":[]},{\"sizes\":[]}]", "/parts/1/label missing\n");
	assert_member("\"Text\":1", "/Text unknown\n");
	assert_member("\"tex\":1", "/tex unknown\n");
	assert_member("\"texty\":[{}]", "/texty unknown\n");
	assert_member("\"\":{\"a\":1}", "/ unknown\n");
	assert_member("\"a/b~c\":1", "/a~1b~0c unknown\n");
	assert_member("\"text\\u0000\":1", "/text\xEF\xBF\xBD unknown\n");
	assert_member("\"text\\u0000\\u0000\\u0000\\u0000more\":1",
		      "/text\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDmore unknown\n");
	assert_member("\"t\\u0000\":1", "/t\xEF\xBF\xBD unknown\n");
	assert_member("\"part\":{\"label\":\"\",\"sizes\":[],\"x\":1}", "/part/x unknown\n");
	assert_member("\"opt_time\":\"2026-01-31T23:59:59Z\"", "/opt_time read_only\n");
	assert_member("\"opt_time\":null", "/opt_time read_only\n");
}

TEST(schema_json, names_may_be_escaped)
{
	struct every_kind *record = NULL;

	arena_init(&arena);
	CU_ASSERT_EQUAL_FATAL(bind(SCHEMA_BODY, "{\"\\u0074ext\":\"x\"}", &record), 0);
	CU_ASSERT_STRING_EQUAL(record->text, "x");
	arena_reset(&arena);
}

TEST(schema_json, lengths_are_in_code_points)
{
	assert_errors("{\"text\":\"\"}", "/text too_short\n");
	assert_member("\"texts\":[\"12345678\",\"\xF0\x9F\x98\x80\xF0\x9F\x98\x80\xF0\x9F\x98\x80\xF0\x9F\x98\x80"
		      "\xF0\x9F\x98\x80\xF0\x9F\x98\x80\xF0\x9F\x98\x80\xF0\x9F\x98\x80\"]",
		      "");
	assert_member("\"texts\":[\"123456789\",\"\",\"\\ud83d\\ude00 345678\",\"\\ud83d\\ude00 3456789\"]",
		      "/texts/0 too_long\n/texts/3 too_long\n");
	assert_member("\"texts\":[\"\",\"\",\"\",\"\",\"\"]", "/texts too_many\n");
	assert_member("\"bigs\":[1]", "/bigs too_few\n");
	assert_member("\"bigs\":[]", "/bigs too_few\n");
	assert_member("\"parts\":[1,2,3,4,5,6]", "/parts too_many\n");
}

TEST(schema_json, ranges)
{
	assert_member("\"small\":101", "/small range\n");
	assert_member("\"small\":-101", "/small range\n");
	assert_member("\"small\":100", "");
	assert_member("\"opt_small\":2147483647", "");
	assert_member("\"opt_small\":2147483648", "/opt_small range\n");
	assert_member("\"opt_small\":-2147483648", "");
	assert_member("\"opt_small\":-2147483649", "/opt_small range\n");
	assert_member("\"opt_small\":99999999999999999999999999", "/opt_small range\n");
	assert_member("\"big\":9223372036854775807", "");
	assert_member("\"big\":9223372036854775808", "/big range\n");
	assert_member("\"big\":-9223372036854775809", "/big range\n");
	assert_member("\"real\":1e300", "");
	assert_member("\"real\":1.1e300", "/real range\n");
	assert_member("\"opt_real\":1e999", "/opt_real range\n");
	assert_member("\"opt_real\":-1e999", "/opt_real range\n");
	assert_member("\"opt_real\":1e-999", "");
	assert_member("\"opt_real\":100000000000000000000000000000000000000000000000000000000000000000000000000000",
		      "");
	assert_member("\"part\":{\"label\":\"\",\"weight\":-1,\"sizes\":[6]}",
		      "/part/weight range\n/part/sizes/0 range\n");
}

TEST(schema_json, values_and_formats)
{
	assert_member("\"colour\":\"Red\"", "/colour value\n");
	assert_member("\"colour\":\"\"", "/colour value\n");
	assert_member("\"colour\":\"gree\"", "/colour value\n");
	assert_member("\"colour\":\"r\\u0065d\"", "");
	assert_member("\"colours\":[\"red\",\"pink\"]", "/colours/1 value\n");
	assert_member("\"state\":\"gone\"", "/state value\n");
	assert_member("\"uuid\":\"018f4e9a\"", "/uuid format\n");
	assert_member("\"uuid\":\"018f4e9a-0000-7000-8000-000000000001\\u0000\"", "/uuid format\n");
	assert_member("\"time\":\"2026-02-30T00:00:00Z\"", "/time format\n");
	assert_member("\"email\":\"ada\"", "/email format\n");
	assert_member("\"link\":\"/relative\"", "/link format\n");
	assert_member("\"link\":\"a:\\u0000\"", "/link value\n");
	assert_member("\"raw\":\"\\u0000\"", "/raw value\n");
	assert_member("\"raw\":{\"\\u0000\":1}", "/raw value\n");
	assert_member("\"raw\":\"\\\\u0000\"", "");
}

TEST(schema_json, details_say_what_to_do)
{
	struct every_kind *record;

	arena_init(&arena);
	bind(SCHEMA_BODY,
	     "{\"text\":\"\",\"small\":1e1,\"opt_small\":2147483648,\"colour\":\"pink\",\"flags\":0,"
	     "\"part\":{\"label\":\"\",\"sizes\":[],\"weight\":-1}}",
	     &record);
	CU_ASSERT_EQUAL_FATAL(errors.count, 6);
	CU_ASSERT_STRING_EQUAL(errors.items[0].detail, "Give at least 1 character.");
	CU_ASSERT_STRING_EQUAL(errors.items[1].detail, "Give a whole number, without fraction and exponent.");
	CU_ASSERT_STRING_EQUAL(errors.items[2].detail, "Give a number from -2147483648 to 2147483647.");
	CU_ASSERT_STRING_EQUAL(errors.items[3].detail, "Give one of: red, green, blue.");
	CU_ASSERT_STRING_EQUAL(errors.items[4].detail, "Give an array.");
	CU_ASSERT_STRING_EQUAL(errors.items[5].detail, "Give a number of at least 0.");
	arena_reset(&arena);
}

TEST(schema_json, a_hundred_errors_are_enough)
{
	struct buffer text = { 0 };
	struct every_kind *record;

	arena_init(&arena);
	buffer_add_literal(&text, "{\"text\":\"x\",\"flags\":[0");
	for (int i = 0; i < 1000; i++)
		buffer_add_literal(&text, ",0");
	buffer_add_literal(&text, "]}");
	CU_ASSERT_EQUAL(bind(SCHEMA_BODY, buffer_text(&text), &record), -EINVAL);
	CU_ASSERT_EQUAL(errors.count, 100);
	CU_ASSERT_STRING_EQUAL(errors.items[99].pointer, "/flags/99");
	buffer_free(&text);
	arena_reset(&arena);
}

TEST(schema_json, payloads_carry_every_field)
{
	struct every_kind *record = NULL;

	arena_init(&arena);
	CU_ASSERT_EQUAL_FATAL(
		bind(SCHEMA_PAYLOAD, "{\"text\":\"x\",\"opt_time\":\"1970-01-01T00:00:00.000007Z\"}", &record), 0);
	CU_ASSERT(record->opt_time.set && record->opt_time.value.us == 7);
	CU_ASSERT_EQUAL(bind(SCHEMA_PAYLOAD, "{}", &record), -EINVAL);
	CU_ASSERT_STRING_EQUAL(errors.items[0].code, "missing");
	arena_reset(&arena);
}

TEST(schema_json, payloads_of_a_newer_sender_are_taken)
{
	struct every_kind *record = NULL;

	arena_init(&arena);
	CU_ASSERT_EQUAL_FATAL(bind(SCHEMA_PAYLOAD,
				   "{\"new\":{\"deep\":[1,{}]},\"text\":\"x\",\"part\":{\"label\":\"y\",\"sizes\":[1],"
				   "\"newer\":null}}",
				   &record),
			      0);
	CU_ASSERT_STRING_EQUAL(record->text, "x");
	CU_ASSERT_STRING_EQUAL(record->part->label, "y");
	CU_ASSERT_EQUAL(bind(SCHEMA_BODY, "{\"text\":\"x\",\"new\":1}", &record), -EINVAL);
	arena_reset(&arena);
}

TEST(schema_json, payloads_that_a_person_wrote_are_checked_for_typing_errors)
{
	struct every_kind *record = NULL;

	arena_init(&arena);
	CU_ASSERT_EQUAL_FATAL(
		bind(SCHEMA_TYPED, "{\"text\":\"x\",\"opt_time\":\"1970-01-01T00:00:00.000007Z\"}", &record), 0);
	CU_ASSERT(record->opt_time.set); /* read-only for clients */
	CU_ASSERT_EQUAL(bind(SCHEMA_TYPED, "{\"text\":\"x\",\"opt_tiem\":null}", &record), -EINVAL);
	CU_ASSERT_STRING_EQUAL(errors.items[0].code, "unknown");
	CU_ASSERT_EQUAL(bind(SCHEMA_TYPED, "{}", &record), -EINVAL);
	CU_ASSERT_STRING_EQUAL(errors.items[0].code, "missing");
	arena_reset(&arena);
}

struct numbered {
	int64_t number;
};
PRONG_SCHEMA(numbered, PRONG_FIELD(numbered, number, .required = true, .read_only = true));

TEST(schema_json, what_is_required_and_read_only_is_missed_only_in_payloads)
{
	struct numbered *record;

	arena_init(&arena);
	CU_ASSERT_EQUAL(
		schema_bind_json(&numbered_schema, SCHEMA_BODY, "{}", 2, &arena, (void **)&record, &detail, &errors),
		0);
	CU_ASSERT_EQUAL(
		schema_bind_json(&numbered_schema, SCHEMA_PAYLOAD, "{}", 2, &arena, (void **)&record, &detail, &errors),
		-EINVAL);
	arena_reset(&arena);
}
