/*
 * The job queue in Redis, seen by producers (http workers, the command line) and by consumers (job workers, the
 * scheduler). All changes are Lua scripts in this folder; each declares the keys it touches.
 *
 * Keys of queue Q, all with the hash tag {Q#0} so that one shard is one slot of a Redis Cluster:
 *
 *     prong:{Q#0}:body      hash   id → record: the job's immutable part
 *     prong:{Q#0}:ready:0   list   ids that may run now; the suffix is a priority
 *     prong:{Q#0}:delayed   zset   id by the time it may run (µs)
 *     prong:{Q#0}:inflight  zset   "id#attempt#owner" by its lease's deadline (µs): membership, lease and fence in one
 *     prong:{Q#0}:attempts  hash   id → attempts begun, of those that wait after one
 *     prong:{Q#0}:error     hash   id → what the last failed attempt said
 *     prong:{Q#0}:dead      zset   id by the time it was buried (µs)
 *     prong:{Q#0}:wake      list   at most one token; consumers block on it
 *
 * A record is three lines: when it was enqueued (µs), its header as JSON (name, max_attempts, timeout in µs,
 * request_id; keys that a reader does not know are ignored), its payload as JSON or nothing.
 *
 * A live id is in exactly one of ready, delayed, inflight, dead, and has a body. To acknowledge is to remove the
 * in-flight member: a stale worker's removal finds nothing, and its result is refused. All times are Redis TIME; the
 * clocks of workers do not matter. `owner` is the worker process's incarnation, so that the jobs of a worker that died
 * are put back at once by its successor; the lease (30 s, renewed by the worker) is only for dead hosts.
 */
#ifndef JOB_QUEUE_H
#define JOB_QUEUE_H

#include <prong/job.h>

#include "common/arena.h"
#include "common/redis/redis.h"
#include "common/registry.h"

struct job_queue;

#define JOB_LEASE PRONG_SECONDS(30)
#define JOB_BATCH 1000 /* verdicts or jobs of one exchange */

/* Borrows the Redis client and the registry, whose queues are those that the calls below know. */
struct job_queue *job_queue_new(struct redis *redis, const struct registry *registry);
struct job_queue *job_queue_free(struct job_queue *queue); /* returns NULL */

/* ---- producers. All calls below suspend; errors as redis_command(). ---- */

/*
 * Enqueues with an id made by the caller: sending the same again after a lost reply exists once. `payload` is JSON text
 * or NULL. `ret_duplicate` may be NULL.
 */
int job_queue_add(struct job_queue *queue, const struct prong_job *job, prong_uuid id, const char *payload,
		  size_t payload_size, const char *request_id, bool *ret_duplicate);

/* ---- consumers ---- */

/* A job that was fetched and leased to this process. Strings live in the arena given to job_queue_exchange(). */
struct delivery {
	char id[PRONG_UUID_TEXT_SIZE];
	const char *queue;
	int attempt;	     /* from 1 */
	const char *name;    /* "" where the record cannot be read */
	const char *payload; /* JSON text, or NULL */
	size_t payload_size;
	int max_attempts;
	prong_duration timeout;
	const char *request_id; /* "" for none */
	prong_time enqueued_at;
};

enum job_outcome {
	JOB_DONE,
	JOB_RETRY,  /* after `delay` */
	JOB_DEAD,   /* kept with its error */
	JOB_RETURN, /* not started, or interrupted by shutdown: ready again, the attempt not counted */
};

struct job_verdict {
	char id[PRONG_UUID_TEXT_SIZE];
	int attempt;
	enum job_outcome outcome;
	prong_duration delay;
	const char *error; /* JSON text {"code":…,"message":…}; NULL where done or returned */
};

struct job_exchange {
	const char *queue;
	uint64_t owner;
	const struct job_verdict *verdicts; /* at most JOB_BATCH */
	size_t n_verdicts;
	size_t fetch;	      /* at most that many, at most JOB_BATCH; 0: acknowledge only */
	prong_duration lease; /* of what is fetched; 0: JOB_LEASE */
};

struct job_exchange_result {
	struct delivery *deliveries;
	size_t n_deliveries;
	size_t refused;	     /* verdicts that were no longer ours to give */
	size_t ready;	     /* left in the queue to be fetched */
	prong_duration next; /* until something becomes due (delayed, or a lease ends); INT64_MAX: nothing known */
	prong_time now;	     /* the server's clock */
};

/*
 * One round trip: gives verdicts, promotes what is due, takes back what has outlived its lease, and fetches. Jobs whose
 * worker died in their last allowed attempt are buried here. Safe to repeat after a lost reply: verdicts are fenced
 * (those that had been taken are then counted as refused), and jobs leased to `owner` that the caller does not hold are
 * found by job_queue_owned(), or come back when their lease ends.
 */
int job_queue_exchange(struct job_queue *queue, struct arena *arena, const struct job_exchange *exchange,
		       struct job_exchange_result *ret_result);

/*
 * Blocks on a connection of its own until a queue may have something ready, or `timeout`. 0, -ETIMEDOUT, or an error.
 * Who is woken must exchange with that queue soon, if only to pass the token on: it wakes one consumer.
 */
int job_queue_wait(struct redis *blocking, const char *const queues[], size_t n_queues, prong_duration timeout,
		   size_t *ret_queue);

/*
 * Extends the leases of what `owner` holds by `lease` (0: JOB_LEASE) from now. `ret_lost[i]` tells whether delivery i
 * is no longer held: its verdict would be refused.
 */
int job_queue_renew(struct job_queue *queue, const char *name, uint64_t owner, prong_duration lease,
		    const struct delivery *const deliveries[], size_t count, bool ret_lost[]);

/* All that is leased to `owner`, with the id and attempt of each set. Reads everything in flight. */
int job_queue_owned(struct job_queue *queue, const char *name, uint64_t owner, struct arena *arena,
		    struct job_verdict **ret_owned, size_t *ret_count);

/* Makes everything of a dead `owner` ready again at once; its attempts stay counted. */
int job_queue_reclaim(struct job_queue *queue, const char *name, uint64_t owner, size_t *ret_count);

/* ---- people ---- */

enum job_state { JOB_STATE_READY, JOB_STATE_DELAYED, JOB_STATE_INFLIGHT, JOB_STATE_DEAD, JOB_STATES };
extern const char *const job_state_names[JOB_STATES + 1]; /* NULL-terminated */

struct job_counts {
	uint64_t states[JOB_STATES];
};
int job_queue_counts(struct job_queue *queue, const char *name, struct job_counts *ret_counts);

struct job_listing {
	char id[PRONG_UUID_TEXT_SIZE];
	const char *queue;
	const char *name;
	enum job_state state;
	int attempt, max_attempts;
	prong_time enqueued_at;
	prong_time at;	   /* when due, when its lease ends, when buried; the epoch where ready */
	const char *error; /* JSON text or NULL */
};

/* At most `limit` of a queue and state, next first (dead: latest first). */
int job_queue_list(struct job_queue *queue, const char *name, enum job_state state, size_t limit, struct arena *arena,
		   struct job_listing **ret_listings, size_t *ret_count);

#endif
