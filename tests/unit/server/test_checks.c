#include "server/http/checks.h"
#include "tests/unit/test.h"

static struct http_text text(const char *data)
{
	return (struct http_text){ data, data ? strlen(data) : 0 };
}

TEST(checks, takes_only_json_in_utf_8)
{
	static const char *const right[] = { "application/json", "Application/JSON", "application/json; charset=utf-8",
					     "application/json;charset=UTF-8", "application/json ; charset=\"utf-8\"" };
	static const char *const wrong[] = { "",
					     "text/json",
					     "application/jsonp",
					     "application/json-patch+json",
					     "application/json; charset=utf-16",
					     "application/json; charset=utf-8x",
					     "application/json; charset=utf-8; version=1",
					     "application/json, text/plain",
					     "application/x-www-form-urlencoded",
					     "multipart/form-data; boundary=x" };

	for (size_t i = 0; i < ARRAY_SIZE(right); i++)
		CU_ASSERT(content_type_is_json(text(right[i])));
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		CU_ASSERT(!content_type_is_json(text(wrong[i])));
	CU_ASSERT(!content_type_is_json(text(NULL)));
}

TEST(checks, takes_request_ids_that_are_safe_in_a_log)
{
	char long_id[66];

	CU_ASSERT(request_id_is_valid(text("a")));
	CU_ASSERT(request_id_is_valid(text("0af7651916cd43dd8448eb211c80319c")));
	CU_ASSERT(request_id_is_valid(text("Az.09_-")));
	CU_ASSERT(!request_id_is_valid(text("")));
	CU_ASSERT(!request_id_is_valid(text(NULL)));
	CU_ASSERT(!request_id_is_valid(text("a b")));
	CU_ASSERT(!request_id_is_valid(text("a\"b")));
	CU_ASSERT(!request_id_is_valid(text("\xc3\xa4")));

	memset(long_id, 'x', sizeof(long_id));
	CU_ASSERT(request_id_is_valid((struct http_text){ long_id, 64 }));
	CU_ASSERT(!request_id_is_valid((struct http_text){ long_id, 65 }));
}

static int bearer(const char *value, const char *second, const char *expected)
{
	static struct http_head head;
	struct http_text token;
	int r;

	head.n_fields = 0;
	if (value)
		head.fields[head.n_fields++] = (struct http_field){ text("Authorization"), text(value) };
	if (second)
		head.fields[head.n_fields++] = (struct http_field){ text("authorization"), text(second) };
	r = bearer_token(&head, &token);
	if (r == 0 && expected)
		CU_ASSERT(token.size == strlen(expected) && memcmp(token.data, expected, token.size) == 0);
	return r;
}

TEST(checks, finds_the_bearer_token)
{
	CU_ASSERT_EQUAL(bearer("Bearer abc.DEF-_~+/==", NULL, "abc.DEF-_~+/=="), 0);
	CU_ASSERT_EQUAL(bearer("bearer  x", NULL, "x"), 0);
	/* Whether it may be padded there is for whoever reads the token to say. */
	CU_ASSERT_EQUAL(bearer("Bearer a=.b==.c", NULL, "a=.b==.c"), 0);
	CU_ASSERT_EQUAL(bearer("Bearer =", NULL, "="), 0);
	CU_ASSERT_EQUAL(bearer(NULL, NULL, NULL), -ENOENT);
	CU_ASSERT_EQUAL(bearer("Basic eA==", NULL, NULL), -EINVAL);
	CU_ASSERT_EQUAL(bearer("Bearer", NULL, NULL), -EINVAL);
	CU_ASSERT_EQUAL(bearer("Bearer ", NULL, NULL), -EINVAL);
	CU_ASSERT_EQUAL(bearer("Bearerx", NULL, NULL), -EINVAL);
	CU_ASSERT_EQUAL(bearer("Bearer a b", NULL, NULL), -EINVAL);
	CU_ASSERT_EQUAL(bearer("Bearer a,Bearer b", NULL, NULL), -EINVAL);
	CU_ASSERT_EQUAL(bearer("Bearer a", "Bearer a", NULL), -EINVAL);
	CU_ASSERT_EQUAL(bearer("Bearer=a", NULL, NULL), -EINVAL);
	CU_ASSERT_EQUAL(bearer("Basic a=b", NULL, NULL), -EINVAL);
}

TEST(checks, takes_no_other_character_into_a_token)
{
	static const char allowed[] = "-._~+/=";
	char value[] = "Bearer a?b";

	for (int c = 0; c < 256; c++) {
		bool right = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
			     (c && strchr(allowed, c));
		struct http_head head = {
			.fields = { { text("Authorization"), { value, sizeof(value) - 1 } } },
			.n_fields = 1,
		};
		struct http_text token;

		value[sizeof("Bearer a") - 1] = (char)c;
		CU_ASSERT_EQUAL(bearer_token(&head, &token), right ? 0 : -EINVAL);
	}
}

TEST(checks, keeps_framing_out_of_an_applications_hands)
{
	CU_ASSERT(header_name_is_settable("Location"));
	CU_ASSERT(header_name_is_settable("Cache-Control"));
	CU_ASSERT(!header_name_is_settable(""));
	CU_ASSERT(!header_name_is_settable("Content-length"));
	CU_ASSERT(!header_name_is_settable("transfer-encoding"));
	CU_ASSERT(!header_name_is_settable("X-Request-ID"));
	CU_ASSERT(!header_name_is_settable("a b"));
	CU_ASSERT(!header_name_is_settable("a:"));
	CU_ASSERT(!header_name_is_settable("a\r\nb"));

	CU_ASSERT(header_value_is_valid(""));
	CU_ASSERT(header_value_is_valid("a\tb \xc3\xa4"));
	CU_ASSERT(!header_value_is_valid("a\r\nSet-Cookie: x"));
	CU_ASSERT(!header_value_is_valid("a\x7f"));
}
