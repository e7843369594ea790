#include "server/cli/jobs.h"

#include "common/loop.h"
#include "common/postgres/postgres.h"

#define PATIENCE PRONG_HOURS(1) /* each call has its own; draining or checking a large queue takes many */

static int explain(const struct invocation *invocation, const struct runtime *runtime, int r)
{
	const char *postgres = runtime->postgres ? postgres_last_error(runtime->postgres) : "";
	const char *redis = redis_last_error(runtime->redis);

	if (r != -EHOSTDOWN && r != -ETIMEDOUT && r != -EBUSY && r != -EAGAIN)
		return command_error(invocation, STATUS_FAILURE, "%s",
				     r == -ENOMEM ? "Redis is full: it takes nothing more until something is removed"
				     : r == -EROFS
					     ? "Redis takes no writes: it is a replica, has too few, or cannot save"
				     : runtime->postgres ? "Redis or PostgreSQL refused it; is anything pending in "
							   "`migrate status`?"
							 : "Redis refused it");
	if (r == -EBUSY)
		return command_error(invocation, STATUS_TRY_AGAIN, "Redis is busy loading its data: try again");
	if (r == -EAGAIN)
		return command_error(invocation, STATUS_TRY_AGAIN, "the jobs change all the time: try again");
	if (runtime->postgres && !*redis && (*postgres || redis_connected(runtime->redis)))
		return command_error(invocation, STATUS_UNAVAILABLE, "DATABASE_URL: PostgreSQL cannot be reached: %s",
				     *postgres ? postgres : "no answer");
	return command_error(invocation, STATUS_UNAVAILABLE, "Redis of REDIS_URL cannot be reached: %s",
			     *redis ? redis : "no answer");
}

int jobs_run(struct invocation *invocation, unsigned needs, int (*work)(struct prong_ctx *ctx, void *argument),
	     void *argument)
{
	bool database = (needs & NEEDS_DATABASE) == NEEDS_DATABASE;
	int r = invocation_need(invocation, needs | NEEDS_REGISTRY | NEEDS_REDIS);
	struct runtime *runtime;

	if (r)
		return r;
	runtime = runtime_new(invocation->settings, invocation->registry, NULL, invocation->command->name, -1,
			      RUNTIME_REDIS | (database ? RUNTIME_POSTGRES : 0));
	r = context_run(runtime, PATIENCE, work, argument);
	if (r < 0)
		r = explain(invocation, runtime, r);
	runtime_free(runtime);
	return r;
}

int jobs_check_queue(struct invocation *invocation, const char *name)
{
	struct buffer known = { 0 };
	int status = invocation_need(invocation, NEEDS_REGISTRY);

	if (status || !name || registry_queue(invocation->registry, name))
		return status;
	for (size_t i = 0; i < invocation->registry->n_queues; i++)
		buffer_add_format(&known, "%s%s", i ? ", " : "", invocation->registry->queues[i].name);
	status = usage_error(invocation, "there is no queue %s; the queues are %s", name, buffer_text(&known));
	buffer_free(&known);
	return status;
}

int jobs_read_state(const struct invocation *invocation, const char *text, int *ret_state)
{
	if (!text)
		return STATUS_OK;
	for (int state = 0; state < JOB_STATES; state++)
		if (string_equal(text, job_state_names[state])) {
			*ret_state = state;
			return STATUS_OK;
		}
	return usage_error(invocation, "--state is ready, delayed, running or dead, not %s", text);
}

int jobs_read_count(const struct invocation *invocation, const char *name, const char *text, int64_t low, int64_t high,
		    int64_t *ret_value)
{
	return text && option_integer(invocation, name, text, low, high, ret_value) < 0 ? STATUS_USAGE : STATUS_OK;
}

int jobs_read_id(const struct invocation *invocation, const char *text, char ret_id[PRONG_UUID_TEXT_SIZE])
{
	prong_uuid id;

	if (prong_uuid_parse(text, &id) < 0)
		return usage_error(invocation, "'%s' is no id of a job, as in 0190f7a1-6a5c-7d2e-8f3b-0123456789ab",
				   text);
	prong_uuid_format(id, ret_id);
	return STATUS_OK;
}

int jobs_find(struct prong_ctx *ctx, const char *id, const char *queue, const char **ret_queue,
	      struct job_detail *ret_detail)
{
	const struct registry *registry = ctx->runtime->registry;
	int r = -ENOENT;

	for (size_t i = 0; i < registry->n_queues && r == -ENOENT; i++) {
		const char *name = registry->queues[i].name;

		if (queue && !string_equal(queue, name))
			continue;
		r = job_queue_show(ctx->runtime->jobs, name, id, &ctx->arena, ret_detail);
		if (r == 0)
			*ret_queue = name;
	}
	return r;
}

int jobs_unknown(const struct invocation *invocation, const char *id, const char *queue)
{
	return command_error(invocation, STATUS_FAILURE,
			     "there is no job %s%s%s: it is done, or was cancelled, or never was", id,
			     queue ? " in the queue " : "", queue ? queue : "");
}

/* ---- the command ---- */

static int run(struct invocation *invocation)
{
	static const struct verb verbs[] = {
		{ "add", jobs_add },	 { "ls", jobs_ls },	    { "show", jobs_show },
		{ "retry", jobs_retry }, { "cancel", jobs_cancel }, { "drain", jobs_drain },
		{ "stats", jobs_stats }, { "fsck", jobs_fsck },	    {},
	};

	return verb_run(invocation, verbs);
}

const struct command command_jobs = {
	.name = "jobs",
	.usage = "add | ls | show | retry | cancel | drain | stats | fsck …",
	.summary = "Enqueue jobs, look at them, retry, cancel or remove them",
	.help = "  add NAME ['{…}']       enqueue a job with this payload; prints its id\n"
		"    --file FILE          read the payload from a file; - is standard input\n"
		"    --delay TIME         run it that much later: 500ms, 5s, 10m, 2h, 1d\n"
		"    --at TIME            run it then: 2030-01-31T09:00:00Z\n"
		"    --priority N         -100 to 100; higher ones run first\n"
		"    --key KEY            whose job it is: keys take turns\n"
		"    --unique KEY         only if no other job of the queue has this key:\n"
		"      --until WHEN       that has not `finished` (the default) or not `started`\n"
		"      --throttle TIME    or was enqueued within that time\n"
		"      --debounce TIME    run it that long after the last enqueue, with the last payload\n"
		"    --expires TIME       drop it if it has not started by then\n"
		"    --durable            keep it in PostgreSQL until it is done\n"
		"  ls                     list jobs in the order they will run; the dead latest first\n"
		"    --queue, --state, --name   only of this queue, state (ready, delayed, running, dead), or job\n"
		"    --limit N, --offset N      at most that many, 50 by default, after as many\n"
		"  show ID                all that is known of a job, without its secrets\n"
		"  retry ID…              let dead jobs run again, with all their attempts\n"
		"  retry --queue QUEUE    likewise all dead ones of a queue\n"
		"    --name, --error      only of this job, or with this code of its error\n"
		"    --limit N            at most that many\n"
		"  cancel ID…             remove jobs that wait or are dead, stop those that run\n"
		"  drain QUEUE --yes      remove all jobs of a queue but those that run; without --yes, count them\n"
		"    --state STATE        only those that are ready, delayed or dead\n"
		"  stats                  how many jobs are in each queue, and what they cost\n"
		"  fsck                   check the queues in Redis; exit status 1 where anything is wrong\n"
		"    --repair             mend it\n"
		"    --force              also queues of more than 100000 jobs, which holds up Redis meanwhile\n"
		"  --queue QUEUE          for show, retry, cancel, stats and fsck: only in this queue\n"
		"  --json                 for all: as JSON\n"
		"\n"
		"The column `at` of ls is when a delayed job is due, when a dead one was buried. Jobs that are "
		"enqueued\n"
		"while drain is at work may stay. A durable job is removed from Redis and from PostgreSQL; where drain "
		"is\n"
		"killed between the two, up to 3000 come back, and nothing is lost.\n"
		"\n"
		"Examples:\n"
		"  jobs add send_report '{\"month\": \"2030-01\"}' --delay 10m --unique report-2030-01\n"
		"  jobs ls --state dead --queue mail\n"
		"  jobs show 0190f7a1-6a5c-7d2e-8f3b-0123456789ab\n"
		"  jobs retry --queue mail --error smtp_down --limit 1000\n"
		"  jobs cancel 0190f7a1-6a5c-7d2e-8f3b-0123456789ab\n"
		"  jobs drain mail --state dead --yes\n"
		"  jobs stats --queue mail\n"
		"  jobs fsck --repair\n",
	.run = run,
};
