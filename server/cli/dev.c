#include "server/cli/dev.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "server/cli/dev_postgres.h"
#include "server/cli/dev_redis.h"
#include "server/cli/serve.h"
#include "server/supervisor/supervisor.h"

struct dev {
	struct invocation *invocation;
	int lock;
	struct dev_postgres postgres;
	struct dev_redis redis;
};

#define ALL_NEEDS (NEEDS_REGISTRY | NEEDS_DATABASE | NEEDS_REDIS | NEEDS_SECRET)

/* ---- the application ---- */

/* Runs `function` in a child of its own process group, which Ctrl-C does not reach. Returns its pid or a negative
 * errno. */
static pid_t run_child(struct dev *dev, int (*function)(struct invocation *invocation))
{
	pid_t parent = getpid(), pid;

	fflush(NULL);
	pid = fork();
	if (pid != 0)
		return pid < 0 ? -errno : pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(STATUS_FAILURE);
	setpgid(0, 0);
	close(dev->lock);
	exit(function(dev->invocation));
}

static int migrate_all(struct invocation *invocation)
{
	char verb[] = "up", *argv[] = { verb, NULL };
	struct invocation up = *invocation;

	up.command = &command_migrate;
	up.argc = 1;
	up.argv = argv;
	supervisor_unblock();
	return command_migrate.run(&up);
}

static int serve_all(struct invocation *invocation)
{
	return serve_run(invocation, true);
}

static int status_of(int wait_status)
{
	return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : STATUS_FAILURE;
}

/* A service of ours that has ended under the application; what is left of the turn is to stop. */
static bool service_died(struct dev *dev, pid_t pid, int wait_status)
{
	struct service *services[] = { &dev->postgres.service, &dev->redis.service };

	for (size_t i = 0; i < ARRAY_SIZE(services); i++)
		if (service_ended(services[i], pid, wait_status)) {
			_cleanup_(freep) char *end = service_end_text(services[i]);

			command_error(dev->invocation, STATUS_UNAVAILABLE, "%s has stopped: %s; see %s",
				      services[i]->name, end, services[i]->log);
			return true;
		}
	return false;
}

/* Waits for the child, passing on what asks it to stop, and watching the services under it. */
static int wait_child(struct dev *dev, pid_t pid)
{
	int status = STATUS_OK, wait_status;
	bool asked = false;
	sigset_t set;
	pid_t ended;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	for (;;) {
		int number;

		while ((ended = waitpid(-1, &wait_status, WNOHANG)) > 0) {
			if (ended == pid && !status && asked && WIFSIGNALED(wait_status))
				return -EINTR;
			if (ended == pid)
				return status ? status : status_of(wait_status);
			if (service_died(dev, ended, wait_status)) {
				status = STATUS_UNAVAILABLE;
				kill(pid, SIGTERM);
			}
		}
		number = sigwaitinfo(&set, NULL);
		if (number == SIGTERM || number == SIGINT || number == SIGHUP) {
			asked = true;
			kill(pid, SIGTERM);
		}
	}
}

static int run_and_wait(struct dev *dev, int (*function)(struct invocation *invocation))
{
	pid_t pid = run_child(dev, function);

	if (pid < 0)
		return command_error(dev->invocation, STATUS_TRY_AGAIN, "no process can be started: %s",
				     strerror(-pid));
	return wait_child(dev, pid);
}

/* ---- what it needs ---- */

static int start_services(struct dev *dev, char **ret_secret)
{
	struct invocation *invocation = dev->invocation;
	int status = STATUS_OK;

	if (!invocation->settings->secret)
		status = dev_secret(invocation, ret_secret);
	if (!status && !invocation->settings->database_url) {
		status = dev_postgres_start(&dev->postgres, invocation);
		if (!status)
			printf("PostgreSQL  %s\n            log %s\n", dev->postgres.url, dev->postgres.service.log);
	}
	if (!status && !invocation->settings->redis_url) {
		status = dev_redis_start(&dev->redis, invocation);
		if (!status)
			printf("Redis       %s\n            log %s\n", dev->redis.url, dev->redis.service.log);
	}
	fflush(stdout);
	return status;
}

static void stop_services(struct dev *dev)
{
	unlink(DEV_ENVIRONMENT);
	dev_redis_stop(&dev->redis);
	dev_postgres_stop(&dev->postgres);
}

static void say_what_to_try(const struct dev *dev)
{
	const struct settings *settings = dev->invocation->settings;

	printf("Mails       %s\n", settings->smtp_url ? "by SMTP_URL" : settings->mail_dir);
	if (settings->port && registry_module(dev->invocation->registry, ACCOUNTS_MODULE))
		printf("\nWhen it is ready, sign up:\n\n"
		       "  curl -i %s/v1/accounts -H 'content-type: application/json' \\\n"
		       "    -d '{\"email\":\"ada@example.com\",\"password\":\"correct horse battery\"}'\n\n",
		       settings->public_url);
	fflush(stdout);
}

/* Reads the settings again, now with what has been started. */
static int take_services(struct dev *dev, const char *secret)
{
	struct invocation *invocation = dev->invocation;
	int status = dev_environment_write(invocation, dev->postgres.url, dev->redis.url, secret);

	if (status)
		return status;
	invocation->settings = settings_free(invocation->settings);
	return invocation_need(invocation, ALL_NEEDS);
}

static int run_dev(struct dev *dev)
{
	_cleanup_(freep) char *secret = NULL;
	int status = start_services(dev, &secret);

	if (!status)
		status = take_services(dev, secret);
	if (!status)
		status = run_and_wait(dev, migrate_all);
	if (!status) {
		say_what_to_try(dev);
		status = run_and_wait(dev, serve_all);
	}
	return status == -EINTR ? STATUS_OK : status;
}

static int run(struct invocation *invocation)
{
	struct dev dev = { .invocation = invocation, .lock = -1 };
	int status;

	if (options_parse(invocation, NULL, 0) < 0)
		return STATUS_USAGE;
	status = invocation_need(invocation, NEEDS_REGISTRY | NEEDS_SETTINGS);
	if (status)
		return status;
	if (invocation->settings->environment == ENVIRONMENT_PRODUCTION)
		return command_error(invocation, STATUS_CONFIGURATION,
				     "`dev` is for development, but PRONG_ENV is production: use `%s serve`",
				     invocation->program);

	supervisor_block();
	status = dev_folder_open(invocation, &dev.lock);
	if (status)
		return status;
	unlink(DEV_ENVIRONMENT); /* of a `dev` that was killed */
	status = run_dev(&dev);
	stop_services(&dev);
	close(dev.lock);
	return status;
}

const struct command command_dev = {
	.name = "dev",
	.usage = "",
	.summary = "Develop: start PostgreSQL and Redis, migrate, serve",
	.help = "What DATABASE_URL and REDIS_URL do not name is started privately, on Unix sockets in .prong/ of the "
		"working\n"
		"directory, and stopped at the end; its data stays there. PRONG_SECRET is made once where it is not "
		"set.\n"
		"Other commands find what runs, as `migrate status` and `jobs ls`. Ctrl-C ends it.\n",
	.run = run,
};
