#include "common/scope.h"

#include "common/context.h"
#include "common/runtime.h"
#include "tests/unit/test.h"

TEST(scope, knows_a_name)
{
	char longest[SCOPE_MAX_LENGTH + 2] = "";

	CU_ASSERT(scope_is_valid("admin") && scope_is_valid("notes:write") && scope_is_valid("A.b_c-9"));
	CU_ASSERT(!scope_is_valid("") && !scope_is_valid("a b") && !scope_is_valid("a\"") &&
		  !scope_is_valid("\xc3\xa4"));
	memset(longest, 'x', SCOPE_MAX_LENGTH);
	CU_ASSERT(scope_is_valid(longest));
	longest[SCOPE_MAX_LENGTH] = 'x';
	CU_ASSERT(!scope_is_valid(longest));
}

TEST(scope, finds_a_name_in_a_list)
{
	CU_ASSERT(scope_list_has("admin", "admin") && scope_list_has("a admin", "admin"));
	CU_ASSERT(!scope_list_has("", "admin") && !scope_list_has("admins", "admin"));
	CU_ASSERT(!scope_list_has("Admin sub:admin admin.x", "admin"));
	CU_ASSERT(!scope_list_has("a", "") && !scope_list_has("a  b", ""));
}

/* Of a principal with these claims; NULL: none. */
static void expect_claim(const char *claims, const char *name, const char *expected)
{
	struct prong_ctx ctx;
	const char *value;

	context_init(&ctx, NULL);
	ctx.principal.claims = claims;
	value = prong_claim(&ctx, name);
	if (expected)
		CU_ASSERT(value && strcmp(value, expected) == 0)
	else
		CU_ASSERT_PTR_NULL(value);
	arena_reset(&ctx.arena);
}

TEST(claims, are_found_by_name)
{
	const char *claims =
		" { \"a\" : [ 1, {\"b\": \"x y\"} ] , \"tenant\":\"ac\\u006de\",\"n\":7 ,\"t\\u0065n\":null}";

	expect_claim(claims, "a", "[1,{\"b\":\"x y\"}]");
	expect_claim(claims, "tenant", "\"ac\\u006de\"");
	expect_claim(claims, "n", "7");
	expect_claim(claims, "ten", "null");
	expect_claim(claims, "b", NULL);
	expect_claim(claims, "", NULL);
	expect_claim("{}", "a", NULL);
	expect_claim(" { } ", "a", NULL);
	expect_claim("{\"\":1}", "", "1");
	expect_claim("{\"a\\u0000b\":1}", "a", NULL);
	expect_claim("{\"z\":\"\\u0000\"}", "z", NULL);
	expect_claim(NULL, "a", NULL);
}
