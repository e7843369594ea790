#include "server/supervisor/watchdog.h"

#include <signal.h>

#include "common/log.h"
#include "server/supervisor/supervisor.h"

/* Between SIGABRT and SIGKILL: for writing a core. A stopped process takes only the second. */
#define ABORT_GRACE PRONG_SECONDS(2)

/* How often children are looked at; a master that comes so much too late was held up, and its children with it. */
static prong_duration interval(const struct watchdog *watchdog)
{
	return watchdog->timeout / 4 < PRONG_SECONDS(1) ? watchdog->timeout / 4 : PRONG_SECONDS(1);
}

void watchdog_init(struct watchdog *watchdog, prong_duration timeout)
{
	*watchdog = (struct watchdog){ .timeout = timeout, .awake_since = monotonic_us() };
	watchdog->look_at = timeout ? watchdog->awake_since + interval(watchdog) : INT64_MAX;
}

static int64_t latest(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* Whoever debugs a process wants it to stay where it is. */
static bool is_traced(pid_t pid)
{
	static const char field[] = "\nTracerPid:";
	_cleanup_(freep) char *path = format_text("/proc/%d/status", pid), *status = NULL;
	const char *found;
	size_t size;

	if (file_read(path, 65536, &status, &size) < 0)
		return false;
	found = strstr(status, field);
	return found && atoi(found + strlen(field)) != 0;
}

static void look_at_child(struct watchdog *watchdog, struct child *child, struct scoreboard_slot *slot, int64_t now)
{
	int64_t alive_at = latest(latest(atomic_load(&slot->heartbeat), child->started_at), watchdog->awake_since);
	char name[CHILD_NAME_SIZE], job[CHILD_JOB_SIZE];

	if (now >= child->kill_at) {
		kill(child->pid, SIGKILL);
		return;
	}
	if (child->kill_at != INT64_MAX || now - alive_at < watchdog->timeout || is_traced(child->pid))
		return;
	log_error("%s (pid %d) is stuck%s, its loop has not turned for %lld ms: aborting it", child_name(child, name),
		  child->pid, child_job(slot, job), (long long)(now - alive_at) / 1000);
	atomic_fetch_add(&slot->stalls, 1);
	child->kill_at = now + ABORT_GRACE;
	kill(child->pid, SIGABRT);
}

void watchdog_look(struct watchdog *watchdog, struct family *family, const struct plan *plan)
{
	int64_t now = monotonic_us();

	if (now < watchdog->look_at)
		return;
	if (now - watchdog->look_at > interval(watchdog))
		watchdog->awake_since = now;
	watchdog->look_at = now + interval(watchdog);
	for (size_t i = 0; i < family->count; i++)
		if (family->children[i].pid)
			look_at_child(watchdog, &family->children[i],
				      &plan->scoreboard->slots[family->children[i].slot], now);
}
