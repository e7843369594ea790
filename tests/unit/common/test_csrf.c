#include "common/security/csrf.h"
#include "tests/unit/test.h"

#define SECRET "a secret of the tests, 32 bytes or more"

static bool is_of(const char *secret, unsigned char session, const char *text)
{
	return csrf_token_is_of(secret, (prong_uuid){ { session } }, text, strlen(text));
}

TEST(csrf, a_token_is_of_one_session_and_one_secret)
{
	char token[CSRF_TOKEN_SIZE], changed[CSRF_TOKEN_SIZE + 1];

	csrf_token_make(SECRET, (prong_uuid){ { 1 } }, token);
	CU_ASSERT_EQUAL(strlen(token), CSRF_TOKEN_SIZE - 1);
	CU_ASSERT(is_of(SECRET, 1, token));
	CU_ASSERT(!is_of(SECRET, 2, token));
	CU_ASSERT(!is_of(SECRET "!", 1, token));

	for (size_t i = 0; i < CSRF_TOKEN_SIZE - 1; i++) {
		strcpy(changed, token);
		changed[i] = changed[i] == 'A' ? 'B' : 'A';
		CU_ASSERT(!is_of(SECRET, 1, changed));
	}
	CU_ASSERT(!is_of(SECRET, 1, ""));
	CU_ASSERT(!csrf_token_is_of(SECRET, (prong_uuid){ { 1 } }, token, CSRF_TOKEN_SIZE - 2));
	strcpy(changed, token);
	strcat(changed, "A");
	CU_ASSERT(!is_of(SECRET, 1, changed));
}
