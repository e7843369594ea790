/*
 * Migrations: plain SQL, up and down, in numbered sequences: one per module, compiled in, and one of the application,
 * from a folder of NNNN_name.up.sql and NNNN_name.down.sql files. The ledger prong_migrations keeps what was applied,
 * when, and the SHA-256 of its text.
 *
 * Each migration and its ledger row commit in one transaction; a file whose first line is `-- prong: no-transaction`
 * runs outside one, statement by statement, and is recorded when all succeeded. One runner at a time changes anything:
 * an advisory lock is tried, never waited on inside the server, for up to a minute; whoever gets it second finds the
 * other's work done. A changed file, a gap and a number out of order are refused before anything runs. Statements do
 * not queue for long behind others' locks, where everybody else would queue behind them: they give up after a second
 * and are tried again.
 */
#ifndef MIGRATE_H
#define MIGRATE_H

#include <prong/app.h>

#include "common/arena.h"
#include "common/buffer.h"
#include "common/runtime.h"

struct migration {
	const char *sequence; /* module's name, or "app" */
	int number;
	const char *name;
	const char *up, *down;		 /* down NULL: cannot be undone */
	const char *up_file, *down_file; /* for messages */
	bool applied;
	const char *applied_at; /* RFC 3339; NULL where not applied */
	bool changed;		/* applied with another text */
};

struct migrations {
	size_t count;
	struct migration *items; /* in the order of application */
};

/*
 * Gathers what the registry's modules and the folder hold; without the folder the application has none. -EINVAL with
 * one line per mistake in `mistakes`: files that are none, numbers missing or given twice, texts that cannot be run.
 */
int migrations_load(const struct registry *registry, const char *folder, struct arena *arena,
		    struct migrations *ret_migrations, struct buffer *mistakes);

/*
 * Fills `applied`, `applied_at`, `changed` from the ledger. Suspends, as the next two. Returns 0, with one line in
 * `mistakes` for each reason that migrations_up() would refuse for; errors as in database.h.
 */
int migrations_status(struct prong_ctx *ctx, struct migrations *migrations, struct buffer *mistakes);

/*
 * Applies all that are pending, each reported by `progress`. -EBUSY: another runner holds the lock. -EINVAL: refused,
 * with the reasons in `mistakes`. Other errors as in database.h; where a statement failed, with its file, line and
 * message in `mistakes`.
 */
typedef void migrations_progress(const struct migration *migration, void *argument);
int migrations_up(struct prong_ctx *ctx, struct migrations *migrations, migrations_progress *progress, void *argument,
		  struct buffer *mistakes);

/* Undoes the last `steps` of `sequence`, or as many as are applied. Returns as migrations_up(). */
int migrations_down(struct prong_ctx *ctx, struct migrations *migrations, const char *sequence, size_t steps,
		    migrations_progress *progress, void *argument, struct buffer *mistakes);

/*
 * Makes the next pair of files in `folder`, and the folder where there is none; names them in `ret_up` and `ret_down`
 * (malloc'ed). -EINVAL or another negative errno, with the reason in `mistakes`.
 */
int migrations_new_files(const char *folder, const char *name, char **ret_up, char **ret_down, struct buffer *mistakes);

#endif
