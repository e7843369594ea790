#include "worker/scheduler.h"

#include "common/log.h"
#include "common/loop.h"

/* What a scheduler does; add a part here. */
static scheduler_part_main *const mains[] = {
	reclaim_main, housekeeping_main, relay_main, reconciler_main, retention_main, ticker_main,
};

struct scheduler_part {
	struct scheduler *scheduler;
	scheduler_part_main *main;
	struct coroutine *coroutine; /* NULL once it has ended */
};

static void part_main(void *argument)
{
	struct scheduler_part *part = argument;
	struct scheduler *scheduler = part->scheduler;

	part->main(scheduler);
	check(scheduler->draining);
	part->coroutine = NULL;
	if (--scheduler->n_running == 0)
		loop_stop(scheduler->runtime->loop);
}

static void start_parts(struct scheduler *scheduler)
{
	scheduler->n_running = ARRAY_SIZE(mains);
	for (size_t i = 0; i < ARRAY_SIZE(mains); i++) {
		struct scheduler_part *part = &scheduler->parts[i];

		*part = (struct scheduler_part){ .scheduler = scheduler, .main = mains[i] };
		check(coroutine_start(scheduler->runtime->loop, part_main, part, &part->coroutine) == 0);
	}
}

static void drain(void *argument)
{
	struct scheduler *scheduler = argument;

	scheduler->draining = true;
	for (size_t i = 0; i < ARRAY_SIZE(mains); i++)
		if (scheduler->parts[i].coroutine)
			coroutine_cancel(scheduler->parts[i].coroutine);
}

bool scheduler_sleep(struct scheduler *scheduler, prong_duration duration)
{
	if (!scheduler->draining)
		coroutine_sleep_until(monotonic_us() + duration);
	return !scheduler->draining;
}

int scheduler_main(const struct process *process)
{
	_cleanup_(freep) char *name = format_text("%s scheduler", process->registry->app->name);
	struct scheduler_part parts[ARRAY_SIZE(mains)];
	struct scheduler scheduler = { .process = process, .parts = parts };

	scheduler.runtime = runtime_new(process->settings, process->registry, process->scoreboard, name, -1,
					RUNTIME_POSTGRES | RUNTIME_REDIS);
	log_attach(scheduler.runtime->loop);
	process_attach(process, scheduler.runtime->loop, drain, &scheduler);
	start_parts(&scheduler);
	loop_run(scheduler.runtime->loop);
	process_detach();
	log_detach();
	runtime_free(scheduler.runtime);
	return STATUS_OK;
}
