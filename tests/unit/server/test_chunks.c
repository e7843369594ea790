#include "common/buffer.h"
#include "server/http/parser.h"
#include "tests/unit/test.h"

#include <stdio.h>

#define BYTES(literal) (literal), sizeof(literal) - 1
#define MAX_BODY 100
#define MORE -1

struct result {
	int status; /* 0: complete; -1: more is needed; else refused with it */
	size_t consumed;
	struct buffer body;
};

/* Decodes `first` bytes, then `step` at a time, each piece in memory that fits it exactly. */
static struct result decode(const char *data, size_t size, size_t first, size_t step)
{
	struct result result = { .status = MORE };
	struct http_chunks chunks = { 0 };
	size_t at = 0, piece = first < size ? first : size;

	for (;;) {
		char *copy = malloc(piece ? piece : 1);
		struct http_refusal refusal;
		size_t consumed = 0, body = 0;
		int r;

		memcpy(copy, data + at, piece);
		r = http_chunks_decode(&chunks, copy, piece, MAX_BODY, &consumed, &body, &refusal);
		if (r >= 0)
			buffer_add(&result.body, copy, body);
		free(copy);
		result.consumed += consumed;
		if (r < 0) {
			CU_ASSERT(refusal.close);
			CU_ASSERT_PTR_NOT_NULL(refusal.detail);
			result.status = refusal.status;
			return result;
		}
		if (r > 0) {
			result.status = 0;
			return result;
		}
		CU_ASSERT_EQUAL(consumed, piece);
		at += piece;
		if (at == size)
			return result;
		piece = step < size - at ? step : size - at;
	}
}

static bool result_equal(const struct result *a, const struct result *b)
{
	if (a->status != b->status)
		return false;
	/* What was decoded before a refusal is nobody's: how much of it there is depends on the pieces. */
	return a->status > 0 || (a->consumed == b->consumed && a->body.size == b->body.size &&
				 (a->body.size == 0 || memcmp(a->body.data, b->body.data, a->body.size) == 0));
}

static void expect(const char *name, const char *data, size_t size, int status, const char *body)
{
	struct result whole = decode(data, size, size, 1);

	for (size_t first = 0; first <= size; first++) {
		struct result split = decode(data, size, first, first == size ? 1 : size);

		CU_ASSERT(result_equal(&whole, &split));
		buffer_free(&split.body);
	}
	struct result bytes = decode(data, size, 0, 1);
	CU_ASSERT(result_equal(&whole, &bytes));
	buffer_free(&bytes.body);

	if (whole.status != status)
		printf("\n    %s: %d, not %d\n", name, whole.status, status);
	CU_ASSERT_EQUAL(whole.status, status);
	if (body) {
		CU_ASSERT_EQUAL(whole.body.size, strlen(body));
		CU_ASSERT(strcmp(buffer_text(&whole.body), body) == 0);
	}
	buffer_free(&whole.body);
}

TEST(chunks, decodes)
{
	static const struct {
		const char *name, *data, *body;
	} cases[] = {
		{ "nothing", "0\r\n\r\n", "" },
		{ "one", "5\r\nhello\r\n0\r\n\r\n", "hello" },
		{ "two", "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world" },
		{ "hexadecimal", "A\r\n0123456789\r\nb\r\n0123456789a\r\n0\r\n\r\n", "01234567890123456789a" },
		{ "leading zeros", "0005\r\nhello\r\n000\r\n\r\n", "hello" },
		{ "line ends in data", "4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n" },
		{ "extension", "5;a\r\nhello\r\n0;b=c\r\n\r\n", "hello" },
		{ "extension with spaces", "5; a = \"b;c\"\r\nhello\r\n0\r\n\r\n", "hello" },
		{ "trailers", "5\r\nhello\r\n0\r\nA: b\r\nC:\r\n\r\n", "hello" },
		{ "trailers that would frame or sign in",
		  "5\r\nhello\r\n0\r\nContent-Length: 7\r\nTransfer-Encoding: x\r\nHost: b\r\nAuthorization: c\r\n\r\n",
		  "hello" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		expect(cases[i].name, cases[i].data, strlen(cases[i].data), 0, cases[i].body);
}

TEST(chunks, refuses)
{
	static const struct {
		const char *name, *data;
		size_t size;
		int status;
	} cases[] = {
		{ "0x", BYTES("0x5\r\nhello\r\n0\r\n\r\n"), 400 },
		{ "plus", BYTES("+5\r\nhello\r\n0\r\n\r\n"), 400 },
		{ "minus", BYTES("-5\r\nhello\r\n0\r\n\r\n"), 400 },
		{ "space before", BYTES(" 5\r\nhello\r\n0\r\n\r\n"), 400 },
		{ "space after", BYTES("5 \r\nhello\r\n0\r\n\r\n"), 400 },
		{ "space before an extension", BYTES("5 ;a\r\nhello\r\n0\r\n\r\n"), 400 },
		{ "TAB after", BYTES("5\t\r\nhello\r\n0\r\n\r\n"), 400 },
		{ "underscore", BYTES("1_0\r\n0123456789abcdef\r\n0\r\n\r\n"), 400 },
		{ "empty", BYTES("\r\nhello\r\n0\r\n\r\n"), 400 },
		{ "empty, at the end", BYTES("\r\n\r\n"), 400 },
		{ "empty after a chunk", BYTES("5\r\nhello\r\n\r\n\r\n"), 400 },
		{ "extension alone", BYTES(";a\r\nhello\r\n0\r\n\r\n"), 400 },
		{ "extension alone, at the end", BYTES(";a\r\n\r\n"), 400 },
		{ "no hexadecimal digit", BYTES("g\r\n"), 400 },
		{ "17 digits", BYTES("10000000000000005\r\nhello\r\n0\r\n\r\n"), 400 },
		{ "17 digits, all 0", BYTES("00000000000000000\r\n\r\n"), 400 },
		{ "largest", BYTES("ffffffffffffffff\r\n"), 413 },
		{ "LF alone after the size", BYTES("5\nhello\r\n0\r\n\r\n"), 400 },
		{ "CR alone after the size", BYTES("5\rhello\r\n0\r\n\r\n"), 400 },
		{ "LF alone after the data", BYTES("5\r\nhello\n0\r\n\r\n"), 400 },
		{ "nothing after the data", BYTES("5\r\nhello0\r\n\r\n"), 400 },
		{ "data longer than said", BYTES("4\r\nhello\r\n0\r\n\r\n"), 400 },
		{ "data shorter than said", BYTES("6\r\nhello\r\n0\r\n\r\n"), 400 },
		{ "LF alone at the end", BYTES("0\r\n\n"), 400 },
		{ "LF alone after the last size", BYTES("0\n\r\n"), 400 },
		{ "CR in an extension", BYTES("5;a\rb\r\nhello\r\n0\r\n\r\n"), 400 },
		{ "LF in an extension", BYTES("5;a\nb\r\nhello\r\n0\r\n\r\n"), 400 },
		{ "NUL in an extension", BYTES("5;a\0\r\nhello\r\n0\r\n\r\n"), 400 },
		{ "LF in a quoted extension", BYTES("5;a=\"\n\"\r\nhello\r\n0\r\n\r\n"), 400 },
		{ "trailer without colon", BYTES("0\r\nA\r\n\r\n"), 400 },
		{ "trailer without name", BYTES("0\r\n: b\r\n\r\n"), 400 },
		{ "trailer with a space before the colon", BYTES("0\r\nA : b\r\n\r\n"), 400 },
		{ "folded trailer", BYTES("0\r\nA: b\r\n c\r\n\r\n"), 400 },
		{ "trailer with NUL", BYTES("0\r\nA: \0\r\n\r\n"), 400 },
		{ "trailer with LF alone", BYTES("0\r\nA: b\n\r\n"), 400 },
		{ "a request for a trailer", BYTES("0\r\nGET / HTTP/1.1\r\n\r\n"), 400 },
		{ "one chunk over the cap", BYTES("65\r\n"), 413 },
		{ "two chunks over the cap", BYTES("5\r\nhello\r\n60\r\n"), 413 },
		{ "over the cap, with an extension", BYTES("65;a"), 413 },
		{ "truncated size", BYTES("5"), MORE },
		{ "truncated data", BYTES("5\r\nhell"), MORE },
		{ "truncated end", BYTES("5\r\nhello\r\n0\r\n"), MORE },
		{ "truncated trailer", BYTES("5\r\nhello\r\n0\r\nA: b\r\n\r"), MORE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		expect(cases[i].name, cases[i].data, cases[i].size, cases[i].status, NULL);
}

TEST(chunks, takes_just_the_cap)
{
	struct buffer data = { 0 }, body = { 0 };

	for (size_t i = 0; i < MAX_BODY; i++)
		buffer_add_char(&body, 'a');
	buffer_add_format(&data, "%x\r\n%s\r\n0\r\n\r\n", MAX_BODY, buffer_text(&body));
	expect("just the cap", data.data, data.size, 0, body.data);
	buffer_free(&data);
	buffer_free(&body);
}

TEST(chunks, leaves_what_follows)
{
	static const char data[] = "5\r\nhello\r\n0\r\nA: b\r\n\r\nGET / HTTP/1.1\r\n";
	struct result result = decode(BYTES(data), sizeof(data) - 1, 1);

	CU_ASSERT_EQUAL(result.status, 0);
	CU_ASSERT_EQUAL(result.consumed, strlen("5\r\nhello\r\n0\r\nA: b\r\n\r\n"));
	buffer_free(&result.body);
}

/* Repeats `line` until refused; says with what, and that it was soon. */
static int flood(const char *start, const char *line)
{
	struct http_chunks chunks = { 0 };
	struct http_refusal refusal = { 0 };
	size_t consumed, body;
	char piece[64];

	strcpy(piece, start);
	if (http_chunks_decode(&chunks, piece, strlen(start), UINT64_MAX, &consumed, &body, &refusal) < 0)
		return -1;
	for (size_t sent = 0; sent < 20000; sent += strlen(line)) {
		strcpy(piece, line);
		if (http_chunks_decode(&chunks, piece, strlen(line), UINT64_MAX, &consumed, &body, &refusal) < 0)
			return refusal.status;
	}
	return 0;
}

TEST(chunks, refuses_floods)
{
	CU_ASSERT_EQUAL(flood("5;", "a"), 400);
	CU_ASSERT_EQUAL(flood("", "1;aaaaaaaaaaaaaaa\r\nb\r\n"), 400);
	CU_ASSERT_EQUAL(flood("0\r\n", "A: b\r\n"), 431);
	CU_ASSERT_EQUAL(flood("0\r\nA:", "b"), 431);
	CU_ASSERT_EQUAL(flood("", "1\r\nb\r\n"), 0);
}
