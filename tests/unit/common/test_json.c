#include "common/json.h"

#include <dirent.h>
#include <json-c/json.h>
#include <stdio.h>

#include "common/basics.h"
#include "common/buffer.h"
#include "tests/unit/test.h"

#define TEXT(text)                     \
	{                              \
		text, sizeof(text) - 1 \
	}

struct text {
	const char *data;
	size_t size;
};

static int check_text(const char *data, size_t size, char *detail, size_t detail_size)
{
	/* Without a NUL after it, so that reading too far is seen. */
	char *exact = malloc(size ? size : 1);
	const char *reason = NULL;
	struct arena arena;
	int r;

	arena_init(&arena);
	memcpy(exact, data, size);
	r = json_check(exact, size, &arena, &reason);
	CU_ASSERT((r < 0) == (reason != NULL));
	snprintf(detail, detail_size, "%s", reason ? reason : "");
	arena_reset(&arena);
	free(exact);
	return r;
}

static void assert_text(struct text text, int expected)
{
	char detail[300];
	int r = check_text(text.data, text.size, detail, sizeof(detail));

	if (r != expected)
		fprintf(stderr, "%.*s: %d %s\n", (int)text.size, text.data, r, detail);
	CU_ASSERT_EQUAL(r, expected);
}

TEST(json, accepts)
{
	static const struct text texts[] = {
		TEXT("{}"),
		TEXT("[]"),
		TEXT(" \t\r\n{ \"a\" : [ 1 , 2 ] } \n"),
		TEXT("null"),
		TEXT("true"),
		TEXT("false"),
		TEXT("\"\""),
		TEXT("0"),
		TEXT("-0"),
		TEXT("-0.0e-0"),
		TEXT("123456789012345678901234567890"),
		TEXT("1E400"),
		TEXT("1.5e+10"),
		TEXT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\\uD83D\\uDE00\\u0000\""),
		TEXT("\"\x7f\xC3\xA4\xF0\x9F\x98\x80\""),
		TEXT("{\"\":1,\"a\":{\"\":2},\"b\":[{\"a\":1},{\"a\":1}]}"),
		TEXT("{\"a\":1,\"A\":2,\"\\u0000\":3,\"\\u0000a\":4}"),
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_text(texts[i], 0);
}

TEST(json, refuses)
{
	static const struct text texts[] = {
		TEXT(""),
		TEXT("  \n"),
		TEXT("\xEF\xBB\xBF{}"),
		TEXT("{} {}"),
		TEXT("{},"),
		TEXT("{}x"),
		TEXT("{}\0"),
		TEXT("\0{}"),
		TEXT("{\"a\0b\":1}"),
		TEXT("{"),
		TEXT("}"),
		TEXT("["),
		TEXT("[1,]"),
		TEXT("[,1]"),
		TEXT("[1 2]"),
		TEXT("{\"a\"}"),
		TEXT("{\"a\":}"),
		TEXT("{\"a\":1,}"),
		TEXT("{\"a\" 1}"),
		TEXT("{a:1}"),
		TEXT("{'a':1}"),
		TEXT("{1:1}"),
		TEXT("{\"a\":1]"),
		TEXT("[1}"),
		TEXT("NaN"),
		TEXT("nan"),
		TEXT("Infinity"),
		TEXT("-Infinity"),
		TEXT("True"),
		TEXT("nul"),
		TEXT("nullx"),
		TEXT("+1"),
		TEXT("-"),
		TEXT("01"),
		TEXT("-01"),
		TEXT("1."),
		TEXT(".5"),
		TEXT("1e"),
		TEXT("1e+"),
		TEXT("0x10"),
		TEXT("1_000"),
		TEXT("// a\n1"),
		TEXT("/* a */1"),
		TEXT("\""),
		TEXT("\"a"),
		TEXT("\"\\"),
		TEXT("\"\\\""),
		TEXT("\"\\x41\""),
		TEXT("\"\\U0041\""),
		TEXT("\"\\\0\""),
		TEXT("\"\\u004\""),
		TEXT("\"\\u00g0\""),
		TEXT("\"\\u"),
		TEXT("\"\n\""),
		TEXT("\"\t\""),
		TEXT("\"\x1f\""),
		TEXT("\"\\ud83d\""),
		TEXT("\"\\ud83d\\n\""),
		TEXT("\"\\ud83dx\""),
		TEXT("\"\\ud83d\\u0041\""),
		TEXT("\"\\ud83d\\ud83d\""),
		TEXT("\"\\ude00\""),
		TEXT("\"\\ude00\\ud83d\""),
		TEXT("\"\x80\""),
		TEXT("\"\xC3\""),
		TEXT("\"\xC0\xAF\""),
		TEXT("\"\xED\xA0\x80\""),
		TEXT("\"\xF4\x90\x80\x80\""),
		TEXT("\xC2\xA0{}"),
		TEXT("\v1"),
		TEXT("{\"a\":1,\"a\":1}"),
		TEXT("{\"a\":1,\"\\u0061\":2}"),
		TEXT("{\"\":1,\"b\":2,\"\":3}"),
		TEXT("[{\"x\":[{\"k\":1,\"l\":2,\"k\":3}]}]"),
		TEXT("{\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5,\"f\":6,\"g\":7,\"h\":8,\"i\":9,\"c\":10}"),
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_text(texts[i], -EBADMSG);
}

/* Objects of every size around the limits of the list of names, with and without a repeated one. */
TEST(json, finds_a_repeated_name_among_many)
{
	for (int count = 2; count < 200; count++) {
		struct buffer text = { 0 };

		buffer_add_literal(&text, "{\"outer\":{");
		for (int i = 0; i < count; i++)
			buffer_add_format(&text, "%s\"name %d\":{\"name %d\":0}", i ? "," : "", i * 7919 % count,
					  i * 7919 % count);
		assert_text((struct text){ text.data, text.size }, -EBADMSG); /* the braces are still open */
		buffer_add_literal(&text, "}}");
		assert_text((struct text){ text.data, text.size }, 0);
		text.size -= 2;
		buffer_add_format(&text, ",\"name %d\":1}}", count / 2);
		assert_text((struct text){ text.data, text.size }, -EBADMSG);
		buffer_free(&text);
	}
}

static void nested(struct buffer *text, size_t depth, const char *open, const char *inner, const char *close)
{
	text->size = 0;
	for (size_t i = 0; i < depth; i++)
		buffer_add_string(text, open);
	buffer_add_string(text, inner);
	for (size_t i = 0; i < depth; i++)
		buffer_add_string(text, close);
}

TEST(json, depth)
{
	struct buffer text = { 0 };

	nested(&text, JSON_MAX_DEPTH, "[", "", "]");
	assert_text((struct text){ text.data, text.size }, 0);
	nested(&text, JSON_MAX_DEPTH, "{\"a\":", "1", "}");
	assert_text((struct text){ text.data, text.size }, 0);
	nested(&text, JSON_MAX_DEPTH + 1, "[", "", "]");
	assert_text((struct text){ text.data, text.size }, -EBADMSG);
	nested(&text, JSON_MAX_DEPTH + 1, "{\"a\":", "1", "}");
	assert_text((struct text){ text.data, text.size }, -EBADMSG);
	nested(&text, 100000, "[", "", "");
	assert_text((struct text){ text.data, text.size }, -EBADMSG);
	buffer_free(&text);
}

TEST(json, says_what_is_wrong_and_where)
{
	static const struct {
		const char *text, *detail;
	} cases[] = {
		{ "", "This is not valid JSON at line 1, column 1: there is no value." },
		{ "{\"a\": 1,\n \"b\": x}", "This is not valid JSON at line 2, column 7: a value is expected." },
		{ "[\"\xC3\xA4\xC3\xA4\", 01]",
		  "This is not valid JSON at line 1, column 9: a comma or a closing bracket is expected." },
		{ "{\"a\":1,\"b\":2,\"a\":3}",
		  "This is not valid JSON at line 1, column 14: this name occurs twice in its object." },
		{ "[\"abc", "This is not valid JSON at line 1, column 6: the text ends too early." },
		{ "\xEF\xBB\xBF{}", "This is not valid JSON at line 1, column 1: a byte order mark is not allowed." },
		{ "[\"\\ud83d\"]", "This is not valid JSON at line 1, column 3: a surrogate stands alone." },
		{ "{} x", "This is not valid JSON at line 1, column 4: nothing may follow the value." },
	};
	char detail[300];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CU_ASSERT_EQUAL(check_text(cases[i].text, strlen(cases[i].text), detail, sizeof(detail)), -EBADMSG);
		CU_ASSERT_STRING_EQUAL(detail, cases[i].detail);
	}
}

static int parse(const char *text, size_t size, struct json_object **ret_value)
{
	const char *detail = NULL;
	struct arena arena;
	int r;

	arena_init(&arena);
	r = json_parse(text, size, &arena, ret_value, &detail);
	CU_ASSERT((r < 0) == (detail != NULL));
	arena_reset(&arena);
	return r;
}

TEST(json, makes_a_tree)
{
	static const char text[] = "{\"n\":null,\"i\":-5,\"d\":0.5,\"s\":\"\\u00e4\",\"a\":[true]}";
	_cleanup_(json_object_putp) struct json_object *value = NULL;
	struct buffer deep = { 0 };
	struct json_object *number = NULL;

	CU_ASSERT_EQUAL_FATAL(parse(text, sizeof(text) - 1, &value), 0);
	CU_ASSERT_EQUAL(json_object_object_length(value), 5);
	CU_ASSERT_PTR_NULL(json_object_object_get(value, "n"));
	CU_ASSERT_EQUAL(json_object_get_int64(json_object_object_get(value, "i")), -5);
	CU_ASSERT_EQUAL(json_object_get_double(json_object_object_get(value, "d")), 0.5);
	CU_ASSERT_STRING_EQUAL(json_object_get_string(json_object_object_get(value, "s")), "\xC3\xA4");

	CU_ASSERT_EQUAL_FATAL(parse("12", 2, &number), 0);
	CU_ASSERT_EQUAL(json_object_get_int64(number), 12);
	json_object_putp(&number);
	CU_ASSERT_EQUAL_FATAL(parse("[18446744073709551615,-9223372036854775808]", 43, &number), 0);
	CU_ASSERT_EQUAL(json_object_get_uint64(json_object_array_get_idx(number, 0)), UINT64_MAX);
	json_object_putp(&number);
	CU_ASSERT_EQUAL(parse("18446744073709551616", 20, &number), -EBADMSG);
	CU_ASSERT_EQUAL(parse("-9223372036854775809", 20, &number), -EBADMSG);
	CU_ASSERT_EQUAL(parse("[\"\",{\"a\":100000000000000000000000000000000000}]", 47, &number), -EBADMSG);
	CU_ASSERT_EQUAL(parse("[1,]", 4, &number), -EBADMSG);

	nested(&deep, JSON_MAX_DEPTH, "[", "1", "]");
	CU_ASSERT_EQUAL(parse(deep.data, deep.size, &number), 0);
	json_object_putp(&number);
	buffer_free(&deep);
}

/* What the strict parser of json-c takes and gives must agree with what the in-place readers say. */
TEST(json, reads_in_place)
{
	static const char text[] =
		"{ \"a\\n\\u00e4\\ud83d\\ude00\\u0000b\" : [ 1 , { \"x\" : \"]}\\\"\" } , null ] ,\"c\":2}";
	const char *at = text + 1, *key;
	struct json_slice slice;
	struct arena arena;
	size_t length;

	arena_init(&arena);
	at = json_read_string(json_skip_space(at), &slice);
	CU_ASSERT(slice.escaped);
	key = json_unescape(&slice, &arena, &length);
	CU_ASSERT_EQUAL(length, 10);
	CU_ASSERT_EQUAL(memcmp(key, "a\n\xC3\xA4\xF0\x9F\x98\x80\0b", 11), 0);

	at = json_skip_space(json_skip_space(at) + 1);
	CU_ASSERT_EQUAL(*at, '[');
	CU_ASSERT_STRING_EQUAL(json_compact(at, (size_t)(json_skip(at) - at), &arena), "[1,{\"x\":\"]}\\\"\"},null]");
	at = json_skip_space(json_skip(at));
	CU_ASSERT_EQUAL(*at, ',');
	at = json_read_string(at + 1, &slice);
	CU_ASSERT_FALSE(slice.escaped);
	CU_ASSERT_STRING_EQUAL(json_unescape(&slice, &arena, &length), "c");
	CU_ASSERT_EQUAL(*json_skip(at + 1), '}');

	CU_ASSERT_PTR_NULL(json_compact("\"\\u0000\"", 8, &arena));
	CU_ASSERT_STRING_EQUAL(json_compact("\"\\\\u0000\"", 9, &arena), "\"\\\\u0000\"");
	CU_ASSERT_STRING_EQUAL(json_compact(" \" \\\" \" ", 8, &arena), "\" \\\" \"");
	arena_reset(&arena);
}

TEST(json, numbers)
{
	bool integer = false;

	CU_ASSERT_EQUAL(json_number("-120,", 5, &integer), 4);
	CU_ASSERT(integer);
	CU_ASSERT_EQUAL(json_number("1.50e+3]", 8, &integer), 7);
	CU_ASSERT_FALSE(integer);
	CU_ASSERT_EQUAL(json_number("007", 3, &integer), 1);
	CU_ASSERT_EQUAL(json_number("12", 1, &integer), 1);
	CU_ASSERT_EQUAL(json_number("-", 1, &integer), 0);
	CU_ASSERT_EQUAL(json_number("1.", 2, &integer), 0);
	CU_ASSERT_EQUAL(json_number("", 0, &integer), 0);
}

static void run_corpus_file(const char *folder, const char *name)
{
	_cleanup_(freep) char *path = format_text("%s/%s", folder, name), *data = NULL;
	char detail[300], again[300];
	size_t size;
	int r;

	CU_ASSERT_EQUAL_FATAL(file_read(path, 1 << 20, &data, &size), 0);
	r = check_text(data, size, detail, sizeof(detail));
	CU_ASSERT_EQUAL(check_text(data, size, again, sizeof(again)), r);
	CU_ASSERT_STRING_EQUAL(detail, again);
	if ((name[0] == 'y' && r != 0) || (name[0] == 'n' && r != -EBADMSG)) {
		/* RFC 8259 leaves repeated names to the reader; they are refused here. */
		if (name[0] == 'y' && strstr(detail, "occurs twice"))
			return;
		fprintf(stderr, "%s: %d %s\n", name, r, detail);
		CU_FAIL("the corpus says otherwise");
	}
	if (r == 0 && name[0] == 'y') {
		_cleanup_(json_object_putp) struct json_object *value = NULL;

		CU_ASSERT_EQUAL(parse(data, size, &value), 0);
	}
}

/* JSONTestSuite, where PRONG_TEST_CORPORA says that it is. */
TEST(json, corpus)
{
	const char *corpora = getenv("PRONG_TEST_CORPORA");
	_cleanup_(freep) char *folder = NULL;
	struct dirent *entry;
	size_t count = 0;
	DIR *files;

	if (!corpora)
		return;
	folder = format_text("%s/json/test_parsing", corpora);
	files = opendir(folder);
	CU_ASSERT_PTR_NOT_NULL_FATAL(files);
	while ((entry = readdir(files))) {
		if (!strchr("yni", entry->d_name[0]) || entry->d_name[1] != '_')
			continue;
		run_corpus_file(folder, entry->d_name);
		count++;
	}
	closedir(files);
	CU_ASSERT(count > 300);
}
