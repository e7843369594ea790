#include "worker/worker.h"

#include "common/identity.h"
#include "common/jobs/consumed_queues.h"
#include "common/jobs/history.h"
#include "common/log.h"
#include "common/redis/redis.h"
#include "worker/consumer.h"

#define FOR_RETURNING PRONG_SECONDS(2) /* after the drain's deadline, for giving back what was interrupted */

/* ---- leaving ---- */

void worker_progressed(struct worker *worker)
{
	if (worker->drainer)
		coroutine_wake(worker->drainer, 0);
}

static bool work_is_left(const struct worker *worker)
{
	bool left = worker->starter || worker->n_helpers > 0 || !tokens_stopped(worker);

	for (size_t i = 0; i < worker->n_consumers; i++)
		left = left || !worker->consumers[i].left;
	return left;
}

/* Waits until every consumer has given its last verdict and said good-bye. */
static bool wait_for_consumers(struct worker *worker, int64_t deadline)
{
	int r = 0;

	worker->drainer = coroutine_current();
	while (work_is_left(worker) && r != -ETIMEDOUT)
		r = coroutine_wait(deadline);
	worker->drainer = NULL;
	return !work_is_left(worker);
}

static void interrupt_jobs(struct worker *worker)
{
	for (size_t i = 0; i < worker->n_consumers; i++) {
		struct running *head = &worker->consumers[i].jobs;

		for (struct running *job = head->next; job != head; job = job->next) {
			job->interrupted = true;
			runner_cancel(job);
		}
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

static _Noreturn void give_up(struct worker *worker)
{
	log_warning("%zu jobs did not end, or Redis did not take their results: they run again when their leases end",
		    worker->n_running);
	log_detach();
	_exit(STATUS_OK);
}

static void drain_main(void *argument)
{
	struct worker *worker = argument;

	tokens_stop(worker);
	for (size_t i = 0; i < worker->n_consumers; i++)
		consumer_return_waiting(&worker->consumers[i]);
	worker_changed(worker);
	if (!wait_for_consumers(worker, worker->drain_deadline)) {
		interrupt_jobs(worker);
		if (!wait_for_consumers(worker, worker->drain_deadline + FOR_RETURNING))
			give_up(worker);
	}
	worker->history = history_close(worker->history, worker->drain_deadline + FOR_RETURNING);
	tokens_close(worker);
	pass_tokens_on(worker);
	loop_stop(worker->runtime->loop);
}

/* SIGTERM: nothing new is fetched, what waits goes back, what runs has until the drain's deadline. */
static void drain(void *argument)
{
	struct worker *worker = argument;

	if (worker->draining)
		return;
	worker->draining = true;
	worker->drain_deadline = monotonic_us() + worker->process->settings->drain_timeout;
	if (worker->isolation)
		isolation_drain(worker->isolation);
	check(coroutine_start(worker->runtime->loop, drain_main, worker, NULL) == 0);
}

/* Nothing can be run in processes any more: the next worker can. */
static void leave(void *argument)
{
	struct worker *worker = argument;

	worker->status = STATUS_FAILURE;
	drain(worker);
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

static void start_main(void *argument)
{
	struct worker *worker = argument;

	if (redis_is_fit(worker)) {
		process_ready(worker->process);
		if (!worker->draining) {
			worker->history = history_new(worker->runtime, worker->name, job_metrics_history_dropped());
			tokens_start(worker);
			worker_changed(worker);
		}
	}
	worker->starter = NULL;
	worker_progressed(worker);
}

/* A consumer for each shard of the queues that this tree consumes. */
static void open_consumers(struct worker *worker)
{
	const struct registry *registry = worker->process->registry;
	_cleanup_(freep) bool *consumed = consumed_queues(worker->process->settings, registry);
	size_t n = 0;

	for (size_t i = 0; i < registry->n_queues; i++)
		n += consumed[i] ? (size_t)registry->queues[i].shards : 0;
	worker->consumers = allocate_array(n, sizeof(*worker->consumers));
	worker->order = allocate_array(n, sizeof(*worker->order));
	for (size_t i = 0; i < registry->n_queues; i++) {
		size_t n_shards;
		struct job_shard *shards = job_queue_shards(worker->runtime->jobs, registry->queues[i].name, &n_shards);

		for (size_t shard = 0; consumed[i] && shard < n_shards; shard++) {
			struct consumer *consumer = &worker->consumers[worker->n_consumers];

			worker->order[worker->n_consumers++] = consumer;
			consumer_open(consumer, worker, &shards[shard]);
		}
	}
}

static void worker_open(struct worker *worker, const struct process *process)
{
	worker->process = process;
	worker->name = format_text("%s worker %zu", process->registry->app->name, process->number);
	worker->concurrency = (size_t)process->settings->job_concurrency;
	worker->waiting_name = format_text("%s wait", worker->name);
	worker->runtime = runtime_new(process->settings, process->registry, process->scoreboard, worker->name, -1,
				      RUNTIME_POSTGRES | RUNTIME_REDIS);
	worker->identity = process_identity();
	if (!worker->identity)
		worker->identity = duplicate("-"); /* nobody can tell whether it is dead */
	if (worker->isolation)
		isolation_attach(worker->isolation, worker->runtime->loop, leave, worker);
	dispatch_open(worker);
	open_consumers(worker);
	tokens_open(worker);
}

static void worker_close(struct worker *worker)
{
	tokens_close(worker);
	dispatch_close(worker);
	for (size_t i = 0; i < worker->n_consumers; i++)
		consumer_close(&worker->consumers[i]);
	runner_close(worker);
	worker->isolation = isolation_free(worker->isolation);
	runtime_free(worker->runtime);
	free(worker->consumers);
	free(worker->order);
	free(worker->identity);
	free(worker->name);
	free(worker->waiting_name);
}

int worker_main(const struct process *process)
{
	struct worker worker = { 0 };
	int r = isolation_start(process, &worker.isolation); /* it forks: before everything else */

	if (r < 0) {
		log_error("no process can be made for jobs to run in: %s", strerror(-r));
		return STATUS_FAILURE;
	}
	worker_open(&worker, process);
	log_attach(worker.runtime->loop);
	process_attach(process, worker.runtime->loop, drain, &worker);
	process_limit_memory((uint64_t)process->settings->worker_memory << 20);
	atomic_store(&process->scoreboard->slots[process->slot].incarnation, worker.runtime->incarnation);
	check(coroutine_start(worker.runtime->loop, start_main, &worker, &worker.starter) == 0);
	loop_run(worker.runtime->loop);
	process_detach();
	log_detach();
	worker_close(&worker);
	return worker.status;
}
