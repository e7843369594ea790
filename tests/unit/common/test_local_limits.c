#include "common/limits/local_limits.h"

#include "tests/unit/test.h"

static const struct prong_rate five = { 5, PRONG_SECONDS(5) };

/* A bucket's id is a hash: these are as evenly distributed. */
static struct bucket bucket(uint64_t number, struct prong_rate rate)
{
	uint64_t words[2] = { number * UINT64_C(0x9e3779b97f4a7c15), number };
	struct bucket bucket = { .rate = rate };

	words[0] ^= words[0] >> 29;
	memcpy(bucket.id, words, sizeof(words));
	return bucket;
}

static bool take(struct local_limits *limits, int64_t now, struct bucket bucket)
{
	prong_duration wait;
	size_t which;

	return local_limits_take(limits, now, &bucket, 1, &wait, &which) == 0;
}

TEST(local_limits, count_to_the_microsecond)
{
	struct local_limits *limits = local_limits_new();
	struct bucket one = bucket(1, five);
	prong_duration wait = 0;
	int64_t now = 1000;
	size_t which;

	for (int i = 0; i < 5; i++)
		CU_ASSERT(take(limits, now, one));
	CU_ASSERT_EQUAL(local_limits_take(limits, now, &one, 1, &wait, &which), -EDQUOT);
	CU_ASSERT_EQUAL(wait, PRONG_SECONDS(1));
	CU_ASSERT(!take(limits, now + PRONG_SECONDS(1) - 1, one));
	CU_ASSERT(take(limits, now + PRONG_SECONDS(1), one));
	CU_ASSERT(!take(limits, now + PRONG_SECONDS(1), one));
	CU_ASSERT_EQUAL(local_limits_take(limits, now + PRONG_SECONDS(1) + 300, &one, 1, &wait, &which), -EDQUOT);
	CU_ASSERT_EQUAL(wait, PRONG_SECONDS(1) - 300);

	/* Six seconds after the first it is empty again, not emptier. */
	now += PRONG_SECONDS(6);
	for (int i = 0; i < 6; i++)
		CU_ASSERT_EQUAL(take(limits, now, one), i < 5);
	limits = local_limits_free(limits);
}

/* In any stretch of time t no more than 5 + t / 1 s. */
TEST(local_limits, never_let_through_more_than_the_rule)
{
	struct local_limits *limits = local_limits_new();
	struct bucket one = bucket(1, five);
	int64_t taken[400], now = 1;
	size_t n_taken = 0;

	for (int i = 0; i < 20000 && n_taken < ARRAY_SIZE(taken); i++) {
		now += (int64_t)(random_u64() % (i % 100 == 0 ? 3000000 : 30000));
		if (take(limits, now, one))
			taken[n_taken++] = now;
	}
	CU_ASSERT(n_taken > 100);
	for (size_t from = 0; from < n_taken; from++)
		for (size_t to = from; to < n_taken; to++)
			CU_ASSERT(to - from + 1 <= (size_t)(5 + (taken[to] - taken[from]) / 1000000));
	local_limits_free(limits);
}

/* A flood of others' buckets drives out none that is in use. */
TEST(local_limits, are_bounded_and_keep_what_is_in_use)
{
	static const struct prong_rate slow = { 5, PRONG_HOURS(5) };
	struct local_limits *limits = local_limits_new();
	struct bucket mine = bucket(1, slow);
	int64_t now = 1;
	int mine_taken = 0, taken = 0;

	for (uint64_t number = 2; number < 10 * LOCAL_LIMITS_SIZE; number++) {
		now++;
		taken += take(limits, now, bucket(number, slow));
		if (number % 100 == 0)
			mine_taken += take(limits, now, mine);
	}
	CU_ASSERT_EQUAL(mine_taken, 5);
	CU_ASSERT_EQUAL(taken, 10 * LOCAL_LIMITS_SIZE - 2);
	local_limits_free(limits);
}
