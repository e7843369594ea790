/*
 * A child's report as the worker reads it: while it comes, into the context that the attempt has in the worker, and its
 * notes (common/jobs/running.h).
 */
#ifndef ISOLATION_REPORT_H
#define ISOLATION_REPORT_H

#include "common/buffer.h"
#include "common/context.h"

struct event;

struct isolation_report {
	struct prong_ctx *ctx; /* of the attempt */
	int pipe;	       /* its reading end */
	struct event *readable;
	struct buffer input;
	void (*on_broken)(void *argument);
	void *argument;

	bool broken;   /* what came is no report */
	bool returned; /* the handler has: `result` and the context's problem say what */
	int result;
};

/*
 * Makes the pipe and reads what comes on the context's loop. `on_broken(argument)` is called once when that is no
 * report, and nothing is read any more. Returns the writing end, or a negative errno.
 */
int isolation_report_open(struct isolation_report *report, struct prong_ctx *ctx, void (*on_broken)(void *argument),
			  void *argument);

/* The child has ended: reads what it left. */
void isolation_report_finish(struct isolation_report *report);

void isolation_report_close(struct isolation_report *report); /* also one that was not opened */

#endif
