/*
 * What crosses the fork: all that a child of the master is given, and how it reports back. A child's main reads as a
 * checklist: build the runtime → say READY → run the loop → drain → leave.
 */
#ifndef PROCESS_H
#define PROCESS_H

#include "common/loop.h"
#include "common/registry.h"
#include "common/scoreboard.h"
#include "common/settings.h"

struct process {
	enum process_class class;
	size_t slot;   /* in the scoreboard */
	size_t number; /* within its class, from 0 */
	int channel; /* to the master: the child writes one byte when ready, and sees its end when the master is gone */
	int listener; /* the bound, listening socket; -1 where the class serves none */
	int permits;  /* the password hasher's memory file */
	const struct settings *settings;
	const struct registry *registry;
	struct scoreboard *scoreboard;
};

/* A class's program; what it returns is the child's exit status. 78 (configuration) is not restarted. */
typedef int process_main(const struct process *process);

/* The exit statuses of every command and process (sysexits.h). */
enum exit_status {
	STATUS_OK = 0,
	STATUS_FAILURE = 1,
	STATUS_USAGE = 64,
	STATUS_UNAVAILABLE = 69,
	STATUS_TRY_AGAIN = 75,
	STATUS_CONFIGURATION = 78,
};

/*
 * In the child, once its loop exists: from now on SIGTERM, which is blocked until here, calls `drain(argument)` once,
 * on the loop; the end of the channel (the master is gone) ends the process at once; SIGINT and SIGHUP, which a
 * terminal sends to every process, are left to the master. The loop's turning and whose code it runs show in the slot:
 * a loop that does not turn for WATCHDOG_TIMEOUT, be it blocked, is the end of the process. `process` is borrowed until
 * process_detach(), after which SIGTERM is ignored too.
 */
void process_attach(const struct process *process, struct loop *loop, void (*drain)(void *argument), void *argument);
void process_detach(void);

/*
 * Between the two: a process that has grown beyond `bytes` in memory says so in the log and drains as after SIGTERM;
 * the master starts the next. 0: no limit.
 */
void process_limit_memory(uint64_t bytes);

/* Tells the master that this process serves. */
void process_ready(const struct process *process);

#endif
