#include "server/http/client.h"

#include "tests/unit/server/heads.h"

#define PROXIES "10.0.0.0/8, 2001:db8:ffff::/48, unix"

/* The client of a request from `peer` with these header lines. */
static const char *client(const char *peer, const char *lines, char out[ADDRESS_TEXT_SIZE])
{
	_cleanup_(freep) char *text = format_text("GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", lines), *reason = NULL;
	struct http_refusal refusal;
	struct address address = { .local = true };
	struct address_list proxies;
	struct http_head head;

	if (!string_equal(peer, "unix"))
		CU_ASSERT_EQUAL(address_parse(peer, strlen(peer), &address), 0);
	CU_ASSERT_EQUAL_FATAL(address_list_parse(PROXIES, &proxies, &reason), 0);
	CU_ASSERT_EQUAL_FATAL(http_parse_head(text, strlen(text), &head, &refusal), 0);
	address = client_forwarded(&address, &head, &proxies);
	address_list_free(&proxies);
	return address_format(&address, out);
}

#define FORWARDED(value) "X-Forwarded-For: " value "\r\n"

TEST(client, is_whom_trusted_proxies_name)
{
	static const struct {
		const char *peer, *lines, *expected;
	} cases[] = {
		{ "192.0.2.1", "", "192.0.2.1" },
		{ "10.0.0.1", "", "10.0.0.1" },
		{ "unix", "", "unix" },
		/* never from anybody else */
		{ "192.0.2.1", FORWARDED("203.0.113.7"), "192.0.2.1" },
		{ "2001:db8::1", FORWARDED("203.0.113.7"), "2001:db8::1" },
		{ "11.0.0.1", FORWARDED("203.0.113.7") "X-Real-IP: 203.0.113.8\r\n", "11.0.0.1" },
		{ "10.0.0.1", "X-Real-IP: 203.0.113.8\r\nForwarded: for=203.0.113.9\r\n", "10.0.0.1" },
		/* the last one that is no proxy, whatever stands before it */
		{ "10.0.0.1", FORWARDED("203.0.113.7"), "203.0.113.7" },
		{ "unix", FORWARDED("203.0.113.7"), "203.0.113.7" },
		{ "10.0.0.1", FORWARDED("198.51.100.9, 203.0.113.7"), "203.0.113.7" },
		{ "10.0.0.1", FORWARDED("198.51.100.9,203.0.113.7,10.0.0.2,10.0.0.3"), "203.0.113.7" },
		{ "10.0.0.1", FORWARDED("\t198.51.100.9 ,\t203.0.113.7 , 10.0.0.2\t"), "203.0.113.7" },
		{ "10.0.0.1", FORWARDED("10.0.0.9, 10.0.0.2"), "10.0.0.9" },
		{ "10.0.0.1", FORWARDED("nonsense, 203.0.113.7"), "203.0.113.7" },
		/* all fields are one list */
		{ "10.0.0.1", FORWARDED("198.51.100.9") FORWARDED("203.0.113.7"), "203.0.113.7" },
		{ "10.0.0.1", FORWARDED("203.0.113.7") "Accept: */*\r\nx-forwarded-FOR: 10.0.0.2\r\n", "203.0.113.7" },
		/* what is no address ends it at the last one believed */
		{ "10.0.0.1", FORWARDED("203.0.113.7, unknown"), "10.0.0.1" },
		{ "10.0.0.1", FORWARDED("203.0.113.7, _hidden, 10.0.0.2"), "10.0.0.2" },
		{ "10.0.0.1", FORWARDED("203.0.113.7,,10.0.0.2"), "10.0.0.2" },
		{ "10.0.0.1", FORWARDED("203.0.113.7") FORWARDED(",10.0.0.2"), "10.0.0.2" },
		{ "10.0.0.1", FORWARDED("203.0.113.7,"), "10.0.0.1" },
		{ "10.0.0.1", FORWARDED(""), "10.0.0.1" },
		{ "10.0.0.1", FORWARDED("203.0.113.7") FORWARDED(""), "10.0.0.1" },
		{ "10.0.0.1", FORWARDED("203.0.113.7.5"), "10.0.0.1" },
		{ "10.0.0.1", FORWARDED("203.0.113.7 198.51.100.9"), "10.0.0.1" },
		{ "10.0.0.1", FORWARDED("unix"), "10.0.0.1" },
		/* ports, brackets, and IPv4 in IPv6's form */
		{ "10.0.0.1", FORWARDED("203.0.113.7:61234"), "203.0.113.7" },
		{ "10.0.0.1", FORWARDED("[2001:db8::7]:61234"), "2001:db8::7" },
		{ "10.0.0.1", FORWARDED("[2001:db8::7]"), "2001:db8::7" },
		{ "10.0.0.1", FORWARDED("2001:DB8::7"), "2001:db8::7" },
		{ "10.0.0.1", FORWARDED("2001:db8::7, [2001:db8:ffff::1]:443"), "2001:db8::7" },
		{ "10.0.0.1", FORWARDED("203.0.113.7, ::ffff:10.0.0.2"), "203.0.113.7" },
		{ "10.0.0.1", FORWARDED("::ffff:203.0.113.7"), "203.0.113.7" },
		{ "::ffff:10.0.0.1", FORWARDED("203.0.113.7"), "203.0.113.7" },
		{ "10.0.0.1", FORWARDED("203.0.113.7:"), "10.0.0.1" },
		{ "10.0.0.1", FORWARDED("203.0.113.7:port"), "10.0.0.1" },
		{ "10.0.0.1", FORWARDED("203.0.113.7:123456"), "10.0.0.1" },
		{ "10.0.0.1", FORWARDED("[203.0.113.7]:80"), "10.0.0.1" },
		{ "10.0.0.1", FORWARDED("[2001:db8::7"), "10.0.0.1" },
		{ "10.0.0.1", FORWARDED("[2001:db8::7]80"), "10.0.0.1" },
		{ "10.0.0.1", FORWARDED("["), "10.0.0.1" },
		{ "10.0.0.1", FORWARDED("[]"), "10.0.0.1" },
		{ "10.0.0.1", FORWARDED(":"), "10.0.0.1" },
		{ "10.0.0.1", FORWARDED("\"203.0.113.7\""), "10.0.0.1" },
	};
	char text[ADDRESS_TEXT_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *found = client(cases[i].peer, cases[i].lines, text);

		if (!string_equal(found, cases[i].expected))
			printf("from %s with %s: %s\n", cases[i].peer, cases[i].lines, found);
		CU_ASSERT_STRING_EQUAL(found, cases[i].expected);
	}
}
