#include "tests/unit/test.h"
#include "worker/retry.h"

static bool is_within(const struct prong_job *job, int attempt, prong_duration low, prong_duration high)
{
	for (int i = 0; i < 1000; i++) {
		prong_duration delay = job_retry_delay(job, attempt);

		if (delay < low || delay > high)
			return false;
	}
	return true;
}

TEST(retry, doubles_up_to_its_limit)
{
	const struct prong_job plain = { .name = "plain" };
	const struct prong_job own = { .name = "own", .backoff = 1000, .max_backoff = 7000 };

	CU_ASSERT(is_within(&plain, 1, PRONG_MILLISECONDS(500), PRONG_SECONDS(1)));
	CU_ASSERT(is_within(&plain, 2, PRONG_SECONDS(1), PRONG_SECONDS(2)));
	CU_ASSERT(is_within(&plain, 5, PRONG_SECONDS(8), PRONG_SECONDS(16)));
	CU_ASSERT(is_within(&plain, 1000000, PRONG_MINUTES(30), PRONG_HOURS(1)));
	CU_ASSERT(is_within(&own, 3, 2000, 4000));
	CU_ASSERT(is_within(&own, 4, 3500, 7000));
}

TEST(retry, is_spread)
{
	const struct prong_job job = { .name = "job" };
	prong_duration least = INT64_MAX, most = 0;

	for (int i = 0; i < 1000; i++) {
		prong_duration delay = job_retry_delay(&job, 1);

		least = delay < least ? delay : least;
		most = delay > most ? delay : most;
	}
	CU_ASSERT(most - least > PRONG_MILLISECONDS(400));
}
