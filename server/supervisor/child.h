/*
 * One child of the master: the process that now serves a slot of the scoreboard, or the memory of when to start the
 * next one. The master owns it; the child's own side of the fork is in child.c too.
 */
#ifndef CHILD_H
#define CHILD_H

#include "common/process.h"
#include "server/supervisor/backoff.h"

struct plan;

struct child {
	enum process_class class;
	size_t number, slot;
	pid_t pid;   /* 0: none */
	int channel; /* to it; -1: none */
	bool ready;
	bool refused;		      /* ended with STATUS_CONFIGURATION: not started again */
	int64_t started_at, start_at; /* monotonic µs; `start_at` INT64_MAX: not waiting to be started */
	int64_t kill_at;	      /* the watchdog has asked it to abort, and kills it then; INT64_MAX: it has not */
	struct backoff backoff;
};

/* What the master holds open, for a child to close. */
struct family {
	struct child *children;
	size_t count;
	int signals; /* signalfd */
};

/*
 * Forks the child. In it, closes what is the master's, runs the class's main and exits with its status: the call
 * returns in the master only. 0, or a negative errno with everything as before.
 */
int child_start(struct child *child, const struct plan *plan, const struct family *family);

/*
 * Notes the death that waitpid() told, in the child and on the scoreboard, and when to start the next one. `draining`:
 * do not.
 */
void child_ended(struct child *child, const struct plan *plan, int wait_status, bool draining);

/* "http 0", into `name`; returns it. */
#define CHILD_NAME_SIZE 32
char *child_name(const struct child *child, char name[CHILD_NAME_SIZE]);

/* " in job ID" for whose code runs, or ran, in the slot's process, "" for none; into `text`, and returns it. */
#define CHILD_JOB_SIZE 64
char *child_job(const struct scoreboard_slot *slot, char text[CHILD_JOB_SIZE]);

#endif
