/* The worker renews the leases of what it runs; handlers know nothing of them. */
#include "common/log.h"
#include "common/loop.h"
#include "worker/consumer.h"

#define RENEW_EVERY (JOB_LEASE / 3)
#define RETRY_AFTER PRONG_SECONDS(1)

static struct running *find(const struct worker *worker, const struct delivery *delivery)
{
	for (struct running *job = worker->jobs.next; job != &worker->jobs; job = job->next)
		if (job->delivery.attempt == delivery->attempt && string_equal(job->delivery.id, delivery->id))
			return job;
	return NULL;
}

/* Jobs come and go while the renewal is under way: what is asked about are copies. */
static int renew_queue(struct consumer *consumer, struct arena *arena)
{
	struct worker *worker = consumer->worker;
	struct delivery *copies = arena_alloc(arena, consumer->running * sizeof(*copies));
	const struct delivery **deliveries = arena_alloc(arena, consumer->running * sizeof(*deliveries));
	bool *lost = arena_alloc(arena, consumer->running * sizeof(*lost));
	size_t count = 0;
	int r;

	for (struct running *job = worker->jobs.next; job != &worker->jobs; job = job->next) {
		if (job->consumer != consumer || job->lost)
			continue;
		copies[count] = job->delivery;
		deliveries[count] = &copies[count];
		count++;
	}
	r = job_queue_renew(worker->runtime->jobs, consumer->queue, worker->runtime->incarnation, JOB_LEASE, deliveries,
			    count, lost);
	for (size_t i = 0; r == 0 && i < count; i++) {
		struct running *job = lost[i] ? find(worker, &copies[i]) : NULL;

		if (!job)
			continue;
		log_warning("job %s %s: its lease ended before it could be renewed, so it may run elsewhere; cancelled "
			    "here",
			    job->delivery.name, job->delivery.id);
		job->lost = true;
		coroutine_cancel(job->coroutine);
	}
	return r;
}

void lease_main(void *argument)
{
	struct worker *worker = argument;
	int64_t next = monotonic_us() + RENEW_EVERY;
	struct arena arena;

	arena_init(&arena);
	while (coroutine_sleep_until(next) == 0) {
		int r = 0;

		for (size_t i = 0; i < worker->n_consumers && r == 0; i++)
			r = renew_queue(&worker->consumers[i], &arena);
		arena_reset(&arena);
		next = monotonic_us() + (r == 0 ? RENEW_EVERY : RETRY_AFTER);
	}
	worker_ended(worker, &worker->renewer);
}
