/* A loop and a PostgreSQL pool for tests, without the rest of a process. */
#ifndef POSTGRES_FIXTURE_H
#define POSTGRES_FIXTURE_H

#include <libpq-fe.h>
#include <prong/database.h>

#include "common/context.h"
#include "common/postgres/postgres.h"

struct fixture {
	struct runtime runtime;
	size_t running; /* coroutines started by fixture_start() and not ended */
};

/* With the given numbers of connections and a statement timeout; the server is started if need be. */
void fixture_open(struct fixture *fixture, size_t shared, size_t owned, prong_duration timeout);
void fixture_close(struct fixture *fixture);

typedef int fixture_function(struct prong_ctx *ctx, void *argument);

/* Runs one function on a coroutine to its end, within a minute or else `timeout`. */
int fixture_run(struct fixture *fixture, fixture_function *function, void *argument);
int fixture_run_within(struct fixture *fixture, prong_duration timeout, fixture_function *function, void *argument);

/* Starts one beside others and, in the second call, runs the loop until all have ended. */
struct coroutine *fixture_start(struct fixture *fixture, fixture_function *function, void *argument, int *ret_result);
void fixture_wait(struct fixture *fixture);

/* Runs SQL on a connection of its own, for looking in from outside; returns the first column of the first row,
 * malloc'ed, or NULL. Panics when the server refuses it. */
char *fixture_sql(const char *sql);

#endif
