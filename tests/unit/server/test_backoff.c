#include "server/supervisor/backoff.h"

#include "tests/unit/test.h"

TEST(backoff, starts_at_once_the_first_time)
{
	struct backoff backoff = { 0 };

	CU_ASSERT_EQUAL(backoff_next(&backoff, 0, 12345), 0);
}

TEST(backoff, doubles_up_to_its_longest)
{
	struct backoff backoff = { 0 };
	prong_duration expected = BACKOFF_FIRST;

	backoff_next(&backoff, 0, 0);
	for (int i = 0; i < 40; i++) {
		CU_ASSERT_EQUAL(backoff_next(&backoff, PRONG_SECONDS(1), 0), expected);
		expected = expected * 2 < BACKOFF_LONGEST ? expected * 2 : BACKOFF_LONGEST;
	}
	CU_ASSERT_EQUAL(expected, BACKOFF_LONGEST);
}

TEST(backoff, takes_away_at_most_half)
{
	for (uint64_t random = 0; random < 200000; random += 777) {
		struct backoff backoff = { .deaths = 1 };
		prong_duration delay = backoff_next(&backoff, 0, random);

		CU_ASSERT(delay >= BACKOFF_FIRST / 2 && delay <= BACKOFF_FIRST);
	}
}

TEST(backoff, forgets_after_healthy_time)
{
	struct backoff backoff = { .deaths = 9 };

	CU_ASSERT_EQUAL(backoff_next(&backoff, BACKOFF_HEALTHY, 1), 0);
	CU_ASSERT(backoff_next(&backoff, BACKOFF_HEALTHY - 1, 1) > 0);
}
