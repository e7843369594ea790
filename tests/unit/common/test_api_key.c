#include <sodium.h>
#include <stdint.h>

#include "common/basics.h"
#include "common/security/api_key.h"
#include "tests/unit/test.h"

#define KEYS 100000

/* Made with Python's zlib.crc32() and whole numbers: of 0, 2^256 - 1, and the bytes 0 to 31. */
static const char *const vectors[] = {
	"prong_00000000000000000000000000000000000000000002CZclj",
	"prong_yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp13sRzl1",
	"prong_003aUlTJC7tjlCTQj2uNU3MFagCXG9LRKRcwGkBIDlf1Yo7hP",
};

static bool is_valid(const char *text)
{
	return api_key_is_valid(text, strlen(text));
}

/* ---- randomness that is none ---- */

static unsigned char fill;

static const char *name(void)
{
	return "test";
}

static void fill_all(void *const memory, const size_t size)
{
	memset(memory, fill, size);
}

static void make_of(unsigned char byte, char key[API_KEY_SIZE])
{
	static struct randombytes_implementation fixed = { .implementation_name = name, .buf = fill_all };

	fill = byte;
	randombytes_set_implementation(&fixed);
	api_key_make(key);
	randombytes_set_implementation(&randombytes_sysrandom_implementation);
}

TEST(api_key, is_base62_of_the_bytes_and_of_their_crc)
{
	char key[API_KEY_SIZE];

	make_of(0, key);
	CU_ASSERT_STRING_EQUAL(key, vectors[0]);
	make_of(0xff, key);
	CU_ASSERT_STRING_EQUAL(key, vectors[1]);
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++)
		CU_ASSERT(is_valid(vectors[i]));
}

TEST(api_key, is_known_by_its_sha_256)
{
	unsigned char hash[API_KEY_HASH_SIZE];
	char hex[sizeof(hash) * 2 + 1];

	api_key_hash(vectors[0], hash);
	sodium_bin2hex(hex, sizeof(hex), hash, sizeof(hash));
	CU_ASSERT_STRING_EQUAL(hex, "565bef0fd1525c27a6ac499fb39827cf326aca8342caa77001131303b67c5e24");
}

TEST(api_key, is_valid_as_it_was_made_and_never_made_twice)
{
	char(*keys)[API_KEY_SIZE] = allocate_array(KEYS, sizeof(*keys));
	size_t invalid = 0, twice = 0;

	for (size_t i = 0; i < KEYS; i++) {
		api_key_make(keys[i]);
		invalid += strlen(keys[i]) != API_KEY_SIZE - 1 || !is_valid(keys[i]);
	}
	qsort(keys, KEYS, sizeof(*keys), (int (*)(const void *, const void *))strcmp);
	for (size_t i = 1; i < KEYS; i++)
		twice += string_equal(keys[i - 1], keys[i]);
	CU_ASSERT_EQUAL(invalid, 0);
	CU_ASSERT_EQUAL(twice, 0);
	free(keys);
}

TEST(api_key, no_single_wrong_character_passes)
{
	size_t passed = 0;

	for (int round = 0; round < 20; round++) {
		char key[API_KEY_SIZE];

		api_key_make(key);
		for (size_t at = 0; at < API_KEY_SIZE - 1; at++) {
			char right = key[at];

			for (int c = 0; c < 256; c++) {
				key[at] = (char)c;
				passed += key[at] != right && api_key_is_valid(key, API_KEY_SIZE - 1);
			}
			key[at] = right;
		}
	}
	CU_ASSERT_EQUAL(passed, 0);
}

TEST(api_key, no_two_neighbours_change_places)
{
	size_t passed = 0;

	for (int round = 0; round < 1000; round++) {
		char key[API_KEY_SIZE];

		api_key_make(key);
		for (size_t at = 0; at + 2 < API_KEY_SIZE; at++) {
			char left = key[at];

			key[at] = key[at + 1];
			key[at + 1] = left;
			passed += key[at] != left && is_valid(key);
			key[at + 1] = key[at];
			key[at] = left;
		}
	}
	CU_ASSERT_EQUAL(passed, 0);
}

TEST(api_key, other_forms_are_refused)
{
	static const char *const texts[] = {
		"",
		"prong_",
		"prong",
		"Prong_00000000000000000000000000000000000000000002CZclj",
		"prong-00000000000000000000000000000000000000000002CZclj",
		"prong_0000000000000000000000000000000000000000002CZclj",
		"prong_000000000000000000000000000000000000000000002CZclj",
		" prong_00000000000000000000000000000000000000000002CZclj",
		"prong_00000000000000000000000000000000000000000002CZclj ",
		"prong_00000000000000000000000000000000000000000002czclj",
		"prong_0000000000000000000000000000000000000000000000000",
		"prong_+000000000000000000000000000000000000000000000000",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		CU_ASSERT_FALSE(is_valid(texts[i]));
	CU_ASSERT_FALSE(api_key_is_valid(vectors[0], API_KEY_SIZE)); /* with its NUL */
	CU_ASSERT_FALSE(api_key_is_valid(vectors[0], API_KEY_SIZE - 2));
}

TEST(api_key, is_meant_by_its_prefix)
{
	CU_ASSERT(api_key_is_meant("prong_", 6));
	CU_ASSERT(api_key_is_meant("prong_x", 7));
	CU_ASSERT_FALSE(api_key_is_meant("prong_", 5));
	CU_ASSERT_FALSE(api_key_is_meant("PRONG_x", 7));
	CU_ASSERT_FALSE(api_key_is_meant("eyJhbGciOiJFZERTQSJ9", 20));
	CU_ASSERT_FALSE(api_key_is_meant("", 0));
}
