#include "common/stack_pool.h"

#include "common/basics.h"
#include "tests/unit/test.h"

#include <sys/mman.h>

enum { STACKS = 40, PAGE = 4096 };

/* Pages of the stack that hold memory. */
static size_t resident(void *stack)
{
	unsigned char pages[STACK_SIZE / PAGE];
	size_t count = 0;

	CU_ASSERT_FATAL(mincore(stack, STACK_SIZE, pages) == 0);
	for (size_t i = 0; i < ARRAY_SIZE(pages); i++)
		count += pages[i] & 1;
	return count;
}

TEST(stack_pool, gives_the_most_recent_again)
{
	struct stack_pool pool;
	void *a, *b;

	stack_pool_init(&pool, 2);
	a = stack_pool_take(&pool);
	b = stack_pool_take(&pool);
	CU_ASSERT(a && b && a != b);
	CU_ASSERT(resident(a) == 0);
	stack_pool_give(&pool, a);
	stack_pool_give(&pool, b);
	CU_ASSERT_PTR_EQUAL(stack_pool_take(&pool), b);
	CU_ASSERT_PTR_EQUAL(stack_pool_take(&pool), a);
	stack_pool_give(&pool, a);
	stack_pool_give(&pool, b);
	stack_pool_close(&pool);
}

static size_t touch_all(struct stack_pool *pool, void *stacks[STACKS])
{
	for (int i = 0; i < STACKS; i++) {
		stacks[i] = stack_pool_take(pool);
		memset((char *)stacks[i] + STACK_SIZE - PAGE, 1, PAGE);
	}
	for (int i = 0; i < STACKS; i++)
		stack_pool_give(pool, stacks[i]);
	return STACKS;
}

static size_t resident_stacks(void *stacks[STACKS])
{
	size_t count = 0;

	for (int i = 0; i < STACKS; i++)
		count += resident(stacks[i]) > 0;
	return count;
}

TEST(stack_pool, gives_back_what_lay_unused)
{
	struct stack_pool pool;
	void *stacks[STACKS];

	stack_pool_init(&pool, STACKS);
	CU_ASSERT(!stack_pool_untidy(&pool));
	touch_all(&pool, stacks);
	CU_ASSERT(stack_pool_untidy(&pool));
	stack_pool_trim(&pool); /* all were used just now */
	CU_ASSERT(resident_stacks(stacks) == STACKS);
	stack_pool_trim(&pool);
	CU_ASSERT(resident_stacks(stacks) == 16);
	CU_ASSERT(!stack_pool_untidy(&pool));
	touch_all(&pool, stacks);
	CU_ASSERT(resident_stacks(stacks) == STACKS);
	stack_pool_close(&pool);
}
