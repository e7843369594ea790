#include "common/jobs/job_queue.h"
#include "worker/burial.h"
#include "worker/job_metrics.h"
#include "worker/scheduler.h"

#define EVERY PRONG_SECONDS(3)

/* Promotes what is due, takes back what outlived its lease; where that leaves jobs ready, the script wakes a worker. */
static int tidy(struct scheduler *scheduler, const struct job_shard *shard, struct arena *arena)
{
	struct runtime *runtime = scheduler->runtime;
	struct job_exchange exchange = { .shard = shard };
	struct job_exchange_result result;
	int r;

	do {
		r = job_queue_exchange(runtime->jobs, arena, &exchange, &result);
		if (r == 0)
			metric_add(job_metrics_of(shard->queue_index)->expired, result.expired);
	} while (r == 0 && result.next == 0 && !scheduler->draining);
	for (size_t i = 0; r == 0 && i < result.n_lapsed; i++) {
		struct job_reclaimed reclaimed;

		r = job_queue_reclaim(runtime->jobs, shard, result.lapsed[i], arena, &reclaimed);
		if (r == 0)
			burial_of_lost(runtime, shard->queue_index, reclaimed.buried, reclaimed.n_buried);
	}
	return r;
}

static int measure(struct scheduler *scheduler, size_t index)
{
	const struct runtime *runtime = scheduler->runtime;
	const struct job_metrics *metrics = job_metrics_of(index);
	struct job_stats stats;
	int r = job_queue_stats(runtime->jobs, runtime->registry->queues[index].name, &stats);

	if (r < 0)
		return r;
	for (size_t state = 0; state < JOB_STATES; state++)
		metric_set(metrics->depth[state], (int64_t)stats.states[state]);
	metric_set(metrics->oldest, stats.oldest / PRONG_SECONDS(1));
	metric_set(metrics->bytes, stats.bytes);
	return 0;
}

static void keep_house(struct scheduler *scheduler)
{
	const struct registry *registry = scheduler->runtime->registry;
	const struct job_queue *jobs = scheduler->runtime->jobs;
	struct arena arena;
	int r = 0;

	arena_init(&arena);
	for (size_t i = 0; i < jobs->n_shards && r == 0; i++) {
		r = tidy(scheduler, &jobs->shards[i], &arena);
		arena_reset(&arena);
	}
	for (size_t i = 0; i < registry->n_queues && r == 0; i++)
		r = measure(scheduler, i);
}

void housekeeping_main(struct scheduler *scheduler)
{
	keep_house(scheduler);
	process_ready(scheduler->process);
	while (scheduler_sleep(scheduler, EVERY))
		keep_house(scheduler);
}
