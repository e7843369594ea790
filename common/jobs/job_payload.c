#include "common/jobs/job_payload.h"

static int fail(struct schema_errors *errors, const char *code, const char *detail)
{
	*errors = (struct schema_errors){ .count = 1, .items = { { "", code, detail } } };
	return -EINVAL;
}

int job_payload_bind(const struct prong_job *job, const char *text, size_t size, struct arena *arena, void **ret_record,
		     const char **ret_detail, struct schema_errors *errors)
{
	if (!job->payload && text)
		return fail(errors, "unknown", "Remove this; the job takes no payload.");
	if (job->payload && !text)
		return fail(errors, "missing", "Give the job's payload.");
	if (job->payload)
		return schema_bind_json(job->payload, SCHEMA_TYPED, text, size, arena, ret_record, ret_detail, errors);
	*ret_record = NULL;
	return 0;
}

static const char *redact(const struct prong_schema *schema, const char *text, struct arena *arena)
{
	struct buffer shown = { 0 };
	const char *copy;

	if (!text)
		return NULL;
	schema_redact_json(schema, text, strlen(text), arena, &shown);
	copy = arena_strdup(arena, buffer_text(&shown));
	buffer_free(&shown);
	return copy;
}

const char *job_payload_shown(const struct registry *registry, const char *name, const char *text, struct arena *arena)
{
	const struct prong_job *job = name ? registry_job(registry, name) : NULL;

	return redact(job ? job->payload : NULL, text, arena);
}

static bool fits(const struct prong_schema *schema, const char *text, struct arena *arena)
{
	struct schema_errors errors;
	const char *detail;
	void *record;

	return schema_bind_json(schema, SCHEMA_TYPED, text, strlen(text), arena, &record, &detail, &errors) == 0;
}

/* NULL also where more than one would do. */
static const struct prong_schema *guess_schema(const struct registry *registry, const char *queue, const char *text,
					       struct arena *arena)
{
	const struct prong_schema *found = NULL;

	for (size_t i = 0; text && i < registry->n_jobs; i++) {
		const struct prong_schema *schema = registry->jobs[i]->result;

		if (!schema || schema_is(schema, found) || !string_equal(job_queue_name(registry->jobs[i]), queue) ||
		    !fits(schema, text, arena))
			continue;
		if (found)
			return NULL;
		found = schema;
	}
	return found;
}

const char *job_result_shown(const struct registry *registry, const char *queue, const char *name, const char *text,
			     struct arena *arena)
{
	const struct prong_job *job = name ? registry_job(registry, name) : NULL;

	return redact(job ? job->result : name ? NULL : guess_schema(registry, queue, text, arena), text, arena);
}
