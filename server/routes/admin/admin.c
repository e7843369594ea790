#include "server/routes/admin/admin.h"

#include "common/context.h"

static const struct prong_route routes[] = {
	{ PRONG_GET, "/v1/admin/queues", admin_list_queues, .reply = &admin_queue_schema, .access = PRONG_ADMIN,
	  .summary = "The queues and what is in them" },
	{ PRONG_POST, "/v1/admin/queues/{queue}/pause", admin_pause_queue, .reply = &admin_queue_schema,
	  .access = PRONG_ADMIN, .summary = "Fetch nothing more from a queue" },
	{ PRONG_POST, "/v1/admin/queues/{queue}/resume", admin_resume_queue, .reply = &admin_queue_schema,
	  .access = PRONG_ADMIN, .summary = "Fetch from a paused queue again" },
	{ PRONG_GET, "/v1/admin/jobs", admin_list_jobs, .query = &admin_job_filter_schema, .reply = &admin_job_schema,
	  .access = PRONG_ADMIN, .summary = "Jobs by queue and state" },
	{ PRONG_POST, "/v1/admin/jobs", admin_add_job, .body = &admin_new_job_schema, .reply = &admin_added_job_schema,
	  .access = PRONG_ADMIN, .summary = "Enqueue a job" },
	{ PRONG_POST, "/v1/admin/jobs/retry", admin_retry_jobs, .body = &admin_dead_filter_schema,
	  .reply = &admin_retried_schema, .access = PRONG_ADMIN, .summary = "Retry the dead jobs that match" },
	{ PRONG_GET, "/v1/admin/jobs/{queue}/{id}", admin_show_job, .reply = &admin_job_schema, .access = PRONG_ADMIN,
	  .summary = "All that is known of a job" },
	{ PRONG_POST, "/v1/admin/jobs/{queue}/{id}/retry", admin_retry_job, .access = PRONG_ADMIN,
	  .summary = "Retry a dead job" },
	{ PRONG_POST, "/v1/admin/jobs/{queue}/{id}/cancel", admin_cancel_job, .access = PRONG_ADMIN,
	  .summary = "Remove a job that waits or is dead, stop one that runs" },
	{}
};

const struct prong_module http_admin_module = { .name = "prong_admin", .routes = routes };

int admin_check_queue(struct prong_ctx *ctx, const char *name)
{
	if (registry_queue(ctx->runtime->registry, name))
		return 0;
	return prong_fail(ctx, 404, "unknown_queue", "No job here has the queue %s.", name);
}

int admin_path_job(struct prong_ctx *ctx, const char **ret_queue, char id[PRONG_UUID_TEXT_SIZE])
{
	const char *queue = prong_path(ctx, "queue");
	prong_uuid uuid;
	int r;

	r = admin_check_queue(ctx, queue);
	if (r < 0)
		return r;
	if (prong_path_uuid(ctx, "id", &uuid) < 0)
		return admin_no_job(ctx);
	prong_uuid_format(uuid, id);
	*ret_queue = queue;
	return 0;
}

int admin_no_job(struct prong_ctx *ctx)
{
	return prong_fail(ctx, 404, "job_not_found",
			  "There is no such job in this queue: it is done, or was cancelled, or never was.");
}

void admin_log(struct prong_ctx *ctx, const char *format, ...)
{
	char id[PRONG_UUID_TEXT_SIZE];
	va_list arguments;

	va_start(arguments, format);
	prong_log(ctx, PRONG_LOG_INFO, "account %s %s", prong_uuid_format(prong_account_id(ctx), id),
		  arena_vformat(&ctx->arena, format, arguments));
	va_end(arguments);
}
