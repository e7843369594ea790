#include "common/context.h"
#include "common/jobs/schedule_state.h"
#include "common/log.h"
#include "common/loop.h"
#include "worker/scheduler.h"

/* How often the clock and the rows are looked at besides: a clock may be set, a schedule resumed. */
#define LOOK_AGAIN PRONG_SECONDS(30)
#define PATIENCE PRONG_SECONDS(30) /* of one round's statements */

/* A schedule as this process last saw it. */
struct ticking {
	const struct schedule *schedule;
	prong_time last;  /* in its row */
	prong_time since; /* ticks until then are none of ours */
	prong_time next;
	bool paused;
};

struct ticker {
	struct scheduler *scheduler;
	struct ticking *tickings;
	size_t count;
	int64_t clock; /* PostgreSQL's clock − monotonic_us(), no more than it really is */
	prong_time started;
	int64_t look_again_at; /* monotonic µs */
	size_t failures;       /* in a row */
};

static prong_time ticker_now(const struct ticker *ticker)
{
	return (prong_time){ .us = monotonic_us() + ticker->clock };
}

static void set_clock(struct ticker *ticker, prong_time now)
{
	ticker->clock = now.us - monotonic_us();
	if (ticker->started.us == 0)
		ticker->started = now;
}

/*
 * A row with another plan was left by another version of the application: what the new plan would have ticked before
 * this process started has not been missed.
 */
static void update(struct ticker *ticker, struct ticking *ticking, const struct schedule_state *state)
{
	const struct schedule *schedule = ticking->schedule;
	char text[PRONG_TIME_TEXT_SIZE];

	if (state->last_tick.us > state->clock.us + LOOK_AGAIN && ticking->last.us != state->last_tick.us)
		log_warning(
			"schedule %s: it ticked at %s, which has yet to come, and waits until then; PostgreSQL's clock "
			"must have been wrong; `schedules resume` has it go on now",
			schedule->entry->name, prong_time_format(state->last_tick, text));
	ticking->last = ticking->since = state->last_tick;
	ticking->paused = state->paused;
	if (!string_equal(state->plan, schedule->plan) && ticking->since.us < ticker->started.us)
		ticking->since = ticker->started;
	ticking->next = schedule_next(schedule, state->paused ? state->clock : ticking->since);
}

static int look(struct ticker *ticker, struct prong_ctx *ctx)
{
	struct schedule_state *states;
	int r = schedule_state_read(ctx, &states);

	if (r < 0)
		return r;
	set_clock(ticker, states[0].clock);
	for (size_t i = 0; i < ticker->count; i++)
		update(ticker, &ticker->tickings[i], &states[i]);
	ticker->look_again_at = monotonic_us() + LOOK_AGAIN;
	return 0;
}

static void log_missed(const struct ticking *ticking, prong_time newest, size_t n_run)
{
	char from[PRONG_TIME_TEXT_SIZE], to[PRONG_TIME_TEXT_SIZE];

	log_warning("schedule %s: nothing ran it from %s to %s; by its misfire policy, %s, %zu %s enqueued now",
		    ticking->schedule->entry->name, prong_time_format(ticking->next, from),
		    prong_time_format(newest, to), schedule_misfire_name(ticking->schedule), n_run,
		    n_run == 1 ? "job is" : "jobs are");
}

/* One whose time has come. Where another scheduler was faster, or it has been paused, its row says how it stands. */
static int tick(struct ticker *ticker, struct prong_ctx *ctx, struct ticking *ticking)
{
	_cleanup_(freep) prong_time *ticks = NULL;
	prong_time now = ticker_now(ticker), newest;
	size_t count;
	int r;

	if (ticking->paused)
		return look(ticker, ctx);
	count = schedule_due(ticking->schedule, ticking->since, now, &newest, &ticks);
	r = schedule_state_advance(ctx, ticking->schedule, ticking->last, newest, ticks, count);
	if (r < 0)
		return r;
	if (r == 0)
		return look(ticker, ctx);
	if (now.us - ticking->next.us > SCHEDULE_LATE)
		log_missed(ticking, newest, count);
	ticking->last = ticking->since = newest;
	ticking->next = schedule_next(ticking->schedule, newest);
	return 0;
}

static int run_due(struct ticker *ticker, struct prong_ctx *ctx)
{
	int r = monotonic_us() >= ticker->look_again_at ? look(ticker, ctx) : 0;

	for (size_t i = 0; i < ticker->count && r >= 0; i++)
		if (ticker->tickings[i].next.us <= ticker_now(ticker).us)
			r = tick(ticker, ctx, &ticker->tickings[i]);
	return r;
}

/* How long to sleep: until a tick is due, or the time to look again. */
static prong_duration pause_before_next(const struct ticker *ticker)
{
	prong_duration pause = ticker->look_again_at - monotonic_us();
	prong_time now = ticker_now(ticker);

	for (size_t i = 0; i < ticker->count; i++)
		if (ticker->tickings[i].next.us - now.us < pause)
			pause = ticker->tickings[i].next.us - now.us;
	return pause;
}

static prong_duration run_round(struct ticker *ticker)
{
	struct prong_ctx ctx;
	int r;

	context_init(&ctx, ticker->scheduler->runtime);
	coroutine_set_deadline(coroutine_current(), monotonic_us() + PATIENCE);
	r = run_due(ticker, &ctx);
	coroutine_set_deadline(coroutine_current(), INT64_MAX);
	context_end(&ctx);
	if (r >= 0) {
		ticker->failures = 0;
		return pause_before_next(ticker);
	}
	if (ticker->failures == 0 && !ticker->scheduler->draining)
		log_warning("the schedules cannot be run, and are tried again: %s",
			    r == -EHOSTDOWN ? "PostgreSQL cannot be reached" : strerror(-r));
	ticker->look_again_at = 0; /* what became of the last statement is unknown */
	return reconnect_delay(ticker->failures++);
}

void ticker_main(struct scheduler *scheduler)
{
	const struct registry *registry = scheduler->runtime->registry;
	struct ticker ticker = { .scheduler = scheduler, .count = registry->n_schedules };

	ticker.tickings = allocate_array(ticker.count, sizeof(*ticker.tickings));
	for (size_t i = 0; i < ticker.count; i++)
		ticker.tickings[i].schedule = &registry->schedules[i];
	while (scheduler_sleep(scheduler, ticker.count ? run_round(&ticker) : PRONG_DAYS(1)))
		;
	free(ticker.tickings);
}
