#include <event2/event.h>
#include <sys/eventfd.h>

#include "common/identity.h"
#include "common/jobs/job_queue.h"
#include "common/log.h"
#include "common/loop.h"
#include "worker/burial.h"
#include "worker/scheduler.h"

/* How often processes are looked for that died with their master, so that no scheduler was told. */
#define SEARCH_EVERY PRONG_SECONDS(10)

struct reclaimer {
	struct scheduler *scheduler;
	struct coroutine *coroutine;
	bool sleeping;
	struct arena arena;
};

/* ---- one process ---- */

static void report(struct runtime *runtime, size_t queue_index, const struct job_reclaimed *reclaimed)
{
	if (reclaimed->returned)
		log_warning("queue %s: %zu jobs of a process that died run again",
			    runtime->registry->queues[queue_index].name, reclaimed->returned);
	burial_of_lost(runtime, queue_index, reclaimed->buried, reclaimed->n_buried);
}

/* What it had in any queue. What was put back already is not there the second time. */
static int reclaim(struct reclaimer *reclaimer, uint64_t incarnation, prong_uuid culprit)
{
	struct runtime *runtime = reclaimer->scheduler->runtime;
	const struct registry *registry = runtime->registry;

	for (size_t i = 0; i < registry->n_queues; i++) {
		struct job_reclaimed reclaimed;
		int r = job_queue_reclaim_process(runtime->jobs, registry->queues[i].name, incarnation, culprit,
						  &reclaimer->arena, &reclaimed);

		if (r < 0)
			return r;
		report(runtime, i, &reclaimed);
	}
	return 0;
}

/* ---- those that the master saw die ---- */

static int settle_deaths(struct reclaimer *reclaimer)
{
	struct scoreboard *scoreboard = reclaimer->scheduler->process->scoreboard;
	struct death death;
	int r = 0;

	while (r == 0 && scoreboard_next_death(scoreboard, &death)) {
		r = reclaim(reclaimer, death.incarnation, death.culprit);
		if (r == 0)
			scoreboard_settle_death(scoreboard);
		arena_reset(&reclaimer->arena);
	}
	return r;
}

/* ---- those that nobody saw die ---- */

static bool is_among(const uint64_t *incarnations, size_t count, uint64_t incarnation)
{
	for (size_t i = 0; i < count; i++)
		if (incarnations[i] == incarnation)
			return true;
	return false;
}

/* Of the owners of a queue those whose process is surely dead; added to the `count` that are known. */
static int find_dead(struct reclaimer *reclaimer, const char *queue, uint64_t **incarnations, size_t *count)
{
	struct job_owner *owners;
	size_t n;
	int r = job_queue_owners(reclaimer->scheduler->runtime->jobs, queue, &reclaimer->arena, &owners, &n);

	for (size_t i = 0; r == 0 && i < n; i++) {
		if (is_among(*incarnations, *count, owners[i].incarnation) || !process_is_dead(owners[i].identity))
			continue;
		*incarnations = reallocate(*incarnations, (*count + 1) * sizeof(**incarnations));
		(*incarnations)[(*count)++] = owners[i].incarnation;
	}
	return r;
}

/* One that the master has just seen die is left to settle_deaths(), which knows what did it. */
static int reclaim_unseen(struct reclaimer *reclaimer)
{
	const struct registry *registry = reclaimer->scheduler->runtime->registry;
	_cleanup_(freep) uint64_t *dead = NULL;
	size_t count = 0;
	int r = 0;

	for (size_t i = 0; i < registry->n_queues && r == 0; i++) {
		r = find_dead(reclaimer, registry->queues[i].name, &dead, &count);
		arena_reset(&reclaimer->arena);
	}
	if (r == 0 && count)
		r = settle_deaths(reclaimer);
	for (size_t i = 0; i < count && r == 0; i++) {
		r = reclaim(reclaimer, dead[i], (prong_uuid){ 0 });
		arena_reset(&reclaimer->arena);
	}
	return r;
}

/* ---- the part ---- */

static void on_death(evutil_socket_t fd, short events, void *argument)
{
	struct reclaimer *reclaimer = argument;
	eventfd_t count;

	(void)events;
	eventfd_read(fd, &count);
	if (reclaimer->sleeping)
		coroutine_wake(reclaimer->coroutine, 0);
	reclaimer->sleeping = false;
}

/* Until a death is told, or `deadline`. */
static void sleep_until(struct reclaimer *reclaimer, int64_t deadline)
{
	struct death death;

	if (scoreboard_next_death(reclaimer->scheduler->process->scoreboard, &death))
		return;
	reclaimer->sleeping = true;
	coroutine_wait(deadline);
	reclaimer->sleeping = false;
}

static void reclaim_until_draining(struct reclaimer *reclaimer)
{
	int64_t search_at = 0;
	size_t failures = 0;

	while (!reclaimer->scheduler->draining) {
		int r = settle_deaths(reclaimer);

		if (r == 0 && monotonic_us() >= search_at) {
			r = reclaim_unseen(reclaimer);
			search_at = r == 0 ? monotonic_us() + SEARCH_EVERY : 0;
		}
		arena_reset(&reclaimer->arena);
		if (r < 0) {
			scheduler_sleep(reclaimer->scheduler, reconnect_delay(failures++));
			continue;
		}
		failures = 0;
		sleep_until(reclaimer, search_at);
	}
}

void reclaim_main(struct scheduler *scheduler)
{
	struct reclaimer reclaimer = { .scheduler = scheduler, .coroutine = coroutine_current() };
	struct event *told = event_new(loop_base(scheduler->runtime->loop), scheduler->process->scoreboard->death_fd,
				       EV_READ | EV_PERSIST, on_death, &reclaimer);

	check(told && event_add(told, NULL) == 0);
	arena_init(&reclaimer.arena);
	reclaim_until_draining(&reclaimer);
	/* What is known of a culprit goes with this tree: one last try, however the tree ends. */
	coroutine_shield(reclaimer.coroutine);
	settle_deaths(&reclaimer);
	coroutine_unshield(reclaimer.coroutine);
	arena_reset(&reclaimer.arena);
	event_free(told);
}
