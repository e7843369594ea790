#include "server/routes/accounts/refresh_token.h"

#include "tests/unit/test.h"

#define SECRET "a secret for tests, 32 bytes or more"
#define OTHER "another secret for tests, 32 or more"

static const unsigned char salt[REFRESH_SALT_SIZE] = "0123456789abcdef", other_salt[REFRESH_SALT_SIZE] = "0123456789";

TEST(refresh_token, is_read_as_it_was_written)
{
	struct refresh_token token, next, read;
	char text[REFRESH_TOKEN_SIZE], again[REFRESH_TOKEN_SIZE];
	prong_uuid session = prong_uuid_make();

	refresh_token_make(session, &token);
	CU_ASSERT_EQUAL(token.number, 0);
	refresh_token_succeed(SECRET, &token, salt, &next);
	CU_ASSERT_EQUAL(next.number, 1);
	refresh_token_format(SECRET, &next, text);
	CU_ASSERT_EQUAL(strlen(text), REFRESH_TOKEN_SIZE - 1);
	CU_ASSERT_EQUAL(refresh_token_parse(SECRET, text, &read), 0);
	CU_ASSERT(prong_uuid_equal(read.session_id, session));
	CU_ASSERT_EQUAL(read.number, 1);
	CU_ASSERT_EQUAL(memcmp(read.random, next.random, sizeof(read.random)), 0);
	CU_ASSERT_STRING_EQUAL(refresh_token_format(SECRET, &read, again), text);

	next.number = 0xfedcba98;
	CU_ASSERT_EQUAL(refresh_token_parse(SECRET, refresh_token_format(SECRET, &next, text), &read), 0);
	CU_ASSERT_EQUAL(read.number, 0xfedcba98);
}

/* Also the bits of the last character that stand for nothing: no two texts are one token. */
TEST(refresh_token, is_refused_when_any_character_is_changed)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+/ .";
	struct refresh_token token, untouched = { .number = 7 }, read = untouched;
	char text[REFRESH_TOKEN_SIZE + 1];

	refresh_token_make(prong_uuid_make(), &token);
	refresh_token_format(SECRET, &token, text);
	for (size_t i = 0; i < REFRESH_TOKEN_SIZE - 1; i++) {
		char right = text[i];

		for (const char *c = alphabet; *c; c++) {
			text[i] = *c;
			CU_ASSERT_EQUAL(refresh_token_parse(SECRET, text, &read), *c == right ? 0 : -EACCES);
		}
		text[i] = right;
	}
	read = untouched;
	CU_ASSERT_EQUAL(refresh_token_parse(OTHER, text, &read), -EACCES);
	CU_ASSERT_EQUAL(refresh_token_parse(SECRET, "", &read), -EACCES);
	text[REFRESH_TOKEN_SIZE - 1] = 'A';
	text[REFRESH_TOKEN_SIZE] = '\0';
	CU_ASSERT_EQUAL(refresh_token_parse(SECRET, text, &read), -EACCES);
	text[REFRESH_TOKEN_SIZE - 2] = '\0';
	CU_ASSERT_EQUAL(refresh_token_parse(SECRET, text, &read), -EACCES);
	CU_ASSERT_EQUAL(memcmp(&read, &untouched, sizeof(read)), 0);
}

static bool is_alike(const struct refresh_token *a, const struct refresh_token *b)
{
	return memcmp(a->random, b->random, sizeof(a->random)) == 0;
}

TEST(refresh_token, has_one_successor_by_token_salt_and_secret)
{
	struct refresh_token token, other, one, two;
	prong_uuid session = prong_uuid_make();

	refresh_token_make(session, &token);
	refresh_token_make(session, &other);
	CU_ASSERT_FALSE(is_alike(&token, &other));
	refresh_token_succeed(SECRET, &token, salt, &one);
	refresh_token_succeed(SECRET, &token, salt, &two);
	CU_ASSERT(is_alike(&one, &two));
	refresh_token_succeed(SECRET, &token, other_salt, &two);
	CU_ASSERT_FALSE(is_alike(&one, &two));
	refresh_token_succeed(OTHER, &token, salt, &two);
	CU_ASSERT_FALSE(is_alike(&one, &two));
	refresh_token_succeed(SECRET, &other, salt, &two);
	CU_ASSERT_FALSE(is_alike(&one, &two));
}

TEST(refresh_token, is_kept_as_a_hash)
{
	char hash[REFRESH_HASH_HEX_SIZE];

	CU_ASSERT_STRING_EQUAL(refresh_token_hash("abc", hash),
			       "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}
