#include "common/buffer.h"
#include "server/http/parser.h"
#include "tests/unit/test.h"

#include <stdio.h>

/* Splits a copy that fits exactly, into space that does; the segments joined by '|', or NULL where refused with
 * `error`. */
static char *split(const char *path, int error)
{
	size_t size = strlen(path), count = 0;
	char *copy = malloc(size ? size : 1), *space = malloc(size + 1);
	struct http_text segments[HTTP_MAX_SEGMENTS];
	struct buffer joined = { 0 };
	int r;

	memcpy(copy, path, size);
	r = http_split_path((struct http_text){ copy, size }, space, segments, &count);
	CU_ASSERT_EQUAL(r, error);
	for (size_t i = 0; r == 0 && i < count; i++) {
		CU_ASSERT_EQUAL(segments[i].data[segments[i].size], '\0');
		buffer_add_char(&joined, '|');
		buffer_add(&joined, segments[i].data, segments[i].size);
	}
	buffer_text(&joined);
	free(copy);
	free(space);
	return joined.data;
}

static void expect(const char *path, const char *expected)
{
	char *joined = split(path, 0);

	if (strcmp(joined, expected) != 0)
		printf("\n    %s: %s, not %s\n", path, joined, expected);
	CU_ASSERT_STRING_EQUAL(joined, expected);
	free(joined);
}

TEST(path, splits)
{
	expect("/", "");
	expect("/v1", "|v1");
	expect("/v1/notes", "|v1|notes");
	expect("/v1/notes/", "|v1|notes|");
	expect("//", "||");
	expect("//v1", "||v1");
	expect("/a.b/...", "|a.b|...");
	expect("/.well-known", "|.well-known");
}

TEST(path, decodes_once)
{
	expect("/%41%c3%a9/b%20c", "|A\xc3\xa9|b c");
	expect("/%25", "|%");
	expect("/%2541", "|%41");
	expect("/%252e%252e", "|%2e%2e");
	expect("/%252f", "|%2f");
	expect("/%5c%3a%3F", "|\\:?");
}

TEST(path, refuses)
{
	static const char *const paths[] = {
		"",
		"v1",
		"*",
		"/%",
		"/%4",
		"/%zz",
		"/%4g",
		"/%%34%31",
		"/a/%2f",
		"/a%2Fb",
		"/%00",
		"/a%00b",
		"/.",
		"/..",
		"/a/.",
		"/a/..",
		"/a/../b",
		"/./a",
		"/%2e",
		"/%2e%2e",
		"/.%2E",
		"/%2e./a",
		"/%c3",
		"/%c3a",
		"/%ff",
		"/%c0%af",
		"/%c0%ae%c0%ae",
		"/%ed%a0%80",
		"/%f4%90%80%80",
		"/a\\b",
		"/\xc3\xa9",
		"/a b",
		"/\"",
	};

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		free(split(paths[i], -EBADMSG));
}

TEST(path, bounds_segments)
{
	struct buffer path = { 0 };

	for (size_t i = 0; i < HTTP_MAX_SEGMENTS; i++)
		buffer_add_string(&path, "/a");
	free(split(buffer_text(&path), 0));
	buffer_add_string(&path, "/");
	free(split(buffer_text(&path), -ENOENT));
	buffer_add_string(&path, "/..");
	free(split(buffer_text(&path), -EBADMSG));
	buffer_free(&path);
}
