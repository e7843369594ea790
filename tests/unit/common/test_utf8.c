#include "common/utf8.h"

#include <string.h>

#include "common/basics.h"
#include "tests/unit/test.h"

/* Every byte at every place of a text that is longer than what is looked at together. */
TEST(utf8, plain_runs_end_at_what_is_not)
{
	char text[40];

	for (size_t place = 0; place < sizeof(text); place++) {
		for (int byte = 0; byte < 256; byte++) {
			bool plain = byte >= ' ' && byte <= '~' && byte != '"' && byte != '\\';

			memset(text, 'x', sizeof(text));
			text[place] = (char)byte;
			size_t found = utf8_plain(text, sizeof(text)), run = plain ? sizeof(text) : place;
			CU_ASSERT(found <= run && run - found < 8);
		}
	}
}

TEST(utf8, length_counts_code_points_wherever_they_lie)
{
	static const struct {
		const char *text;
		int64_t length;
	} cases[] = {
		{ "\xC3\xA4", 1 },   { "\xE2\x82\xAC", 1 }, { "\xF0\x9F\x98\x80", 1 },
		{ "\x80", -EILSEQ }, { "\xC3", -EILSEQ },   { "\xED\xA0\x80", -EILSEQ },
	};
	char text[64];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t size = strlen(cases[i].text);

		for (size_t place = 0; place < 40; place++) {
			int64_t length = cases[i].length < 0 ? cases[i].length : 40 + cases[i].length;

			memset(text, 'x', sizeof(text));
			memcpy(text + place, cases[i].text, size);
			CU_ASSERT_EQUAL(utf8_length(text, 40 + size), length);
		}
	}
}

TEST(utf8, knows_what_a_terminal_obeys)
{
	static const char *const controls[] = { "\n",	  "\x7F",   "\xC2\x80", "\xC2\x9F", "\u2028",
						"\u202A", "\u202E", "\u2066",	"\u2069" };
	static const char *const others[] = { " ",	"~",	  "\u00A0", "\u00C0",	 "\u2027",
					      "\u202F", "\u2065", "\u206A", "\U0001F600" };

	for (size_t i = 0; i < ARRAY_SIZE(controls); i++)
		CU_ASSERT(utf8_is_control((const unsigned char *)controls[i], strlen(controls[i])));
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		CU_ASSERT(!utf8_is_control((const unsigned char *)others[i], strlen(others[i])));
}
