/*
 * Unit tests register themselves: TEST(arena, grows) { CU_ASSERT(…); } in any file of a layer's folder is run by that
 * layer's program. `test_common arena` runs only the suites whose name begins so.
 */
#ifndef TEST_H
#define TEST_H

#include <CUnit/CUnit.h>

struct test {
	const char *suite, *name;
	void (*run)(void);
	struct test *next;
};
void test_register(struct test *test);

#define TEST(suite_, name_)                                                                                     \
	static void test_##suite_##_##name_(void);                                                              \
	__attribute__((constructor)) static void register_##suite_##_##name_(void)                              \
	{                                                                                                       \
		static struct test test = { .suite = #suite_, .name = #name_, .run = test_##suite_##_##name_ }; \
		test_register(&test);                                                                           \
	}                                                                                                       \
	static void test_##suite_##_##name_(void)

#endif
