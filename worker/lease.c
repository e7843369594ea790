/* Every exchange renews the leases of what it runs; handlers know nothing of them. */
#include "common/loop.h"
#include "worker/consumer.h"

#define RENEW_EVERY (JOB_LEASE / 3)

void lease_main(void *argument)
{
	struct worker *worker = argument;
	int64_t next = monotonic_us() + RENEW_EVERY;

	while (coroutine_sleep_until(next) == 0) {
		for (size_t i = 0; i < worker->n_consumers; i++)
			consumer_poke(&worker->consumers[i]);
		worker_changed(worker);
		next = monotonic_us() + RENEW_EVERY;
	}
	worker_ended(worker, &worker->renewer);
}
