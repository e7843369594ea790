#include "tests/unit/worker/parts.h"

#include "common/loop.h"

static void part_main(void *argument)
{
	struct part *part = argument;

	part->main(part->scheduler);
	part->coroutine = NULL;
	if (--part->all->n_running == 0)
		loop_stop(part->scheduler->runtime->loop);
}

void parts_start(struct parts *parts, size_t number, scheduler_part_main *main)
{
	struct part *part = &parts->started[parts->n_started++];
	struct scheduler *scheduler = &parts->schedulers[number];

	scheduler->process = &parts->process;
	scheduler->runtime = parts->durable.runtime;
	*part = (struct part){ .all = parts, .scheduler = scheduler, .main = main };
	parts->n_running++;
	if (coroutine_start(parts->durable.runtime->loop, part_main, part, &part->coroutine) < 0)
		panic("no coroutine");
}

void parts_open(struct parts *parts)
{
	*parts = (struct parts){ 0 };
	durable_open(&parts->durable);
	parts->process = (struct process){
		.settings = &parts->durable.settings,
		.registry = parts->durable.registry,
	};
}

void parts_close(struct parts *parts)
{
	for (size_t i = 0; i < parts->n_started; i++) {
		parts->started[i].scheduler->draining = true;
		if (parts->started[i].coroutine)
			coroutine_cancel(parts->started[i].coroutine);
	}
	if (parts->n_running > 0)
		loop_run(parts->durable.runtime->loop);
	durable_close(&parts->durable);
}

static int wait_for_nothing(struct prong_ctx *ctx, void *argument)
{
	int r = 0;

	(void)ctx;
	while (r == 0 && durable_count(argument) > 0)
		r = coroutine_sleep_until(monotonic_us() + PRONG_MILLISECONDS(5));
	return r;
}

bool parts_come_to_nothing(struct parts *parts, const char *sql)
{
	return durable_run(&parts->durable, wait_for_nothing, (char *)sql) == 0;
}
