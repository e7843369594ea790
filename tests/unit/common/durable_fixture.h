/*
 * Durable jobs for tests of any layer: the tables of the module `jobs`, empty, a Redis of the test's own, and a runtime
 * with both in the test's process.
 */
#ifndef DURABLE_FIXTURE_H
#define DURABLE_FIXTURE_H

#include "common/context.h"
#include "common/jobs/job_queue.h"
#include "tests/unit/common/redis_server.h"

/* Their payload. */
struct thing {
	int32_t number;
	const char *text;
};

/*
 * Never run: they are only enqueued. `durable_thing` and `other_thing` are durable, of the queues "things" and
 * "others". "things" keeps 5 dead jobs for an hour.
 */
extern const struct prong_job plain_thing_job, durable_thing_job, other_thing_job;

struct durable {
	struct redis_server *server;
	struct settings settings;
	struct registry *registry;
	struct runtime *runtime;
};

void durable_open(struct durable *durable);
void durable_close(struct durable *durable);

/* Runs `function` in a coroutine of the runtime, within a minute. */
int durable_run(struct durable *durable, int (*function)(struct prong_ctx *ctx, void *argument), void *argument);

/* The tables of the module `jobs`, empty, in the PostgreSQL of servers.h. */
void durable_make_tables(void);

/* Runs SQL on a connection of its own; returns the first column of the first row, malloc'ed, or NULL. */
char *durable_sql(const char *sql);
int64_t durable_count(const char *sql); /* that as a number, 0 for NULL */

/* How many jobs of a queue are in a state. */
uint64_t durable_in_state(struct durable *durable, const char *queue, enum job_state state);

#endif
