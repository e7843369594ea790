/* The table prong_migrations: which migrations were applied. All suspend; errors as in database.h. */
#ifndef MIGRATE_LEDGER_H
#define MIGRATE_LEDGER_H

#include "common/context.h"
#include "common/postgres/migrate.h"

struct ledger {
	const char
		*table; /* with its schema, as SQL: a migration may change the search path. NULL: there is none yet */
};

int ledger_find(struct prong_ctx *ctx, struct ledger *ret_ledger);

/* Makes the table where there is none; in the context's transaction. */
int ledger_make(struct prong_ctx *ctx, struct ledger *ret_ledger);

/* Fills what the ledger knows into the migrations, and adds to `mistakes` what the two disagree about. */
int ledger_read(struct prong_ctx *ctx, const struct ledger *ledger, struct migrations *migrations,
		struct buffer *mistakes);

/* 1: is in it; 0: is not. */
int ledger_has(struct prong_ctx *ctx, const struct ledger *ledger, const struct migration *migration);

/* The highest number of the sequence in it; 0: none. */
int ledger_last(struct prong_ctx *ctx, const struct ledger *ledger, const char *sequence);

int ledger_add(struct prong_ctx *ctx, const struct ledger *ledger, const struct migration *migration,
	       prong_duration duration);
int ledger_remove(struct prong_ctx *ctx, const struct ledger *ledger, const struct migration *migration);

#endif
