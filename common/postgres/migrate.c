#include "common/postgres/migrate.h"

#include "common/context.h"
#include "common/loop.h"
#include "common/postgres/migrate_files.h"
#include "common/postgres/migrate_ledger.h"
#include "common/postgres/postgres.h"

#define RUNNER_LOCK INT64_C(0x70726f6e676d6967) /* "prongmig", one for each database */
#define RUNNER_PATIENCE PRONG_MINUTES(1)
#define LOCK_ATTEMPTS 15

/* One change on its way: a migration up or down. */
struct change {
	struct prong_ctx *ctx;
	struct ledger ledger;
	struct migration *migration;
	bool up;
	struct buffer *mistakes;
};

static const char *change_sql(const struct change *change)
{
	return change->up ? change->migration->up : change->migration->down;
}

static const char *change_file(const struct change *change)
{
	return change->up ? change->migration->up_file : change->migration->down_file;
}

static int pause_between(prong_duration low, prong_duration high)
{
	return coroutine_sleep_until(monotonic_us() + low + (int64_t)(random_u64() % (uint64_t)(high - low)));
}

/* Whether the lock that makes us the only runner could be had. */
static int try_runner_lock(struct prong_ctx *ctx, const char *sql)
{
	_cleanup_(postgres_result_freep) struct postgres_result *result = NULL;
	int r = postgres_run(ctx, sql, PRONG_PARAMETERS(RUNNER_LOCK), &result);

	return r < 0 ? r : string_equal(postgres_result_text(result, 0, 0), "t");
}

/*
 * Begins the transaction of a change, as the only runner. Nothing is held while waiting for another: its CREATE INDEX
 * CONCURRENTLY waits for every transaction that is older.
 */
static int begin_alone(struct prong_ctx *ctx)
{
	int64_t give_up = monotonic_us() + RUNNER_PATIENCE;
	int r;

	for (;;) {
		r = prong_begin(ctx);
		if (r < 0)
			return r;
		r = try_runner_lock(ctx, "SELECT pg_try_advisory_xact_lock($1)");
		if (r > 0)
			return 0;
		prong_rollback(ctx);
		if (r == 0 && monotonic_us() > give_up)
			return -EBUSY;
		if (r == 0)
			r = pause_between(PRONG_MILLISECONDS(50), PRONG_MILLISECONDS(150));
		if (r < 0)
			return r;
	}
}

/* The same for a change that cannot be in a transaction: the lock is the session's. */
static int pin_alone(struct prong_ctx *ctx)
{
	int64_t give_up = monotonic_us() + RUNNER_PATIENCE;
	int r = postgres_pin(ctx);

	while (r == 0) {
		r = try_runner_lock(ctx, "SELECT pg_try_advisory_lock($1)");
		if (r > 0)
			return 0;
		if (r == 0)
			r = monotonic_us() > give_up ? -EBUSY
						     : pause_between(PRONG_MILLISECONDS(50), PRONG_MILLISECONDS(150));
	}
	return r;
}

static void explain(const struct change *change, const struct postgres_error *error, const char *outcome)
{
	const char *sql = change_sql(change);
	size_t line = 1, column = 1;

	for (size_t i = 0; i + 1 < error->position; i++) {
		bool ends_line = sql[i] == '\n';

		line += ends_line;
		/* Columns count characters. */
		column = ends_line ? 1 : column + ((sql[i + 1] & 0xc0) != 0x80);
	}
	buffer_add_string(change->mistakes, change_file(change));
	if (error->position)
		buffer_add_format(change->mistakes, ":%zu:%zu", line, column);
	buffer_add_format(change->mistakes, ": %s", error->message);
	if (error->sqlstate[0])
		buffer_add_format(change->mistakes, " (SQLSTATE %s)", error->sqlstate);
	if (error->hint)
		buffer_add_format(change->mistakes, ". Hint: %s", error->hint);
	buffer_add_format(change->mistakes, "\n%s: %s\n", change_file(change), outcome);
}

/* Whether another runner has made this change meanwhile. */
static int is_done(const struct change *change)
{
	int r = ledger_has(change->ctx, &change->ledger, change->migration);

	return r < 0 ? r : (r > 0) == change->up;
}

static int record(const struct change *change, int64_t begun)
{
	int r = change->up ? ledger_add(change->ctx, &change->ledger, change->migration, monotonic_us() - begun)
			   : ledger_remove(change->ctx, &change->ledger, change->migration);

	return r < 0 ? r : 0;
}

/* 1: done; 0: another runner was first. Whatever fails leaves nothing done. */
static int change_in_transaction(const struct change *change, struct postgres_error *ret_error)
{
	int64_t begun = monotonic_us();
	int r;

	*ret_error = (struct postgres_error){ 0 };
	r = begin_alone(change->ctx);
	if (r == 0)
		r = prong_exec(change->ctx, "SET LOCAL statement_timeout = 0");
	if (r >= 0)
		r = prong_exec(change->ctx, "SET LOCAL lock_timeout = '1s'");
	if (r >= 0)
		r = is_done(change);
	if (r > 0) {
		prong_rollback(change->ctx);
		return 0;
	}
	if (r == 0)
		r = postgres_run_script(change->ctx, change_sql(change), ret_error);
	if (r == 0)
		r = record(change, begun);
	if (r == 0)
		r = prong_commit(change->ctx);
	if (r < 0)
		prong_rollback(change->ctx);
	return r < 0 ? r : 1;
}

static int change_with_retries(const struct change *change)
{
	struct postgres_error error;
	int r;

	for (int attempt = 1;; attempt++) {
		r = change_in_transaction(change, &error);
		/* A lock that others hold, or a deadlock with them. */
		if (r != -EAGAIN || attempt == LOCK_ATTEMPTS)
			break;
		r = pause_between(PRONG_MILLISECONDS(250), PRONG_MILLISECONDS(1250));
		if (r < 0)
			return r;
	}
	if (r == -EAGAIN && error.message)
		explain(change, &error,
			"others held a lock that it needs, each time it was tried. Nothing of it was done. Try again "
			"when less is going on, or end the transaction that holds it (pg_stat_activity, pg_locks)");
	else if (r < 0 && error.message)
		explain(change, &error, "nothing of it was done");
	return r;
}

static int change_without_transaction(const struct change *change)
{
	struct postgres_error error = { 0 };
	int64_t begun = monotonic_us();
	int r = pin_alone(change->ctx);

	if (r == 0)
		r = postgres_run_script(change->ctx, "SET statement_timeout = 0", &error);
	if (r == 0)
		r = is_done(change);
	if (r == 0) {
		r = postgres_run_script(change->ctx, change_sql(change), &error);
		if (r == 0)
			r = record(change, begun);
		if (r == 0)
			r = 1;
	} else if (r > 0) {
		r = 0;
	}
	if (change->ctx->transaction)
		postgres_unpin(change->ctx);
	if (r < 0 && error.message)
		explain(change, &error,
			"it runs outside a transaction, so the statements before this one are done. Undo them by hand, "
			"and drop an index that is INVALID, before you try again");
	return r;
}

static int make_change(const struct change *change)
{
	return migration_is_without_transaction(change_sql(change)) ? change_without_transaction(change)
								    : change_with_retries(change);
}

static int prepare_ledger(struct prong_ctx *ctx, struct ledger *ret_ledger)
{
	int r = ledger_find(ctx, ret_ledger);

	if (r < 0 || ret_ledger->table)
		return r;
	r = begin_alone(ctx);
	if (r == 0)
		r = ledger_make(ctx, ret_ledger);
	if (r >= 0)
		r = prong_commit(ctx);
	if (r < 0)
		prong_rollback(ctx);
	return r;
}

int migrations_status(struct prong_ctx *ctx, struct migrations *migrations, struct buffer *mistakes)
{
	struct ledger ledger;
	int r = ledger_find(ctx, &ledger);

	return r < 0 ? r : ledger_read(ctx, &ledger, migrations, mistakes);
}

int migrations_up(struct prong_ctx *ctx, struct migrations *migrations, migrations_progress *progress, void *argument,
		  struct buffer *mistakes)
{
	struct change change = { .ctx = ctx, .up = true, .mistakes = mistakes };
	size_t before = mistakes->size;
	int r;

	if (migrations->count == 0)
		return 0;
	r = prepare_ledger(ctx, &change.ledger);
	if (r == 0)
		r = ledger_read(ctx, &change.ledger, migrations, mistakes);
	if (r < 0)
		return r;
	if (mistakes->size > before)
		return -EINVAL;
	for (size_t i = 0; i < migrations->count; i++) {
		change.migration = &migrations->items[i];
		if (change.migration->applied)
			continue;
		r = make_change(&change);
		if (r < 0)
			return r;
		change.migration->applied = true;
		if (r > 0)
			progress(change.migration, argument);
	}
	return 0;
}

/* The last `steps` applied ones of the sequence, newest first, as indexes; refuses what cannot be undone. */
static int choose_steps(const struct migrations *migrations, const char *sequence, size_t steps, int last,
			size_t *indexes, size_t *ret_count, struct buffer *mistakes)
{
	bool known = string_equal(sequence, "app");
	size_t before = mistakes->size, count = 0;
	int highest = 0;

	for (size_t i = migrations->count; i-- > 0;) {
		const struct migration *migration = &migrations->items[i];

		if (!string_equal(migration->sequence, sequence))
			continue;
		known = true;
		highest = migration->number > highest ? migration->number : highest;
		if (!migration->applied || count == steps)
			continue;
		indexes[count++] = i;
		if (!migration->down)
			buffer_add_format(mistakes,
					  "%s: cannot be undone: there is no %04d_%s.down.sql with a statement\n",
					  migration->up_file, migration->number, migration->name);
	}
	if (!known)
		buffer_add_format(mistakes, "there is no module \"%s\" with migrations\n", sequence);
	else if (last > highest)
		buffer_add_format(
			mistakes,
			"%s/%04d was applied after these and is not here: undo it first, with the version of the "
			"program that has it\n",
			sequence, last);
	*ret_count = count;
	return mistakes->size > before ? -EINVAL : 0;
}

int migrations_down(struct prong_ctx *ctx, struct migrations *migrations, const char *sequence, size_t steps,
		    migrations_progress *progress, void *argument, struct buffer *mistakes)
{
	struct change change = { .ctx = ctx, .mistakes = mistakes };
	size_t *indexes = arena_alloc(&ctx->arena, migrations->count * sizeof(*indexes)), count;
	struct buffer disagreements = { 0 };
	int r = ledger_find(ctx, &change.ledger), last;

	/* What `up` would refuse may be just what is to be undone. */
	if (r == 0)
		r = ledger_read(ctx, &change.ledger, migrations, &disagreements);
	buffer_free(&disagreements);
	if (r < 0)
		return r;
	last = ledger_last(ctx, &change.ledger, sequence);
	if (last < 0)
		return last;
	r = choose_steps(migrations, sequence, steps, last, indexes, &count, mistakes);
	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++) {
		change.migration = &migrations->items[indexes[i]];
		r = make_change(&change);
		if (r < 0)
			return r;
		change.migration->applied = false;
		if (r > 0)
			progress(change.migration, argument);
	}
	return 0;
}
