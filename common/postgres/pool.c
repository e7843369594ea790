#include "common/postgres/pool.h"

#include "common/log.h"
#include "common/postgres/detached.h"
#include "common/postgres/dial.h"

#define TICK PRONG_MILLISECONDS(100)
#define STALLED PRONG_MILLISECONDS(50)
#define OVERDUE PRONG_SECONDS(1)
#define CROWDED 4 /* statements of a connection, while others can still be made */
#define WAIT_FOR_CONNECTION PRONG_SECONDS(1)
#define DIAL_TIMEOUT PRONG_SECONDS(10) /* libpq's own is for one address, and ends before the session's settings */

void pool_watch(struct postgres *postgres)
{
	if (postgres->ticking)
		return;
	postgres->ticking = true;
	timer_set(postgres->tick, TICK);
}

static void back_off(struct postgres *postgres)
{
	prong_duration delay = reconnect_delay(postgres->failures++);

	postgres->retry_at = monotonic_us() + delay;
	timer_set(postgres->retry, delay);
}

static void give_to_waiters(struct pool *pool, struct postgres_connection *connection)
{
	struct waiter *waiter;

	while ((waiter = TAILQ_FIRST(&pool->waiters))) {
		TAILQ_REMOVE(&pool->waiters, waiter, link);
		waiter->listed = false;
		coroutine_wake(waiter->coroutine, 0);
		if (pool->shared)
			continue;
		waiter->connection = connection;
		connection->taken = true;
		return;
	}
}

static size_t count_state(const struct pool *pool, enum connection_state state)
{
	size_t count = 0;

	for (size_t i = 0; i < pool->limit; i++)
		count += pool->connections[i].state == state;
	return count;
}

static void dial_failed(struct postgres_connection *connection, const char *error)
{
	struct pool *pool = connection->pool;
	struct postgres *postgres = pool->postgres;

	connection->dial = NULL;
	connection->state = CONNECTION_CLOSED;
	free(postgres->last_error);
	postgres->last_error = duplicate(error);
	if (!postgres->down)
		log_warning("PostgreSQL: cannot connect: %s", error);
	postgres->down = true;
	back_off(postgres);
	/* Who hoped for one more connection does with those that are there. */
	if (pool->shared && count_state(pool, CONNECTION_READY) > 0)
		give_to_waiters(pool, connection);
}

static void dial_ended(void *argument, PGconn *pg, const char *error)
{
	struct postgres_connection *connection = argument;
	struct postgres *postgres = connection->pool->postgres;

	if (!pg) {
		dial_failed(connection, error);
		return;
	}
	connection->dial = NULL;
	connection_open(connection, pg);
	if (postgres->down)
		log_info("PostgreSQL: connected again");
	postgres->down = false;
	postgres->last_error[0] = '\0';
	postgres->retry_at = 0;
	give_to_waiters(connection->pool, connection);
}

static void dial(struct postgres_connection *connection)
{
	struct pool *pool = connection->pool;
	struct postgres *postgres = pool->postgres;
	const struct dial_options options = {
		.url = postgres->url,
		.application_name = postgres->application_name,
		.settings = pool->settings,
	};

	connection->state = CONNECTION_DIALLING;
	connection->dial_deadline = monotonic_us() + DIAL_TIMEOUT;
	connection->dial = dial_start(postgres->loop, &options, dial_ended, connection);
	if (!connection->dial)
		dial_failed(connection, "no thread or file descriptor is left to connect with");
	pool_watch(postgres);
}

static size_t count_waiters(const struct pool *pool)
{
	const struct waiter *waiter;
	size_t count = 0;

	TAILQ_FOREACH(waiter, &pool->waiters, link)
	count++;
	return count;
}

/* Sees to it that enough connections are being made: one shared, or one owned for each who waits. */
static void pool_dial(struct pool *pool)
{
	size_t wanted = pool->shared ? 1 : count_waiters(pool);
	size_t under_way = count_state(pool, CONNECTION_DIALLING);

	for (size_t i = 0; i < pool->limit && under_way < wanted; i++) {
		struct postgres_connection *connection = &pool->connections[i];

		if (connection->state != CONNECTION_CLOSED || connection->taken)
			continue;
		/* The timer of the backoff comes back to this. */
		if (monotonic_us() < pool->postgres->retry_at)
			return;
		dial(connection);
		under_way++;
	}
}

/* Someone waits, or nothing is left of what there was: then the next statement shall find a connection. */
static void dial_what_is_needed(struct pool *pool)
{
	if (!TAILQ_EMPTY(&pool->waiters) || (pool->shared && count_state(pool, CONNECTION_READY) == 0))
		pool_dial(pool);
}

void pool_retry(struct postgres *postgres)
{
	postgres->retry_at = 0;
	dial_what_is_needed(&postgres->shared);
	dial_what_is_needed(&postgres->owned);
}

void pool_connection_closed(struct postgres_connection *connection, bool lost)
{
	struct postgres *postgres = connection->pool->postgres;

	/* A server that takes connections only to drop them is not asked again and again. */
	if (monotonic_us() - connection->ready_since > PRONG_SECONDS(1))
		postgres->failures = 0;
	else if (lost)
		back_off(postgres);
	dial_what_is_needed(connection->pool);
}

static int wait_in_line(struct pool *pool, struct waiter *waiter, bool in_front, int64_t deadline)
{
	int r;

	*waiter = (struct waiter){ .coroutine = coroutine_current(), .listed = true };
	if (in_front)
		TAILQ_INSERT_HEAD(&pool->waiters, waiter, link);
	else
		TAILQ_INSERT_TAIL(&pool->waiters, waiter, link);
	pool_dial(pool);
	r = coroutine_wait(deadline);
	if (waiter->listed)
		TAILQ_REMOVE(&pool->waiters, waiter, link);
	return r;
}

/* What a wait's end means: its caller's own deadline is -ETIMEDOUT, ours is that no connection came. */
static int wait_result(int r, int64_t caller_deadline)
{
	int64_t own = coroutine_deadline(coroutine_current());

	if (r == -ETIMEDOUT && monotonic_us() < (own < caller_deadline ? own : caller_deadline))
		return -EHOSTDOWN;
	return r;
}

/* Behind a slow statement or one that waits for a lock, everything else would wait too. */
static bool is_stalled(const struct postgres_connection *connection, int64_t now)
{
	return connection->n_statements > 0 && now - connection->head_since > STALLED;
}

/* A burst into a pool that is still growing shall be spread over what it will be, not queue on its first connection. */
static bool is_crowded(const struct postgres_connection *connection, int64_t now)
{
	return connection->n_statements >= CROWDED || is_stalled(connection, now);
}

static struct postgres_connection *least_loaded(struct pool *pool, int64_t now)
{
	struct postgres_connection *best = NULL;
	size_t best_load = SIZE_MAX;

	for (size_t i = 0; i < pool->limit; i++) {
		struct postgres_connection *connection = &pool->connections[i];
		size_t load = connection->n_statements + (is_stalled(connection, now) ? SIZE_MAX / 2 : 0);

		if (connection->state == CONNECTION_READY && load < best_load) {
			best = connection;
			best_load = load;
		}
	}
	return best;
}

/* Whether one more connection is likely to come soon. */
static bool can_grow(const struct pool *pool, int64_t now)
{
	return now >= pool->postgres->retry_at && count_state(pool, CONNECTION_READY) < pool->limit;
}

int pool_choose(struct postgres *postgres, int64_t deadline, struct postgres_connection **ret_connection)
{
	int64_t now = monotonic_us(), give_up = now + WAIT_FOR_CONNECTION;
	struct pool *pool = &postgres->shared;
	struct postgres_connection *connection;
	struct waiter waiter;
	int r = 0;

	for (;;) {
		connection = least_loaded(pool, now);
		if (connection && (r < 0 || !is_crowded(connection, now) || !can_grow(pool, now)))
			break;
		if (r < 0)
			return r;
		r = wait_in_line(pool, &waiter, false, give_up < deadline ? give_up : deadline);
		r = wait_result(r, deadline);
		if (r < 0 && r != -EHOSTDOWN)
			return r;
		now = monotonic_us();
	}
	if (connection->n_statements > 0)
		pool_dial(pool);
	*ret_connection = connection;
	return 0;
}

static struct postgres_connection *free_owned(struct pool *pool)
{
	for (size_t i = 0; i < pool->limit; i++) {
		struct postgres_connection *connection = &pool->connections[i];

		if (connection->state == CONNECTION_READY && !connection->taken)
			return connection;
	}
	return NULL;
}

/* Suspends until a connection is handed over. */
static int wait_for_owned(struct pool *pool, bool patient, struct postgres_connection **ret_connection)
{
	int64_t now = monotonic_us(), give_up = now + WAIT_FOR_CONNECTION;
	int64_t patience = now + pool->postgres->statement_timeout;
	bool again = false;
	int r;

	for (;;) {
		struct waiter waiter;

		r = wait_in_line(pool, &waiter, again, give_up);
		if (waiter.connection) {
			*ret_connection = waiter.connection;
			return 0;
		}
		r = wait_result(r, INT64_MAX);
		/* If the server is there, only others are in front. */
		if (r != -EHOSTDOWN || (give_up >= patience && !patient) || count_state(pool, CONNECTION_READY) == 0)
			return r;
		give_up = give_up < patience ? patience : give_up + pool->postgres->statement_timeout;
		again = true;
	}
}

int pool_take(struct postgres *postgres, bool patient, struct postgres_connection **ret_connection)
{
	struct postgres_connection *connection = free_owned(&postgres->owned);

	if (!connection)
		return wait_for_owned(&postgres->owned, patient, ret_connection);
	connection->taken = true;
	*ret_connection = connection;
	return 0;
}

struct postgres_connection *pool_idle(struct postgres *postgres)
{
	struct postgres_connection *connection = least_loaded(&postgres->shared, monotonic_us());

	return connection ? connection : free_owned(&postgres->owned);
}

void pool_release(struct postgres_connection *connection)
{
	struct pool *pool = connection->pool;

	connection->taken = connection->pinned = connection->begin = false;
	if (connection->state == CONNECTION_READY && connection->used_by_script)
		connection_close(connection, NULL);
	else if (connection->state == CONNECTION_READY)
		give_to_waiters(pool, connection);
	else
		dial_what_is_needed(pool);
}

/* One that nobody waits for any more, of those that end with the next Sync: the server may be at any of them. */
static struct statement *find_orphan(const struct postgres_connection *connection)
{
	struct statement *statement;

	TAILQ_FOREACH(statement, &connection->statements, link)
	{
		if (statement->orphan)
			return statement;
		if (statement->sync)
			break;
	}
	return NULL;
}

/* It must not hold up the others. */
static void cancel_orphan(struct postgres_connection *connection, int64_t now)
{
	struct statement *orphan = is_stalled(connection, now) ? find_orphan(connection) : NULL;

	if (!orphan || orphan->cancelled)
		return;
	orphan->cancelled = true;
	connection->cancel_at = now;
	detached_cancel(connection->pg);
}

static void check_connection(struct postgres_connection *connection, int64_t now)
{
	prong_duration timeout = connection->pool->postgres->statement_timeout;

	if (connection->state == CONNECTION_DIALLING && now > connection->dial_deadline) {
		dial_abandon(connection->dial);
		dial_failed(connection, "the server does not answer");
	} else if (connection->state != CONNECTION_READY) {
		return;
	} else if (connection->last_deadline && now > connection->last_deadline) {
		connection_close(connection, "a transaction that was given up did not end");
	} else if (connection->pool->shared && connection->n_statements > 0 &&
		   now - connection->head_since > timeout + OVERDUE) {
		connection_close(connection, "the server does not answer");
	} else if (connection->pool->shared) {
		cancel_orphan(connection, now);
	}
}

static bool is_active(const struct postgres_connection *connection)
{
	return connection->state == CONNECTION_DIALLING || connection->n_statements > 0;
}

void pool_tick(struct postgres *postgres)
{
	struct pool *pools[] = { &postgres->shared, &postgres->owned };
	int64_t now = monotonic_us();

	postgres->ticking = false;
	for (size_t i = 0; i < ARRAY_SIZE(pools); i++)
		for (size_t j = 0; j < pools[i]->limit; j++) {
			check_connection(&pools[i]->connections[j], now);
			if (is_active(&pools[i]->connections[j]))
				pool_watch(postgres);
		}
}

void pool_init(struct postgres *postgres, struct pool *pool, size_t limit, bool shared)
{
	pool->postgres = postgres;
	pool->shared = shared;
	pool->limit = limit;
	pool->connections = allocate_array(limit, sizeof(*pool->connections));
	TAILQ_INIT(&pool->waiters);
	for (size_t i = 0; i < limit; i++) {
		pool->connections[i].pool = pool;
		TAILQ_INIT(&pool->connections[i].statements);
	}
}

void pool_free(struct pool *pool)
{
	check(TAILQ_EMPTY(&pool->waiters));
	/* Nothing may be connected again meanwhile. */
	pool->postgres->retry_at = INT64_MAX;
	for (size_t i = 0; i < pool->limit; i++) {
		struct postgres_connection *connection = &pool->connections[i];

		if (connection->state == CONNECTION_DIALLING)
			dial_abandon(connection->dial);
		else if (connection->state == CONNECTION_READY)
			connection_close(connection, NULL);
	}
	free(pool->connections);
	free(pool->settings);
}
