#include "server/http/checks.h"
#include "server/http/cookies.h"
#include "tests/unit/test.h"

static struct http_text text(const char *value)
{
	return (struct http_text){ value, strlen(value) };
}

/* Of requests with one or two Cookie fields; `expected` is checked where there is a value. */
static int find(const char *first, const char *second, const char *expected)
{
	static struct http_head head;
	struct http_text value;
	int r;

	head.n_fields = 0;
	head.fields[head.n_fields++] = (struct http_field){ text("Host"), text("a=1") };
	if (first)
		head.fields[head.n_fields++] = (struct http_field){ text("Cookie"), text(first) };
	if (second)
		head.fields[head.n_fields++] = (struct http_field){ text("cookie"), text(second) };
	r = cookie_find(&head, "a", &value);
	if (r == 0)
		CU_ASSERT(expected && value.size == strlen(expected) && memcmp(value.data, expected, value.size) == 0);
	return r;
}

TEST(cookies, finds_one_among_others)
{
	CU_ASSERT_EQUAL(find("a=1", NULL, "1"), 0);
	CU_ASSERT_EQUAL(find("b=2; a=1.x-Y_z; c=3", NULL, "1.x-Y_z"), 0);
	CU_ASSERT_EQUAL(find("b=2;a=1;c=3", NULL, "1"), 0);
	CU_ASSERT_EQUAL(find(" \t;;; a=1 ;", NULL, "1"), 0);
	CU_ASSERT_EQUAL(find("b=2", "a=1", "1"), 0);
	CU_ASSERT_EQUAL(find("a=1", "b=2", "1"), 0);
	/* What others set is theirs. */
	CU_ASSERT_EQUAL(find("b=\"x; y\"; =; ==; c; {\"j\":[1,2]}; a=1; \xff=\xfe", NULL, "1"), 0);
	CU_ASSERT_EQUAL(find("aa=2; A=3; ba=4; a =5; a=1", NULL, "1"), 0);
}

TEST(cookies, finds_none)
{
	CU_ASSERT_EQUAL(find(NULL, NULL, NULL), -ENOENT);
	CU_ASSERT_EQUAL(find("", NULL, NULL), -ENOENT);
	CU_ASSERT_EQUAL(find(";", "; ;", NULL), -ENOENT);
	CU_ASSERT_EQUAL(find("a", NULL, NULL), -ENOENT);
	CU_ASSERT_EQUAL(find("A=1", NULL, NULL), -ENOENT);
	CU_ASSERT_EQUAL(find("b=a=1", NULL, NULL), -ENOENT);
	CU_ASSERT_EQUAL(find("=a=1", NULL, NULL), -ENOENT);
	CU_ASSERT_EQUAL(find("b=1,a=1", NULL, NULL), -ENOENT);
	CU_ASSERT_EQUAL(find("b=1 a=1", NULL, NULL), -ENOENT);
}

TEST(cookies, refuses_two_and_the_malformed)
{
	CU_ASSERT_EQUAL(find("a=1; a=1", NULL, NULL), -EBADMSG);
	CU_ASSERT_EQUAL(find("a=1", "a=2", NULL), -EBADMSG);
	CU_ASSERT_EQUAL(find("a=1; b=2; a=", NULL, NULL), -EBADMSG);
	CU_ASSERT_EQUAL(find("a=", NULL, NULL), -EBADMSG);
	CU_ASSERT_EQUAL(find("a= ", NULL, NULL), -EBADMSG);
	CU_ASSERT_EQUAL(find("a= 1", NULL, NULL), -EBADMSG);
	CU_ASSERT_EQUAL(find("a=\"1\"", NULL, NULL), -EBADMSG);
	CU_ASSERT_EQUAL(find("a=1 2", NULL, NULL), -EBADMSG);
	CU_ASSERT_EQUAL(find("a=1,2", NULL, NULL), -EBADMSG);
	CU_ASSERT_EQUAL(find("a=1=", NULL, NULL), -EBADMSG);
	CU_ASSERT_EQUAL(find("a=%31", NULL, NULL), -EBADMSG);
	CU_ASSERT_EQUAL(find("a=\xc3\xa4", NULL, NULL), -EBADMSG);
}

static enum request_origin origin(const char *site, const char *origin, const char *public_url)
{
	static struct http_head head;

	head.n_fields = 0;
	head.fields[head.n_fields++] = (struct http_field){ text("Host"), text("evil.example") };
	if (site)
		head.fields[head.n_fields++] = (struct http_field){ text("Sec-Fetch-Site"), text(site) };
	if (origin)
		head.fields[head.n_fields++] = (struct http_field){ text("Origin"), text(origin) };
	return request_origin(&head, public_url);
}

TEST(checks, tells_our_pages_from_others)
{
	const char *url = "https://app.example.com";

	CU_ASSERT_EQUAL(origin("same-origin", NULL, url), ORIGIN_SAME);
	CU_ASSERT_EQUAL(origin("none", NULL, url), ORIGIN_SAME);
	CU_ASSERT_EQUAL(origin("same-site", url, url), ORIGIN_OTHER);
	CU_ASSERT_EQUAL(origin("cross-site", url, url), ORIGIN_OTHER);
	CU_ASSERT_EQUAL(origin("", url, url), ORIGIN_OTHER);
	CU_ASSERT_EQUAL(origin("same-origin, none", url, url), ORIGIN_OTHER);
	/* A browser that says both says the same; the first is the stronger. */
	CU_ASSERT_EQUAL(origin("same-origin", "null", url), ORIGIN_SAME);

	CU_ASSERT_EQUAL(origin(NULL, NULL, url), ORIGIN_NOT_SAID);
	CU_ASSERT_EQUAL(origin(NULL, url, url), ORIGIN_SAME);
	CU_ASSERT_EQUAL(origin(NULL, "https://APP.example.com", url), ORIGIN_SAME);
	CU_ASSERT_EQUAL(origin(NULL, "null", url), ORIGIN_OTHER);
	CU_ASSERT_EQUAL(origin(NULL, "", url), ORIGIN_OTHER);
	CU_ASSERT_EQUAL(origin(NULL, "http://app.example.com", url), ORIGIN_OTHER);
	CU_ASSERT_EQUAL(origin(NULL, "https://app.example.com.evil.example", url), ORIGIN_OTHER);
	CU_ASSERT_EQUAL(origin(NULL, "https://app.example.co", url), ORIGIN_OTHER);
	CU_ASSERT_EQUAL(origin(NULL, "https://app.example.com:8443", url), ORIGIN_OTHER);
	CU_ASSERT_EQUAL(origin(NULL, "https://evil.example", url), ORIGIN_OTHER);
	CU_ASSERT_EQUAL(origin(NULL, "https://app.example.com/", url), ORIGIN_OTHER);

	CU_ASSERT_EQUAL(origin(NULL, url, "https://app.example.com/base"), ORIGIN_SAME);
	CU_ASSERT_EQUAL(origin(NULL, url, "HTTPS://App.Example.com:443/base"), ORIGIN_SAME);
	CU_ASSERT_EQUAL(origin(NULL, "http://localhost", "http://localhost:80"), ORIGIN_SAME);
	CU_ASSERT_EQUAL(origin(NULL, "http://localhost", "http://localhost:443"), ORIGIN_OTHER);
	CU_ASSERT_EQUAL(origin(NULL, "http://[::1]:8080", "http://[::1]:8080"), ORIGIN_SAME);
}
