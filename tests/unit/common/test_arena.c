#include "tests/unit/test.h"

#include <stdint.h>
#include <string.h>

#include "common/arena.h"

TEST(arena, gives_zeroed_aligned_memory_that_does_not_overlap)
{
	struct arena arena;
	unsigned char *given[500];

	arena_init(&arena);
	for (size_t i = 0; i < 500; i++) {
		size_t size = i * 7 % 300 + 1;

		given[i] = arena_alloc(&arena, size);
		CU_ASSERT((uintptr_t)given[i] % 16 == 0);
		for (size_t k = 0; k < size; k++)
			CU_ASSERT(given[i][k] == 0);
		memset(given[i], (int)(i % 251) + 1, size);
	}
	for (size_t i = 0; i < 500; i++)
		for (size_t k = 0; k < i * 7 % 300 + 1; k++)
			CU_ASSERT(given[i][k] == i % 251 + 1);
	arena_reset(&arena);
}

TEST(arena, keeps_filling_the_current_chunk_after_a_large_allocation)
{
	struct arena arena;
	char *small, *after;

	arena_init(&arena);
	small = arena_alloc(&arena, 16);
	memset(arena_alloc(&arena, 1 << 20), 'x', 1 << 20);
	after = arena_alloc(&arena, 16);
	CU_ASSERT(after > small && after < small + 8192);
	arena_reset(&arena);
	CU_ASSERT(arena.used == 0);
}

TEST(arena, clears_what_an_earlier_request_left)
{
	struct arena arena;

	arena_init(&arena);
	memset(arena_alloc(&arena, 4000), 'x', 4000);
	arena_reset(&arena);
	for (const char *p = arena_alloc(&arena, 4000), *end = p + 4000; p < end; p++)
		CU_ASSERT(*p == 0);
	arena_reset(&arena);
}

TEST(arena, copies_and_formats_text)
{
	struct arena arena;
	char long_text[20000];

	arena_init(&arena);
	memset(long_text, 'y', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	CU_ASSERT_STRING_EQUAL(arena_strdup(&arena, "ada"), "ada");
	CU_ASSERT_STRING_EQUAL(arena_strndup(&arena, "adage", 3), "ada");
	CU_ASSERT_STRING_EQUAL(arena_format(&arena, "%d of %s", 3, "4"), "3 of 4");
	CU_ASSERT(strlen(arena_format(&arena, "%s!", long_text)) == sizeof(long_text));
	arena_reset(&arena);
}
