#include "server/supervisor/supervisor.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include "common/log.h"
#include "server/supervisor/child.h"
#include "server/supervisor/watchdog.h"

/* Children leave by DRAIN_TIMEOUT themselves; what is left so much later is killed. */
#define DRAIN_GRACE PRONG_SECONDS(5) /* beyond what a worker takes to give back its jobs */

struct supervisor {
	const struct plan *plan;
	struct family family;
	struct watchdog watchdog;
	struct pollfd *polled; /* the signals, then each child's channel */
	int listener;	       /* -1: none, or closed */
	bool started;	       /* all were ready at once */
	bool draining;
	int64_t kill_at; /* when draining, monotonic µs */
	bool killed;	 /* what was left has been killed */
	int status;
};

static void fill(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGCHLD);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
	sigaddset(set, SIGUSR2);
}

void supervisor_block(void)
{
	sigset_t set;

	fill(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

void supervisor_unblock(void)
{
	sigset_t set;

	fill(&set);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static size_t count_alive(const struct supervisor *supervisor)
{
	size_t alive = 0;

	for (size_t i = 0; i < supervisor->family.count; i++)
		alive += supervisor->family.children[i].pid != 0;
	return alive;
}

static void signal_all(const struct supervisor *supervisor, int number)
{
	for (size_t i = 0; i < supervisor->family.count; i++)
		if (supervisor->family.children[i].pid)
			kill(supervisor->family.children[i].pid, number);
}

/* ---- draining ---- */

static void drain(struct supervisor *supervisor, int status)
{
	supervisor->draining = true;
	supervisor->status = status;
	supervisor->kill_at = monotonic_us() + supervisor->plan->settings->drain_timeout + DRAIN_GRACE;
	atomic_store(&supervisor->plan->scoreboard->draining, 1);
	for (size_t i = 0; i < supervisor->family.count; i++)
		supervisor->family.children[i].start_at = INT64_MAX;
	/* The children take whom the kernel has let in and close it too: after that connecting fails at once. */
	closep(&supervisor->listener);
	supervisor->listener = -1;
	log_info("draining: %zu processes end what they have begun", count_alive(supervisor));
	signal_all(supervisor, SIGTERM);
}

static void kill_rest(struct supervisor *supervisor)
{
	supervisor->killed = true;
	supervisor->kill_at = INT64_MAX;
	signal_all(supervisor, SIGKILL);
}

static void stop(struct supervisor *supervisor)
{
	if (!supervisor->draining) {
		drain(supervisor, STATUS_OK);
	} else if (!supervisor->killed) {
		log_warning("asked to stop again: %zu processes are killed", count_alive(supervisor));
		supervisor->status = STATUS_FAILURE;
		kill_rest(supervisor);
	}
}

/* ---- children ---- */

static void start_due(struct supervisor *supervisor)
{
	for (size_t i = 0; i < supervisor->family.count; i++) {
		struct child *child = &supervisor->family.children[i];
		char name[CHILD_NAME_SIZE];
		prong_duration delay;
		int r;

		if (child->start_at > monotonic_us())
			continue;
		r = child_start(child, supervisor->plan, &supervisor->family);
		if (r == 0)
			continue;
		/* No memory or process left for it: not a death of the child, but to be tried again as after one. */
		delay = backoff_next(&child->backoff, 0, random_u64());
		if (!delay)
			delay = BACKOFF_FIRST;
		child->start_at = monotonic_us() + delay;
		log_error("%s cannot be started: %s; trying again in %lld ms", child_name(child, name), strerror(-r),
			  (long long)delay / 1000);
	}
}

/* A child that refuses its configuration ends the start of the tree, but never a tree that has once served. */
static void check_refusals(struct supervisor *supervisor)
{
	size_t refused = 0;

	for (size_t i = 0; i < supervisor->family.count; i++)
		refused += supervisor->family.children[i].refused;
	if (!supervisor->draining && refused && (!supervisor->started || refused == supervisor->family.count))
		drain(supervisor, STATUS_CONFIGURATION);
}

static void reap(struct supervisor *supervisor)
{
	int wait_status;
	pid_t pid;

	while ((pid = waitpid(-1, &wait_status, WNOHANG)) > 0)
		for (size_t i = 0; i < supervisor->family.count; i++)
			if (supervisor->family.children[i].pid == pid)
				child_ended(&supervisor->family.children[i], supervisor->plan, wait_status,
					    supervisor->draining);
	check_refusals(supervisor);
}

static void note_ready(struct supervisor *supervisor, struct child *child)
{
	char byte;
	ssize_t n = read(child->channel, &byte, 1);

	if (n < 0)
		return;
	if (n == 0) { /* it is about to die: SIGCHLD says how */
		close(child->channel);
		child->channel = -1;
		return;
	}
	child->ready = true;
	for (size_t i = 0; i < supervisor->family.count; i++)
		if (!supervisor->family.children[i].ready)
			return;
	if (!supervisor->started && !supervisor->draining)
		log_info("ready: %zu processes serve", supervisor->family.count);
	supervisor->started = true;
}

/* ---- the loop ---- */

static void take_signals(struct supervisor *supervisor)
{
	struct signalfd_siginfo info;

	while (read(supervisor->family.signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
			stop(supervisor);
		else if (info.ssi_signo != SIGCHLD)
			log_warning("SIG%s has no meaning here and is ignored", sigabbrev_np((int)info.ssi_signo));
	}
	/* Always: several deaths may have been one signal. */
	reap(supervisor);
}

static int until(int64_t at)
{
	int64_t left = at == INT64_MAX ? -1 : at - monotonic_us();

	if (at == INT64_MAX)
		return -1;
	return left <= 0 ? 0 : (int)((left + 999) / 1000);
}

static void turn(struct supervisor *supervisor)
{
	struct family *family = &supervisor->family;
	int64_t next = supervisor->draining ? supervisor->kill_at : supervisor->watchdog.look_at;

	supervisor->polled[0] = (struct pollfd){ .fd = family->signals, .events = POLLIN };
	for (size_t i = 0; i < family->count; i++) {
		const struct child *child = &family->children[i];

		/* After READY nothing comes any more: poll() skips negative ones. */
		supervisor->polled[i + 1] =
			(struct pollfd){ .fd = child->ready ? -1 : child->channel, .events = POLLIN };
		if (child->start_at < next)
			next = child->start_at;
	}

	if (poll(supervisor->polled, family->count + 1, until(next)) < 0 && errno != EINTR)
		panic("poll: %s", strerror(errno));
	for (size_t i = 0; i < family->count; i++)
		if (supervisor->polled[i + 1].revents && family->children[i].channel >= 0)
			note_ready(supervisor, &family->children[i]);
	if (supervisor->polled[0].revents)
		take_signals(supervisor);
	if (supervisor->draining && !supervisor->killed && monotonic_us() >= supervisor->kill_at) {
		log_warning("%zu processes have not drained in time and are killed", count_alive(supervisor));
		kill_rest(supervisor);
	}
	if (!supervisor->draining)
		watchdog_look(&supervisor->watchdog, family, supervisor->plan);
	start_due(supervisor);
}

static void lay_out(struct supervisor *supervisor)
{
	const struct plan *plan = supervisor->plan;
	size_t count = plan->scoreboard->n_slots, i = 0;

	supervisor->family.children = allocate_array(count, sizeof(struct child));
	supervisor->family.count = count;
	supervisor->polled = allocate_array(count + 1, sizeof(struct pollfd));
	for (int class = 0; class < PROCESS_CLASSES; class ++)
		for (size_t number = 0; number < plan->counts[class]; number++)
			supervisor->family.children[i++] = (struct child){
				.class = (enum process_class) class,
				.number = number,
				.slot = plan->scoreboard->first[class] + number,
				.channel = -1,
				.kill_at = INT64_MAX,
			};
	check(i == count);
}

int supervisor_run(const struct plan *plan)
{
	struct supervisor supervisor = { .plan = plan, .listener = plan->listener };
	sigset_t set;

	supervisor_block();
	fill(&set);
	supervisor.family.signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (supervisor.family.signals < 0)
		panic("signalfd: %s", strerror(errno));
	lay_out(&supervisor);

	watchdog_init(&supervisor.watchdog, plan->settings->watchdog_timeout);
	start_due(&supervisor);
	while (!supervisor.draining || count_alive(&supervisor))
		turn(&supervisor);

	log_info("stopped");
	close(supervisor.family.signals);
	free(supervisor.family.children);
	free(supervisor.polled);
	return supervisor.status;
}
