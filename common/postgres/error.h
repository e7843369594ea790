/* What the server's errors mean here (include/prong/database.h). */
#ifndef ERROR_H
#define ERROR_H

#include <libpq-fe.h>
#include <prong/context.h>
#include <stdbool.h>

/* The negative errno for a result that is an error. */
int error_meaning(const PGresult *result);

/*
 * What error_meaning() cannot tell a caller goes to the log: SQLSTATE, message and SQL, never a parameter's value.
 * `ctx` may be NULL.
 */
void error_log(struct prong_ctx *ctx, const PGresult *result, int meaning, const char *sql);

/* Whether the statement failed only because its prepared plan is gone, is another's, or no longer fits. */
bool error_is_unprepared(const PGresult *result);
bool error_is_prepared_already(const PGresult *result);
bool error_is_plan_changed(const PGresult *result);

#endif
