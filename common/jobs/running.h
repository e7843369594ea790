/*
 * What a running job says of itself: behind prong_progress(), prong_job_log(), prong_result(), prong_retry_after() and
 * prong_fail_for_good(). The worker that runs the job owns the notes, sends them on, and reads them when it ends.
 * Nothing here suspends.
 */
#ifndef RUNNING_H
#define RUNNING_H

#include "common/buffer.h"
#include "common/context.h"

#define JOB_LOG_LINES 20
#define JOB_LOG_SIZE 200 /* bytes of a line */
#define JOB_MAX_RESULT (64 * 1024)

struct job_notes {
	int64_t done, total;
	char (*lines)[JOB_LOG_SIZE + 1]; /* a ring in the context's arena; NULL: none yet */
	unsigned n_lines;		 /* ever logged */
	bool changed;			 /* since whoever sends them on took them last */
	/* Called after each change of the above, by a job in a process of its own; NULL: nobody is. */
	void (*on_change)(struct prong_ctx *ctx);

	struct buffer result;	    /* JSON text; empty: none */
	bool final;		    /* prong_fail_for_good() */
	bool postponed;		    /* prong_retry_after() */
	prong_duration retry_after; /* where postponed */
	bool already_done;	    /* prong_job_done() found that an earlier delivery was */
};

/* The notes of the context's job; aborts outside of a job, naming `call`. */
struct job_notes *job_notes_of(const struct prong_ctx *ctx, const char *call);

void job_notes_free(struct job_notes *notes); /* what is not in the arena */

/* Keeps a line with the job. */
void job_notes_add_line(struct prong_ctx *ctx, const char *text);

/* Appends {"done":…,"total":…,"log":[…]}, the lines oldest first. */
void job_notes_write(const struct job_notes *notes, struct buffer *out);

#endif
