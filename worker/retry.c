#include "worker/retry.h"

#include "common/basics.h"

#define DEFAULT_BACKOFF PRONG_SECONDS(1)
#define DEFAULT_MAX_BACKOFF PRONG_HOURS(1)

prong_duration job_retry_delay(const struct prong_job *job, int attempt)
{
	prong_duration limit = job->max_backoff ? job->max_backoff : DEFAULT_MAX_BACKOFF;
	prong_duration delay = job->backoff ? job->backoff : DEFAULT_BACKOFF;

	for (int i = 1; i < attempt && delay < limit; i++)
		delay = delay > limit / 2 ? limit : delay * 2;
	if (delay > limit)
		delay = limit;
	return delay - (prong_duration)(random_u64() % (uint64_t)(delay / 2 + 1));
}
