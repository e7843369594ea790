#include <string.h>
#include <time.h>

#include "common/basics.h"
#include "server/routes/accounts/password_strength.h"
#include "tests/unit/test.h"

static const char *const none[] = { NULL };
static const char *const own[] = { "ada.lovelace@example.com", "ada.lovelace", "lovelace", "example", "notes", NULL };

static int strength(const char *password, const char *const words[])
{
	const char *weakness = NULL;
	int score = password_strength(password, words, PASSWORD_STRENGTH_MAX, &weakness);

	CU_ASSERT_PTR_NOT_NULL_FATAL(weakness);
	return score;
}

TEST(password_strength, counts_guesses_not_kinds_of_characters)
{
	CU_ASSERT_EQUAL(strength("correct horse battery", none), 4);
	CU_ASSERT_EQUAL(strength("violet teapot orbit", none), 4);
	CU_ASSERT_EQUAL(strength("kq8#mZ1!", none), 4);
	CU_ASSERT_EQUAL(strength("\xd1\x84\xd1\x8b\xd0\xb2\xd0\xb0\xd0\xbf\xd1\x80\xd0\xbe\xd0\xbb\xd0\xb4", none), 4);
	CU_ASSERT(strength("P@ssw0rd!2024", none) < 2);
	CU_ASSERT_EQUAL(strength("Password1!", none), 0);
	CU_ASSERT_EQUAL(strength("password", none), 0);
	CU_ASSERT_EQUAL(strength("drowssap", none), 0); /* backwards */
	CU_ASSERT_EQUAL(strength("", none), 0);
}

TEST(password_strength, knows_the_accounts_own_words)
{
	static const char *const passwords[] = { "ada.lovelace@example.com", "Lovelace.Ada", "ecalevol.ada", "l0v3lace",
						 "examplenotes" };

	for (size_t i = 0; i < ARRAY_SIZE(passwords); i++)
		CU_ASSERT(strength(passwords[i], own) < 3);
	CU_ASSERT(strength("ada.lovelace@example.com", none) >= 3);
}

TEST(password_strength, says_what_is_weak)
{
	static const struct {
		const char *password, *about;
	} weak[] = {
		{ "sunshine", "common word" }, { "p4ssw0rd", "look alike" },  { "lovelace1", "your address" },
		{ "abcdefghij", "sequence" },  { "zxcvbnm,./", "keyboard" },  { "23.11.1984", "date" },
		{ "aaaaaaaaaaaa", "repeats" }, { "xqzxqzxqzxqz", "repeats" }, { "passwordpassword", "repeats" },
		{ "q\x01v\x02", "short" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(weak); i++) {
		const char *weakness = NULL;

		CU_ASSERT(password_strength(weak[i].password, own, 4, &weakness) < 3);
		CU_ASSERT_PTR_NOT_NULL_FATAL(weakness);
		CU_ASSERT_PTR_NOT_NULL(strstr(weakness, weak[i].about));
		CU_ASSERT_PTR_NULL(strstr(weakness, weak[i].password));
	}
}

static char *repeat(const char *pattern, char text[1025], size_t size)
{
	for (size_t i = 0; i < size; i++)
		text[i] = pattern[i % strlen(pattern)];
	text[size] = '\0';
	return text;
}

TEST(password_strength, length_alone_is_no_strength)
{
	static const char *const patterns[] = { "a", "\\", "ab", "password", "0123456789", "qwertyuiop", "11/11/2011" };
	char text[1025];

	for (size_t i = 0; i < ARRAY_SIZE(patterns); i++)
		CU_ASSERT(strength(repeat(patterns[i], text, 1024), none) < 3);
	/* What is strong in it makes it strong, wherever that begins. */
	CU_ASSERT_EQUAL(strength("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa violet teapot orbit", none),
			4);
}

static int64_t cpu_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t cost(const char *password)
{
	int64_t start = cpu_us();

	strength(password, own);
	return cpu_us() - start;
}

/*
 * Strings that a search found to be the most expensive, at half a second for 100 bytes at once: characters that may be
 * two letters each. 1024 bytes cost at most three pieces of 40, measured on the same thread.
 */
TEST(password_strength, cost_is_bounded)
{
	static const char *const patterns[] = { "84", "14", "89", "65", "54", "0o0o", "4@", "1l!i|7", "a", "5$" };
	char text[1025];

	for (size_t i = 0; i < ARRAY_SIZE(patterns); i++) {
		int64_t piece = cost(repeat(patterns[i], text, 40));

		CU_ASSERT(cost(repeat(patterns[i], text, 1024)) < 9 * piece + 20000);
	}
}
