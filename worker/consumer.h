/*
 * What a worker is made of. One consumer a queue, a coroutine that exchanges verdicts for jobs in batches; one
 * coroutine a running job; one that waits for wake tokens on a connection of its own; one that renews leases.
 *
 *     worker.c    the process: start, drain, leave
 *     consumer.c  the exchanges
 *     runner.c    one job from delivery to verdict
 *     lease.c     renewing what runs, cancelling what was lost
 */
#ifndef CONSUMER_H
#define CONSUMER_H

#include "common/context.h"
#include "common/jobs/job_queue.h"
#include "common/process.h"
#include "worker/job_metrics.h"

struct worker;

/* A verdict that waits for the next exchange; owns its error. */
struct pending_verdict {
	struct job_verdict verdict;
	char *error;
};

struct consumer {
	struct worker *worker;
	const struct job_shard *shard;
	const char *queue;
	char owner[JOB_OWNER_SIZE]; /* its name with the queue */
	unsigned owner_number;
	bool registered;
	const struct job_metrics *metrics;
	struct coroutine *coroutine; /* NULL once it has ended */
	bool sleeping;		     /* nothing to do: worker_changed() looks again */

	bool hungry;  /* the queue may have more than was fetched */
	bool poked;   /* a token was taken or something is due: exchange even if nothing can be fetched */
	bool unsure;  /* a reply was lost: jobs may be leased to us that we do not know of */
	int64_t due;  /* when the queue is to be looked at again (monotonic µs) */
	size_t asked; /* jobs asked for in the exchange under way */
	size_t running;

	struct pending_verdict *verdicts; /* in order; the first ones may be in the exchange under way */
	size_t n_verdicts, capacity;
};

/* A running job: from its delivery until its verdict is given. */
struct running {
	struct running *next, *previous; /* of the worker's ring */
	struct consumer *consumer;
	struct coroutine *coroutine; /* NULL before it has started */
	const struct prong_job *job;
	struct delivery delivery; /* its strings live in the context's arena */
	struct prong_ctx ctx;
	bool lost;	  /* its lease is not ours any more */
	bool interrupted; /* cancelled because the process leaves */
};

struct worker {
	const struct process *process;
	struct runtime *runtime;
	struct redis *blocking;
	struct consumer *consumers;
	size_t n_consumers;
	size_t concurrency;
	struct running jobs; /* head of the ring */
	size_t n_jobs;
	struct coroutine *starter, *waiter, *renewer; /* NULL once they have ended */
	bool waiter_sleeping;
	bool draining;
	struct coroutine *drainer; /* waits for the others to end; NULL: not yet */
	int status;		   /* the process's exit status */
};

/* worker.c: a coroutine of the worker says that it ends; sets `coroutine` to NULL. */
void worker_ended(struct worker *worker, struct coroutine **coroutine);

/* consumer.c: a coroutine's function; ends when the worker drains and the queue has no verdict left to give. */
void consumer_main(void *consumer);

/* Something changed: whoever has work now is woken. */
void worker_changed(struct worker *worker);

/* Nothing is known to wait in any queue. */
bool worker_is_calm(const struct worker *worker);

/* Has the queue looked into; worker_changed() is the caller's. */
void consumer_poke(struct consumer *consumer);

/* Queues a verdict; `error` is taken over. */
void consumer_give(struct consumer *consumer, const struct job_verdict *verdict, char *error);

/* runner.c: starts a job, or gives the verdict at once where it cannot be started. Strings of `delivery` are copied. */
void runner_start(struct consumer *consumer, const struct delivery *delivery);

/* lease.c: a coroutine's function. */
void lease_main(void *worker);

#endif
