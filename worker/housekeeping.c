#include "common/jobs/job_queue.h"
#include "worker/job_metrics.h"
#include "worker/scheduler.h"

#define EVERY PRONG_SECONDS(3)

/* Promotes what is due, takes back what outlived its lease; where that leaves jobs ready, the script wakes a worker. */
static int tidy(struct scheduler *scheduler, const char *queue, struct arena *arena)
{
	struct runtime *runtime = scheduler->runtime;
	struct job_exchange exchange = { .queue = queue, .owner = runtime->incarnation };
	struct job_exchange_result result;
	int r;

	do
		r = job_queue_exchange(runtime->jobs, arena, &exchange, &result);
	while (r == 0 && result.next == 0 && !scheduler->draining);
	return r;
}

static int measure(struct scheduler *scheduler, size_t index)
{
	const struct runtime *runtime = scheduler->runtime;
	const struct job_metrics *metrics = job_metrics_of(index);
	struct job_counts counts;
	int r = job_queue_counts(runtime->jobs, runtime->registry->queues[index], &counts);

	for (size_t state = 0; r == 0 && state < JOB_STATES; state++)
		metric_set(metrics->depth[state], (int64_t)counts.states[state]);
	return r;
}

static void keep_house(struct scheduler *scheduler)
{
	const struct registry *registry = scheduler->runtime->registry;
	struct arena arena;
	int r = 0;

	arena_init(&arena);
	for (size_t i = 0; i < registry->n_queues && r == 0; i++) {
		r = tidy(scheduler, registry->queues[i], &arena);
		if (r == 0)
			r = measure(scheduler, i);
		arena_reset(&arena);
	}
}

void housekeeping_main(struct scheduler *scheduler)
{
	keep_house(scheduler);
	process_ready(scheduler->process);
	while (scheduler_sleep(scheduler, EVERY))
		keep_house(scheduler);
}
