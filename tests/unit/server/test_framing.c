#include "tests/unit/server/heads.h"

#define POST "POST / HTTP/1.1\r\nHost: a\r\n"

static const struct {
	const char *name, *data;
	size_t size;
	int status;
} refused[] = {
	{ "length with plus", BYTES(POST "Content-Length: +5\r\n\r\n"), 400 },
	{ "length with minus", BYTES(POST "Content-Length: -5\r\n\r\n"), 400 },
	{ "minus zero", BYTES(POST "Content-Length: -0\r\n\r\n"), 400 },
	{ "hexadecimal length", BYTES(POST "Content-Length: 0x5\r\n\r\n"), 400 },
	{ "hexadecimal digits", BYTES(POST "Content-Length: f\r\n\r\n"), 400 },
	{ "empty length", BYTES(POST "Content-Length:\r\n\r\n"), 400 },
	{ "blank length", BYTES(POST "Content-Length: \t \r\n\r\n"), 400 },
	{ "list of lengths", BYTES(POST "Content-Length: 5, 6\r\n\r\n"), 400 },
	{ "list of equal lengths", BYTES(POST "Content-Length: 5, 5\r\n\r\n"), 400 },
	{ "trailing comma", BYTES(POST "Content-Length: 5,\r\n\r\n"), 400 },
	{ "two lengths", BYTES(POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"), 400 },
	{ "two equal lengths", BYTES(POST "Content-Length: 5\r\ncontent-length: 5\r\n\r\n"), 400 },
	{ "two lengths of 0", BYTES(POST "Content-Length: 0\r\nContent-Length: 0\r\n\r\n"), 400 },
	{ "length overflows int64", BYTES(POST "Content-Length: 9223372036854775808\r\n\r\n"), 400 },
	{ "length overflows uint64", BYTES(POST "Content-Length: 18446744073709551621\r\n\r\n"), 400 },
	{ "length overflows twice", BYTES(POST "Content-Length: 99999999999999999999999999\r\n\r\n"), 400 },
	{ "length in two words", BYTES(POST "Content-Length: 5 5\r\n\r\n"), 400 },
	{ "fraction", BYTES(POST "Content-Length: 5.0\r\n\r\n"), 400 },
	{ "exponent", BYTES(POST "Content-Length: 1e1\r\n\r\n"), 400 },
	{ "digit separator", BYTES(POST "Content-Length: 1_0\r\n\r\n"), 400 },
	{ "quoted", BYTES(POST "Content-Length: \"5\"\r\n\r\n"), 400 },
	{ "superscript in Latin-1", BYTES(POST "Content-Length: \xb2\r\n\r\n"), 400 },
	{ "length with NUL", BYTES(POST "Content-Length: 5\0\r\n\r\n"), 400 },
	{ "bad length beside a good one", BYTES(POST "Content-Length: 5\r\nContent-Length: x\r\n\r\n"), 400 },

	{ "length, then chunked", BYTES(POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"), 400 },
	{ "chunked, then length", BYTES(POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"), 400 },
	{ "chunked and length 0", BYTES(POST "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n"), 400 },
	{ "unknown coding and length", BYTES(POST "Transfer-Encoding: x\r\nContent-Length: 5\r\n\r\n"), 400 },
	{ "chunked not last", BYTES(POST "Transfer-Encoding: chunked, gzip\r\n\r\n"), 400 },
	{ "chunked twice", BYTES(POST "Transfer-Encoding: chunked, chunked\r\n\r\n"), 400 },
	{ "two fields", BYTES(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"), 400 },
	{ "two fields, gzip first", BYTES(POST "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"), 400 },
	{ "two fields, identity", BYTES(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n"),
	  400 },
	{ "identity", BYTES(POST "Transfer-Encoding: identity\r\n\r\n"), 400 },
	{ "identity, chunked", BYTES(POST "Transfer-Encoding: identity, chunked\r\n\r\n"), 400 },
	{ "empty", BYTES(POST "Transfer-Encoding:\r\n\r\n"), 400 },
	{ "comma", BYTES(POST "Transfer-Encoding: ,\r\n\r\n"), 400 },
	{ "leading comma", BYTES(POST "Transfer-Encoding: ,chunked\r\n\r\n"), 400 },
	{ "trailing comma in codings", BYTES(POST "Transfer-Encoding: chunked,\r\n\r\n"), 400 },
	{ "vertical TAB",
	  BYTES(POST "Transfer-Encoding: \x0b"
		     "chunked\r\n\r\n"),
	  400 },
	{ "vertical TAB after", BYTES(POST "Transfer-Encoding: chunked\x0b\r\n\r\n"), 400 },
	{ "form feed",
	  BYTES(POST "Transfer-Encoding:\x0c"
		     "chunked\r\n\r\n"),
	  400 },
	{ "parameter", BYTES(POST "Transfer-Encoding: chunked;q=1\r\n\r\n"), 400 },
	{ "HTTP/1.0", BYTES("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400 },
	{ "HTTP/1.0, unknown coding", BYTES("POST / HTTP/1.0\r\nTransfer-Encoding: x\r\n\r\n"), 400 },
	{ "unknown coding", BYTES(POST "Transfer-Encoding: xchunked\r\n\r\n"), 501 },
	{ "quoted chunked", BYTES(POST "Transfer-Encoding: \"chunked\"\r\n\r\n"), 501 },
	{ "chunked in two words", BYTES(POST "Transfer-Encoding: chunked x\r\n\r\n"), 501 },
	{ "no-break space before chunked",
	  BYTES(POST "Transfer-Encoding: \xa0"
		     "chunked\r\n\r\n"),
	  501 },
	{ "gzip", BYTES(POST "Transfer-Encoding: gzip\r\n\r\n"), 501 },
	{ "gzip, chunked", BYTES(POST "Transfer-Encoding: gzip, chunked\r\n\r\n"), 501 },
};

TEST(framing, refuses)
{
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		heads_expect(refused[i].name, refused[i].data, refused[i].size, refused[i].status, true);
}

TEST(framing, accepts)
{
	static const struct {
		const char *head;
		enum http_framing framing;
		uint64_t length;
	} cases[] = {
		{ POST "\r\n", HTTP_NO_BODY },
		{ POST "Content-Length: 0\r\n\r\n", HTTP_NO_BODY },
		{ POST "Content-Length: 000\r\n\r\n", HTTP_NO_BODY },
		{ POST "Content-Length: 5\r\n\r\n", HTTP_LENGTH, 5 },
		{ POST "CONTENT-LENGTH:\t5\t\r\n\r\n", HTTP_LENGTH, 5 },
		{ POST "Content-Length: 9223372036854775807\r\n\r\n", HTTP_LENGTH, INT64_MAX },
		{ POST "Transfer-Encoding: chunked\r\n\r\n", HTTP_CHUNKED },
		{ POST "transfer-encoding:ChunkeD \r\n\r\n", HTTP_CHUNKED },
		{ "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", HTTP_LENGTH, 5 },
		{ "POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\n", HTTP_LENGTH, 5 },
		{ POST "Content_Length: 5\r\nX-Content-Length: 5\r\n\r\n", HTTP_NO_BODY },
	};
	static struct parsed parsed;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		heads_feed(cases[i].head, strlen(cases[i].head), SIZE_MAX, 1, &parsed);
		CU_ASSERT_EQUAL_FATAL(parsed.verdict.status, 0);
		CU_ASSERT_EQUAL(parsed.head.framing, cases[i].framing);
		CU_ASSERT_EQUAL(parsed.head.content_length, cases[i].length);
		free(parsed.data);
	}
}
