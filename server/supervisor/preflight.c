#include "server/supervisor/preflight.h"

#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "common/context.h"
#include "common/log.h"
#include "common/postgres/migrate.h"
#include "common/postgres/postgres.h"
#include "common/redis/redis.h"
#include "common/security/keyring.h"

#define PATIENCE PRONG_SECONDS(5) /* for each server */

struct preflight {
	const struct plan *plan;
	const char *program;
	int status;
};

static void problem(struct preflight *preflight, int status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static void problem(struct preflight *preflight, int status, const char *format, ...)
{
	_cleanup_(freep) char *text = NULL;
	va_list arguments;

	va_start(arguments, format);
	text = vformat_text(format, arguments);
	va_end(arguments);
	fprintf(stderr, "%s: %s\n", preflight->program, text);
	/* What needs a person outweighs what may pass by itself. */
	if (preflight->status != STATUS_CONFIGURATION)
		preflight->status = status;
}

/* Each line is a problem of its own. */
static void problems(struct preflight *preflight, int status, struct buffer *lines)
{
	const char *line = buffer_text(lines);

	while (*line) {
		size_t size = strcspn(line, "\n");

		problem(preflight, status, "%.*s", (int)size, line);
		line += size + (line[size] == '\n');
	}
}

/* ---- the checks ---- */

static void check_redis(struct preflight *preflight, struct prong_ctx *ctx)
{
	_cleanup_(freep) char *reason = NULL;
	int r = redis_check_server(ctx->runtime->redis, PATIENCE, &reason);

	if (r == -EINVAL)
		problem(preflight, STATUS_CONFIGURATION, "REDIS_URL: %s", reason);
	else if (r < 0)
		problem(preflight, STATUS_UNAVAILABLE, "REDIS_URL: Redis cannot be reached: %s",
			*redis_last_error(ctx->runtime->redis) ? redis_last_error(ctx->runtime->redis) : strerror(-r));
}

static bool check_postgres(struct preflight *preflight, struct prong_ctx *ctx)
{
	const char *reason = NULL;
	int r = postgres_ping(ctx->runtime->postgres, PATIENCE, &reason);

	if (r == 0)
		return true;
	problem(preflight, STATUS_UNAVAILABLE, "DATABASE_URL: PostgreSQL cannot be reached: %s",
		reason && *reason ? reason : strerror(-r));
	return false;
}

static bool check_migrations(struct preflight *preflight, struct prong_ctx *ctx)
{
	const struct plan *plan = preflight->plan;
	struct migrations migrations = { 0 };
	struct buffer mistakes = { 0 };
	size_t pending = 0;
	bool mistaken;
	int r;

	r = migrations_load(plan->registry, plan->settings->migrations_dir, &ctx->arena, &migrations, &mistakes);
	if (r == 0)
		r = migrations_status(ctx, &migrations, &mistakes);
	if (r < 0 && !mistakes.size)
		problem(preflight, STATUS_UNAVAILABLE, "the ledger of migrations cannot be read: %s", strerror(-r));
	mistaken = mistakes.size > 0;
	problems(preflight, STATUS_CONFIGURATION, &mistakes);
	buffer_free(&mistakes);
	if (r < 0)
		return false;

	for (size_t i = 0; i < migrations.count; i++)
		pending += !migrations.items[i].applied;
	if (pending)
		problem(preflight, STATUS_CONFIGURATION, "%zu %s pending: run `%s migrate up`", pending,
			pending == 1 ? "migration is" : "migrations are", preflight->program);
	return pending == 0 && !mistaken;
}

/* Processes × connections must fit into what the server leaves to users; jobs in processes of their own add theirs. */
static void check_budget(struct preflight *preflight, struct prong_ctx *ctx)
{
	const struct plan *plan = preflight->plan;
	const struct settings *settings = plan->settings;
	struct postgres_result *result = NULL;
	long long each = settings->database_connections + settings->database_transactions;
	long long processes = (long long)plan->scoreboard->n_slots, isolated = 0, needed, most, reserved;
	long long listening = (long long)plan->counts[PROCESS_SCHEDULER];
	_cleanup_(freep) char *more = NULL;
	int r;

	if (registry_isolates(plan->registry))
		isolated = (long long)plan->counts[PROCESS_WORKER] * settings->job_isolated;
	needed = processes * each + listening + isolated * RUNTIME_ISOLATED_CONNECTIONS;
	r = postgres_run(ctx,
			 "SELECT current_setting('max_connections'), current_setting('superuser_reserved_connections')",
			 PRONG_PARAMETERS(), &result);
	if (r < 0) {
		problem(preflight, STATUS_UNAVAILABLE, "DATABASE_URL: PostgreSQL does not tell max_connections: %s",
			strerror(-r));
		return;
	}
	most = atoll(postgres_result_text(result, 0, 0));
	reserved = atoll(postgres_result_text(result, 0, 1));
	postgres_result_free(result);
	if (needed <= most - reserved)
		return;
	more = isolated ? format_text(" + %lld isolated jobs × %d", isolated, RUNTIME_ISOLATED_CONNECTIONS)
			: duplicate("");
	problem(preflight, STATUS_CONFIGURATION,
		"%lld processes × %lld connections + %lld to listen%s = %lld, but PostgreSQL allows %lld "
		"(max_connections %lld − %lld "
		"reserved): lower WEB_CONCURRENCY, JOB_PROCESSES, %sDATABASE_CONNECTIONS or DATABASE_TRANSACTIONS, or "
		"raise max_connections",
		processes, each, listening, more, needed, most - reserved, most, reserved,
		isolated ? "JOB_ISOLATED, " : "");
}

static void check_secret(struct preflight *preflight, struct prong_ctx *ctx)
{
	const struct settings *settings = preflight->plan->settings;
	struct keyring *keyring = keyring_new(settings->secret, (enum algorithm)settings->signing_algorithm);
	int r = keyring_load(keyring, ctx);

	keyring_free(keyring);
	if (r == -EBADMSG)
		problem(preflight, STATUS_CONFIGURATION,
			"PRONG_SECRET: it is not the one that the signing keys in this database were encrypted with: "
			"set that "
			"one");
	else if (r < 0)
		problem(preflight, STATUS_UNAVAILABLE, "the signing keys cannot be read: %s", strerror(-r));
}

/* What is no mistake, but good to know. */
static void tell_persistence(struct prong_ctx *ctx)
{
	_cleanup_(freep) char *text = NULL;
	int r = redis_persistence(ctx->runtime->redis, PATIENCE, &text);

	if (r >= 0)
		log_line(r ? PRONG_LOG_WARNING : PRONG_LOG_INFO, NULL, NULL, 0, "%s", text);
}

static int check_all(struct prong_ctx *ctx, void *argument)
{
	struct preflight *preflight = argument;
	const struct plan *plan = preflight->plan;

	check_redis(preflight, ctx);
	if (!check_postgres(preflight, ctx))
		return 0;
	check_budget(preflight, ctx);
	if (check_migrations(preflight, ctx) && plan->counts[PROCESS_HTTP] &&
	    registry_module(plan->registry, ACCOUNTS_MODULE))
		check_secret(preflight, ctx);
	if (preflight->status == STATUS_OK)
		tell_persistence(ctx);
	return 0;
}

/* ---- the child and its master ---- */

_Noreturn static void run_child(const struct plan *plan, const char *program, pid_t master)
{
	struct preflight preflight = { .plan = plan, .program = program };
	struct runtime *runtime;
	int r;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != master)
		_exit(STATUS_FAILURE);
	supervisor_unblock();
	log_open(plan->registry->app->name, "preflight", (enum prong_log_level)plan->settings->log_level,
		 settings_log_json(plan->settings));
	runtime = runtime_new(plan->settings, plan->registry, NULL, "prong: preflight", -1,
			      RUNTIME_POSTGRES | RUNTIME_REDIS);
	r = context_run(runtime, 4 * PATIENCE, check_all, &preflight);
	if (r < 0)
		problem(&preflight, STATUS_UNAVAILABLE, "the check of the servers did not end: %s", strerror(-r));
	runtime_free(runtime);
	exit(preflight.status);
}

/* Waits for the child, or for a signal that ends it. */
static int wait_child(pid_t pid, int *ret_wait_status)
{
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	while (waitpid(pid, ret_wait_status, WNOHANG) == 0) {
		if (sigwaitinfo(&set, &info) < 0 || info.si_signo == SIGCHLD)
			continue;
		kill(pid, SIGKILL);
		waitpid(pid, ret_wait_status, 0);
		return -EINTR;
	}
	return 0;
}

int preflight_run(const struct plan *plan, const char *program)
{
	pid_t master = getpid(), pid;
	int wait_status;

	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		fprintf(stderr, "%s: no process can be started: %s\n", program, strerror(errno));
		return STATUS_TRY_AGAIN;
	}
	if (pid == 0)
		run_child(plan, program, master);
	if (wait_child(pid, &wait_status) < 0)
		return -EINTR;
	if (WIFEXITED(wait_status))
		return WEXITSTATUS(wait_status);
	if (WTERMSIG(wait_status) == SIGINT || WTERMSIG(wait_status) == SIGTERM)
		return -EINTR;
	fprintf(stderr, "%s: the check of the servers was killed by SIG%s\n", program,
		sigabbrev_np(WTERMSIG(wait_status)));
	return STATUS_FAILURE;
}
