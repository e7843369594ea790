/*
 * What the worker tells a child (the request, a memory file) and hears of it (frames in a pipe). The two are one
 * binary, so numbers travel as they lie in memory; but a child that runs wild may write anything, so what it says is
 * checked.
 */
#ifndef ISOLATION_WIRE_H
#define ISOLATION_WIRE_H

#include "common/buffer.h"
#include "common/context.h"
#include "common/jobs/job_queue.h"

/* ---- the request ---- */

void isolation_request_write(struct buffer *out, const struct delivery *delivery, int64_t deadline);

/* Strings point into `data`. False when it is not what isolation_request_write() wrote. */
bool isolation_request_read(const char *data, size_t size, struct delivery *ret_delivery, int64_t *ret_deadline);

/* ---- the report: frames. A text beyond what a frame can hold is cut. ---- */

enum isolation_frame {
	ISOLATION_PROGRESS, /* prong_progress() */
	ISOLATION_LINE,	    /* prong_job_log() */
	ISOLATION_OUTCOME,  /* the last one: the handler has returned */
};

#define ISOLATION_MAX_FRAME (1024 * 1024)

struct isolation_frame_head {
	uint32_t kind, size;
};

/* What the handler returned, and what it has said beside its progress and lines. */
struct isolation_outcome {
	int result;
	struct problem problem; /* `errors` does not travel */
	bool final, postponed;	/* as in struct job_notes, as the next two */
	prong_duration retry_after;
	bool already_done;
	const char *json; /* the job's result; NULL: none */
	size_t json_size;
};

/* Append a whole frame. */
void isolation_progress_write(struct buffer *out, int64_t done, int64_t total);
void isolation_line_write(struct buffer *out, const char *line);
void isolation_outcome_write(struct buffer *out, const struct isolation_outcome *outcome);

/*
 * The whole frame at the beginning of `data`: its size with head, 0 when more is to come, -EBADMSG when it cannot be
 * one.
 */
ssize_t isolation_frame_find(const char *data, size_t size, struct isolation_frame_head *ret_head);

/* The body of a frame. Strings point into it. -EBADMSG where it is malformed; whether `json` is JSON is not looked at.
 */
int isolation_progress_read(const char *body, size_t size, int64_t *ret_done, int64_t *ret_total);
int isolation_line_read(const char *body, size_t size, const char **ret_line);
int isolation_outcome_read(const char *body, size_t size, struct isolation_outcome *ret_outcome);

#endif
