#include "server/supervisor/backoff.h"

prong_duration backoff_next(struct backoff *backoff, prong_duration lived, uint64_t random)
{
	prong_duration longest = BACKOFF_FIRST;

	if (lived >= BACKOFF_HEALTHY)
		backoff->deaths = 0;
	if (backoff->deaths++ == 0)
		return 0;
	for (unsigned i = 2; i < backoff->deaths && longest < BACKOFF_LONGEST; i++)
		longest *= 2;
	if (longest > BACKOFF_LONGEST)
		longest = BACKOFF_LONGEST;
	return longest - (prong_duration)(random % (uint64_t)(longest / 2 + 1));
}
