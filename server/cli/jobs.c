#include "common/context.h"
#include "common/jobs/job_queue.h"
#include "common/loop.h"
#include "common/runtime.h"
#include "server/cli/cli.h"

#define PATIENCE PRONG_SECONDS(30)
#define DEFAULT_LIMIT 50
#define MAX_LIMIT 100000

/* What `jobs ls` was asked for, and gathers. */
struct listing {
	struct invocation *invocation;
	struct table *table;
	const char *queue; /* NULL: all */
	int state;	   /* -1: all */
	size_t left;	   /* rows that may still be added */
};

static void add_time(struct table *table, prong_time time)
{
	char text[PRONG_TIME_TEXT_SIZE];

	table_add(table, time.us ? prong_time_format(time, text) : NULL);
}

static void add_row(struct table *table, const struct job_listing *job)
{
	table_add(table, job->id);
	table_add(table, job->queue);
	table_add(table, job->name);
	table_add(table, job_state_names[job->state]);
	table_add_integer(table, job->attempt);
	table_add_integer(table, job->max_attempts);
	add_time(table, job->enqueued_at);
	add_time(table, job->at);
	table_add_json(table, job->error);
}

static int list_state(struct prong_ctx *ctx, struct listing *listing, const char *queue, enum job_state state)
{
	struct job_listing *jobs = NULL;
	size_t count = 0;
	int r;

	if (listing->left == 0)
		return 0;
	r = job_queue_list(ctx->runtime->jobs, queue, state, 0, listing->left, &ctx->arena, &jobs, &count);
	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++)
		add_row(listing->table, &jobs[i]);
	listing->left -= count;
	return 0;
}

static int list_queues(struct prong_ctx *ctx, void *argument)
{
	struct listing *listing = argument;
	const struct registry *registry = ctx->runtime->registry;
	int r = 0;

	for (size_t i = 0; i < registry->n_queues; i++) {
		if (listing->queue && !string_equal(listing->queue, registry->queues[i].name))
			continue;
		for (int state = 0; state < JOB_STATES && r == 0; state++)
			if (listing->state < 0 || listing->state == state)
				r = list_state(ctx, listing, registry->queues[i].name, (enum job_state)state);
	}
	return r;
}

static int run_listing(struct listing *listing)
{
	struct invocation *invocation = listing->invocation;
	struct runtime *runtime =
		runtime_new(invocation->settings, invocation->registry, NULL, "jobs ls", -1, RUNTIME_REDIS);
	int r = context_run(runtime, PATIENCE, list_queues, listing), status = STATUS_OK;

	if (r == -EHOSTDOWN || r == -ETIMEDOUT)
		status = command_error(invocation, STATUS_UNAVAILABLE, "Redis of REDIS_URL cannot be reached: %s",
				       *redis_last_error(runtime->redis) ? redis_last_error(runtime->redis)
									 : "no answer");
	else if (r == -EBUSY)
		status = command_error(invocation, STATUS_TRY_AGAIN, "Redis is busy loading its data: try again");
	else if (r < 0)
		status = command_error(invocation, STATUS_FAILURE, "Redis cannot list the jobs: %s", strerror(-r));
	runtime_free(runtime);
	return status;
}

static int find_queue(const struct invocation *invocation, const char *name)
{
	struct buffer known = { 0 };
	int status;

	for (size_t i = 0; i < invocation->registry->n_queues; i++) {
		if (string_equal(invocation->registry->queues[i].name, name))
			return STATUS_OK;
		buffer_add_format(&known, "%s%s", i ? ", " : "", invocation->registry->queues[i].name);
	}
	status = usage_error(invocation, "there is no queue %s; the queues are %s", name, buffer_text(&known));
	buffer_free(&known);
	return status;
}

static int parse_state(const struct invocation *invocation, const char *text, int *ret_state)
{
	for (int state = 0; state < JOB_STATES; state++)
		if (string_equal(text, job_state_names[state])) {
			*ret_state = state;
			return STATUS_OK;
		}
	return usage_error(invocation, "--state is ready, delayed, running or dead, not %s", text);
}

static int run_ls(struct invocation *invocation, const char *queue, const char *state, int64_t limit, bool json)
{
	static const char *const columns[] = { "id",	       "queue",	      "name", "state", "attempt",
					       "max_attempts", "enqueued_at", "at",   "error", NULL };
	struct listing listing = { .invocation = invocation, .queue = queue, .state = -1, .left = (size_t)limit };
	_cleanup_(table_freep) struct table *table = table_new(columns);
	int status = state ? parse_state(invocation, state, &listing.state) : STATUS_OK;

	if (!status)
		status = invocation_need(invocation, NEEDS_REGISTRY | NEEDS_REDIS);
	if (!status && queue)
		status = find_queue(invocation, queue);
	if (status)
		return status;
	listing.table = table;
	status = run_listing(&listing);
	return status ? status : table_print(table, json, "No jobs.");
}

static int run(struct invocation *invocation)
{
	const char *queue = NULL, *state = NULL, *limit_text = NULL;
	int64_t limit = DEFAULT_LIMIT;
	bool json = false;
	const struct command_option options[] = {
		{ "queue", .value = &queue },
		{ "state", .value = &state },
		{ "limit", .value = &limit_text },
		{ "json", .flag = &json },
		{},
	};

	if (options_parse(invocation, options, 1) < 0)
		return STATUS_USAGE;
	if (limit_text && option_integer(invocation, "limit", limit_text, 1, MAX_LIMIT, &limit) < 0)
		return STATUS_USAGE;
	if (invocation->argc == 0)
		return usage_error(invocation, "what is to be done is missing: ls");
	if (!string_equal(invocation->argv[0], "ls"))
		return usage_error(invocation, "there is no jobs %s; there is ls", invocation->argv[0]);
	return run_ls(invocation, queue, state, limit, json);
}

const struct command command_jobs = {
	.name = "jobs",
	.usage = "ls [--queue QUEUE] [--state STATE] [--limit N] [--json]",
	.summary = "List jobs: what waits, runs, or is dead and why",
	.help = "Lists by queue and state, in the order they will run; the dead latest first.\n"
		"\n"
		"  --queue  only of this queue\n"
		"  --state  only ready, delayed, running or dead\n"
		"  --limit  at most that many, 50 by default\n"
		"  --json   as a JSON array of objects\n"
		"\n"
		"The column `at` is when a delayed job is due, when a dead one was "
		"buried.\n",
	.run = run,
};
