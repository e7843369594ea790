/*
 * The relay, a part of the scheduler: puts rows of the outbox into Redis, within milliseconds of their commit where
 * PostgreSQL notifies, and never later than a second.
 *
 * A batch is one transaction: lock rows that are to be relayed, add them to Redis, mark them, commit. Locks are not
 * waited for, so several schedulers share the work. Whatever dies in between, no job is lost, and none is added that
 * is done, because whoever ends a job deletes its row first, which waits for the lock, and only then tells Redis:
 *
 * - Before Redis has them: nothing has happened; they are relayed later.
 * - Redis has them, the commit does not come about: they are relayed again. Those that live are in Redis under their
 *   ids, and stay as they are. Those that have ended have no row any more; one that is ending has its row locked
 *   against us, or waits for our lock and so is still in Redis.
 * - The commit's reply is lost: they are marked, or as above.
 * - Redis loses them after the commit: the reconciler has them put there again.
 *
 * A worker may run a job before our commit: its row is there for it to delete once we are through.
 */
#include "common/context.h"
#include "common/jobs/outbox.h"
#include "common/postgres/listen.h"
#include "common/redis/redis.h"
#include "worker/scheduler.h"

#define EVERY PRONG_SECONDS(1)
#define LOOK_FOR_REDIS PRONG_MILLISECONDS(100)

struct relay {
	struct scheduler *scheduler;
	struct coroutine *coroutine;
	bool notified, sleeping;
};

static void on_notified(void *argument)
{
	struct relay *relay = argument;

	relay->notified = true;
	if (relay->sleeping)
		coroutine_wake(relay->coroutine, 0);
}

/* At most 500 rows, and as many as 16 MiB hold. Records stay where they are until the sum is known. */
#define TAKE_ROWS                                                                                      \
	"WITH locked AS MATERIALIZED ("                                                                \
	" SELECT id, due, record FROM prong_outbox WHERE queue = $1 AND relayed_at IS NULL"            \
	" ORDER BY id LIMIT 500 FOR UPDATE SKIP LOCKED),"                                              \
	" counted AS ("                                                                                \
	" SELECT id, due, record, sum(octet_length(record)) OVER (ORDER BY id) - octet_length(record)" \
	" AS bytes_before FROM locked)"                                                                \
	" SELECT id, due, record FROM counted WHERE bytes_before < 16777216"

static int add_to_redis(struct prong_ctx *ctx, const char *queue, const struct postgres_result *rows)
{
	size_t count = postgres_result_rows(rows);
	struct job_relayed *jobs = arena_alloc(&ctx->arena, count * sizeof(*jobs));

	for (size_t i = 0; i < count; i++) {
		const char *due = postgres_result_text(rows, i, 1);

		memcpy(jobs[i].id, postgres_result_text(rows, i, 0), sizeof(jobs[i].id));
		jobs[i].record = postgres_result_text(rows, i, 2);
		jobs[i].record_size = strlen(jobs[i].record);
		/* One beyond our years is a mistake of whoever wrote it; it runs now. */
		if (due)
			prong_time_parse(due, &jobs[i].due);
	}
	return job_queue_relay(ctx->runtime->jobs, queue, jobs, count);
}

static int mark(struct prong_ctx *ctx, const struct postgres_result *rows)
{
	size_t count = postgres_result_rows(rows);
	const char **ids = arena_alloc(&ctx->arena, count * sizeof(*ids));

	for (size_t i = 0; i < count; i++)
		ids[i] = postgres_result_text(rows, i, 0);
	return prong_exec(ctx, "UPDATE prong_outbox SET relayed_at = now() WHERE id = ANY ($1::uuid[])",
			  postgres_array(ctx, ids, count));
}

/* Returns how many were relayed. */
static int relay_batch(struct prong_ctx *ctx, const char *queue)
{
	_cleanup_(postgres_result_freep) struct postgres_result *rows = NULL;
	int r = prong_begin(ctx);

	if (r == 0)
		r = postgres_run(ctx, TAKE_ROWS, PRONG_PARAMETERS(queue), &rows);
	if (r < 0 || postgres_result_rows(rows) == 0) {
		prong_rollback(ctx);
		return r;
	}
	r = add_to_redis(ctx, queue, rows);
	if (r >= 0)
		r = mark(ctx, rows);
	if (r >= 0)
		r = prong_commit(ctx);
	prong_rollback(ctx);
	return r < 0 ? r : (int)postgres_result_rows(rows);
}

/* The queues of the application that have something to relay. */
static int find_queues(struct prong_ctx *ctx, struct postgres_result **ret_queues)
{
	const struct registry *registry = ctx->runtime->registry;
	const char **names = arena_alloc(&ctx->arena, registry->n_queues * sizeof(*names));

	for (size_t i = 0; i < registry->n_queues; i++)
		names[i] = registry->queues[i].name;
	return postgres_run(ctx,
			    "SELECT name FROM unnest($1::text[]) AS name WHERE EXISTS"
			    " (SELECT FROM prong_outbox WHERE queue = name AND relayed_at IS NULL)",
			    PRONG_PARAMETERS(postgres_array(ctx, names, registry->n_queues)), ret_queues);
}

/* One batch of each queue; one that fails does not hold up the others. Returns how many were relayed. */
static int relay_once(struct prong_ctx *ctx)
{
	_cleanup_(postgres_result_freep) struct postgres_result *queues = NULL;
	int r = find_queues(ctx, &queues), failure = 0, count = 0;

	if (r < 0)
		return r;
	for (size_t i = 0; i < postgres_result_rows(queues); i++) {
		r = relay_batch(ctx, postgres_result_text(queues, i, 0));
		if (r < 0)
			failure = r;
		else
			count += r;
	}
	return failure < 0 ? failure : count;
}

/* Until nothing is left, or something is away. */
static int relay_all(struct relay *relay)
{
	struct runtime *runtime = relay->scheduler->runtime;
	struct prong_ctx ctx;
	int r;

	do {
		context_init(&ctx, runtime);
		r = relay_once(&ctx);
		context_end(&ctx);
	} while (r > 0 && !relay->scheduler->draining);
	return r;
}

static void sleep_until_notified(struct relay *relay)
{
	relay->sleeping = true;
	if (!relay->notified)
		scheduler_sleep(relay->scheduler, EVERY);
	relay->sleeping = false;
}

void relay_main(struct scheduler *scheduler)
{
	struct relay relay = { .scheduler = scheduler, .coroutine = coroutine_current() };
	struct postgres_listener *listener =
		postgres_listen(scheduler->runtime->postgres, OUTBOX_CHANNEL, on_notified, &relay);

	while (!scheduler->draining) {
		relay.notified = false;
		/* Rows are not locked only to wait for it. */
		if (!redis_connected(scheduler->runtime->redis))
			scheduler_sleep(scheduler, LOOK_FOR_REDIS);
		else if (relay_all(&relay) < 0)
			scheduler_sleep(scheduler, EVERY);
		else
			sleep_until_notified(&relay);
	}
	postgres_unlisten(listener);
}
