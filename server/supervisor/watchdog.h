/*
 * The master's watchdog: a child whose loop has not turned for WATCHDOG_TIMEOUT (it blocks, spins, or was stopped) is
 * ended by SIGABRT, for a core to look at, and by SIGKILL a little later.
 */
#ifndef WATCHDOG_H
#define WATCHDOG_H

#include "server/supervisor/child.h"

struct watchdog {
	prong_duration timeout; /* 0: it never looks */
	int64_t look_at;	/* when to look next, monotonic µs */
	int64_t awake_since;	/* until then the master itself did not run, so its children may not have either */
};

void watchdog_init(struct watchdog *watchdog, prong_duration timeout);

/* Looks after all children, when it is time to. */
void watchdog_look(struct watchdog *watchdog, struct family *family, const struct plan *plan);

#endif
