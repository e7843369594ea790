#include "common/deadlines.h"
#include "tests/unit/test.h"

enum { MANY = 500 };

static bool in_order(const struct deadlines *deadlines)
{
	for (size_t i = 0; i < deadlines->count; i++) {
		if (deadlines->heap[i]->place != i)
			return false;
		if (i > 0 && deadlines->heap[(i - 1) / 2]->at > deadlines->heap[i]->at)
			return false;
	}
	return true;
}

TEST(deadlines, first_is_the_earliest)
{
	struct deadline a = DEADLINE_NONE, b = DEADLINE_NONE;
	struct deadlines deadlines;

	deadlines_init(&deadlines, 2);
	CU_ASSERT_PTR_NULL(deadlines_first(&deadlines));
	deadlines_set(&deadlines, &a, INT64_MAX);
	CU_ASSERT_PTR_NULL(deadlines_first(&deadlines));
	deadlines_set(&deadlines, &a, 20);
	deadlines_set(&deadlines, &b, 10);
	CU_ASSERT_PTR_EQUAL(deadlines_first(&deadlines), &b);
	deadlines_set(&deadlines, &b, 30);
	CU_ASSERT_PTR_EQUAL(deadlines_first(&deadlines), &a);
	deadlines_set(&deadlines, &a, INT64_MAX);
	CU_ASSERT_PTR_EQUAL(deadlines_first(&deadlines), &b);
	CU_ASSERT(a.at == INT64_MAX);
	deadlines_close(&deadlines);
}

TEST(deadlines, stay_in_order_whatever_moves)
{
	struct deadline all[MANY];
	struct deadlines deadlines;
	int64_t last = INT64_MIN;
	bool ordered = true;

	deadlines_init(&deadlines, MANY);
	for (size_t i = 0; i < MANY; i++)
		all[i] = DEADLINE_NONE;
	for (size_t i = 0; i < (size_t)MANY * 40; i++) {
		int64_t at = (int64_t)(random_u64() % 1000);

		deadlines_set(&deadlines, &all[random_u64() % MANY], at < 100 ? INT64_MAX : at);
		ordered = ordered && in_order(&deadlines);
	}
	CU_ASSERT(ordered);
	while (deadlines.count > 0) {
		struct deadline *first = deadlines_first(&deadlines);

		ordered = ordered && first->at >= last;
		last = first->at;
		deadlines_set(&deadlines, first, INT64_MAX);
	}
	CU_ASSERT(ordered);
	deadlines_close(&deadlines);
}
