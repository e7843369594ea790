#include "common/jobs/job_actions.h"
#include "common/jobs/job_queue.h"
#include "server/cli/jobs.h"

#define MAX_IDS 1000

/* What is to be done to jobs by their ids. */
struct acting {
	struct invocation *invocation;
	const char *queue; /* NULL: all */
	struct table *table;
	bool json;
	int (*act)(struct prong_ctx *ctx, const char *queue, const char *id);
	size_t done;
	int status;
};

static void add_row(struct table *table, const char *id, const char *queue, const struct job_detail *was)
{
	table_add(table, id);
	table_add(table, queue);
	table_add(table, !was ? NULL : was->finished ? "done" : job_state_names[was->listing.state]);
}

/* One mistake among many ids is told and counts, and the others go on. */
static int fail(struct acting *acting, const char *id, int r)
{
	if (r == -EALREADY)
		acting->status = command_error(acting->invocation, STATUS_FAILURE, "the job %s is not dead", id);
	else if (r == -ENOENT)
		acting->status = jobs_unknown(acting->invocation, id, acting->queue);
	return r == -EALREADY || r == -ENOENT ? 0 : r;
}

/* What is in no queue may still be in the outbox, and on its way into any queue. */
static int act_on_lost(struct prong_ctx *ctx, struct acting *acting, const char *id)
{
	const struct registry *registry = ctx->runtime->registry;
	struct job_detail now;
	const char *queue = acting->queue;
	int r;

	if (!queue && registry->n_queues == 0)
		return -ENOENT;
	r = acting->act(ctx, queue ? queue : registry->queues[0].name, id);
	if (r == 0 && acting->act == job_cancel && jobs_find(ctx, id, acting->queue, &queue, &now) == 0)
		r = acting->act(ctx, queue, id);
	if (r == 0)
		add_row(acting->table, id, NULL, NULL);
	return r;
}

static int act_on(struct prong_ctx *ctx, struct acting *acting, const char *id)
{
	struct job_detail was;
	const char *queue;
	int r = jobs_find(ctx, id, acting->queue, &queue, &was);

	if (r == -ENOENT) {
		r = act_on_lost(ctx, acting, id);
	} else if (r == 0) {
		r = acting->act(ctx, queue, id);
		if (r == 0)
			add_row(acting->table, id, queue, &was);
	}
	acting->done += r == 0;
	return r < 0 ? fail(acting, id, r) : 0;
}

static int act_on_all(struct prong_ctx *ctx, void *argument)
{
	struct acting *acting = argument;
	int r = 0;

	for (int i = 1; i < acting->invocation->argc && r == 0; i++) {
		char id[PRONG_UUID_TEXT_SIZE];

		check(jobs_read_id(acting->invocation, acting->invocation->argv[i], id) == STATUS_OK);
		r = act_on(ctx, acting, id);
	}
	return r;
}

static int check_ids(const struct invocation *invocation)
{
	char id[PRONG_UUID_TEXT_SIZE];
	int status = STATUS_OK;

	for (int i = 1; i < invocation->argc && !status; i++)
		status = jobs_read_id(invocation, invocation->argv[i], id);
	return status;
}

static int run_acting(struct acting *acting)
{
	struct invocation *invocation = acting->invocation;
	_cleanup_(table_freep) struct table *table = table_new((const char *const[]){ "id", "queue", "was", NULL });
	int status = check_ids(invocation);

	acting->table = table;
	if (!status)
		status = jobs_check_queue(invocation, acting->queue);
	if (!status)
		status = jobs_run(invocation, NEEDS_DATABASE, act_on_all, acting);
	if (acting->done && table_print(table, acting->json, "") != STATUS_OK)
		return STATUS_FAILURE;
	return status ? status : acting->status;
}

/* ---- cancel ---- */

int jobs_cancel(struct invocation *invocation)
{
	struct acting acting = { .invocation = invocation, .act = job_cancel };
	const struct command_option options[] = {
		{ "queue", .value = &acting.queue },
		{ "json", .flag = &acting.json },
		{},
	};

	if (options_parse(invocation, options, 1 + MAX_IDS) < 0)
		return STATUS_USAGE;
	if (invocation->argc < 2)
		return usage_error(invocation, "name the jobs: jobs cancel ID…");
	return run_acting(&acting);
}

/* ---- retry ---- */

/* Which dead jobs are to be retried. */
struct retrying {
	const char *queue, *name, *code;
	int64_t limit, retried;
};

static int retry_dead(struct prong_ctx *ctx, void *argument)
{
	struct retrying *retrying = argument;

	retrying->retried = job_retry_dead(ctx, retrying->queue, retrying->name, retrying->code, retrying->limit);
	return retrying->retried < 0 ? (int)retrying->retried : STATUS_OK;
}

static int run_retrying(struct invocation *invocation, struct retrying *retrying, const char *limit, bool json)
{
	int status = jobs_read_count(invocation, "limit", limit, 1, INT64_MAX, &retrying->limit);

	if (!status)
		status = jobs_check_queue(invocation, retrying->queue);
	if (!status)
		status = jobs_run(invocation, NEEDS_DATABASE, retry_dead, retrying);
	if (status)
		return status;
	printf(json ? "{\"retried\": %lld}\n" : "%lld dead jobs are ready again\n", (long long)retrying->retried);
	return output_end(invocation);
}

int jobs_retry(struct invocation *invocation)
{
	struct acting acting = { .invocation = invocation, .act = job_retry };
	struct retrying retrying = { .limit = INT64_MAX };
	const char *limit = NULL;
	const struct command_option options[] = {
		{ "queue", .value = &retrying.queue }, { "name", .value = &retrying.name },
		{ "error", .value = &retrying.code },  { "limit", .value = &limit },
		{ "json", .flag = &acting.json },      {},
	};

	if (options_parse(invocation, options, 1 + MAX_IDS) < 0)
		return STATUS_USAGE;
	if (invocation->argc < 2 && !retrying.queue)
		return usage_error(invocation, "say which jobs: jobs retry ID…, or jobs retry --queue QUEUE");
	if (invocation->argc < 2)
		return run_retrying(invocation, &retrying, limit, acting.json);
	if (retrying.name || retrying.code || limit)
		return usage_error(invocation,
				   "--name, --error and --limit are for all dead jobs of a queue, not for ids");
	acting.queue = retrying.queue;
	return run_acting(&acting);
}

/* ---- drain ---- */

struct draining {
	struct invocation *invocation;
	const char *queue;
	int state; /* -1: all */
	bool sure, json;
	int64_t counts[JOB_STATES];
};

static bool drains(const struct draining *draining, enum job_state state)
{
	return state != JOB_STATE_RUNNING && (draining->state < 0 || draining->state == (int)state);
}

static void write_counts(const struct draining *draining, struct buffer *out)
{
	for (enum job_state state = 0; state < JOB_STATES; state++) {
		if (!drains(draining, state))
			continue;
		buffer_add_string(out, out->size ? ", " : "");
		buffer_add_format(out, draining->json ? "\"%s\": %lld" : "%s %lld", job_state_names[state],
				  (long long)draining->counts[state]);
	}
	buffer_text(out);
}

static int refuse_to_drain(struct prong_ctx *ctx, struct draining *draining)
{
	struct buffer counts = { 0 };
	struct job_stats stats;
	int r = job_queue_stats(ctx->runtime->jobs, draining->queue, &stats);

	if (r < 0)
		return r;
	for (int state = 0; state < JOB_STATES; state++)
		draining->counts[state] = (int64_t)stats.states[state];
	draining->json = false;
	write_counts(draining, &counts);
	command_error(draining->invocation, STATUS_USAGE,
		      "this would remove from the queue %s for ever: %s; give --yes to do it", draining->queue,
		      counts.data);
	buffer_free(&counts);
	return STATUS_USAGE;
}

static int print_drained(const struct draining *draining)
{
	struct buffer counts = { 0 };

	write_counts(draining, &counts);
	printf(draining->json ? "{%s}\n" : "Removed: %s\n", counts.data);
	buffer_free(&counts);
	return output_end(draining->invocation);
}

static int drain(struct prong_ctx *ctx, void *argument)
{
	/* What is delayed may become ready meanwhile, not the reverse. */
	static const enum job_state order[] = { JOB_STATE_DELAYED, JOB_STATE_READY, JOB_STATE_DEAD };
	struct draining *draining = argument;

	if (!draining->sure)
		return refuse_to_drain(ctx, draining);
	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		int64_t r = drains(draining, order[i]) ? job_drain(ctx, draining->queue, order[i]) : 0;

		if (r < 0)
			return (int)r;
		draining->counts[order[i]] = r;
	}
	return print_drained(draining);
}

int jobs_drain(struct invocation *invocation)
{
	struct draining draining = { .invocation = invocation, .state = -1 };
	const char *state = NULL;
	const struct command_option options[] = {
		{ "state", .value = &state },
		{ "yes", .flag = &draining.sure },
		{ "json", .flag = &draining.json },
		{},
	};
	int status = options_parse(invocation, options, 2) < 0 ? STATUS_USAGE : STATUS_OK;

	if (!status && invocation->argc < 2)
		status = usage_error(invocation, "name the queue: jobs drain QUEUE --yes");
	if (!status)
		status = jobs_read_state(invocation, state, &draining.state);
	if (!status && draining.state == JOB_STATE_RUNNING)
		status = usage_error(invocation, "running jobs are not drained: jobs cancel ID… stops them");
	if (!status)
		status = jobs_check_queue(invocation, invocation->argv[1]);
	if (status)
		return status;
	draining.queue = invocation->argv[1];
	return jobs_run(invocation, NEEDS_DATABASE, drain, &draining);
}
