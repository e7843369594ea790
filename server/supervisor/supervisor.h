/*
 * The master: forks the children of a plan, watches, restarts and drains them. Single-threaded, with no event library,
 * no database and no application code in its path: it waits in one poll() for signals and for its children's channels,
 * with its own timers.
 */
#ifndef SUPERVISOR_H
#define SUPERVISOR_H

#include "common/process.h"

struct composition;

/* What to run. Everything is borrowed. */
struct plan {
	const struct settings *settings;
	const struct registry *registry;
	const struct composition *composition;
	size_t counts[PROCESS_CLASSES];
	struct scoreboard *scoreboard;
	int listener; /* -1: none; supervisor_run() takes it, and closes it when the tree drains */
	int permits;  /* the password hasher's memory file */
};

/*
 * Blocks the signals that supervisor_run() takes, so that none is lost between reading the command line and running.
 * Call it before anything is forked that the signals should not end; supervisor_unblock() is for such children.
 */
void supervisor_block(void);
void supervisor_unblock(void);

/*
 * Runs the tree until SIGTERM or SIGINT have drained it: STATUS_OK; STATUS_FAILURE when a second one cut that short.
 * STATUS_CONFIGURATION when a child said so before all were ready, or when every child has said so.
 */
int supervisor_run(const struct plan *plan);

#endif
