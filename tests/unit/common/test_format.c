#include <stdio.h>

#include "common/basics.h"
#include "common/schema/format.h"
#include "common/utf8.h"
#include "tests/unit/test.h"

static void assert_format(enum prong_format format, const char *text, bool expected)
{
	bool good = format_matches(format, text) == expected;

	if (!good)
		fprintf(stderr, "format %d: \"%s\" should be %s\n", format, text, expected ? "accepted" : "refused");
	CU_ASSERT(good);
}

TEST(format, email)
{
	static const char *const good[] = {
		"ada@example.com",
		"a@b.co",
		"first.last+tag@sub.example.co.uk",
		"!#$%&'*+-/=?^_`{|}~@example.org",
		"ada@localhost",
		"1@2.c3",
		"ADA@EXAMPLE.COM",
		"ada@xn--bcher-kva.example",
		"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl@example.com",
	};
	static const char *const wrong[] = {
		"",
		"@",
		"ada",
		"ada@",
		"@example.com",
		"ada@@example.com",
		"ada@example@com",
		".ada@example.com",
		"ada.@example.com",
		"a..b@example.com",
		"ada@-example.com",
		"ada@example-.com",
		"ada@example..com",
		"ada@.example.com",
		"ada@example.com.",
		"ada@127.0.0.1",
		"ada@[127.0.0.1]",
		"\"ada\"@example.com",
		"ada lovelace@example.com",
		" ada@example.com",
		"ada@example.com ",
		"ada@exa_mple.com",
		"ada@example.com\n",
		"ada@example.com\r\nBcc: eve@example.com",
		"\xC3\xA4@example.com",
		"ada@b\xC3\xBC"
		"cher.example",
		"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklm@example.com",
		"ada@abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl.com",
	};
	char text[300];

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_format(PRONG_EMAIL, good[i], true);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_format(PRONG_EMAIL, wrong[i], false);

	/* 254 characters are the most, whatever the labels. */
	memset(text, 'a', sizeof(text));
	text[1] = '@';
	for (size_t i = 10; i < 250; i += 10)
		text[i] = '.';
	text[254] = '\0';
	assert_format(PRONG_EMAIL, text, true);
	text[254] = 'a';
	text[255] = '\0';
	assert_format(PRONG_EMAIL, text, false);
}

TEST(format, uri)
{
	static const char *const good[] = {
		"https://example.com",
		"http://user:pw@example.com:8080/a/b;c=1?q=%20#frag/?",
		"http://[::1]:80/",
		"http://[2001:db8::1]",
		"http://[v1.a:b]/",
		"http://127.0.0.1/",
		"http://example.com:/",
		"urn:isbn:0451450523",
		"mailto:ada@example.com",
		"file:///etc/hosts",
		"tel:+1-816-555-1212",
		"a:",
		"a+b-c.d:x",
		"http://example.com/%C3%A4",
		"http://example.com//double//",
		"ldap://[2001:db8::7]/c=GB?objectClass?one",
	};
	static const char *const wrong[] = {
		"",
		":",
		"example.com",
		"/path",
		"//example.com/",
		"1http://example.com",
		"+a:b",
		"ht tp://example.com",
		"http://exa mple.com",
		"http://example.com/a b",
		"http://example.com/\xC3\xA4",
		"http://example.com/%",
		"http://example.com/%2",
		"http://example.com/%zz",
		"http://example.com/#a#b",
		"http://example.com:80a/",
		"http://[::1/",
		"http://[::1]a/",
		"http://[1.2.3.4]/",
		"http://[]/",
		"http://[::g]/",
		"http://[v.a]/",
		"http://[v1.]/",
		"http://a@b@c/",
		"http://example.com/<script>",
		"http://example.com/\"",
		"http://example.com/[",
		"http://example.com/\\",
		"http://example.com/^",
		"http://example.com/\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_format(PRONG_URI, good[i], true);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_format(PRONG_URI, wrong[i], false);
}

TEST(format, uuid_and_date_time)
{
	assert_format(PRONG_UUID, "018f4e9a-0000-7000-8000-000000000000", true);
	assert_format(PRONG_UUID, "018f4e9a", false);
	assert_format(PRONG_DATE_TIME, "2026-01-31T23:59:59Z", true);
	assert_format(PRONG_DATE_TIME, "2026-02-31T23:59:59Z", false);
	assert_format(PRONG_FORMAT_NONE, "anything", true);
}

TEST(format, utf8)
{
	static const struct {
		const char *text;
		int64_t length;
	} cases[] = {
		{ "", 0 },
		{ "abc", 3 },
		{ "\xC3\xA4", 1 },
		{ "\xE2\x82\xAC", 1 },
		{ "\xF0\x9F\x98\x80!", 2 },
		{ "\xF4\x8F\xBF\xBF", 1 },
		{ "\xED\x9F\xBF\xEE\x80\x80", 2 },
		{ "\x80", -EILSEQ },
		{ "\xC3", -EILSEQ },
		{ "\xC0\x80", -EILSEQ },
		{ "\xC1\xBF", -EILSEQ },
		{ "\xE0\x9F\xBF", -EILSEQ },
		{ "\xED\xA0\x80", -EILSEQ },
		{ "\xE2\x82", -EILSEQ },
		{ "\xE2\x82\x41", -EILSEQ },
		{ "\xF0\x8F\xBF\xBF", -EILSEQ },
		{ "\xF4\x90\x80\x80", -EILSEQ },
		{ "\xF5\x80\x80\x80", -EILSEQ },
		{ "\xFF", -EILSEQ },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		CU_ASSERT_EQUAL(utf8_length(cases[i].text, strlen(cases[i].text)), cases[i].length);
	CU_ASSERT_EQUAL(utf8_length("a\0b", 3), 3);
}
