#include "worker/worker.h"

#include "common/log.h"
#include "common/loop.h"
#include "common/redis/redis.h"
#include "worker/consumer.h"

#define WAIT PRONG_SECONDS(5)		  /* of one blocking command */
#define LOOK_EVERY PRONG_MILLISECONDS(50) /* into quiet queues while others are full */
#define AFTER_ERROR PRONG_MILLISECONDS(200)
#define FOR_RETURNING PRONG_SECONDS(2) /* after the drain's deadline, for giving back what was interrupted */

/* ---- wake tokens ---- */

/*
 * Nothing is known to wait: blocks until a token says otherwise. Whoever takes one must exchange, which passes it on
 * where more is ready: it was meant for one who can run the job, and another may be idler than this process.
 */
static int wait_for_token(struct worker *worker)
{
	size_t woken = 0;
	_cleanup_(freep) const struct job_shard **shards = allocate_array(worker->n_consumers, sizeof(*shards));
	int r;

	for (size_t i = 0; i < worker->n_consumers; i++)
		shards[i] = worker->consumers[i].shard;
	r = job_queue_wait(worker->blocking, shards, worker->n_consumers, WAIT, &woken);

	if (r == 0)
		consumer_poke(&worker->consumers[woken]);
	return r == -ETIMEDOUT ? 0 : r;
}

/*
 * Some queue has more than can run: its consumer fetches as places become free. The others are looked into now and
 * then, so that they get their share, and this coroutine stays where worker_changed() can wake it.
 */
static int wait_for_calm(struct worker *worker)
{
	int r;

	worker->waiter_sleeping = true;
	r = coroutine_wait(monotonic_us() + LOOK_EVERY);
	worker->waiter_sleeping = false;
	for (size_t i = 0; r == -ETIMEDOUT && i < worker->n_consumers; i++)
		if (!worker->consumers[i].hungry)
			consumer_poke(&worker->consumers[i]);
	return r == -ETIMEDOUT ? 0 : r;
}

static void wait_main(void *argument)
{
	struct worker *worker = argument;

	while (!worker->draining) {
		int r = worker_is_calm(worker) ? wait_for_token(worker) : wait_for_calm(worker);

		worker_changed(worker);
		if (r < 0)
			coroutine_sleep_until(monotonic_us() + AFTER_ERROR);
	}
	worker_ended(worker, &worker->waiter);
}

/* ---- leaving ---- */

void worker_ended(struct worker *worker, struct coroutine **coroutine)
{
	*coroutine = NULL;
	if (worker->drainer)
		coroutine_wake(worker->drainer, 0);
}

static bool queues_are_left(const struct worker *worker)
{
	bool left = !worker->starter && !worker->waiter;

	for (size_t i = 0; i < worker->n_consumers; i++)
		left = left && !worker->consumers[i].coroutine;
	return left;
}

/* Waits until every consumer has given its last verdict. */
static bool wait_for_queues(struct worker *worker, int64_t deadline)
{
	while (!queues_are_left(worker))
		if (coroutine_wait(deadline) == -ETIMEDOUT)
			return false;
	return true;
}

static void interrupt_jobs(struct worker *worker)
{
	for (struct running *job = worker->jobs.next; job != &worker->jobs; job = job->next) {
		job->interrupted = true;
		coroutine_cancel(job->coroutine);
	}
}

/* Tokens that this process took, or was sent while it closed its connection, go on to others. */
static void pass_tokens_on(struct worker *worker)
{
	struct job_exchange_result result;
	struct arena arena;

	arena_init(&arena);
	for (size_t i = 0; i < worker->n_consumers && redis_connected(worker->runtime->redis); i++)
		job_queue_exchange(worker->runtime->jobs, &arena,
				   &(struct job_exchange){ .shard = worker->consumers[i].shard }, &result);
	arena_reset(&arena);
}

static void drain_main(void *argument)
{
	struct worker *worker = argument;
	int64_t deadline = monotonic_us() + worker->process->settings->drain_timeout;

	worker->drainer = coroutine_current();
	if (worker->waiter)
		coroutine_cancel(worker->waiter);
	worker_changed(worker);
	if (!wait_for_queues(worker, deadline)) {
		interrupt_jobs(worker);
		if (!wait_for_queues(worker, deadline + FOR_RETURNING)) {
			log_warning(
				"%zu jobs did not end, or Redis did not take their results: they run again when their "
				"leases end",
				worker->n_jobs);
			log_detach();
			_exit(STATUS_OK);
		}
	}
	if (worker->renewer)
		coroutine_cancel(worker->renewer);
	while (worker->renewer)
		coroutine_wait(INT64_MAX);
	worker->blocking = redis_free(worker->blocking);
	pass_tokens_on(worker);
	loop_stop(worker->runtime->loop);
}

/* SIGTERM: nothing new is fetched, what runs has until the drain's deadline. */
static void drain(void *argument)
{
	struct worker *worker = argument;

	worker->draining = true;
	check(coroutine_start(worker->runtime->loop, drain_main, worker, NULL) == 0);
}

/* ---- starting ---- */

/* Redis need not be there yet; but one that would throw jobs away is a mistake to be told of. */
static bool redis_is_fit(struct worker *worker)
{
	_cleanup_(freep) char *reason = NULL;

	if (redis_check_server(worker->runtime->redis, PRONG_SECONDS(2), &reason) != -EINVAL)
		return true;
	log_error("%s", reason);
	worker->status = STATUS_CONFIGURATION;
	loop_stop(worker->runtime->loop);
	return false;
}

static void start_coroutines(struct worker *worker)
{
	struct loop *loop = worker->runtime->loop;

	check(coroutine_start(loop, wait_main, worker, &worker->waiter) == 0);
	check(coroutine_start(loop, lease_main, worker, &worker->renewer) == 0);
	for (size_t i = 0; i < worker->n_consumers; i++) {
		struct consumer *consumer = &worker->consumers[i];

		consumer->hungry = true; /* look into every queue before waiting for tokens */
		check(coroutine_start(loop, consumer_main, consumer, &consumer->coroutine) == 0);
	}
}

static void start_main(void *argument)
{
	struct worker *worker = argument;

	if (redis_is_fit(worker)) {
		process_ready(worker->process);
		if (!worker->draining)
			start_coroutines(worker);
	}
	worker_ended(worker, &worker->starter);
}

static void worker_init(struct worker *worker, const struct process *process, const char *name)
{
	const struct registry *registry = process->registry;
	_cleanup_(freep) char *waiter = format_text("%s wait", name);

	*worker = (struct worker){
		.process = process,
		.concurrency = (size_t)process->settings->job_concurrency,
		.jobs = { .next = &worker->jobs, .previous = &worker->jobs },
	};
	worker->runtime = runtime_new(process->settings, registry, process->scoreboard, name, -1,
				      RUNTIME_POSTGRES | RUNTIME_REDIS);
	worker->blocking = redis_new(worker->runtime->loop, process->settings->redis_url, waiter);
	worker->n_consumers = worker->runtime->jobs->n_shards;
	worker->consumers = allocate_array(worker->n_consumers, sizeof(struct consumer));
	for (size_t i = 0; i < worker->n_consumers; i++) {
		struct consumer *consumer = &worker->consumers[i];

		consumer->worker = worker;
		consumer->shard = &worker->runtime->jobs->shards[i];
		consumer->queue = consumer->shard->queue->name;
		consumer->metrics = job_metrics_of(consumer->shard->queue_index);
		job_owner_format(worker->runtime->incarnation, 0, consumer->owner);
	}
}

int worker_main(const struct process *process)
{
	_cleanup_(freep) char *name = format_text("%s worker %zu", process->registry->app->name, process->number);
	struct worker worker;

	worker_init(&worker, process, name);
	log_attach(worker.runtime->loop);
	process_attach(process, worker.runtime->loop, drain, &worker);
	process_limit_memory((uint64_t)process->settings->worker_memory << 20);
	atomic_store(&process->scoreboard->slots[process->slot].incarnation, worker.runtime->incarnation);
	check(coroutine_start(worker.runtime->loop, start_main, &worker, &worker.starter) == 0);
	loop_run(worker.runtime->loop);
	process_detach();
	log_detach();
	redis_free(worker.blocking);
	runtime_free(worker.runtime);
	free(worker.consumers);
	return worker.status;
}
