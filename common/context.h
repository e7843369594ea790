/*
 * struct prong_ctx from within: what a request, a job, or a command owns while it runs (include/prong/context.h). Its
 * coroutine carries its deadline and cancellation. The http worker and the job worker each embed it in what they run.
 */
#ifndef CONTEXT_H
#define CONTEXT_H

#include <prong/context.h>
#include <prong/schema.h>

#include "common/arena.h"
#include "common/runtime.h"
#include "common/security/principal.h"
#include "common/trace.h"

struct postgres_connection;
struct after_commit;

/* Why it failed, as prong_fail() or the library recorded it. */
struct problem {
	int status; /* 0: none */
	const char *code;
	const char *detail;		    /* shown to clients; NULL: none */
	const struct schema_errors *errors; /* NULL: none */
	int retry_after;		    /* seconds; 0: none */
};

struct prong_ctx {
	struct runtime *runtime;
	struct arena arena;
	char request_id[65];
	char trace_id[TRACE_ID_SIZE];
	struct problem problem;

	const struct prong_schema *input_schema; /* of a request's body or a job's payload; NULL: none */
	const void *input;

	bool signed_in;
	struct principal principal; /* where signed_in, else all zero */

	struct postgres_connection *transaction; /* between prong_begin() and its end */
	bool transaction_failed;
	const char *notify; /* a channel to notify once it is committed (common/postgres/listen.h); NULL: none */
	struct after_commit *after_commit; /* calls to make then (common/postgres/postgres.h); NULL: none */

	struct exchange *exchange; /* the request's; NULL in a job or command */
	struct delivery *delivery; /* the job's; NULL in a handler or command */
	struct job_notes *notes;   /* likewise (common/jobs/running.h) */
};

void context_init(struct prong_ctx *ctx, struct runtime *runtime);

/* Rolls back an open transaction, frees the arena. Never suspends. */
void context_end(struct prong_ctx *ctx);

/* The problem that stands for a result < 0: what was recorded, else what the errno means (include/prong/database.h). */
struct problem context_problem(const struct prong_ctx *ctx, int result);

/*
 * Runs `function` on a coroutine of its own with a fresh context, driving the loop until it returns; for commands and
 * tests. Returns what it returned, and prints nothing.
 */
int context_run(struct runtime *runtime, prong_duration timeout, int (*function)(struct prong_ctx *ctx, void *argument),
		void *argument);

#endif
