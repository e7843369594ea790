#include <event2/event.h>
#include <limits.h>

#include "worker/consumer.h"

#define OVERLAPPED 3		       /* exchanges of a shard at once */
#define PART ((size_t)32)	       /* places of an exchange among others, at least */
#define SLICE ((prong_duration)100)    /* µs of starting jobs, then others have a turn */
#define AHEAD PRONG_MILLISECONDS(2)    /* jobs that end within that time are fetched ahead */
#define MEASURED PRONG_MILLISECONDS(5) /* over at least that time */
#define STALE PRONG_MILLISECONDS(20)   /* what waits that long without a place goes back */
#define NO_COROUTINE PRONG_MILLISECONDS(10)
#define WEIGHT_UNIT (UINT64_C(1) << 16) /* so that the shards of a queue can share its weight */
#define TURN_UNIT (UINT64_C(1) << 32)

/* ---- how much may be fetched ---- */

static uint64_t weight_of(const struct consumer *consumer)
{
	const struct prong_queue *queue = consumer->shard->queue;

	return (uint64_t)queue->weight * WEIGHT_UNIT / (uint64_t)queue->shards;
}

static bool is_hungry(const struct consumer *consumer)
{
	return consumer->hungry && consumer->retry_at <= consumer->worker->clock;
}

/*
 * While an exchange is under way, this worker is idle unless it has jobs that wait here. But what waits here no idler
 * worker can run. So it fetches ahead of its places what it has lately ended within AHEAD: many jobs that are short,
 * none that are long. return_stale() corrects it when jobs suddenly turn long.
 */
static void measure(struct worker *worker)
{
	int64_t elapsed = worker->clock - worker->measured_at;

	if (elapsed < MEASURED)
		return;
	worker->ahead = (size_t)((worker->n_ended - worker->n_ended_before) * AHEAD / (uint64_t)elapsed);
	if (worker->ahead > worker->concurrency)
		worker->ahead = worker->concurrency;
	worker->measured_at = worker->clock;
	worker->n_ended_before = worker->n_ended;
}

static void survey(struct worker *worker)
{
	worker->wanted_rank = INT_MAX;
	worker->wanted_weight = 0;
	for (size_t i = 0; i < worker->n_consumers; i++) {
		const struct consumer *consumer = &worker->consumers[i];
		int rank = consumer->shard->queue->rank;

		if (!is_hungry(consumer) || rank > worker->wanted_rank)
			continue;
		if (rank < worker->wanted_rank)
			worker->wanted_weight = 0;
		worker->wanted_rank = rank;
		worker->wanted_weight += weight_of(consumer);
	}
}

/* Nothing for a rank while a lower one has more; within a rank by weight among those that have more. */
static size_t share_of(const struct consumer *consumer, size_t places)
{
	const struct worker *worker = consumer->worker;
	int rank = consumer->shard->queue->rank;
	uint64_t own = weight_of(consumer), all = own;

	if (rank > worker->wanted_rank)
		return 0;
	if (rank == worker->wanted_rank)
		all = worker->wanted_weight + (is_hungry(consumer) ? 0 : own);
	return all <= own ? places : (places * own + all - 1) / all;
}

/*
 * Of all places that the worker has, what one of several exchanges carries: so much that its own cost is small beside
 * that of its jobs, but so little that the shard and the worker both have something to do.
 */
static size_t part_of(size_t places)
{
	size_t few = (places + 1) / 2 < PART ? (places + 1) / 2 : PART;
	size_t part = (places + OVERLAPPED) / (OVERLAPPED + 1);

	return part > few ? part : few;
}

size_t dispatch_places(const struct consumer *consumer)
{
	const struct worker *worker = consumer->worker;
	size_t places = worker->concurrency + worker->ahead;
	size_t taken = worker->n_running + worker->n_waiting + worker->n_asked;
	size_t held = consumer->n_running + consumer->n_waiting + consumer->asked;
	size_t share = share_of(consumer, places), wanted;

	if (worker->draining || taken >= places || held >= share)
		return 0;
	wanted = share - held < places - taken ? share - held : places - taken;
	if (worker->ahead > 0 && wanted > part_of(places))
		wanted = part_of(places);
	return wanted < JOB_BATCH ? wanted : JOB_BATCH;
}

void dispatch_charge(struct consumer *consumer, size_t count)
{
	struct worker *worker = consumer->worker;

	/* Who had nothing for a while has not saved up turns. */
	if (consumer->turn < worker->turn)
		consumer->turn = worker->turn;
	worker->turn = consumer->turn;
	consumer->turn += count * (TURN_UNIT / weight_of(consumer));
}

bool worker_is_calm(const struct worker *worker)
{
	for (size_t i = 0; i < worker->n_consumers; i++)
		if (worker->consumers[i].hungry || worker->consumers[i].poked)
			return false;
	return true;
}

/* ---- jobs ---- */

static bool goes_before(const struct consumer *a, const struct consumer *b)
{
	int rank_a = a->shard->queue->rank, rank_b = b->shard->queue->rank;

	return rank_a < rank_b || (rank_a == rank_b && a->turn < b->turn);
}

/* By insertion: there are few, and mostly in order already. */
static void sort(struct worker *worker)
{
	struct consumer **order = worker->order;

	for (size_t i = 1; i < worker->n_consumers; i++) {
		struct consumer *consumer = order[i];
		size_t place = i;

		for (; place > 0 && goes_before(consumer, order[place - 1]); place--)
			order[place] = order[place - 1];
		order[place] = consumer;
	}
}

/*
 * False when not all that have a place could be started now. A slice is followed by a look at the descriptors, so that
 * exchanges go out and come in meanwhile.
 */
static bool start_jobs(struct worker *worker)
{
	int64_t until = worker->clock + SLICE;

	for (size_t i = 0; i < worker->n_consumers; i++) {
		struct consumer *consumer = worker->order[i];

		while (consumer->batches && worker->n_running < worker->concurrency) {
			if (worker->clock >= until) {
				worker->pausing = true;
				return true;
			}
			if (!runner_start(consumer))
				return false;
		}
	}
	return true;
}

/* No place became free for what was fetched ahead; other workers may have some. */
static void return_stale(struct worker *worker)
{
	if (worker->n_waiting == 0 || worker->n_running < worker->concurrency)
		return;
	for (size_t i = 0; i < worker->n_consumers; i++) {
		struct consumer *consumer = &worker->consumers[i];

		if (!consumer->batches || worker->clock - consumer->batches->at < STALE)
			continue;
		consumer_return_waiting(consumer);
		worker->ahead = 0;
	}
}

/*
 * This process was stopped for so long that its leases may be over, and what waits here, or was waiting in the socket,
 * may run elsewhere: it goes back, which is refused where that is so.
 */
static void return_overslept(struct worker *worker)
{
	for (size_t i = 0; i < worker->n_consumers; i++) {
		struct consumer *consumer = &worker->consumers[i];

		if (consumer->batches && worker->clock - consumer->batches->asked_at > JOB_LEASE / 2)
			consumer_return_waiting(consumer);
	}
}

/* ---- exchanges ---- */

/*
 * One at a time carries what there is, be it one verdict: what comes meanwhile gathers for the next. Others beside it
 * overlap the shard's work with the worker's where there is much to exchange: one is with the shard, one waits there,
 * and one is with the worker. While it is unclear what the shard holds for this worker, there is one at a time.
 */
static bool exchange_is_wanted(const struct consumer *consumer)
{
	const struct worker *worker = consumer->worker;
	size_t places, much = part_of(worker->concurrency + worker->ahead);

	if (consumer->left || consumer->retry_at > worker->clock || consumer->under_way >= OVERLAPPED)
		return false;
	if (consumer->under_way > 0 && (consumer->unsure || consumer->audit_at <= worker->clock))
		return false;
	places = consumer->hungry ? dispatch_places(consumer) : 0;
	if (consumer->under_way > 0)
		return consumer->n_verdicts >= much || places >= much;
	if (consumer->n_verdicts > 0 || places > 0)
		return true;
	if (worker->draining && consumer->n_running == 0)
		return false;
	return consumer->poked || consumer->due <= worker->clock;
}

static bool start_exchanges(struct worker *worker)
{
	for (size_t i = 0; i < worker->n_consumers; i++)
		while (exchange_is_wanted(worker->order[i]))
			if (coroutine_start(worker->runtime->loop, consumer_exchange, worker->order[i], NULL) < 0)
				return false;
	return true;
}

static void start_leaving(struct worker *worker)
{
	for (size_t i = 0; i < worker->n_consumers; i++) {
		struct consumer *consumer = &worker->consumers[i];

		if (!consumer->left && consumer_is_idle(consumer))
			coroutine_start(worker->runtime->loop, consumer_leave, consumer, NULL);
	}
}

/* ---- the turn ---- */

static int64_t earlier(int64_t at, int64_t next, int64_t now)
{
	return at > now && at < next ? at : next;
}

/* When to look again though nothing changes. */
static int64_t next_look(const struct worker *worker, bool complete)
{
	int64_t now = worker->clock, next = complete ? INT64_MAX : now + NO_COROUTINE;

	for (size_t i = 0; i < worker->n_consumers; i++) {
		const struct consumer *consumer = &worker->consumers[i];

		if (consumer->batches)
			next = earlier(consumer->batches->at + STALE, next, now);
		if (consumer->under_way > 0 || consumer->left)
			continue;
		next = earlier(consumer->due, next, now);
		next = earlier(consumer->retry_at, next, now);
	}
	return next;
}

static void dispatch(void *argument)
{
	struct worker *worker = argument;
	bool complete;
	int64_t next;

	if (worker->pausing)
		return;
	worker->clock = monotonic_us();
	measure(worker);
	sort(worker);
	return_overslept(worker);
	complete = start_jobs(worker);
	return_stale(worker);
	survey(worker);
	complete = start_exchanges(worker) && complete;
	tokens_calm(worker);
	if (worker->draining)
		start_leaving(worker);
	next = worker->pausing ? worker->clock : next_look(worker, complete);
	if (next < INT64_MAX)
		timer_set(worker->timer, next - worker->clock);
}

static void on_timer(evutil_socket_t fd, short events, void *argument)
{
	struct worker *worker = argument;

	(void)fd;
	(void)events;
	worker->pausing = false;
	worker_changed(worker);
}

void worker_changed(struct worker *worker)
{
	loop_defer(worker->runtime->loop, &worker->change);
}

void dispatch_open(struct worker *worker)
{
	worker->change = (struct loop_task){ .function = dispatch, .argument = worker };
	worker->timer = event_new(loop_base(worker->runtime->loop), -1, 0, on_timer, worker);
	check(worker->timer);
	worker->clock = worker->measured_at = monotonic_us();
}

void dispatch_close(struct worker *worker)
{
	loop_undefer(worker->runtime->loop, &worker->change);
	event_free(worker->timer);
}
