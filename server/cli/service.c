#include "server/cli/service.h"

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "server/supervisor/supervisor.h"

#define TURN PRONG_MILLISECONDS(20)
#define STOP_PATIENCE PRONG_SECONDS(10)
#define SHOWN_BYTES 2048

int service_become(const struct service_user *user)
{
	if (initgroups(user->name, user->gid) < 0 || setgid(user->gid) < 0 || setuid(user->uid) < 0)
		return -errno;
	return 0;
}

/* In the child: what could not be done is told through the pipe, which a successful exec closes. */
_Noreturn static void execute(const struct service *service, const char *const argv[], int log, int failed,
			      pid_t parent)
{
	int error, null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	setsid();
	dup2(null, STDIN_FILENO);
	dup2(log, STDOUT_FILENO);
	dup2(log, STDERR_FILENO);
	if (service->user && service_become(service->user) < 0)
		goto fail;
	/* After the change of user, which clears it. */
	prctl(PR_SET_PDEATHSIG, service->stop_signal);
	if (getppid() != parent)
		_exit(1);
	signal(SIGPIPE, SIG_DFL);
	supervisor_unblock();
	execvp(argv[0], (char *const *)argv);
fail:
	error = errno;
	if (write(failed, &error, sizeof(error)) < 0)
		_exit(126);
	_exit(127);
}

int service_start(struct service *service, const char *const argv[])
{
	_cleanup_(closep) int log = open(service->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	int failed[2], error = 0;
	pid_t parent = getpid(), pid;
	ssize_t n;

	if (log < 0 || pipe2(failed, O_CLOEXEC) < 0)
		return -errno;
	service->log_started = lseek(log, 0, SEEK_END);
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		execute(service, argv, log, failed[1], parent);
	error = pid < 0 ? errno : 0;
	close(failed[1]);
	if (pid > 0) {
		do {
			n = read(failed[0], &error, sizeof(error));
		} while (n < 0 && errno == EINTR);
		if (n == sizeof(error))
			waitpid(pid, NULL, 0);
		else
			service->pid = pid;
	}
	close(failed[0]);
	return -error;
}

bool service_ended(struct service *service, pid_t pid, int wait_status)
{
	if (!service->pid || service->pid != pid)
		return false;
	service->pid = 0;
	service->wait_status = wait_status;
	return true;
}

static bool has_ended(struct service *service)
{
	int wait_status;

	if (service->pid && waitpid(service->pid, &wait_status, WNOHANG) == service->pid)
		service_ended(service, service->pid, wait_status);
	return service->pid == 0;
}

/* Sleeps a turn, or until a child ends. -EINTR when asked to stop. */
static int wait_turn(void)
{
	const struct timespec turn = { .tv_nsec = TURN * 1000 };
	sigset_t set;
	int number;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	number = sigtimedwait(&set, NULL, &turn);
	return number < 0 || number == SIGCHLD ? 0 : -EINTR;
}

int service_wait(struct service *service, prong_duration patience, bool (*ready)(void *argument), void *argument)
{
	int64_t deadline = monotonic_us() + patience;

	for (;;) {
		if (has_ended(service))
			return -ECHILD;
		if (ready(argument))
			return 0;
		if (monotonic_us() >= deadline)
			return -ETIMEDOUT;
		if (wait_turn() < 0)
			return -EINTR;
	}
}

static bool never(void *argument)
{
	(void)argument;
	return false;
}

int service_finish(struct service *service, prong_duration patience)
{
	int r = service_wait(service, patience, never, NULL);

	return r == -ECHILD ? 0 : r;
}

void service_stop(struct service *service)
{
	int64_t deadline = monotonic_us() + STOP_PATIENCE;

	if (!service->pid)
		return;
	kill(service->pid, service->stop_signal);
	while (!has_ended(service) && monotonic_us() < deadline)
		wait_turn();
	if (!service->pid)
		return;
	fprintf(stderr, "%s does not stop and is killed.\n", service->name);
	kill(service->pid, SIGKILL);
	waitpid(service->pid, &service->wait_status, 0);
	service->pid = 0;
}

char *service_end_text(const struct service *service)
{
	if (WIFSIGNALED(service->wait_status))
		return format_text("it was killed by SIG%s", sigabbrev_np(WTERMSIG(service->wait_status)));
	return format_text("it left with status %d", WEXITSTATUS(service->wait_status));
}

void service_show_log(const struct service *service)
{
	char text[SHOWN_BYTES + 1], *line = text;
	FILE *log = fopen(service->log, "re");
	long size;
	size_t n;

	if (!log)
		return;
	fseek(log, 0, SEEK_END);
	size = ftell(log) - service->log_started;
	fseek(log, -(size < SHOWN_BYTES ? size : SHOWN_BYTES), SEEK_END);
	n = fread(text, 1, SHOWN_BYTES, log);
	fclose(log);
	text[n] = '\0';
	if (size > SHOWN_BYTES && strchr(text, '\n'))
		line = strchr(text, '\n') + 1;
	fprintf(stderr, "--- the end of %s\n%s%s---\n", service->log, line, n && text[n - 1] != '\n' ? "\n" : "");
}
