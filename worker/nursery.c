#include "worker/nursery.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "common/metrics.h"
#include "common/title.h"
#include "worker/isolated.h"

struct nursery {
	const struct process *process;
	int channel;
	int signals;			/* signalfd, of SIGCHLD */
	pid_t pids[NURSERY_MAX_PLACES]; /* 0: nobody is there */
};

/* ---- in the child ---- */

static void do_nothing(int signal_number)
{
	(void)signal_number;
}

/*
 * Whoever tells all processes to leave (a terminal, a service manager) means that the worker may let its jobs end: the
 * child takes no notice. By handlers, which programs that a job starts do not inherit.
 */
static void settle_signals(void)
{
	static const int ignored[] = { SIGTERM, SIGINT, SIGHUP };
	struct sigaction action = { .sa_handler = do_nothing, .sa_flags = SA_RESTART };
	sigset_t none;

	for (size_t i = 0; i < ARRAY_SIZE(ignored); i++)
		sigaction(ignored[i], &action, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

_Noreturn static void be_child(const struct nursery *nursery, pid_t parent, int request, int report)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(STATUS_FAILURE);
	setpgid(0, 0);
	close(nursery->channel);
	close(nursery->signals);
	settle_signals();
	isolated_main(nursery->process, request, report);
}

/* ---- in the nursery ---- */

static void tell(const struct nursery *nursery, const struct nursery_news *news)
{
	ssize_t n;

	do
		n = send(nursery->channel, news, sizeof(*news), MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR); /* other errors: the worker is gone, which the channel's end says too */
}

static void start(struct nursery *nursery, unsigned place, int request, int report)
{
	pid_t parent = getpid(), pid = fork();

	if (pid == 0)
		be_child(nursery, parent, request, report);
	if (pid < 0) {
		tell(nursery, &(struct nursery_news){ .place = place, .error = -errno });
		return;
	}
	setpgid(pid, pid); /* the child does it too: neither knows who is first */
	nursery->pids[place] = pid;
}

/* The process is not reaped yet, so that neither its number nor its group's can be another's. */
static int end_group(pid_t pid)
{
	int wait_status = 0;

	kill(-pid, SIGKILL);
	while (waitpid(pid, &wait_status, 0) < 0)
		check(errno == EINTR);
	return wait_status;
}

static void reap(struct nursery *nursery)
{
	struct signalfd_siginfo ignored;

	while (read(nursery->signals, &ignored, sizeof(ignored)) > 0)
		;
	for (unsigned place = 0; place < NURSERY_MAX_PLACES; place++) {
		pid_t pid = nursery->pids[place];
		siginfo_t info = { 0 };

		if (!pid || waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || !info.si_pid)
			continue;
		nursery->pids[place] = 0;
		tell(nursery, &(struct nursery_news){ .place = place, .wait_status = end_group(pid) });
	}
}

/* Without its worker nobody would hear of a job's end, and other workers will run it. */
_Noreturn static void leave(const struct nursery *nursery)
{
	for (size_t place = 0; place < NURSERY_MAX_PLACES; place++)
		if (nursery->pids[place])
			end_group(nursery->pids[place]);
	_exit(STATUS_OK);
}

static void obey(struct nursery *nursery, const struct nursery_order *order, const int fds[2])
{
	pid_t pid;

	check(order->place < NURSERY_MAX_PLACES);
	pid = nursery->pids[order->place];
	if (order->kind == NURSERY_KILL) {
		if (pid)
			kill(-pid, SIGKILL);
		return;
	}
	check(!pid);
	start(nursery, order->place, fds[0], fds[1]);
	close(fds[0]);
	close(fds[1]);
}

static void take_order(struct nursery *nursery)
{
	union {
		char space[CMSG_SPACE(2 * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct nursery_order order;
	struct iovec part = { &order, sizeof(order) };
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
	};
	struct cmsghdr *head;
	int fds[2] = { -1, -1 };
	ssize_t n = recvmsg(nursery->channel, &message, MSG_CMSG_CLOEXEC);

	if (n < 0 && errno == EINTR)
		return;
	if (n != sizeof(order))
		leave(nursery);
	head = CMSG_FIRSTHDR(&message);
	if (head && head->cmsg_type == SCM_RIGHTS && head->cmsg_len == CMSG_LEN(sizeof(fds)))
		memcpy(fds, CMSG_DATA(head), sizeof(fds));
	obey(nursery, &order, fds);
}

/*
 * What is the worker's or the whole tree's is not for code that may crash. All signals are blocked: the nursery leaves
 * when its worker does, and has nothing to do with a terminal or a service manager.
 */
static void settle(struct nursery *nursery)
{
	const struct process *process = nursery->process;
	_cleanup_(freep) char *title = format_text("prong: worker %zu nursery", process->number);
	sigset_t all, child;

	signal(SIGCHLD, SIG_DFL);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	nursery->signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
	check(nursery->signals >= 0);
	close(process->channel);
	if (process->permits >= 0)
		close(process->permits);
	scoreboard_free(process->scoreboard);
	metrics_unmap();
	title_set(title);
}

_Noreturn void nursery_main(const struct process *process, int channel)
{
	struct nursery nursery = { .process = process, .channel = channel };

	settle(&nursery);
	for (;;) {
		struct pollfd wanted[] = { { nursery.channel, POLLIN, 0 }, { nursery.signals, POLLIN, 0 } };

		if (poll(wanted, ARRAY_SIZE(wanted), -1) < 0)
			continue;
		if (wanted[1].revents)
			reap(&nursery);
		if (wanted[0].revents)
			take_order(&nursery);
	}
}
