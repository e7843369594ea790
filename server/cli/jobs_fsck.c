#include "server/cli/jobs.h"

#define MAX_UNFORCED 100000 /* jobs of a queue: some hundred milliseconds of Redis */

struct checking {
	struct invocation *invocation;
	const char *queue; /* NULL: all */
	bool repair, force, json;
	struct table *table;
	int64_t findings;
};

/* Whether the queue is large is asked of all before any is checked. */
static int refuse_large(struct prong_ctx *ctx, struct checking *checking, const char *queue)
{
	struct job_stats stats;
	uint64_t jobs = 0;
	int r = checking->force ? 0 : job_queue_stats(ctx->runtime->jobs, queue, &stats);

	if (r < 0 || checking->force)
		return r;
	for (int state = 0; state < JOB_STATES; state++)
		jobs += stats.states[state];
	if (jobs <= MAX_UNFORCED)
		return STATUS_OK;
	return command_error(checking->invocation, STATUS_FAILURE,
			     "the queue %s has %llu jobs: checking them holds up Redis for some seconds; "
			     "give --force if it may",
			     queue, (unsigned long long)jobs);
}

static int check_queue(struct prong_ctx *ctx, struct checking *checking, const char *queue)
{
	struct buffer findings = { 0 };
	const char *line;
	int r = job_queue_fsck(ctx->runtime->jobs, queue, checking->repair, &findings);

	if (r >= 0)
		checking->findings += r;
	for (line = buffer_text(&findings); *line;) {
		size_t size = strcspn(line, "\n");

		table_add(checking->table, queue);
		table_add(checking->table, prong_format(ctx, "%.*s", (int)size, line));
		line += size + (line[size] == '\n');
	}
	buffer_free(&findings);
	return r < 0 ? r : STATUS_OK;
}

static int each_queue(struct prong_ctx *ctx, struct checking *checking,
		      int (*visit)(struct prong_ctx *ctx, struct checking *checking, const char *queue))
{
	const struct registry *registry = ctx->runtime->registry;
	int r = STATUS_OK;

	for (size_t i = 0; i < registry->n_queues && r == STATUS_OK; i++)
		if (!checking->queue || string_equal(checking->queue, registry->queues[i].name))
			r = visit(ctx, checking, registry->queues[i].name);
	return r;
}

static int check_queues(struct prong_ctx *ctx, void *argument)
{
	struct checking *checking = argument;
	int r = each_queue(ctx, checking, refuse_large);

	return r ? r : each_queue(ctx, checking, check_queue);
}

int jobs_fsck(struct invocation *invocation)
{
	_cleanup_(table_freep) struct table *table = table_new((const char *const[]){ "queue", "finding", NULL });
	struct checking checking = { .invocation = invocation, .table = table };
	const struct command_option options[] = {
		{ "queue", .value = &checking.queue },
		{ "repair", .flag = &checking.repair },
		{ "force", .flag = &checking.force },
		{ "json", .flag = &checking.json },
		{},
	};
	int status = options_parse(invocation, options, 1) < 0 ? STATUS_USAGE : STATUS_OK;

	if (!status)
		status = jobs_check_queue(invocation, checking.queue);
	if (!status)
		status = jobs_run(invocation, 0, check_queues, &checking);
	if (!status)
		status = table_print(table, checking.json, "Nothing is wrong.");
	if (status || !checking.findings)
		return status;
	return command_error(invocation, STATUS_FAILURE, "%lld findings%s", (long long)checking.findings,
			     checking.repair ? ", all mended" : "; --repair mends them");
}
