/*
 * The job queues in Redis: every operation is one call of a function of the engine (engine/, a library of Redis
 * functions), declares the keys it touches, and is atomic. Times are Redis TIME; the clocks of workers do not matter.
 *
 * A queue has one shard or several; a shard is one hash tag, so one slot of a Redis Cluster. Its keys, prefixed with
 * prong:{QUEUE#NUMBER}: (enum job_key is in their order):
 *
 *     body         hash   id → record: the job's immutable part
 *     ready        list   ids that may run, of normal priority and without key
 *     wake         list   at most one token; consumers block on it
 *     meta         hash   bytes, ghosts, sequence, running, paused, rate, epoch
 *     recent       zset   token of an enqueue call by its time: a call that is sent again changes nothing
 *     delayed      zset   id by the time it may run
 *     ranked       zset   ids with a priority, the next to run first
 *     keyed        zset   "key NUL rank sequence id", lexicographic: jobs with a key
 *     turns        list   keys that may run, in turn
 *     keys         hash   key → how many wait, how many run, its rate, whether it is out of `turns`
 *     unique       hash   unique key → id of the job that holds it
 *     timers       zset   what ends at a time: e:id waiting, u:key a window, k:key a key's wait for its rate
 *     state        hash   id → "attempts crashes\nerror" of a job that began before
 *     dead         zset   id by the time of its burial
 *     kept         hash   p:id → progress and log lines, r:id → result; JSON
 *     cancels      set    ids that are to be cancelled where they run
 *     owners       zset   owner by the end of its lease; 0: it is being reclaimed
 *     identities   hash   owner → identity of its process
 *     results      zset   id by the end of its result's time
 *     taken:OWNER  hash   id → "attempt bytes" of what that owner runs: membership and fence in one
 *
 * A record is three lines: the time of the enqueue (µs, by the producer's clock: for people and metrics only), followed
 * by " x" where its header concerns the engine; the header as JSON; the payload as JSON, or nothing. Readers ignore
 * header keys that they do not know.
 *
 * A live id has a body and is in exactly one of ready, ranked, keyed, delayed, dead and the taken:… To acknowledge is
 * to remove the field of this attempt from one's own taken:…: a stale worker's removal finds nothing, and its result is
 * refused. A waiting job that was cancelled or expired leaves its id behind in ready or keyed, with "-" for a body,
 * until it is come upon: a ghost.
 *
 * An owner is one consumer of one process: its incarnation and a number. Its lease is renewed by its every exchange.
 * One whose lease has ended may be reclaimed by anybody; from then on its name is void, and it goes on under another.
 */
#ifndef JOB_QUEUE_H
#define JOB_QUEUE_H

#include <prong/job.h>

#include "common/arena.h"
#include "common/redis/redis.h"
#include "common/registry.h"

enum job_key {
	JOB_KEY_BODY,
	JOB_KEY_READY,
	JOB_KEY_WAKE,
	JOB_KEY_META,
	JOB_KEY_RECENT,
	JOB_KEY_DELAYED,
	JOB_KEY_RANKED,
	JOB_KEY_KEYED,
	JOB_KEY_TURNS,
	JOB_KEY_KEYS,
	JOB_KEY_UNIQUE,
	JOB_KEY_TIMERS,
	JOB_KEY_STATE,
	JOB_KEY_DEAD,
	JOB_KEY_KEPT,
	JOB_KEY_CANCELS,
	JOB_KEY_OWNERS,
	JOB_KEY_IDENTITIES,
	JOB_KEY_RESULTS,
	JOB_KEYS,
};

/* One shard of a queue. */
struct job_shard {
	const struct prong_queue *queue; /* the registry's, with its defaults */
	size_t queue_index;		 /* in the registry */
	int number;
	char *keys[JOB_KEYS];
	char *prefix;		 /* prong:{QUEUE#NUMBER}: */
	struct job_batch *batch; /* gathers the enqueues of this turn; NULL: none yet */
};

struct job_queue {
	struct loop *loop;
	struct redis *redis;
	const struct registry *registry;
	struct job_shard *shards; /* of the registry's queues in their order */
	size_t n_shards;
	size_t *first_shard; /* by queue_index; one more than there are queues */
};

#define JOB_LEASE PRONG_SECONDS(30)
#define JOB_BATCH 1000 /* verdicts or jobs of one exchange */
#define JOB_MAX_KEY 200
#define JOB_OWNER_SIZE 32

/* Borrows loop, Redis client and registry, whose queues are those that the calls below know. */
struct job_queue *job_queue_new(struct loop *loop, struct redis *redis, const struct registry *registry);
struct job_queue *job_queue_free(struct job_queue *queue); /* returns NULL; nobody may be waiting */

/* The shards of a queue; one that is not in the registry is a broken invariant. */
struct job_shard *job_queue_shards(const struct job_queue *queue, const char *name, size_t *ret_count);

/* The shard of a job: of its id, which has the shard's number in its last six bits. */
struct job_shard *job_shard_of_id(const struct job_queue *queue, const char *queue_name, const char *id);

/* A new id in the shard that its options choose: by key, by unique key, or at random. */
prong_uuid job_id_make(const struct job_queue *queue, const struct prong_job *job,
		       const struct prong_enqueue_options *options);

/* "incarnation-number" */
void job_owner_format(uint64_t incarnation, unsigned number, char owner[JOB_OWNER_SIZE]);

/* ---- producers. All calls below suspend; errors as redis_call(). ---- */

/*
 * What is wrong with options of a job: a static half-sentence that names what is out of range or excludes what; NULL:
 * nothing. For options that people give; those in code are checked as they are used.
 */
const char *job_options_mistake(const struct prong_job *job, const struct prong_enqueue_options *options);

/* A job to be enqueued. Everything is borrowed. */
struct job_draft {
	const struct prong_job *job;
	prong_uuid id;	     /* job_id_make() */
	const char *payload; /* JSON text, or NULL */
	size_t payload_size;
	const char *request_id, *trace_id; /* NULL or "": none */
	struct prong_enqueue_options options;
	prong_time scheduled_for; /* the tick that it is for; 0: none */
};

/* Appends the record of a draft, enqueued now. */
void job_record_write(const struct job_draft *draft, struct buffer *out);

/* What became of a draft: its own id or, where another holds its unique key, that one's. */
struct job_added {
	char id[PRONG_UUID_TEXT_SIZE];
	bool existing;
};

/*
 * Enqueues drafts of any queues, those of one shard together. A call whose reply was lost is sent again, and changes
 * nothing if it had been executed. -ENOSPC: a queue is at its max_bytes.
 */
int job_queue_add(struct job_queue *queue, const struct job_draft *drafts, size_t count, struct job_added *ret_added);

/*
 * Enqueues what a relay has read from its table, under the ids that it had there; an id that is live already stays as
 * it is. All of one queue.
 */
struct job_relayed {
	char id[PRONG_UUID_TEXT_SIZE];
	prong_time due; /* 0: now */
	const char *record;
	size_t record_size;
};
int job_queue_relay(struct job_queue *queue, const char *name, const struct job_relayed *jobs, size_t count);

/* Which of the ids of a queue Redis does not have (any more), not even as ghosts. */
int job_queue_missing(struct job_queue *queue, const char *name, const char *const ids[], size_t count,
		      bool ret_missing[]);

/*
 * A random text that stays as long as the queue's keys do: another one than before means that Redis was emptied. Made
 * where there is none.
 */
int job_queue_epoch(struct job_queue *queue, const char *name, char ret_epoch[PRONG_UUID_TEXT_SIZE]);

/* ---- consumers ---- */

/* A job that was fetched and leased to this owner. Strings live in the arena given to job_queue_exchange(). */
struct delivery {
	char id[PRONG_UUID_TEXT_SIZE];
	const char *queue;
	int attempt;	     /* from 1 */
	const char *name;    /* "" where the record cannot be read */
	const char *payload; /* JSON text, or NULL */
	size_t payload_size;
	int max_attempts;
	prong_duration timeout;
	const char *request_id, *trace_id; /* "" for none */
	const char *key;		   /* "" for none */
	prong_time enqueued_at;
	prong_time scheduled_for; /* 0: none */
	bool durable, history;
	bool plain; /* nothing of it concerns the scripts when it ends */
};

enum job_outcome {
	JOB_DONE,
	JOB_RETRY,   /* after `delay` */
	JOB_CRASHED, /* it took its process with it: as JOB_RETRY, or dead after max_crashes or max_attempts */
	JOB_DEAD,    /* kept with its error */
	JOB_RETURN,  /* not started, or interrupted by shutdown: ready again at the front, the attempt not counted */
	JOB_CANCELLED,
};

struct job_verdict {
	char id[PRONG_UUID_TEXT_SIZE];
	int attempt;
	bool plain; /* the delivery's; and nothing was kept for it */
	enum job_outcome outcome;
	prong_duration delay;
	const char *error;	    /* JSON text {"code":…,"message":…} of a retry, crash or death; else NULL */
	const char *result;	    /* JSON text kept after JOB_DONE; NULL: none */
	prong_duration keep_result; /* how long */
};

/* What a running job says of itself: JSON text kept with it while it lives. Comes before the job's verdict. */
struct job_report {
	char id[PRONG_UUID_TEXT_SIZE];
	int attempt;
	const char *text;
};

struct job_exchange {
	const struct job_shard *shard;
	const char *owner;    /* NULL: only promotes what is due and runs the timers; nothing below is looked at */
	const char *identity; /* of the process, at the first exchange under this name: registers it; then NULL */
	const struct job_verdict *verdicts; /* at most JOB_BATCH */
	size_t n_verdicts;
	const struct job_report *reports; /* at most JOB_BATCH */
	size_t n_reports;
	size_t fetch;	      /* at most that many, at most JOB_BATCH, and few where they are large; 0: none */
	prong_duration lease; /* 0: JOB_LEASE */
};

/* A job that the engine itself found dead. */
struct job_buried {
	char id[PRONG_UUID_TEXT_SIZE];
	const char *name;
	const char *code; /* "poison", "worker_lost" */
	bool durable;
};

struct job_exchange_result {
	struct delivery *deliveries;
	size_t n_deliveries;
	size_t refused;		/* verdicts that were not this owner's to give */
	bool reclaimed;		/* the owner was reclaimed: it holds nothing and fetches nothing; take another name */
	size_t ready;		/* left that could be fetched: 0 where paused or limited */
	prong_duration next;	/* until something becomes due; INT64_MAX: nothing known */
	prong_time now;		/* the server's clock */
	const char **cancelled; /* ids that this owner runs and that are to be cancelled; until they end, every time */
	size_t n_cancelled;
	const char **lapsed; /* owners whose lease is over: job_queue_reclaim() */
	size_t n_lapsed;
	struct job_buried *buried;
	size_t n_buried;
	size_t expired; /* waiting jobs that were dropped */
};

/*
 * One round trip: renews the lease, gives verdicts, promotes what is due, and fetches. Safe to repeat after a lost
 * reply: verdicts are fenced (those that had been taken are then counted as refused), and jobs that the lost reply
 * brought are found by job_queue_held().
 */
int job_queue_exchange(struct job_queue *queue, struct arena *arena, const struct job_exchange *exchange,
		       struct job_exchange_result *ret_result);

/* All that the owner holds. */
int job_queue_held(struct job_queue *queue, const struct job_shard *shard, const char *owner, struct arena *arena,
		   struct job_verdict **ret_held, size_t *ret_count);

/*
 * Blocks on a connection of its own until one of the shards may have something ready, or `timeout`. 0, -ETIMEDOUT, or
 * an error. Who is woken must exchange with that shard soon, if only to pass the token on: it wakes one consumer. In a
 * Redis Cluster the shards must be of one slot: of one.
 */
int job_queue_wait(struct redis *blocking, const struct job_shard *const shards[], size_t count, prong_duration timeout,
		   size_t *ret_shard);

struct job_reclaimed {
	size_t returned;	   /* ready again */
	struct job_buried *buried; /* in the arena */
	size_t n_buried;
};

/* An owner whose lease is over: all it held is ready again, the attempt counted ("worker_lost" where it was the last).
 */
int job_queue_reclaim(struct job_queue *queue, const struct job_shard *shard, const char *owner, struct arena *arena,
		      struct job_reclaimed *ret_reclaimed);

/*
 * A process that is known to be dead: all that its owners held in the queue is ready again at once. Only the attempt of
 * `culprit` (all zero: none) counts, as a crash.
 */
int job_queue_reclaim_process(struct job_queue *queue, const char *name, uint64_t incarnation, prong_uuid culprit,
			      struct arena *arena, struct job_reclaimed *ret_reclaimed);

struct job_owner {
	const struct job_shard *shard;
	char name[JOB_OWNER_SIZE];
	uint64_t incarnation;
	const char *identity; /* "" for none */
	prong_duration lease; /* left; negative: over */
	size_t running;
};

/* Who consumes a queue, over all its shards. */
int job_queue_owners(struct job_queue *queue, const char *name, struct arena *arena, struct job_owner **ret_owners,
		     size_t *ret_count);

/* The owner leaves in order: it holds nothing any more. Without it the name stays until its lease ends. */
int job_queue_leave(struct job_queue *queue, const struct job_shard *shard, const char *owner);

/* ---- people. Queues by name, over all their shards. ---- */

enum job_state { JOB_STATE_READY, JOB_STATE_DELAYED, JOB_STATE_RUNNING, JOB_STATE_DEAD, JOB_STATES };
extern const char *const job_state_names[JOB_STATES + 1]; /* "ready", "delayed", "running", "dead"; NULL-terminated */

struct job_stats {
	uint64_t states[JOB_STATES];
	int64_t bytes;	       /* of records */
	prong_duration oldest; /* since the enqueue of the job that is next in line; 0: none waits */
	bool paused;
	size_t keys;	  /* with something that waits or runs */
	size_t consumers; /* with a lease */
	size_t results;	  /* kept */
};
int job_queue_stats(struct job_queue *queue, const char *name, struct job_stats *ret_stats);

/* Redis' own estimate of the memory of the queue's keys, in bytes. Samples; for people, not for a metric. */
int job_queue_memory(struct job_queue *queue, const char *name, int64_t *ret_bytes);

struct job_listing {
	char id[PRONG_UUID_TEXT_SIZE];
	const char *queue;
	const char *name;
	enum job_state state;
	int attempt, max_attempts, crashes;
	prong_time enqueued_at;
	prong_time at;	   /* when due, when buried; 0 where ready or running */
	const char *key;   /* "" for none */
	const char *error; /* JSON text or NULL */
	const char *owner; /* of a running one; "" */
	bool durable;
};

/* At most `limit` of a queue and state from `offset`, next first (dead: latest first). */
int job_queue_list(struct job_queue *queue, const char *name, enum job_state state, size_t offset, size_t limit,
		   struct arena *arena, struct job_listing **ret_listings, size_t *ret_count);

/* Everything of one job. -ENOENT: there is no such job, and no result of it. */
struct job_detail {
	struct job_listing listing;
	bool finished;	     /* only its result is left; of `listing` only id and queue are set */
	const char *header;  /* JSON text */
	const char *payload; /* JSON text or NULL */
	const char *report;  /* {"done":…,"total":…,"log":[…]} or NULL */
	const char *result;  /* JSON text or NULL */
};
int job_queue_show(struct job_queue *queue, const char *name, const char *id, struct arena *arena,
		   struct job_detail *ret_detail);

/* Dead jobs are ready again with all their attempts. Returns how many there were; ids that are not dead are left out.
 */
int job_queue_retry(struct job_queue *queue, const char *name, const char *const ids[], size_t count);

/* 0: a job that waits or is dead is gone, one that runs is told within about a second. -ENOENT. */
int job_queue_cancel(struct job_queue *queue, const char *name, const char *id);

/*
 * Removes all jobs of a state (not those that run), thousands at a time. Returns how many. `on_durable` is given those
 * that were durable after each time; NULL: nobody is. A value < 0 that it returns ends the draining.
 */
typedef int job_drained(void *argument, const char *const ids[], size_t count);
int64_t job_queue_drain(struct job_queue *queue, const char *name, enum job_state state, job_drained *on_durable,
			void *argument);

/* While paused, nothing is fetched; what runs goes on. */
int job_queue_pause(struct job_queue *queue, const char *name, bool paused);

/*
 * Checks every invariant above, and with `repair` mends: what has no body is removed, what is nowhere is made ready,
 * counters are set to what they count. Each finding is a line of `ret_findings`, at most 100 a shard. Holds up Redis
 * for some microseconds a job. Returns how many findings there were.
 */
int job_queue_fsck(struct job_queue *queue, const char *name, bool repair, struct buffer *findings);

#endif
