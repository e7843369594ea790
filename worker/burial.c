#include "worker/burial.h"

#include "common/context.h"
#include "common/jobs/outbox.h"
#include "common/log.h"
#include "worker/job_metrics.h"

/* While PostgreSQL is away, no more than these wait for it: the reconciler comes by anyway. */
#define MAX_WAITING 16

void burial_of_durable(struct runtime *runtime, const char *id, const char *error)
{
	static size_t waiting;
	struct prong_ctx ctx;
	int r = -EBUSY;

	if (waiting < MAX_WAITING) {
		waiting++;
		context_init(&ctx, runtime);
		r = outbox_bury(&ctx, id, error);
		context_end(&ctx);
		waiting--;
	}
	if (r < 0)
		log_warning("the durable job %s is dead, but PostgreSQL could not be told; the reconciler will: %s", id,
			    strerror(-r));
}

static const char *reason(const char *code)
{
	return string_equal(code, "poison") ? "it took its process with it too often"
					    : "its workers died or lost touch with Redis each time it ran";
}

static void bury(struct runtime *runtime, size_t queue_index, const struct job_buried *buried)
{
	const struct log_field fields[] = {
		{ .name = "job.name", .text = buried->name },
		{ .name = "job.id", .text = buried->id },
		{ .name = "job.queue", .text = runtime->registry->queues[queue_index].name },
		{ .name = "error.code", .text = buried->code },
	};
	_cleanup_(freep) char *error = NULL;

	metric_add(job_metrics_of(queue_index)->dead, 1);
	log_line(PRONG_LOG_ERROR, NULL, fields, ARRAY_SIZE(fields), "job %s is dead: %s", buried->name,
		 reason(buried->code));
	if (!buried->durable)
		return;
	error = format_text("{\"code\":\"%s\",\"message\":\"The job died: %s.\"}", buried->code, reason(buried->code));
	burial_of_durable(runtime, buried->id, error);
}

void burial_of_lost(struct runtime *runtime, size_t queue_index, const struct job_buried *buried, size_t count)
{
	for (size_t i = 0; i < count; i++)
		bury(runtime, queue_index, &buried[i]);
}
