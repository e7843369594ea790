#include <string.h>

#include "common/basics.h"
#include "common/security/base64url.h"
#include "tests/unit/test.h"

static int decode(const char *text, unsigned char *out, size_t capacity, size_t *ret_size)
{
	return base64url_decode(text, strlen(text), out, capacity, ret_size);
}

TEST(base64url, decodes_rfc_4648_vectors)
{
	static const char *const vectors[][2] = {
		{ "", "" },	      { "Zg", "f" },	      { "Zm8", "fo" },		{ "Zm9v", "foo" },
		{ "Zm9vYg", "foob" }, { "Zm9vYmE", "fooba" }, { "Zm9vYmFy", "foobar" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		unsigned char out[16];
		size_t size = 99;

		CU_ASSERT_EQUAL(decode(vectors[i][0], out, sizeof(out), &size), 0);
		CU_ASSERT_EQUAL(size, strlen(vectors[i][1]));
		CU_ASSERT_EQUAL(memcmp(out, vectors[i][1], strlen(vectors[i][1])), 0);
	}
}

TEST(base64url, has_its_own_alphabet)
{
	unsigned char out[4];
	size_t size;

	CU_ASSERT_EQUAL(decode("-_-_", out, sizeof(out), &size), 0);
	CU_ASSERT_EQUAL(size, 3);
	CU_ASSERT_EQUAL(memcmp(out, "\xfb\xff\xbf", 3), 0);
	CU_ASSERT_EQUAL(decode("+/+/", out, sizeof(out), &size), -EINVAL);
}

TEST(base64url, refuses_other_forms)
{
	static const char *const wrong[] = {
		"Zg==", "Zm8=", "Z", "Zm9vY", "Zm 8", "Zm8\n", " Zm8", "Zh", "Zm9", "Zm9vYmF.", "Zm\xc3\xa9",
	};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		unsigned char out[16];
		size_t size = 99;

		CU_ASSERT_EQUAL(decode(wrong[i], out, sizeof(out), &size), -EINVAL);
		CU_ASSERT_EQUAL(size, 99);
	}
	unsigned char out[16];
	size_t size;
	CU_ASSERT_EQUAL(base64url_decode("Zm8\0", 4, out, sizeof(out), &size), -EINVAL);
}

TEST(base64url, keeps_to_its_capacity)
{
	unsigned char out[4] = { 0, 0, 0, 0x5a };
	size_t size;

	CU_ASSERT_EQUAL(decode("Zm9vYmFy", out, 3, &size), -EINVAL);
	CU_ASSERT_EQUAL(out[3], 0x5a);
	CU_ASSERT_EQUAL(decode("Zm9v", out, 3, &size), 0);
}
