/*
 * The history of jobs that ask for it: a row of prong_job_history for each attempt. Gathered here and written in
 * batches, once a second or as soon as there are 500. Best effort: what a process that is killed has not written is
 * lost; while PostgreSQL is away up to 5000 rows wait, and what comes beyond is dropped and counted.
 */
#ifndef HISTORY_H
#define HISTORY_H

#include "common/jobs/job_queue.h"
#include "common/metrics.h"
#include "common/runtime.h"

struct history;

struct history_entry {
	const struct delivery *delivery;
	const char *outcome; /* in a word: "done", "failed", … */
	const char *error;   /* JSON text, NULL: none */
	prong_time started_at, finished_at;
};

/* `worker` says who writes, in every row; `dropped` is a counter. */
struct history *history_new(struct runtime *runtime, const char *worker, metric_id dropped);

/* Does not suspend; everything is copied. */
void history_add(struct history *history, const struct history_entry *entry);

/* Before the loop stops: suspends until all is written, or could not be by `deadline` (monotonic µs). Returns NULL. */
struct history *history_close(struct history *history, int64_t deadline);

#endif
