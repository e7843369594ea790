/* Payloads and results of jobs as people write and read them, over HTTP and on the command line. */
#ifndef JOB_PAYLOAD_H
#define JOB_PAYLOAD_H

#include <prong/job.h>

#include "common/arena.h"
#include "common/buffer.h"
#include "common/registry.h"
#include "common/schema/schema.h"

/*
 * Binds what a person wrote as the payload of a job; `text` NULL: nothing. 0, the record then in the arena, NULL where
 * the job takes none; errors as schema_bind_json(), a payload that is missing or one too many among `errors`.
 */
int job_payload_bind(const struct prong_job *job, const char *text, size_t size, struct arena *arena, void **ret_record,
		     const char **ret_detail, struct schema_errors *errors);

/*
 * JSON of the payload or the result of a job as it is shown, in the arena: what its schema marks secret stays so, and
 * all of it where there is no schema. `name` is the job's as its record has it; NULL: only its result
 * is left, whose schema then is the one of the queue's results that it fits. Returns NULL for no text.
 */
const char *job_payload_shown(const struct registry *registry, const char *name, const char *text, struct arena *arena);
const char *job_result_shown(const struct registry *registry, const char *queue, const char *name, const char *text,
			     struct arena *arena);

#endif
