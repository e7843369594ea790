#include <json-c/json.h>

#include "common/jobs/job_payload.h"
#include "common/json.h"
#include "server/cli/jobs.h"

static void add_log(struct sheet *sheet, struct json_object *log)
{
	for (size_t i = 0; i < json_object_array_length(log); i++)
		sheet_add_text(sheet, "log", json_object_get_string(json_object_array_get_idx(log, i)));
}

/* People see what the job said of itself line by line. */
static void add_report(struct sheet *sheet, const char *text, struct arena *arena)
{
	_cleanup_(json_object_putp) struct json_object *report = NULL;
	struct json_object *done, *total, *log;
	const char *detail;

	if (sheet->json || !text || json_parse(text, strlen(text), arena, &report, &detail) < 0) {
		sheet_add_json(sheet, "report", text);
		return;
	}
	if (json_object_object_get_ex(report, "done", &done) && json_object_object_get_ex(report, "total", &total))
		sheet_add_text(sheet, "progress",
			       arena_format(arena, "%lld of %lld", (long long)json_object_get_int64(done),
					    (long long)json_object_get_int64(total)));
	if (json_object_object_get_ex(report, "log", &log) && json_object_is_type(log, json_type_array))
		add_log(sheet, log);
}

static void add_listing(struct sheet *sheet, const struct job_listing *job)
{
	sheet_add_text(sheet, "name", job->name);
	sheet_add_text(sheet, "state", job_state_names[job->state]);
	sheet_add_integer(sheet, "attempt", job->attempt);
	sheet_add_integer(sheet, "max_attempts", job->max_attempts);
	sheet_add_integer(sheet, "crashes", job->crashes);
	sheet_add_time(sheet, "enqueued_at", job->enqueued_at);
	sheet_add_time(sheet, "at", job->at);
	sheet_add_text(sheet, "key", job->key);
	sheet_add_json(sheet, "durable", job->durable ? "true" : "false");
	sheet_add_text(sheet, "owner", job->owner);
	sheet_add_json(sheet, "error", job->error);
}

static void write_detail(struct prong_ctx *ctx, struct sheet *sheet, const char *queue, const char *id,
			 const struct job_detail *detail)
{
	const struct registry *registry = ctx->runtime->registry;
	const char *name = detail->finished ? NULL : detail->listing.name;

	sheet_add_text(sheet, "id", id);
	sheet_add_text(sheet, "queue", queue);
	if (detail->finished)
		sheet_add_text(sheet, "state", "done");
	else
		add_listing(sheet, &detail->listing);
	add_report(sheet, detail->report, &ctx->arena);
	if (!detail->finished) {
		sheet_add_json(sheet, "header", detail->header);
		sheet_add_json(sheet, "payload", job_payload_shown(registry, name, detail->payload, &ctx->arena));
	}
	sheet_add_json(sheet, "result", job_result_shown(registry, queue, name, detail->result, &ctx->arena));
}

struct showing {
	struct invocation *invocation;
	const char *queue;
	char id[PRONG_UUID_TEXT_SIZE];
	bool json;
};

static int show(struct prong_ctx *ctx, void *argument)
{
	const struct showing *showing = argument;
	struct sheet sheet = { .json = showing->json, .width = 12 };
	struct job_detail detail;
	const char *queue;
	int r = jobs_find(ctx, showing->id, showing->queue, &queue, &detail);

	if (r == -ENOENT)
		return jobs_unknown(showing->invocation, showing->id, showing->queue);
	if (r < 0)
		return r;
	write_detail(ctx, &sheet, queue, showing->id, &detail);
	return sheet_print(&sheet, showing->invocation);
}

int jobs_show(struct invocation *invocation)
{
	struct showing showing = { .invocation = invocation };
	const struct command_option options[] = {
		{ "queue", .value = &showing.queue },
		{ "json", .flag = &showing.json },
		{},
	};
	int status = options_parse(invocation, options, 2) < 0 ? STATUS_USAGE : STATUS_OK;

	if (!status && invocation->argc < 2)
		status = usage_error(invocation, "name the job: jobs show ID");
	if (!status)
		status = jobs_read_id(invocation, invocation->argv[1], showing.id);
	if (!status)
		status = jobs_check_queue(invocation, showing.queue);
	return status ? status : jobs_run(invocation, 0, show, &showing);
}
