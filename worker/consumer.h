/*
 * What a worker is made of. It has one consumer for each shard of the queues that it consumes, and all its jobs run in
 * coroutines of one loop:
 *
 *     worker.c     the process: start, drain, leave
 *     tokens.c     waiting for something to do
 *     dispatch.c   after every change: which jobs start, which consumers exchange, how much each may fetch
 *     consumer.c   what is taken of a shard: batches, verdicts, the owner's name
 *     exchange.c   one round trip with a shard: verdicts and reports out; jobs, cancellations and lost leases in
 *     runner.c     one job, from its delivery to the end of its coroutine
 *     verdict.c    what its attempt came to
 *     burial.c     dead jobs that the engine found, and durable ones, are told to PostgreSQL
 *
 * A job that was fetched waits in its batch until a place is free, and runs until its verdict is given; the verdict
 * waits for the next exchange. To the shard all of these are taken, under the name of the consumer's owner, whose lease
 * every exchange renews.
 */
#ifndef CONSUMER_H
#define CONSUMER_H

#include "common/context.h"
#include "common/jobs/job_queue.h"
#include "common/jobs/running.h"
#include "common/loop.h"
#include "common/process.h"
#include "worker/isolation.h"
#include "worker/job_metrics.h"

struct event;
struct worker;

/* A verdict that waits for an exchange, and what goes with it; the texts are malloc'ed and its own. */
struct pending_verdict {
	struct job_verdict verdict;
	char *error, *result;
	char *report; /* the job's last one; NULL: nothing new */
	bool durable;
};

/* Jobs that were fetched together and have not all started. */
struct batch {
	struct batch *next;
	struct arena arena; /* of the deliveries */
	struct delivery *deliveries;
	size_t n_deliveries, n_started;
	unsigned users; /* the exchange that brought it, the consumer while some wait, and one that is starting */
	prong_time now; /* the server's clock, at `at` of ours */
	int64_t at;
	int64_t asked_at; /* monotonic µs, before they were taken */
};

/* A job whose coroutine has begun: until its verdict is given. */
struct running {
	struct running *next, *previous; /* of the consumer's ring; `next` also among the worker's spare ones */
	struct consumer *consumer;
	struct coroutine *coroutine;
	const struct prong_job *job;
	struct delivery delivery; /* its strings live in the context's arena, its payload with the batch */
	struct prong_ctx ctx;
	struct job_notes notes;
	int64_t started; /* monotonic µs */
	enum isolation_end end;
	unsigned number;  /* of the owner that took it: another than the consumer's now, and it is lost */
	bool cancelled;	  /* somebody wants it to end */
	bool interrupted; /* the process leaves */
	bool reported;	  /* something was kept for it in Redis */
};

struct consumer {
	struct worker *worker;
	const struct job_shard *shard;
	const struct job_metrics *metrics;
	unsigned number; /* the owner's: a name that was reclaimed is never used again */
	char owner[JOB_OWNER_SIZE];
	bool registered; /* the shard knows the name */

	/* Exchanges; times are monotonic µs. */
	size_t under_way;
	size_t asked;	  /* jobs asked for by those under way */
	bool hungry;	  /* the shard has more than was fetched */
	bool poked;	  /* a token was taken, or verdicts may be lost: exchange even if nothing can be fetched */
	bool unsure;	  /* a reply was lost: jobs may be taken for us that we do not know of */
	int64_t due;	  /* when to exchange in any case: for the lease, or because jobs become due */
	int64_t retry_at; /* after a failure: not before */
	size_t failures;  /* in a row */
	int64_t audit_at; /* when what the shard holds for us is compared with what we know */
	int64_t report_at;
	bool left; /* has said good-bye, or tried to */

	struct batch *batches, **batches_end; /* with jobs that have not started, in order */
	size_t n_waiting;		      /* of them */
	struct running jobs;		      /* head of the ring */
	size_t n_running;
	uint64_t turn; /* grows with what was fetched, slower for larger weights: who is behind is first */

	struct pending_verdict *verdicts;
	size_t n_verdicts, capacity;
};

/* One connection that blocks until a token comes. */
struct token_waiter {
	struct worker *worker;
	struct redis *redis;
	struct consumer *consumers;	 /* some of the worker's */
	const struct job_shard **shards; /* theirs */
	size_t n_consumers;
	struct coroutine *coroutine; /* NULL once it has ended */
	bool napping;		     /* something is known to wait: dispatch ends the nap when nothing is any more */
};

struct worker {
	const struct process *process;
	struct runtime *runtime;
	struct isolation *isolation; /* NULL: no job needs it */
	struct history *history;
	char *identity;
	char *name, *waiting_name; /* in the servers' lists of clients */
	struct consumer *consumers;
	size_t n_consumers;
	struct consumer **order; /* all of them, as they are served: by rank, then by turn */
	size_t concurrency;
	size_t n_running, n_waiting, n_asked; /* over all consumers */
	int wanted_rank;		      /* the lowest of hungry consumers; INT_MAX: none is hungry */
	uint64_t wanted_weight;		      /* of the hungry ones of that rank */
	uint64_t turn;			      /* of whom was served last */

	/* How far ahead of its places this worker fetches (dispatch.c). */
	size_t ahead;
	uint64_t n_ended, n_ended_before;
	int64_t measured_at;
	int64_t clock; /* monotonic µs, of a moment ago */

	struct loop_task change;
	bool pausing; /* more is dispatched once the loop has looked at its descriptors: the timer ends it at once */
	struct event *timer;
	struct running *spare;

	struct token_waiter *waiters;
	size_t n_waiters;
	struct coroutine *starter; /* NULL once it has ended */
	size_t n_helpers;	   /* coroutines that exchange, bury or leave */
	bool draining;
	int64_t drain_deadline;
	struct coroutine *drainer; /* waits for the others to end; NULL: not yet */
	int status;		   /* the process's exit status */
};

/* ---- dispatch.c ---- */

/* Something changed: what can be done now is done at the end of the turn. */
void worker_changed(struct worker *worker);

void dispatch_open(struct worker *worker);
void dispatch_close(struct worker *worker);

/* How many jobs the consumer may fetch now. */
size_t dispatch_places(const struct consumer *consumer);

/* Jobs of the consumer were fetched: others of its rank are first now. */
void dispatch_charge(struct consumer *consumer, size_t count);

/* Nothing is known to wait in any shard. */
bool worker_is_calm(const struct worker *worker);

/* ---- consumer.c ---- */

void consumer_open(struct consumer *consumer, struct worker *worker, const struct job_shard *shard);
void consumer_close(struct consumer *consumer);

/* A coroutine's function: good-bye to the shard; the consumer has nothing left. */
void consumer_leave(void *consumer);

/* Nothing runs, waits or is under way. */
bool consumer_is_idle(const struct consumer *consumer);

/* Has the shard looked into; worker_changed() is the caller's. */
void consumer_poke(struct consumer *consumer);

struct batch *batch_new(void); /* with one user */
void consumer_add_batch(struct consumer *consumer, struct batch *batch);

/* The first job that waits does so no longer: it starts, or goes. Its batch goes with the last one. */
void consumer_advance(struct consumer *consumer);
void batch_release(struct batch *batch);

/* Gives all jobs back that have not started. */
void consumer_return_waiting(struct consumer *consumer);

/* Queues a verdict; its texts are taken over. */
void consumer_give(struct consumer *consumer, const struct pending_verdict *verdict);

/* The verdict of an attempt. */
struct pending_verdict consumer_verdict(const struct delivery *delivery, enum job_outcome outcome);

/* All that was taken under the owner's name is others' now; `n_given` verdicts were refused. It takes the next name. */
void consumer_lose(struct consumer *consumer, size_t n_given);

/*
 * Gives back what the shard holds for the owner though nobody here knows of it: it came in a reply that was lost. No
 * exchange may be under way. Suspends; 0 or a negative errno.
 */
int consumer_audit(struct consumer *consumer, struct arena *arena);

void verdicts_free(const struct pending_verdict *verdicts, size_t count); /* their texts */

/* ---- exchange.c ---- */

/* A coroutine's function: one exchange. The caller has found that there is something to exchange. */
void consumer_exchange(void *consumer);

/* ---- runner.c ---- */

/*
 * Starts the next job that waits; from outside of a coroutine, so that it runs to its first wait before this returns.
 * False when no coroutine was to be had: it has not started.
 */
bool runner_start(struct consumer *consumer);

/* Ends a job's waits. */
void runner_cancel(struct running *job);

/* Frees what was kept for reuse. */
void runner_close(struct worker *worker);

/* ---- verdict.c ---- */

/* The attempt is over: settles what is to be settled in PostgreSQL, which may suspend, counts, logs, gives the verdict.
 */
void verdict_reach(struct running *job, int result);

/* ---- worker.c ---- */

/* A coroutine of the worker has ended; where it drains, whoever waits for that looks again. */
void worker_progressed(struct worker *worker);

/* ---- tokens.c ---- */

void tokens_open(struct worker *worker);
void tokens_start(struct worker *worker);
void tokens_stop(struct worker *worker); /* cancels; the waiters' coroutines become NULL later */
bool tokens_stopped(const struct worker *worker);
void tokens_close(struct worker *worker); /* what the server sends later goes nowhere */

/* Ends naps where nothing is known to wait any more. */
void tokens_calm(struct worker *worker);

#endif
