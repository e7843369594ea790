#include "worker/scheduler.h"

#include "common/jobs/job_queue.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/runtime.h"
#include "worker/job_metrics.h"

#define EVERY PRONG_SECONDS(3)

struct scheduler {
	const struct process *process;
	struct runtime *runtime;
	struct coroutine *housekeeper; /* NULL once it has ended */
	bool draining;
};

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

static void housekeeper_main(void *argument)
{
	struct scheduler *scheduler = argument;

	keep_house(scheduler);
	process_ready(scheduler->process);
	while (!scheduler->draining && coroutine_sleep_until(monotonic_us() + EVERY) == 0)
		keep_house(scheduler);
	scheduler->housekeeper = NULL;
	loop_stop(scheduler->runtime->loop);
}

/* Everything it does can be left at any point. */
static void drain(void *argument)
{
	struct scheduler *scheduler = argument;

	scheduler->draining = true;
	if (scheduler->housekeeper)
		coroutine_cancel(scheduler->housekeeper);
}

int scheduler_main(const struct process *process)
{
	_cleanup_(freep) char *name = format_text("%s scheduler", process->registry->app->name);
	struct scheduler scheduler = { .process = process };

	scheduler.runtime =
		runtime_new(process->settings, process->registry, process->scoreboard, name, -1, RUNTIME_REDIS);
	log_attach(scheduler.runtime->loop);
	process_attach(process, scheduler.runtime->loop, drain, &scheduler);
	check(coroutine_start(scheduler.runtime->loop, housekeeper_main, &scheduler, &scheduler.housekeeper) == 0);
	loop_run(scheduler.runtime->loop);
	process_detach();
	log_detach();
	runtime_free(scheduler.runtime);
	return STATUS_OK;
}
