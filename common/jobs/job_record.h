/* Within common/jobs: a job's record as text (job_queue.h says how it is made). */
#ifndef JOB_RECORD_H
#define JOB_RECORD_H

#include "common/jobs/job_queue.h"

/* A record's parts; strings in the arena. A record that cannot be read has the name "". */
struct job_record {
	prong_time enqueued_at, scheduled_for;
	const char *name, *request_id, *trace_id, *key;
	int max_attempts;
	prong_duration timeout;
	bool durable, history;
	bool plain;	     /* nothing of it concerns the engine */
	const char *header;  /* JSON text */
	const char *payload; /* NULL: none */
	size_t payload_size;
};
void job_record_parse(const char *text, size_t size, struct arena *arena, struct job_record *ret_record);

#endif
