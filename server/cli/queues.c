#include "server/cli/jobs.h"

/* ---- ls ---- */

/* A limit; 0 is none. */
static void add_limit(struct table *table, int64_t limit)
{
	if (limit)
		table_add_integer(table, limit);
	else
		table_add(table, NULL);
}

static void add_rate(struct table *table, const struct prong_rate *rate)
{
	_cleanup_(freep) char *per = duration_format(rate->per);
	_cleanup_(freep) char *text = format_text("%d/%s", rate->count, per);

	table_add(table, rate->count ? text : NULL);
}

static int add_queue(struct prong_ctx *ctx, struct table *table, const struct prong_queue *queue)
{
	struct job_stats stats;
	int r = job_queue_stats(ctx->runtime->jobs, queue->name, &stats);

	if (r < 0)
		return r;
	table_add(table, queue->name);
	for (int state = 0; state < JOB_STATES; state++)
		table_add_integer(table, (int64_t)stats.states[state]);
	table_add_bool(table, stats.paused);
	table_add_integer(table, (int64_t)stats.consumers);
	table_add_integer(table, queue->rank);
	table_add_integer(table, queue->weight);
	add_limit(table, queue->concurrency);
	add_rate(table, &queue->rate);
	add_limit(table, queue->key_concurrency);
	add_rate(table, &queue->key_rate);
	table_add_integer(table, queue->shards);
	add_limit(table, queue->max_bytes);
	return 0;
}

static int list(struct prong_ctx *ctx, void *argument)
{
	const struct registry *registry = ctx->runtime->registry;
	int r = 0;

	for (size_t i = 0; i < registry->n_queues && r == 0; i++)
		r = add_queue(ctx, argument, &registry->queues[i]);
	return r;
}

static int run_ls(struct invocation *invocation)
{
	_cleanup_(table_freep) struct table *table = table_new((const char *const[]){
		"queue", "ready", "delayed", "running", "dead", "paused", "consumers", "rank", "weight", "concurrency",
		"rate", "key_concurrency", "key_rate", "shards", "max_bytes", NULL });
	bool json = false;
	int status;

	if (options_parse(invocation, (const struct command_option[]){ { "json", .flag = &json }, {} }, 1) < 0)
		return STATUS_USAGE;
	status = jobs_run(invocation, 0, list, table);
	return status ? status : table_print(table, json, "No queues.");
}

/* ---- pause, resume ---- */

struct pausing {
	const char *queue;
	bool paused, was_paused;
};

static int set_paused(struct prong_ctx *ctx, void *argument)
{
	struct pausing *pausing = argument;
	struct job_stats stats;
	int r = job_queue_stats(ctx->runtime->jobs, pausing->queue, &stats);

	if (r < 0)
		return r;
	pausing->was_paused = stats.paused;
	return job_queue_pause(ctx->runtime->jobs, pausing->queue, pausing->paused);
}

static int print_paused(const struct invocation *invocation, const struct pausing *pausing, bool json)
{
	if (json)
		printf("{\"queue\": \"%s\", \"paused\": %s}\n", pausing->queue, pausing->paused ? "true" : "false");
	else if (pausing->paused)
		printf("%s %s\n", pausing->queue, pausing->was_paused ? "was paused already" : "is paused");
	else
		printf("%s %s\n", pausing->queue, pausing->was_paused ? "goes on" : "was not paused");
	return output_end(invocation);
}

static int run_pausing(struct invocation *invocation, bool paused)
{
	struct pausing pausing = { .paused = paused };
	bool json = false;
	int status;

	if (options_parse(invocation, (const struct command_option[]){ { "json", .flag = &json }, {} }, 2) < 0)
		return STATUS_USAGE;
	if (invocation->argc < 2)
		return usage_error(invocation, "name the queue: queues %s QUEUE", invocation->argv[0]);
	pausing.queue = invocation->argv[1];
	status = jobs_check_queue(invocation, pausing.queue);
	if (!status)
		status = jobs_run(invocation, 0, set_paused, &pausing);
	return status ? status : print_paused(invocation, &pausing, json);
}

static int run_pause(struct invocation *invocation)
{
	return run_pausing(invocation, true);
}

static int run_resume(struct invocation *invocation)
{
	return run_pausing(invocation, false);
}

static int run(struct invocation *invocation)
{
	return verb_run(invocation, (const struct verb[]){
					    { "ls", run_ls }, { "pause", run_pause }, { "resume", run_resume }, {} });
}

const struct command command_queues = {
	.name = "queues",
	.usage = "ls | pause QUEUE | resume QUEUE",
	.summary = "List queues with their rules; pause and resume them",
	.help = "  ls             what is in each queue, who consumes it, and its rules\n"
		"  pause QUEUE    let no worker of any host fetch from it; what runs goes on, and jobs can be added\n"
		"  resume QUEUE   let workers fetch from it again\n"
		"  --json         as JSON\n"
		"\n"
		"Examples:\n"
		"  queues ls\n"
		"  queues pause mail\n",
	.run = run,
};
