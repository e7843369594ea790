#include "common/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#include "tests/unit/test.h"

static const char *normal(const char *text, char out[ADDRESS_TEXT_SIZE])
{
	struct address address;

	return address_parse(text, strlen(text), &address) < 0 ? "-" : address_format(&address, out);
}

TEST(address, is_read_strictly_and_has_one_form)
{
	static const struct {
		const char *text, *expected; /* "-": refused */
	} cases[] = {
		{ "192.0.2.1", "192.0.2.1" },
		{ "::ffff:192.0.2.1", "192.0.2.1" },
		{ "::FFFF:c000:201", "192.0.2.1" },
		{ "0:0:0:0:0:ffff:192.0.2.1", "192.0.2.1" },
		{ "2001:DB8:0:0:0:0:0:1", "2001:db8::1" },
		{ "::", "::" },
		{ "::1", "::1" },
		{ "", "-" },
		{ "192.0.2", "-" },
		{ "192.0.2.256", "-" },
		{ "192.0.2.01", "-" },
		{ "0xc0.0.2.1", "-" },
		{ "3221225985", "-" },
		{ "192.0.2.1 ", "-" },
		{ " 192.0.2.1", "-" },
		{ "192.0.2.1:80", "-" },
		{ "[::1]", "-" },
		{ "fe80::1%eth0", "-" },
		{ "1::2::3", "-" },
		{ "2001:db8::12345", "-" },
		{ "localhost", "-" },
		{ "unix", "-" },
		{ "1111:2222:3333:4444:5555:6666:7777:8888:9999:0000", "-" },
	};
	char text[ADDRESS_TEXT_SIZE];
	struct address address;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		CU_ASSERT_STRING_EQUAL(normal(cases[i].text, text), cases[i].expected);
	CU_ASSERT_EQUAL(address_parse("1.2.3.4\0.5", 10, &address), -EINVAL);
	CU_ASSERT_EQUAL(address_parse("1.2.3.45", 7, &address), 0); /* no NUL is needed behind it */
	CU_ASSERT_STRING_EQUAL(address_format(&address, text), "1.2.3.4");
}

static const char *peer(int family, const char *text, char out[ADDRESS_TEXT_SIZE])
{
	struct sockaddr_storage storage = { .ss_family = (sa_family_t)family };
	struct address address;

	if (family == AF_INET)
		inet_pton(family, text, &((struct sockaddr_in *)&storage)->sin_addr);
	if (family == AF_INET6)
		inet_pton(family, text, &((struct sockaddr_in6 *)&storage)->sin6_addr);
	address = address_of_socket(&storage);
	return address_format(&address, out);
}

TEST(address, of_a_peer)
{
	char text[ADDRESS_TEXT_SIZE];

	CU_ASSERT_STRING_EQUAL(peer(AF_INET, "192.0.2.1", text), "192.0.2.1");
	CU_ASSERT_STRING_EQUAL(peer(AF_INET6, "::ffff:192.0.2.1", text), "192.0.2.1");
	CU_ASSERT_STRING_EQUAL(peer(AF_INET6, "2001:db8::1", text), "2001:db8::1");
	CU_ASSERT_STRING_EQUAL(peer(AF_UNIX, "", text), "unix");
	CU_ASSERT_STRING_EQUAL(peer(AF_UNSPEC, "", text), "unix");
}

TEST(address, source_is_what_one_customer_has)
{
	static const char *const cases[][2] = {
		{ "192.0.2.1", "192.0.2.1" },
		{ "::ffff:192.0.2.1", "192.0.2.1" },
		{ "64:ff9b::192.0.2.1", "192.0.2.1" },
		{ "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64" },
		{ "2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64" },
		{ "2001:db8:1:3::1", "2001:db8:1:3::/64" },
		{ "::1", "::/64" },
		{ "1111:2222:3333:4444:5555:6666:7777:8888", "1111:2222:3333:4444::/64" },
	};
	char text[ADDRESS_SOURCE_SIZE];
	struct address address = { .local = true };

	CU_ASSERT_STRING_EQUAL(address_source(&address, text), "unix");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CU_ASSERT_EQUAL(address_parse(cases[i][0], strlen(cases[i][0]), &address), 0);
		CU_ASSERT_STRING_EQUAL(address_source(&address, text), cases[i][1]);
	}
}

static bool has(const struct address_list *list, const char *text)
{
	struct address address = { .local = true };

	if (!string_equal(text, "unix"))
		CU_ASSERT_EQUAL(address_parse(text, strlen(text), &address), 0);
	return address_list_has(list, &address);
}

TEST(address_list, has_what_its_prefixes_cover)
{
	_cleanup_(freep) char *reason = NULL;
	struct address_list list;

	CU_ASSERT_EQUAL_FATAL(
		address_list_parse("10.0.0.0/8, 192.0.2.7,203.0.113.0/25 ,2001:db8::/31,loopback", &list, &reason), 0);
	CU_ASSERT(has(&list, "10.255.0.1") && has(&list, "::ffff:10.1.2.3") && !has(&list, "11.0.0.1"));
	CU_ASSERT(has(&list, "192.0.2.7") && !has(&list, "192.0.2.6"));
	CU_ASSERT(has(&list, "203.0.113.127") && !has(&list, "203.0.113.128"));
	CU_ASSERT(has(&list, "2001:db8::1") && has(&list, "2001:db9:ffff::") && !has(&list, "2001:dba::"));
	CU_ASSERT(has(&list, "127.8.8.8") && has(&list, "::1") && !has(&list, "::2") && !has(&list, "unix"));
	address_list_free(&list);

	CU_ASSERT_EQUAL_FATAL(address_list_parse("UNIX", &list, &reason), 0);
	CU_ASSERT(has(&list, "unix") && !has(&list, "::") && !has(&list, "0.0.0.0"));
	address_list_free(&list);

	CU_ASSERT_EQUAL_FATAL(address_list_parse("0.0.0.0/1,::ffff:172.16.0.0/12", &list, &reason), 0);
	CU_ASSERT(has(&list, "127.0.0.1") && !has(&list, "128.0.0.1") && !has(&list, "::1") &&
		  has(&list, "172.31.0.1"));
	address_list_free(&list);

	CU_ASSERT_EQUAL_FATAL(address_list_parse(NULL, &list, &reason), 0);
	CU_ASSERT(list.count == 0 && !has(&list, "127.0.0.1") && !has(&list, "unix"));
}

TEST(address_list, says_what_is_wrong)
{
	static const char *const cases[][2] = {
		{ "10.0.0.1/8", "'10.0.0.1/8': the address has bits after the first 8" },
		{ "2001:db8::1/32", "has bits after the first 32" },
		{ "0.0.0.0/0", "'0.0.0.0/0' is everybody" },
		{ "::/0", "is everybody" },
		{ "10.0.0.0/33", "up to 32" },
		{ "2001:db8::/129", "up to 128" },
		{ "10.0.0.0/", "after the slash comes" },
		{ "10.0.0.0/08", "after the slash comes" },
		{ "10.0.0.0/-1", "after the slash comes" },
		{ "proxy.example", "'proxy.example' is neither an address nor a prefix" },
		{ "10.0.0.1,,10.0.0.2", "'' is neither" },
		{ "10.0.0.1,", "'' is neither" },
		{ " ", "'' is neither" },
		{ "10.0.0.1 10.0.0.2", "'10.0.0.1 10.0.0.2' is neither" },
		{ "10.0.0.1:80", "is neither" },
		{ "all", "is neither" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(freep) char *reason = NULL;
		struct address_list list = { .count = 7 };

		CU_ASSERT_EQUAL(address_list_parse(cases[i][0], &list, &reason), -EINVAL);
		CU_ASSERT_EQUAL(list.count, 7);
		if (!reason || !strstr(reason, cases[i][1]))
			printf("%s: %s\n", cases[i][0], reason);
		CU_ASSERT(reason && strstr(reason, cases[i][1]));
	}
}
