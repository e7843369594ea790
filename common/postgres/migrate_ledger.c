#include "common/postgres/migrate_ledger.h"

#include <sodium.h>

#include "common/postgres/postgres.h"

static void checksum(const char *sql, char hex[2 * crypto_hash_sha256_BYTES + 1])
{
	unsigned char digest[crypto_hash_sha256_BYTES];

	crypto_hash_sha256(digest, (const unsigned char *)sql, strlen(sql));
	sodium_bin2hex(hex, 2 * sizeof(digest) + 1, digest, sizeof(digest));
}

int ledger_find(struct prong_ctx *ctx, struct ledger *ret_ledger)
{
	_cleanup_(postgres_result_freep) struct postgres_result *result = NULL;
	int r = postgres_run(ctx,
			     "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON "
			     "n.oid = c.relnamespace WHERE c.oid = to_regclass('prong_migrations')",
			     PRONG_PARAMETERS(), &result);

	if (r < 0)
		return r;
	ret_ledger->table = postgres_result_rows(result) ? prong_strdup(ctx, postgres_result_text(result, 0, 0)) : NULL;
	return 0;
}

int ledger_make(struct prong_ctx *ctx, struct ledger *ret_ledger)
{
	int r = prong_exec(ctx, "CREATE TABLE IF NOT EXISTS prong_migrations ("
				"sequence text NOT NULL, number integer NOT NULL, name text NOT NULL, "
				"checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT clock_timestamp(), "
				"duration interval NOT NULL, PRIMARY KEY (sequence, number))");

	return r < 0 ? r : ledger_find(ctx, ret_ledger);
}

/* One row of the ledger. */
struct entry {
	const char *sequence, *name, *checksum, *applied_at;
	int number;
};

static struct entry read_entry(struct prong_ctx *ctx, const struct postgres_result *result, size_t row)
{
	return (struct entry){
		.sequence = prong_strdup(ctx, postgres_result_text(result, row, 0)),
		.number = atoi(postgres_result_text(result, row, 1)),
		.name = prong_strdup(ctx, postgres_result_text(result, row, 2)),
		.checksum = prong_strdup(ctx, postgres_result_text(result, row, 3)),
		.applied_at = prong_strdup(ctx, postgres_result_text(result, row, 4)),
	};
}

static void note_applied(struct migration *migration, const struct entry *entry, struct buffer *mistakes)
{
	char text[2 * crypto_hash_sha256_BYTES + 1];

	checksum(migration->up, text);
	migration->applied = true;
	migration->applied_at = entry->applied_at;
	migration->changed = !string_equal(text, entry->checksum);
	if (migration->changed)
		buffer_add_format(
			mistakes,
			"%s: was changed after it had been applied as %04d_%s on %s. Put its text back and make "
			"the change in a new migration; or undo it, if its data may go, and apply it anew\n",
			migration->up_file, entry->number, entry->name, entry->applied_at);
}

static struct migration *find(const struct migrations *migrations, const struct entry *entry)
{
	for (size_t i = 0; i < migrations->count; i++)
		if (migrations->items[i].number == entry->number &&
		    string_equal(migrations->items[i].sequence, entry->sequence))
			return &migrations->items[i];
	return NULL;
}

/*
 * What a newer version of the program has applied is none of ours, as long as we do not want to add to it; likewise a
 * module that is not in the program any more.
 */
static void check_unknown(const struct migrations *migrations, const struct entry *entry, struct buffer *mistakes)
{
	for (size_t i = 0; i < migrations->count; i++) {
		const struct migration *migration = &migrations->items[i];

		if (migration->applied || !string_equal(migration->sequence, entry->sequence))
			continue;
		buffer_add_format(
			mistakes,
			"%s: cannot be applied after %04d_%s, which was applied on %s and is not here. Bring its "
			"files back, or run the version of the program that has them\n",
			migration->up_file, entry->number, entry->name, entry->applied_at);
		return;
	}
}

/* A pending migration below an applied one would be applied in another order than elsewhere. */
static void check_order(const struct migrations *migrations, struct buffer *mistakes)
{
	for (size_t i = 0; i + 1 < migrations->count; i++) {
		const struct migration *migration = &migrations->items[i], *next = migration + 1;

		if (!migration->applied && next->applied && string_equal(migration->sequence, next->sequence))
			buffer_add_format(mistakes,
					  "%s: is not applied, but the later %04d_%s is. Give it the number after the "
					  "last one\n",
					  migration->up_file, next->number, next->name);
	}
}

int ledger_read(struct prong_ctx *ctx, const struct ledger *ledger, struct migrations *migrations,
		struct buffer *mistakes)
{
	_cleanup_(postgres_result_freep) struct postgres_result *result = NULL;
	int r;

	for (size_t i = 0; i < migrations->count; i++)
		migrations->items[i].applied = migrations->items[i].changed = false;
	if (!ledger->table)
		return 0;
	r = postgres_run(ctx,
			 prong_format(ctx,
				      "SELECT sequence, number, name, checksum, to_char(applied_at AT TIME ZONE 'UTC', "
				      "'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') FROM %s ORDER BY sequence, number",
				      ledger->table),
			 PRONG_PARAMETERS(), &result);
	if (r < 0)
		return r;
	for (size_t row = 0; row < postgres_result_rows(result); row++) {
		struct entry entry = read_entry(ctx, result, row);
		struct migration *migration = find(migrations, &entry);

		if (migration)
			note_applied(migration, &entry, mistakes);
	}
	for (size_t row = 0; row < postgres_result_rows(result); row++) {
		struct entry entry = read_entry(ctx, result, row);

		if (!find(migrations, &entry))
			check_unknown(migrations, &entry, mistakes);
	}
	check_order(migrations, mistakes);
	return 0;
}

int ledger_has(struct prong_ctx *ctx, const struct ledger *ledger, const struct migration *migration)
{
	return prong_exec(ctx, prong_format(ctx, "SELECT FROM %s WHERE sequence = $1 AND number = $2", ledger->table),
			  migration->sequence, migration->number);
}

int ledger_add(struct prong_ctx *ctx, const struct ledger *ledger, const struct migration *migration,
	       prong_duration duration)
{
	char text[2 * crypto_hash_sha256_BYTES + 1];

	checksum(migration->up, text);
	return prong_exec(ctx,
			  prong_format(ctx,
				       "INSERT INTO %s (sequence, number, name, checksum, duration) "
				       "VALUES ($1, $2, $3, $4, $5 * interval '1 microsecond')",
				       ledger->table),
			  migration->sequence, migration->number, migration->name, (const char *)text,
			  (double)duration);
}

int ledger_remove(struct prong_ctx *ctx, const struct ledger *ledger, const struct migration *migration)
{
	return prong_exec(ctx, prong_format(ctx, "DELETE FROM %s WHERE sequence = $1 AND number = $2", ledger->table),
			  migration->sequence, migration->number);
}

int ledger_last(struct prong_ctx *ctx, const struct ledger *ledger, const char *sequence)
{
	_cleanup_(postgres_result_freep) struct postgres_result *result = NULL;
	int r;

	if (!ledger->table)
		return 0;
	r = postgres_run(
		ctx, prong_format(ctx, "SELECT coalesce(max(number), 0) FROM %s WHERE sequence = $1", ledger->table),
		PRONG_PARAMETERS(sequence), &result);
	return r < 0 ? r : atoi(postgres_result_text(result, 0, 0));
}
