#include <string.h>

#include "common/basics.h"
#include "server/routes/accounts/accounts.h"
#include "tests/unit/test.h"

TEST(accounts, normalises_case_and_nothing_else)
{
	static const char *const pairs[][2] = {
		{ "ada@example.com", "ada@example.com" },
		{ "Ada.Lovelace+Notes@EXAMPLE.Com", "ada.lovelace+notes@example.com" },
		{ "a_{|}~!#$%&'*/=?^`-Z@[IPv6:::1]", "a_{|}~!#$%&'*/=?^`-z@[ipv6:::1]" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		char normalised[EMAIL_SIZE];

		CU_ASSERT_EQUAL(email_normalise(pairs[i][0], normalised), 0);
		CU_ASSERT_STRING_EQUAL(normalised, pairs[i][1]);
	}
}

TEST(accounts, refuses_addresses_beyond_ascii)
{
	static const char *const wrong[] = {
		"",
		"\xc3\xa4"
		"da@example.com",
		"ada@ex\xc3\xa4mple.com",
		"ad\xe2\x80\x8b"
		"a@example.com",
		"\xd0\xb0"
		"da@example.com",
		"ada @example.com",
		"ada@example.com ",
		"\tada@example.com",
		"ada@example.com\n",
		"ada\x7f@example.com",
		"ada@example.com\x01",
	};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		char normalised[EMAIL_SIZE] = "untouched";

		CU_ASSERT_EQUAL(email_normalise(wrong[i], normalised), -EINVAL);
		CU_ASSERT_STRING_EQUAL(normalised, "untouched");
	}
}

TEST(accounts, keeps_to_the_longest_address)
{
	char email[EMAIL_SIZE + 1], normalised[EMAIL_SIZE];

	memset(email, 'A', sizeof(email));
	email[EMAIL_SIZE - 1] = '\0';
	CU_ASSERT_EQUAL(email_normalise(email, normalised), 0);
	CU_ASSERT_EQUAL(strlen(normalised), EMAIL_SIZE - 1);
	email[EMAIL_SIZE - 1] = 'A';
	email[EMAIL_SIZE] = '\0';
	CU_ASSERT_EQUAL(email_normalise(email, normalised), -EINVAL);
}

TEST(accounts, takes_names_of_all_scripts)
{
	static const char *const names[] = {
		"A",
		"Ada Lovelace",
		"O'Neill-Núñez, Jr.",
		"李小龍",
		"Ἀριστοτέλης",
		"مهدی‌زاده", /* with a zero-width non-joiner, as it is written */
		"ශ්‍රී",
		"Ada ❤️",
		"علی",
	};
	const char *reason = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		CU_ASSERT_EQUAL(name_check(names[i], &reason), 0);
	CU_ASSERT_PTR_NULL(reason);
}

TEST(accounts, refuses_names_that_do_not_show)
{
	static const char *const names[] = {
		"",
		" ",
		"\xc2\xa0\xe3\x80\x80",
		"Ada\n",
		"Ada\tLovelace",
		"\x1b[2J",
		"Ada\x7f",
		"Ada\xc2\x85", /* NEL, a C1 control */
		"A\xe2\x80\x8b"
		"da", /* zero-width space */
		"Ad\xe2\x80\x8d"
		"a", /* a joiner among Latin letters */
		"\xe2\x80\x8c",
		"Ada\xef\xb8\x8f", /* a variation selector likewise */
		"\xe2\x80\xae"
		"adA",		    /* right-to-left override */
		"Ada\xe2\x81\xa6x", /* left-to-right isolate */
		"Ada\xe2\x80\xa8",  /* line separator */
		"\xef\xbb\xbf"
		"Ada",		       /* byte order mark */
		"\xe3\x85\xa4",	       /* Hangul filler */
		"Ada\xf3\xa0\x81\x81", /* a tag character */
		"A\xcc\x80\xcd\x8f",   /* combining grapheme joiner */
		"Ada\xff",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *reason = NULL;

		CU_ASSERT_EQUAL(name_check(names[i], &reason), -EINVAL);
		CU_ASSERT_PTR_NOT_NULL(reason);
	}
}

TEST(accounts, lists_its_migrations_in_order)
{
	for (int i = 0; prong_accounts.migrations[i].number; i++) {
		CU_ASSERT_EQUAL(prong_accounts.migrations[i].number, i + 1);
		CU_ASSERT_PTR_NOT_NULL(strstr(prong_accounts.migrations[i].up, "TABLE prong_"));
		CU_ASSERT_PTR_NOT_NULL(strstr(prong_accounts.migrations[i].down, "TABLE prong_"));
	}
}
