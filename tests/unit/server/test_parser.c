#include "common/buffer.h"
#include "tests/unit/server/heads.h"

#define OK 0
#define MORE -1
#define HOST "Host: a.example\r\n"

struct request_case {
	const char *name, *data;
	size_t size;
	int status;
	bool close;
};

static void run(const struct request_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++)
		heads_expect(cases[i].name, cases[i].data, cases[i].size, cases[i].status, cases[i].close);
}

#define RUN(cases) run(cases, ARRAY_SIZE(cases))
#define LINE(text) BYTES(text "\r\n" HOST "\r\n")
#define FIELD(text) BYTES("GET / HTTP/1.1\r\n" HOST text "\r\n\r\n")

TEST(parser, request_line)
{
	static const struct request_case cases[] = {
		{ "plain", LINE("GET / HTTP/1.1"), OK },
		{ "two spaces after the method", LINE("GET  / HTTP/1.1"), 400, true },
		{ "two spaces after the target", LINE("GET /  HTTP/1.1"), 400, true },
		{ "TAB for a space", LINE("GET\t/ HTTP/1.1"), 400, true },
		{ "TAB before the version", LINE("GET /\tHTTP/1.1"), 400, true },
		{ "TAB beside a space", LINE("GET\t / HTTP/1.1"), 400, true },
		{ "leading space", LINE(" GET / HTTP/1.1"), 400, true },
		{ "leading TAB", LINE("\tGET / HTTP/1.1"), 400, true },
		{ "trailing space", LINE("GET / HTTP/1.1 "), 400, true },
		{ "no version", LINE("GET /"), 400, true },
		{ "no target", LINE("GET HTTP/1.1"), 400, true },
		{ "no target, two spaces", LINE("GET  HTTP/1.1"), 400, true },
		{ "method alone", LINE("GET"), 400, true },
		{ "version alone", LINE("HTTP/1.1"), 400, true },
		{ "space and version", LINE(" HTTP/1.1"), 400, true },
		{ "four parts", LINE("GET / a HTTP/1.1"), 400, true },
		{ "HTTP/0.9, short", BYTES("GET /\r\n"), 400, true },
		{ "HTTP/0.9, named", LINE("GET / HTTP/0.9"), 400, true },
		{ "lowercase http", LINE("GET / http/1.1"), 400, true },
		{ "bare LF", BYTES("GET / HTTP/1.1\n" HOST "\r\n"), 400, true },
		{ "bare CR", BYTES("GET / HTTP/1.1\r" HOST "\r\n"), 400, true },
		{ "CR CR LF", BYTES("GET / HTTP/1.1\r\r\n" HOST "\r\n"), 400, true },
		{ "NUL", BYTES("GET /\0 HTTP/1.1\r\n" HOST "\r\n"), 400, true },
		{ "one empty line before", BYTES("\r\nGET / HTTP/1.1\r\n" HOST "\r\n"), OK },
		{ "two empty lines before", BYTES("\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n"), 400, true },
		{ "LF before", BYTES("\nGET / HTTP/1.1\r\n" HOST "\r\n"), 400, true },
		{ "CR before", BYTES("\rGET / HTTP/1.1\r\n" HOST "\r\n"), 400, true },
		{ "nothing", BYTES(""), MORE },
		{ "an empty line alone", BYTES("\r\n"), MORE },
		{ "CR alone", BYTES("\r"), MORE },
		{ "unfinished", BYTES("GET / HTTP/1.1\r\nHost: a\r\n\r"), MORE },
	};

	RUN(cases);
}

TEST(parser, other_protocols)
{
	static const struct request_case cases[] = {
		{ "TLS hello", BYTES("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), 400, true },
		{ "first byte of TLS", BYTES("\x16"), 400, true },
		{ "HTTP/2 preface", BYTES("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505, true },
		{ "SSH", BYTES("SSH-2.0-OpenSSH_9.2\r\n"), 400, true },
		{ "SMTP", BYTES("EHLO a.example\r\n"), 400, true },
		{ "Redis", BYTES("*1\r\n$4\r\nPING\r\n"), 400, true },
		{ "zeros", BYTES("\0\0\0\0"), 400, true },
		{ "high bytes", BYTES("\xff\xfe\xfd"), 400, true },
	};

	RUN(cases);
}

TEST(parser, versions)
{
	static const struct request_case cases[] = {
		{ "1.0", LINE("GET / HTTP/1.0"), OK },
		{ "1.2", LINE("GET / HTTP/1.2"), OK },
		{ "1.9", LINE("GET / HTTP/1.9"), OK },
		{ "2.0", LINE("GET / HTTP/2.0"), 505, true },
		{ "3.0", LINE("GET / HTTP/3.0"), 505, true },
		{ "9.9", LINE("GET / HTTP/9.9"), 505, true },
		{ "2", LINE("GET / HTTP/2"), 400, true },
		{ "1.", LINE("GET / HTTP/1."), 400, true },
		{ "1", LINE("GET / HTTP/1"), 400, true },
		{ ".1", LINE("GET / HTTP/.1"), 400, true },
		{ "01.1", LINE("GET / HTTP/01.1"), 400, true },
		{ "1.10", LINE("GET / HTTP/1.10"), 400, true },
		{ "1.01", LINE("GET / HTTP/1.01"), 400, true },
		{ "overflow", LINE("GET / HTTP/4294967297.1"), 400, true },
		{ "minor overflow", LINE("GET / HTTP/1.4294967297"), 400, true },
		{ "sign", LINE("GET / HTTP/+1.1"), 400, true },
		{ "comma", LINE("GET / HTTP/1,1"), 400, true },
		{ "other name", LINE("GET / HTTPS/1.1"), 400, true },
	};

	RUN(cases);
}

TEST(parser, methods)
{
	static const struct request_case cases[] = {
		{ "unknown", LINE("BREW / HTTP/1.1"), 501, false },
		{ "lowercase", LINE("get / HTTP/1.1"), 501, false },
		{ "longer than GET", LINE("GETS / HTTP/1.1"), 501, false },
		{ "shorter than GET", LINE("GE / HTTP/1.1"), 501, false },
		{ "unknown, with a body", LINE("BREW / HTTP/1.1\r\nContent-Length: 2"), 501, true },
		{ "unknown, chunked", LINE("BREW / HTTP/1.1\r\nTransfer-Encoding: chunked"), 501, true },
		{ "unknown, closing", LINE("BREW / HTTP/1.1\r\nConnection: close"), 501, true },
		{ "unknown, framed in two ways",
		  LINE("BREW / HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked"), 400, true },
		{ "not a token", LINE("GE@T / HTTP/1.1"), 400, false },
		{ "not a token, with a body", LINE("GE(T / HTTP/1.1\r\nContent-Length: 1"), 400, true },
		{ "UTF-8", LINE("G\xc3\x89T / HTTP/1.1"), 400, false },
		{ "TRACE", LINE("TRACE / HTTP/1.1"), OK },
		{ "OPTIONS", LINE("OPTIONS / HTTP/1.1"), OK },
		{ "CONNECT", LINE("CONNECT a.example:443 HTTP/1.1"), OK },
		{ "CONNECT with a path", LINE("CONNECT /v1 HTTP/1.1"), OK },
	};

	RUN(cases);
}

static struct parsed *parse(const char *data, size_t size)
{
	static struct parsed parsed;

	free(parsed.data);
	heads_feed(data, size, size, 1, &parsed);
	CU_ASSERT_EQUAL_FATAL(parsed.verdict.status, 0);
	return &parsed;
}

static bool text_equal(struct http_text text, const char *expected)
{
	return text.size == strlen(expected) && memcmp(text.data, expected, text.size) == 0;
}

TEST(parser, knows_methods)
{
	static const struct {
		const char *name;
		enum prong_method method;
		bool is_head;
	} methods[] = {
		{ "GET", PRONG_GET },	  { "HEAD", PRONG_GET, true }, { "POST", PRONG_POST }, { "PUT", PRONG_PUT },
		{ "PATCH", PRONG_PATCH }, { "DELETE", PRONG_DELETE },  { "OPTIONS", 0 },       { "TRACE", 0 },
		{ "CONNECT", 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		struct buffer request = { 0 };
		struct http_head *head;

		buffer_add_format(&request, "%s /v1/notes HTTP/1.1\r\nHost: a\r\n\r\n", methods[i].name);
		head = &parse(request.data, request.size)->head;
		CU_ASSERT_EQUAL(head->method, methods[i].method);
		CU_ASSERT_EQUAL(head->is_head, methods[i].is_head);
		CU_ASSERT(text_equal(head->method_text, methods[i].name));
		CU_ASSERT(text_equal(head->path, "/v1/notes"));
		CU_ASSERT_EQUAL(head->keep_alive, methods[i].name[0] != 'C');
		buffer_free(&request);
	}
}

/* What a refusal that leaves the connection open must still say, so that the answer to HEAD has no content. */
TEST(parser, refusal_says_whether_it_was_head)
{
	struct http_refusal refusal;
	struct http_head head;

	CU_ASSERT_EQUAL(http_parse_head(BYTES("HEAD /%zz HTTP/1.1\r\n" HOST "\r\n"), &head, &refusal), -EBADMSG);
	CU_ASSERT(head.is_head);
	CU_ASSERT(text_equal(head.method_text, "HEAD"));
	CU_ASSERT_FALSE(refusal.close);
	CU_ASSERT_EQUAL(http_parse_head(BYTES("GET /%zz HTTP/1.1\r\n" HOST "\r\n"), &head, &refusal), -EBADMSG);
	CU_ASSERT_FALSE(head.is_head);
	CU_ASSERT_EQUAL(http_parse_head(BYTES("nonsense"), &head, &refusal), -EBADMSG);
	CU_ASSERT_FALSE(head.is_head);
	CU_ASSERT(refusal.close);
}

TEST(parser, targets)
{
	static const struct request_case cases[] = {
		{ "all characters of a path", LINE("GET /aZ09-._~!$&'()*+,;=:@/%41%fF HTTP/1.1"), OK },
		{ "all characters of a query", LINE("GET /?aZ09-._~!$&'()*+,;=:@/?%41[]{}|\\^` HTTP/1.1"), OK },
		{ "empty query", LINE("GET /? HTTP/1.1"), OK },
		{ "fragment", LINE("GET /#a HTTP/1.1"), 400, false },
		{ "fragment after a query", LINE("GET /?a#b HTTP/1.1"), 400, false },
		{ "raw UTF-8", LINE("GET /\xc3\xa9 HTTP/1.1"), 400, false },
		{ "raw UTF-8 in the query", LINE("GET /?q=\xc3\xa9 HTTP/1.1"), 400, false },
		{ "raw control character", LINE("GET /\x01 HTTP/1.1"), 400, true },
		{ "raw DEL", LINE("GET /\x7f HTTP/1.1"), 400, true },
		{ "quote", LINE("GET /\" HTTP/1.1"), 400, false },
		{ "angle bracket", LINE("GET /?<script> HTTP/1.1"), 400, false },
		{ "backslash", LINE("GET /\\ HTTP/1.1"), 400, false },
		{ "bracket in the path", LINE("GET /[a] HTTP/1.1"), 400, false },
		{ "% alone", LINE("GET /% HTTP/1.1"), 400, false },
		{ "% with one digit", LINE("GET /%4 HTTP/1.1"), 400, false },
		{ "% with no digits", LINE("GET /%zz HTTP/1.1"), 400, false },
		{ "% with one bad digit", LINE("GET /%4g HTTP/1.1"), 400, false },
		{ "%u", LINE("GET /%u0041 HTTP/1.1"), 400, false },
		{ "bad % in the query", LINE("GET /?a=%4 HTTP/1.1"), 400, false },
		{ "%00", LINE("GET /%00 HTTP/1.1"), 400, false },
		{ "%00 in the query", LINE("GET /?a=%00 HTTP/1.1"), 400, false },
		{ "bad target, with a body", LINE("POST /%zz HTTP/1.1\r\nContent-Length: 1"), 400, true },
		{ "authority form", LINE("GET a.example:80 HTTP/1.1"), 400, false },
		{ "no slash", LINE("GET v1/notes HTTP/1.1"), 400, false },
		{ "* on GET", LINE("GET * HTTP/1.1"), 400, false },
		{ "* on OPTIONS", LINE("OPTIONS * HTTP/1.1"), OK },
		{ "** on OPTIONS", LINE("OPTIONS ** HTTP/1.1"), 400, false },
		{ "CONNECT to no port", LINE("CONNECT a.example: HTTP/1.1"), 400, true },
		{ "absolute form", LINE("GET http://b.example/ HTTP/1.1"), OK },
		{ "absolute form, other scheme", LINE("GET ftp://b.example/ HTTP/1.1"), 400, false },
		{ "absolute form, no authority", LINE("GET http:/// HTTP/1.1"), 400, false },
		{ "absolute form, nothing", LINE("GET http:// HTTP/1.1"), 400, false },
		{ "absolute form, userinfo", LINE("GET http://a@b.example/ HTTP/1.1"), 400, false },
		{ "absolute form, bad port", LINE("GET http://b.example:x/ HTTP/1.1"), 400, false },
		{ "absolute form, fragment", LINE("GET http://b.example#a HTTP/1.1"), 400, false },
		{ "absolute form without Host", BYTES("GET http://b.example/ HTTP/1.1\r\n\r\n"), 400, true },
	};

	RUN(cases);
}

TEST(parser, reads_targets)
{
	static const struct {
		const char *line, *path, *query, *host;
	} cases[] = {
		{ "GET / HTTP/1.1", "/", NULL, "a.example" },
		{ "GET /? HTTP/1.1", "/", "", "a.example" },
		{ "GET /v1/a%20b?c=d?e HTTP/1.1", "/v1/a%20b", "c=d?e", "a.example" },
		{ "GET //v1 HTTP/1.1", "//v1", NULL, "a.example" },
		{ "GET http://b.example HTTP/1.1", "/", NULL, "b.example" },
		{ "GET HTTPS://b.example:8443/v1?x HTTP/1.1", "/v1", "x", "b.example:8443" },
		{ "GET http://b.example?x=1 HTTP/1.1", "/", "x=1", "b.example" },
		{ "GET http://[::1]:80/ HTTP/1.1", "/", NULL, "[::1]:80" },
		{ "OPTIONS * HTTP/1.1", "*", NULL, "a.example" },
		{ "CONNECT b.example:443 HTTP/1.1", "*", NULL, "b.example:443" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct buffer request = { 0 };
		struct http_head *head;

		buffer_add_format(&request, "%s\r\n" HOST "\r\n", cases[i].line);
		head = &parse(request.data, request.size)->head;
		CU_ASSERT(text_equal(head->path, cases[i].path));
		CU_ASSERT(text_equal(head->host, cases[i].host));
		CU_ASSERT_EQUAL(!head->query.data, !cases[i].query);
		if (cases[i].query && head->query.data)
			CU_ASSERT(text_equal(head->query, cases[i].query));
		buffer_free(&request);
	}
}

#define HOST_CASE(value) BYTES("GET / HTTP/1.1\r\nHost:" value "\r\n\r\n")

TEST(parser, hosts)
{
	static const struct request_case cases[] = {
		{ "name", HOST_CASE(" a.example"), OK },
		{ "name and port", HOST_CASE(" a_b.example:8080"), OK },
		{ "IPv4", HOST_CASE("127.0.0.1:1"), OK },
		{ "IPv6", HOST_CASE(" [::1]"), OK },
		{ "IPv6 and port", HOST_CASE(" [2001:db8::1]:65535"), OK },
		{ "none", BYTES("GET / HTTP/1.1\r\n\r\n"), 400, true },
		{ "none in HTTP/1.0", BYTES("GET / HTTP/1.0\r\n\r\n"), OK },
		{ "two in HTTP/1.0", BYTES("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"), 400, true },
		{ "empty", HOST_CASE(""), 400, true },
		{ "two", HOST_CASE(" a\r\nHost: b"), 400, true },
		{ "two alike", HOST_CASE(" a\r\nHOST: a"), 400, true },
		{ "list", HOST_CASE(" a, b"), 400, true },
		{ "list without space", HOST_CASE(" a,b"), 400, true },
		{ "two words", HOST_CASE(" a b"), 400, true },
		{ "userinfo", HOST_CASE(" user@a"), 400, true },
		{ "userinfo with password", HOST_CASE(" user:secret@a"), 400, true },
		{ "path", HOST_CASE(" a/b"), 400, true },
		{ "query", HOST_CASE(" a?b"), 400, true },
		{ "fragment", HOST_CASE(" a#b"), 400, true },
		{ "backslash", HOST_CASE(" a\\b"), 400, true },
		{ "URI", HOST_CASE(" http://a"), 400, true },
		{ "empty port", HOST_CASE(" a:"), 400, true },
		{ "port alone", HOST_CASE(" :80"), 400, true },
		{ "port of letters", HOST_CASE(" a:http"), 400, true },
		{ "port 0", HOST_CASE(" a:0"), 400, true },
		{ "port 65536", HOST_CASE(" a:65536"), 400, true },
		{ "port overflow", HOST_CASE(" a:4294967376"), 400, true },
		{ "negative port", HOST_CASE(" a:-1"), 400, true },
		{ "two ports", HOST_CASE(" a:1:2"), 400, true },
		{ "open IPv6", HOST_CASE(" [::1"), 400, true },
		{ "bare IPv6", HOST_CASE(" ::1"), 400, true },
		{ "no IPv6", HOST_CASE(" [::g]"), 400, true },
		{ "empty IPv6", HOST_CASE(" []"), 400, true },
		{ "IPv6 with a zone", HOST_CASE(" [fe80::1%25eth0]"), 400, true },
		{ "text after IPv6", HOST_CASE(" [::1]a"), 400, true },
		{ "overlong IPv6", HOST_CASE(" [1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb]"), 400, true },
		{ "UTF-8", HOST_CASE(" \xc3\xa9.example"), 400, true },
		{ "percent", HOST_CASE(" a%2eexample"), 400, true },
	};

	RUN(cases);
}

TEST(parser, field_syntax)
{
	static const struct request_case cases[] = {
		{ "no value", FIELD("A:"), OK },
		{ "spaces only", FIELD("A: \t "), OK },
		{ "obs-text", FIELD("A: \x80\xff"), OK },
		{ "TAB in a value", FIELD("A: b\tc"), OK },
		{ "every tchar", FIELD("!#$%&'*+-.^_`|~09azAZ: b"), OK },
		{ "no name", FIELD(": b"), 400, true },
		{ "no colon", FIELD("A"), 400, true },
		{ "no colon, with a value", FIELD("A b"), 400, true },
		{ "space before the colon", FIELD("A : b"), 400, true },
		{ "TAB before the colon", FIELD("A\t: b"), 400, true },
		{ "leading space", FIELD(" A: b"), 400, true },
		{ "folded", FIELD("A: b\r\n c"), 400, true },
		{ "folded with TAB", FIELD("A: b\r\n\tc"), 400, true },
		{ "first line folded", BYTES("GET / HTTP/1.1\r\n Host: a\r\n\r\n"), 400, true },
		{ "NUL in a value", FIELD("A: b\0c"), 400, true },
		{ "NUL in a name", FIELD("A\0B: c"), 400, true },
		{ "bare CR in a value", FIELD("A: b\rc"), 400, true },
		{ "bare LF in a value", FIELD("A: b\nc: d"), 400, true },
		{ "bare LF at a line's end", FIELD("A: b\nTransfer-Encoding: chunked"), 400, true },
		{ "LF ends the head", BYTES("GET / HTTP/1.1\r\n" HOST "\n"), 400, true },
		{ "control character", FIELD("A: b\x01"), 400, true },
		{ "vertical TAB",
		  FIELD("A:\x0b"
			"b"),
		  400, true },
		{ "DEL", FIELD("A: b\x7f"), 400, true },
		{ "bracket in a name", FIELD("A[]: b"), 400, true },
		{ "quote in a name", FIELD("\"A\": b"), 400, true },
		{ "UTF-8 in a name", FIELD("\xc3\xa9: b"), 400, true },
		{ "slash in a name", FIELD("A/B: c"), 400, true },
	};

	RUN(cases);
}

TEST(parser, reads_fields)
{
	struct parsed *parsed =
		parse(BYTES("GET / HTTP/1.1\r\nHost: a\r\nAccept:\t b, c \t\r\nX-A:1\r\nx-a: 2\r\nEmpty:\r\n\r\n"));
	const struct http_head *head = &parsed->head;
	bool repeated;

	CU_ASSERT_EQUAL(head->n_fields, 5);
	CU_ASSERT(text_equal(http_field(head, "accept", &repeated), "b, c"));
	CU_ASSERT_FALSE(repeated);
	CU_ASSERT(text_equal(http_field(head, "x-a", &repeated), "1"));
	CU_ASSERT(repeated);
	CU_ASSERT(text_equal(http_field(head, "empty", NULL), ""));
	CU_ASSERT_PTR_NOT_NULL(http_field(head, "empty", NULL).data);
	CU_ASSERT_PTR_NULL(http_field(head, "x-b", &repeated).data);
	CU_ASSERT_FALSE(repeated);
}

TEST(parser, keep_alive)
{
	static const struct {
		const char *head;
		bool keep_alive;
	} cases[] = {
		{ "GET / HTTP/1.1\r\n" HOST "\r\n", true },
		{ "GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", false },
		{ "GET / HTTP/1.1\r\n" HOST "Connection: CLOSE\r\n\r\n", false },
		{ "GET / HTTP/1.1\r\n" HOST "Connection: keep-alive, close\r\n\r\n", false },
		{ "GET / HTTP/1.1\r\n" HOST "Connection: te ,close , x\r\n\r\n", false },
		{ "GET / HTTP/1.1\r\n" HOST "Connection: x\r\nConnection: close\r\n\r\n", false },
		{ "GET / HTTP/1.1\r\n" HOST "Connection: closed\r\n\r\n", true },
		{ "GET / HTTP/1.1\r\n" HOST "Connection: x-close\r\n\r\n", true },
		{ "GET / HTTP/1.0\r\n\r\n", false },
		{ "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true },
		{ "GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		CU_ASSERT_EQUAL(parse(cases[i].head, strlen(cases[i].head))->head.keep_alive, cases[i].keep_alive);
}

TEST(parser, expect)
{
	static const struct request_case refused[] = {
		{ "unknown", FIELD("Expect: 200-ok"), 417, false },
		{ "unknown, with a body", FIELD("Expect: 200-ok\r\nContent-Length: 1"), 417, true },
		{ "empty", FIELD("Expect:"), 417, false },
		{ "list", FIELD("Expect: 100-continue, 200-ok"), 417, false },
		{ "second unknown", FIELD("Expect: 100-continue\r\nExpect: x"), 417, false },
		{ "unknown in HTTP/1.0", BYTES("GET / HTTP/1.0\r\nExpect: 200-ok\r\n\r\n"), OK },
	};
	static const struct {
		const char *head;
		bool expects;
	} cases[] = {
		{ "POST / HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 1\r\n\r\n", true },
		{ "POST / HTTP/1.1\r\n" HOST "Expect: 100-Continue\r\nTransfer-Encoding: chunked\r\n\r\n", true },
		{ "POST / HTTP/1.1\r\n" HOST "Expect: 100-continue\r\n\r\n", false },
		{ "POST / HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 0\r\n\r\n", false },
		{ "POST / HTTP/1.0\r\n" HOST "Expect: 100-continue\r\nContent-Length: 1\r\n\r\n", false },
	};

	RUN(refused);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		CU_ASSERT_EQUAL(parse(cases[i].head, strlen(cases[i].head))->head.expect_continue, cases[i].expects);
}

static struct verdict feed(const struct buffer *request, size_t step)
{
	static struct parsed parsed;

	heads_feed(request->data, request->size, 1, step, &parsed);
	free(parsed.data);
	return parsed.verdict;
}

/* A limit stands at one place, in whatever pieces the bytes come. */
static void expect_limit(struct buffer *request, int status, bool close)
{
	const size_t steps[] = { 61, 4096, request->size };

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		struct verdict verdict = feed(request, steps[i]);

		CU_ASSERT_EQUAL(verdict.status, status);
		CU_ASSERT_EQUAL(verdict.close, close);
	}
	buffer_free(request);
}

static void add_repeated(struct buffer *buffer, char c, size_t count)
{
	while (count--)
		buffer_add_char(buffer, c);
}

static struct buffer target_of(size_t size)
{
	struct buffer request = { 0 };

	buffer_add_string(&request, "GET /");
	add_repeated(&request, 'a', size - 1);
	buffer_add_string(&request, " HTTP/1.1\r\n" HOST "\r\n");
	return request;
}

static struct buffer field_of(size_t line_size, char c)
{
	struct buffer request = { 0 };

	buffer_add_string(&request, "GET / HTTP/1.1\r\n" HOST "A:");
	add_repeated(&request, c, line_size - 2);
	buffer_add_string(&request, "\r\n\r\n");
	return request;
}

static struct buffer fields_of(size_t count)
{
	struct buffer request = { 0 };

	buffer_add_string(&request, "GET / HTTP/1.1\r\n" HOST);
	for (size_t i = 1; i < count; i++)
		buffer_add_string(&request, "A: b\r\n");
	buffer_add_string(&request, "\r\n");
	return request;
}

static struct buffer head_of(size_t size)
{
	struct buffer request = { 0 };

	buffer_add_string(&request, "GET / HTTP/1.1\r\n" HOST "A:");
	add_repeated(&request, 'a', 15000);
	buffer_add_string(&request, "\r\nB:");
	add_repeated(&request, 'b', 15000);
	buffer_add_string(&request, "\r\nC:");
	add_repeated(&request, 'c', size - request.size - 4);
	buffer_add_string(&request, "\r\n\r\n");
	return request;
}

TEST(parser, limits)
{
	struct buffer request;

	request = target_of(HTTP_MAX_TARGET);
	expect_limit(&request, OK, false);
	request = target_of(HTTP_MAX_TARGET + 1);
	expect_limit(&request, 414, false);
	request = target_of(HTTP_MAX_TARGET + 100);
	expect_limit(&request, 414, true);
	request = target_of(100000);
	expect_limit(&request, 414, true);

	request = field_of(HTTP_MAX_FIELD_LINE, 'a');
	expect_limit(&request, OK, false);
	request = field_of(HTTP_MAX_FIELD_LINE + 1, 'a');
	expect_limit(&request, 431, true);
	request = field_of(HTTP_MAX_FIELD_LINE + 1, ' ');
	expect_limit(&request, 431, true);

	request = fields_of(HTTP_MAX_FIELDS);
	expect_limit(&request, OK, false);
	request = fields_of(HTTP_MAX_FIELDS + 1);
	expect_limit(&request, 431, true);

	request = head_of(HTTP_MAX_HEAD);
	expect_limit(&request, OK, false);
	request = head_of(HTTP_MAX_HEAD + 1);
	expect_limit(&request, 431, true);
	request = head_of(HTTP_MAX_HEAD + 2);
	expect_limit(&request, 431, true);

	request = (struct buffer){ 0 };
	add_repeated(&request, 'A', 100000);
	expect_limit(&request, 501, true);
	request = (struct buffer){ 0 };
	add_repeated(&request, 'A', 1000);
	buffer_add_string(&request, " / HTTP/1.1\r\n" HOST "\r\n");
	expect_limit(&request, 501, false);
}

TEST(parser, leaves_what_follows)
{
	static const char data[] = "GET /a HTTP/1.1\r\n" HOST "\r\nGET /b HTTP/1.1\r\n";
	size_t scanned = 0, skip = 0;
	struct http_refusal refusal;

	CU_ASSERT_EQUAL(http_find_head(BYTES(data), &scanned, &skip, &refusal),
			strlen("GET /a HTTP/1.1\r\n" HOST "\r\n"));
	scanned = skip = 0;
	CU_ASSERT_EQUAL(http_find_head(BYTES("\r\nGET / HTTP/1.0\r\n\r\nrest"), &scanned, &skip, &refusal), 18);
	CU_ASSERT_EQUAL(skip, 2);
}

/* The head's own end is the one at its end: what its finder would never give is refused, not overread. */
TEST(parser, whole_heads_only)
{
	static const char *const heads[] = {
		"",
		"\r\n\r\n",
		"GET / HTTP/1.0\r\n",
		"GET / HTTP/1.0",
		"GET / HTTP/1.0\r\n\r\nGET / HTTP/1.0\r\n\r\n",
		"GET / HTTP/1.0\r\nA: b",
		"GET / HTTP/1.0\r\nA: b\r\n",
	};
	struct http_refusal refusal;
	struct http_head head;

	for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
		size_t size = strlen(heads[i]);
		char *data = malloc(size ? size : 1);

		memcpy(data, heads[i], size);
		CU_ASSERT_EQUAL(http_parse_head(data, size, &head, &refusal), -EBADMSG);
		CU_ASSERT(refusal.close);
		free(data);
	}
}
