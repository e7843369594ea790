/* One statement from its text and parameters to its result: where it runs, what is sent, what an error means. */
#ifndef STATEMENT_H
#define STATEMENT_H

#include <libpq-fe.h>
#include <prong/database.h>

struct postgres;

/*
 * Suspends. `ctx` NULL: on a shared connection. 0 with a result that is no error, which the caller clears; or a
 * negative errno as in database.h, logged where it is -EIO.
 */
int statement_run(struct postgres *postgres, struct prong_ctx *ctx, const char *sql, struct prong_parameters parameters,
		  int64_t deadline, PGresult **ret_result);

#endif
