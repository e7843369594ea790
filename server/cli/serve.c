#include "server/cli/serve.h"

#include <sys/resource.h>

#include "common/jobs/consumed_queues.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/security/permit.h"
#include "server/supervisor/composition.h"
#include "server/supervisor/listener.h"
#include "server/supervisor/preflight.h"

/* What a process opens besides its clients' connections: servers, files, the loop. */
#define OTHER_FILES 256

/* A process may be given fewer files than MAX_CONNECTIONS needs; it takes what it may, and says what is missing. */
static void raise_file_limit(const struct settings *settings)
{
	rlim_t needed = (rlim_t)settings->max_connections + OTHER_FILES;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= needed)
		return;
	limit.rlim_cur = limit.rlim_max < needed ? limit.rlim_max : needed;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur < needed)
		log_warning("a process may open %llu files, MAX_CONNECTIONS=%lld needs %llu: raise the limit (ulimit "
			    "-n), or "
			    "lower MAX_CONNECTIONS",
			    (unsigned long long)limit.rlim_cur, (long long)settings->max_connections,
			    (unsigned long long)needed);
}

/* Of two exit statuses the one that needs a person more. */
static int worse(int a, int b)
{
	if (a == STATUS_CONFIGURATION || b == STATUS_CONFIGURATION)
		return STATUS_CONFIGURATION;
	return a ? a : b;
}

static int bind_listener(struct invocation *invocation, int *ret_listener)
{
	_cleanup_(freep) char *reason = NULL;
	int status = listener_bind(invocation->settings->host, (int)invocation->settings->port, ret_listener, &reason);

	return status ? command_error(invocation, status, "%s", reason) : STATUS_OK;
}

static int begin_listening(struct invocation *invocation, int listener)
{
	struct settings *settings = invocation->settings;
	_cleanup_(freep) char *reason = NULL;
	int status = listener_listen(listener, settings->host, (int)settings->port, &reason);

	if (status)
		return command_error(invocation, status, "%s", reason);
	settings_set_port(settings, listener_port(listener));
	log_info(strchr(settings->host, ':') ? "listening on http://[%s]:%d" : "listening on http://%s:%d",
		 settings->host, (int)settings->port);
	return STATUS_OK;
}

/* What workers would consume that are no queues, and what waits for others. */
static int check_queues(struct invocation *invocation)
{
	const struct settings *settings = invocation->settings;
	_cleanup_(freep) char *reason = NULL, *others = NULL;

	if (consumed_queues_check(settings, invocation->registry, &reason) < 0)
		return command_error(invocation, STATUS_CONFIGURATION, "%s", reason);
	others = settings->worker_processes > 0 ? consumed_queues_others(settings, invocation->registry)
						: duplicate("all");
	if (others)
		log_info("queues that wait for workers elsewhere: %s", others);
	return STATUS_OK;
}

static int run_plan(struct invocation *invocation, struct plan *plan, bool http)
{
	int status, checked;

	status = check_queues(invocation);
	if (status)
		return status;
	status = http ? bind_listener(invocation, &plan->listener) : STATUS_OK;
	checked = preflight_run(plan, invocation->program);
	if (checked == -EINTR)
		return STATUS_OK;
	status = worse(status, checked);
	if (!status && http)
		status = begin_listening(invocation, plan->listener);
	if (status)
		return status;

	plan->permits = permits_open();
	if (plan->permits < 0)
		return command_error(invocation, STATUS_FAILURE, "no memory file can be made: %s",
				     strerror(-plan->permits));
	invocation->composition->define_metrics(plan->registry);
	metrics_map(plan->scoreboard->n_slots);
	status = supervisor_run(plan);
	plan->listener = -1;
	return status;
}

int serve_run(struct invocation *invocation, bool http)
{
	const struct settings *settings = invocation->settings;
	struct plan plan = {
		.settings = settings,
		.registry = invocation->registry,
		.composition = invocation->composition,
		.counts = {
			[PROCESS_HTTP] = http ? (size_t)settings->http_processes : 0,
			[PROCESS_WORKER] = (size_t)settings->worker_processes,
			[PROCESS_SCHEDULER] = 1,
		},
		.listener = -1,
		.permits = -1,
	};
	int status;

	log_open(invocation->app->name, "master", (enum prong_log_level)settings->log_level,
		 settings_log_json(settings));
	supervisor_block();
	raise_file_limit(settings);
	plan.scoreboard = scoreboard_new(plan.counts);
	status = run_plan(invocation, &plan, http);
	if (plan.listener >= 0)
		close(plan.listener);
	if (plan.permits >= 0)
		close(plan.permits);
	return status;
}

static int run_serve(struct invocation *invocation)
{
	int status;

	if (options_parse(invocation, NULL, 0) < 0)
		return STATUS_USAGE;
	status = invocation_need(invocation, NEEDS_REGISTRY | NEEDS_DATABASE | NEEDS_REDIS | NEEDS_SECRET);
	return status ? status : serve_run(invocation, true);
}

static int run_work(struct invocation *invocation)
{
	int status;

	if (options_parse(invocation, NULL, 0) < 0)
		return STATUS_USAGE;
	status = invocation_need(invocation, NEEDS_REGISTRY | NEEDS_DATABASE | NEEDS_REDIS);
	return status ? status : serve_run(invocation, false);
}

#define SIGNALS                                                                                             \
	"SIGTERM and SIGINT let it end what it has begun, for at most DRAIN_TIMEOUT; a second one ends it " \
	"at once.\n"

const struct command command_serve = {
	.name = "serve",
	.usage = "",
	.summary = "Serve HTTP and run jobs, with DATABASE_URL and REDIS_URL",
	.help = "Starts WEB_CONCURRENCY http processes, JOB_PROCESSES job workers and a scheduler under one "
		"master.\n" SIGNALS,
	.run = run_serve,
};

const struct command command_work = {
	.name = "work",
	.usage = "",
	.summary = "Run jobs only, with DATABASE_URL and REDIS_URL",
	.help = "Starts JOB_PROCESSES job workers and a scheduler under one master, and listens on no port.\n" SIGNALS,
	.run = run_work,
};
