#include "server/cli/jobs.h"

#define DEFAULT_LIMIT 50
#define MAX_LIMIT 100000
#define PAGE 1000

/* ---- ls ---- */

/* What `jobs ls` was asked for, and gathers. */
struct listing {
	const char *queue, *name; /* NULL: all */
	int state;		  /* -1: all */
	size_t offset;		  /* jobs that are passed over, of one queue and state */
	size_t left;		  /* rows that may still be added */
	struct table *table;
};

static void add_row(struct table *table, const struct job_listing *job)
{
	table_add(table, job->id);
	table_add(table, job->queue);
	table_add(table, job->name);
	table_add(table, job_state_names[job->state]);
	table_add_integer(table, job->attempt);
	table_add_integer(table, job->max_attempts);
	table_add_integer(table, job->crashes);
	table_add_time(table, job->enqueued_at);
	table_add_time(table, job->at);
	table_add(table, *job->key ? job->key : NULL);
	table_add_bool(table, job->durable);
	table_add(table, *job->owner ? job->owner : NULL);
	table_add_json(table, job->error);
}

static void add_page(struct listing *listing, const struct job_listing *jobs, size_t count, size_t *skip)
{
	for (size_t i = 0; i < count && listing->left; i++) {
		if (listing->name && !string_equal(listing->name, jobs[i].name))
			continue;
		if (*skip) {
			--*skip;
			continue;
		}
		add_row(listing->table, &jobs[i]);
		listing->left--;
	}
}

/* Where jobs are picked by name, those that are passed over are counted here, else in Redis. */
static int list_state(struct prong_ctx *ctx, struct listing *listing, const char *queue, enum job_state state)
{
	size_t offset = listing->name ? 0 : listing->offset, skip = listing->name ? listing->offset : 0, count = PAGE;

	while (listing->left && count) {
		struct job_listing *jobs;
		int r = job_queue_list(ctx->runtime->jobs, queue, state, offset, PAGE, &ctx->arena, &jobs, &count);

		if (r < 0)
			return r;
		add_page(listing, jobs, count, &skip);
		offset += PAGE;
	}
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

int jobs_ls(struct invocation *invocation)
{
	_cleanup_(table_freep) struct table *table =
		table_new((const char *const[]){ "id", "queue", "name", "state", "attempt", "max_attempts", "crashes",
						 "enqueued_at", "at", "key", "durable", "owner", "error", NULL });
	struct listing listing = { .state = -1, .table = table };
	const char *state = NULL, *limit_text = NULL, *offset_text = NULL;
	int64_t limit = DEFAULT_LIMIT, offset = 0;
	bool json = false;
	const struct command_option options[] = {
		{ "queue", .value = &listing.queue },
		{ "name", .value = &listing.name },
		{ "state", .value = &state },
		{ "limit", .value = &limit_text },
		{ "offset", .value = &offset_text },
		{ "json", .flag = &json },
		{},
	};
	int status = options_parse(invocation, options, 1) < 0 ? STATUS_USAGE : STATUS_OK;

	if (!status)
		status = jobs_read_count(invocation, "limit", limit_text, 1, MAX_LIMIT, &limit);
	if (!status)
		status = jobs_read_count(invocation, "offset", offset_text, 0, INT32_MAX, &offset);
	if (!status)
		status = jobs_read_state(invocation, state, &listing.state);
	if (!status && offset_text && (!listing.queue || !state))
		status = usage_error(invocation, "--offset needs --queue and --state");
	if (!status)
		status = jobs_check_queue(invocation, listing.queue);
	if (status)
		return status;
	listing.left = (size_t)limit;
	listing.offset = (size_t)offset;
	status = jobs_run(invocation, 0, list_queues, &listing);
	return status ? status : table_print(table, json, "No jobs.");
}

/* ---- stats ---- */

struct counting {
	const char *queue; /* NULL: all */
	struct table *table;
};

/* In seconds; the table has no fractions of its own. */
static void add_age(struct table *table, prong_duration age)
{
	_cleanup_(freep) char *text = format_text("%.3f", (double)age / (double)PRONG_SECONDS(1));

	table_add_json(table, age ? text : NULL);
}

static int count_queue(struct prong_ctx *ctx, struct table *table, const char *queue)
{
	struct job_stats stats;
	int64_t memory, jobs = 0;
	int r = job_queue_stats(ctx->runtime->jobs, queue, &stats);

	if (r == 0)
		r = job_queue_memory(ctx->runtime->jobs, queue, &memory);
	if (r < 0)
		return r;
	table_add(table, queue);
	for (int state = 0; state < JOB_STATES; state++) {
		table_add_integer(table, (int64_t)stats.states[state]);
		jobs += (int64_t)stats.states[state];
	}
	add_age(table, stats.oldest);
	table_add_integer(table, stats.bytes);
	table_add_integer(table, memory);
	table_add_integer(table, jobs ? memory / jobs : 0);
	table_add_integer(table, (int64_t)stats.keys);
	table_add_integer(table, (int64_t)stats.results);
	table_add_integer(table, (int64_t)stats.consumers);
	table_add_bool(table, stats.paused);
	return 0;
}

static int count_queues(struct prong_ctx *ctx, void *argument)
{
	const struct counting *counting = argument;
	const struct registry *registry = ctx->runtime->registry;
	int r = 0;

	for (size_t i = 0; i < registry->n_queues && r == 0; i++)
		if (!counting->queue || string_equal(counting->queue, registry->queues[i].name))
			r = count_queue(ctx, counting->table, registry->queues[i].name);
	return r;
}

int jobs_stats(struct invocation *invocation)
{
	_cleanup_(table_freep) struct table *table = table_new(
		(const char *const[]){ "queue", "ready", "delayed", "running", "dead", "oldest_seconds", "bytes",
				       "memory", "memory_per_job", "keys", "results", "consumers", "paused", NULL });
	struct counting counting = { .table = table };
	bool json = false;
	const struct command_option options[] = {
		{ "queue", .value = &counting.queue },
		{ "json", .flag = &json },
		{},
	};
	int status = options_parse(invocation, options, 1) < 0 ? STATUS_USAGE : STATUS_OK;

	if (!status)
		status = jobs_check_queue(invocation, counting.queue);
	if (!status)
		status = jobs_run(invocation, 0, count_queues, &counting);
	return status ? status : table_print(table, json, "No queues.");
}
