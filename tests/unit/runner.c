#include "tests/unit/test.h"

#include <CUnit/Basic.h>
#include <stdio.h>
#include <string.h>

static struct test *tests;

void test_register(struct test *test)
{
	struct test **place = &tests;

	while (*place && strcmp((*place)->suite, test->suite) < 0)
		place = &(*place)->next;
	test->next = *place;
	*place = test;
}

int main(int argc, char *argv[])
{
	CU_pSuite suite = NULL;
	unsigned failures;

	if (CU_initialize_registry() != CUE_SUCCESS)
		return 1;
	for (struct test *test = tests; test; test = test->next) {
		if (argc > 1 && strncmp(test->suite, argv[1], strlen(argv[1])) != 0)
			continue;
		if (!suite || strcmp(suite->pName, test->suite) != 0)
			suite = CU_add_suite(test->suite, NULL, NULL);
		CU_add_test(suite, test->name, test->run);
	}
	CU_basic_set_mode(CU_BRM_NORMAL);
	CU_basic_run_tests();
	failures = CU_get_number_of_failures() + (CU_get_number_of_tests_run() == 0);
	CU_cleanup_registry();
	return failures ? 1 : 0;
}
