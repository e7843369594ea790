#include "tests/unit/test.h"

#include <float.h>
#include <stdint.h>
#include <stdlib.h>

#include "common/basics.h"
#include "common/buffer.h"

TEST(buffer, grows_and_keeps_what_it_has)
{
	struct buffer buffer = { 0 };

	for (int i = 0; i < 10000; i++)
		buffer_add_char(&buffer, (char)('a' + i % 26));
	CU_ASSERT(buffer.size == 10000);
	for (int i = 0; i < 10000; i++)
		CU_ASSERT(buffer.data[i] == 'a' + i % 26);
	buffer_free(&buffer);
	CU_ASSERT_STRING_EQUAL(buffer_text(&buffer), "");
	buffer_free(&buffer);
}

TEST(buffer, writes_integers)
{
	static const struct {
		int64_t value;
		const char *text;
	} cases[] = {
		{ 0, "0" },
		{ -1, "-1" },
		{ 1234567890, "1234567890" },
		{ INT64_MAX, "9223372036854775807" },
		{ INT64_MIN, "-9223372036854775808" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct buffer buffer = { 0 };

		buffer_add_integer(&buffer, cases[i].value);
		CU_ASSERT_STRING_EQUAL(buffer_text(&buffer), cases[i].text);
		buffer_free(&buffer);
	}
}

TEST(buffer, writes_doubles_that_read_back_equal)
{
	static const double values[] = { 0, -0.0, 0.1, 1.0 / 3, 1e21, 1e-7, DBL_MAX, DBL_MIN, 4.9e-324, 123456789.123 };

	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		struct buffer buffer = { 0 };

		buffer_add_double(&buffer, values[i]);
		CU_ASSERT(strtod(buffer_text(&buffer), NULL) == values[i]);
		buffer_free(&buffer);
	}
}

TEST(buffer, writes_json_strings_that_cannot_end_early)
{
	static const struct {
		const char *text;
		size_t size;
		const char *json;
	} cases[] = {
		{ "plain", 5, "\"plain\"" },
		{ "\"\\\n\r\t\b", 6, "\"\\\"\\\\\\n\\r\\t\\u0008\"" },
		{ "a\0b", 3, "\"a\\u0000b\"" },
		{ "\x7f", 1, "\"\\u007f\"" },
		{ "gr\xC3\xBC\xC3\x9F \xF0\x9F\x98\x80", 11, "\"gr\xC3\xBC\xC3\x9F \xF0\x9F\x98\x80\"" },
		{ "bad\xFFutf\xC3", 8, "\"bad\xEF\xBF\xBDutf\xEF\xBF\xBD\"" },
		{ "\xED\xA0\x80", 3, "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"" },
		{ "", 0, "\"\"" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct buffer buffer = { 0 };

		buffer_add_json_string(&buffer, cases[i].text, cases[i].size);
		CU_ASSERT_STRING_EQUAL(buffer_text(&buffer), cases[i].json);
		buffer_free(&buffer);
	}
}

TEST(buffer, formats)
{
	struct buffer buffer = { 0 };

	buffer_add_literal(&buffer, "a=");
	buffer_add_format(&buffer, "%d,%0500d", 7, 1);
	CU_ASSERT(buffer.size == 2 + 2 + 500);
	buffer_free(&buffer);
}
