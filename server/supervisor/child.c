#include "server/supervisor/child.h"

#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "common/log.h"
#include "common/metrics.h"
#include "common/title.h"
#include "server/supervisor/composition.h"
#include "server/supervisor/supervisor.h"

char *child_name(const struct child *child, char name[CHILD_NAME_SIZE])
{
	snprintf(name, CHILD_NAME_SIZE, "%s %zu", process_class_name(child->class), child->number);
	return name;
}

/* ---- in the child ---- */

static void close_the_masters(const struct child *child, const struct plan *plan, const struct family *family)
{
	close(family->signals);
	for (size_t i = 0; i < family->count; i++)
		if (family->children[i].channel >= 0)
			close(family->children[i].channel);
	if (child->class != PROCESS_HTTP && plan->listener >= 0)
		close(plan->listener);
}

/*
 * A terminal sends SIGINT and SIGHUP to the whole group; what they mean is the master's to say. SIGTERM stays blocked
 * until process_attach() can drain: before, its default action would end the child.
 */
static void settle_signals(void)
{
	sigset_t set;

	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGUSR2, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_SETMASK, &set, NULL);
}

_Noreturn static void run(const struct child *child, const struct plan *plan, const struct family *family, int channel,
			  pid_t master)
{
	static char name[CHILD_NAME_SIZE]; /* the log borrows it */
	const struct settings *settings = plan->settings;
	const struct process process = {
		.class = child->class,
		.slot = child->slot,
		.number = child->number,
		.channel = channel,
		.listener = child->class == PROCESS_HTTP ? plan->listener : -1,
		.permits = plan->permits,
		.settings = settings,
		.registry = plan->registry,
		.scoreboard = plan->scoreboard,
	};
	char title[CHILD_NAME_SIZE + 16];

	/* Nobody is left behind: neither when the master dies, nor when it died before this line. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != master)
		_exit(STATUS_FAILURE);
	close_the_masters(child, plan, family);

	settle_signals();

	child_name(child, name);
	snprintf(title, sizeof(title), "prong: %s", name);
	title_set(title);
	log_open(plan->registry->app->name, name, (enum prong_log_level)settings->log_level,
		 settings_log_json(settings));
	metrics_use_slot(child->slot);
	exit(plan->composition->mains[child->class](&process));
}

/* ---- in the master ---- */

int child_start(struct child *child, const struct plan *plan, const struct family *family)
{
	struct scoreboard_slot *slot = &plan->scoreboard->slots[child->slot];
	pid_t master = getpid(), pid;
	int channels[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, channels) < 0)
		return -errno;
	atomic_store(&slot->state, PROCESS_STARTING);
	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		int error = errno;

		atomic_store(&slot->state, PROCESS_ABSENT);
		close(channels[0]);
		close(channels[1]);
		return -error;
	}
	if (pid == 0) {
		close(channels[0]);
		run(child, plan, family, channels[1], master);
	}

	close(channels[1]);
	child->pid = pid;
	child->channel = channels[0];
	child->ready = false;
	child->started_at = monotonic_us();
	child->start_at = child->kill_at = INT64_MAX;
	atomic_store(&slot->pid, pid);
	return 0;
}

char *child_job(const struct scoreboard_slot *slot, char text[CHILD_JOB_SIZE])
{
	const prong_uuid culprit = slot_culprit(slot);
	char id[PRONG_UUID_TEXT_SIZE];

	text[0] = '\0';
	if (!prong_uuid_equal(culprit, (prong_uuid){ 0 }))
		snprintf(text, CHILD_JOB_SIZE, " in job %s", prong_uuid_format(culprit, id));
	return text;
}

/* It asked itself to leave, for its size, or somebody asked only it. */
static bool left_in_order(const struct scoreboard_slot *slot, int wait_status)
{
	return WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == STATUS_OK &&
	       atomic_load(&slot->state) == PROCESS_DRAINING;
}

static void log_death(const struct child *child, const struct scoreboard_slot *slot, int wait_status,
		      prong_duration delay)
{
	char name[CHILD_NAME_SIZE], job[CHILD_JOB_SIZE], again[64] = "starting it again";

	child_name(child, name);
	child_job(slot, job);
	if (delay)
		snprintf(again, sizeof(again), "starting it again in %lld ms", (long long)delay / 1000);
	if (WIFSIGNALED(wait_status))
		log_error("%s (pid %d) was killed by SIG%s%s%s: %s", name, child->pid,
			  sigabbrev_np(WTERMSIG(wait_status)), WCOREDUMP(wait_status) ? " (core dumped)" : "", job,
			  again);
	else if (left_in_order(slot, wait_status))
		log_info("%s (pid %d) has drained and left: %s", name, child->pid, again);
	else
		log_error("%s (pid %d) left with status %d%s: %s", name, child->pid, WEXITSTATUS(wait_status), job,
			  again);
}

/* What the dead child had in its slot is told to the scheduler, which puts its jobs back, and is no more. */
static void clear_slot(struct scoreboard *scoreboard, struct scoreboard_slot *slot, int wait_status)
{
	const struct death death = {
		.incarnation = atomic_load(&slot->incarnation),
		.culprit = slot_culprit(slot),
		.wait_status = wait_status,
	};

	if (death.incarnation)
		scoreboard_add_death(scoreboard, &death);
	atomic_store(&slot->incarnation, 0);
	atomic_store(&slot->running[0], 0);
	atomic_store(&slot->running[1], 0);
	atomic_store(&slot->crashed[0], 0);
	atomic_store(&slot->crashed[1], 0);
	atomic_store(&slot->heartbeat, 0);
	atomic_store(&slot->pid, 0);
	atomic_store(&slot->state, PROCESS_ABSENT);
}

void child_ended(struct child *child, const struct plan *plan, int wait_status, bool draining)
{
	struct scoreboard_slot *slot = &plan->scoreboard->slots[child->slot];
	int64_t now = monotonic_us();
	char name[CHILD_NAME_SIZE];

	if (draining) {
		if (WIFSIGNALED(wait_status) && WTERMSIG(wait_status) != SIGTERM)
			log_warning("%s (pid %d) was killed by SIG%s while it drained", child_name(child, name),
				    child->pid, sigabbrev_np(WTERMSIG(wait_status)));
	} else if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == STATUS_CONFIGURATION) {
		child->refused = true;
		log_error("%s (pid %d) refuses its configuration: it is not started again", child_name(child, name),
			  child->pid);
	} else {
		prong_duration delay = backoff_next(&child->backoff, now - child->started_at, random_u64());

		child->start_at = now + delay;
		atomic_fetch_add(&slot->restarts, 1);
		log_death(child, slot, wait_status, delay);
	}
	clear_slot(plan->scoreboard, slot, wait_status);
	if (child->channel >= 0)
		close(child->channel);
	child->channel = -1;
	child->pid = 0;
	child->kill_at = INT64_MAX;
	child->ready = false;
}
