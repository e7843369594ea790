#include "common/metrics.h"

#include "common/context.h"
#include "common/scoreboard.h"
#include "server/routes/routes.h"

static void add_label(struct buffer *out, const char *text)
{
	buffer_add_char(out, '"');
	for (const char *c = text; *c; c++) {
		if (*c == '"' || *c == '\\')
			buffer_add_char(out, '\\');
		if (*c == '\n')
			buffer_add_literal(out, "\\n");
		else
			buffer_add_char(out, *c);
	}
	buffer_add_char(out, '"');
}

static void add_build_info(struct buffer *out, const struct prong_app *app)
{
	buffer_add_literal(out, "# HELP build_info What runs.\n# TYPE build_info gauge\nbuild_info{service_name=");
	add_label(out, app->name);
	buffer_add_literal(out, ",service_version=");
	add_label(out, app->version ? app->version : "");
	buffer_add_literal(out, ",prong_version=\"" PRONG_LIBRARY_VERSION "\"} 1\n");
}

static void add_processes(struct buffer *out, struct scoreboard *scoreboard)
{
	uint32_t ready[PROCESS_CLASSES] = { 0 }, restarts[PROCESS_CLASSES] = { 0 }, stalls[PROCESS_CLASSES] = { 0 };

	for (int class = 0; class < PROCESS_CLASSES; class ++)
		for (size_t i = 0; i < scoreboard->count[class]; i++) {
			struct scoreboard_slot *slot = &scoreboard->slots[scoreboard->first[class] + i];

			ready[class] += atomic_load(&slot->state) == PROCESS_READY;
			restarts[class] += atomic_load(&slot->restarts);
			stalls[class] += atomic_load(&slot->stalls);
		}
	buffer_add_literal(out,
			   "# HELP prong_processes_ready Processes that serve.\n# TYPE prong_processes_ready gauge\n");
	for (int class = 0; class < PROCESS_CLASSES; class ++)
		buffer_add_format(out, "prong_processes_ready{class=\"%s\"} %u\n", process_class_name(class),
				  ready[class]);
	buffer_add_literal(out, "# HELP prong_process_restarts_total Processes replaced after their end.\n"
				"# TYPE prong_process_restarts_total counter\n");
	for (int class = 0; class < PROCESS_CLASSES; class ++)
		buffer_add_format(out, "prong_process_restarts_total{class=\"%s\"} %u\n", process_class_name(class),
				  restarts[class]);
	buffer_add_literal(out, "# HELP prong_process_stalls_total Processes that the watchdog ended.\n"
				"# TYPE prong_process_stalls_total counter\n");
	for (int class = 0; class < PROCESS_CLASSES; class ++)
		buffer_add_format(out, "prong_process_stalls_total{class=\"%s\"} %u\n", process_class_name(class),
				  stalls[class]);
}

int metrics_show(struct prong_ctx *ctx)
{
	struct buffer text = { 0 };

	add_build_info(&text, ctx->runtime->registry->app);
	if (ctx->runtime->scoreboard)
		add_processes(&text, ctx->runtime->scoreboard);
	metrics_write(&text);
	prong_reply_bytes(ctx, 200, "text/plain; version=0.0.4", text.data, text.size);
	buffer_free(&text);
	return 0;
}
