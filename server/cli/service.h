/*
 * A program that `dev` runs beside the application: forked and executed, its output in a log file, in a session of its
 * own so that Ctrl-C reaches `dev` alone, and told to stop by the kernel should `dev` die. Needs supervisor_block():
 * all waiting is for signals.
 */
#ifndef SERVICE_H
#define SERVICE_H

#include <sys/types.h>

#include "common/basics.h"

/* Whom a service runs as. */
struct service_user {
	const char *name;
	uid_t uid;
	gid_t gid;
};

struct service {
	const char *name;		 /* for people: "PostgreSQL" */
	const char *log;		 /* file that its output is appended to */
	const struct service_user *user; /* NULL: the user who runs `dev` */
	int stop_signal;
	pid_t pid;	   /* 0: not running */
	int wait_status;   /* of its end */
	off_t log_started; /* where in the log this run begins */
};

/* Starts `argv[0]`. 0, or a negative errno (-ENOENT: no such program). */
int service_start(struct service *service, const char *const argv[]);

/*
 * Waits until `ready(argument)` says so, asked every 20 ms. 0; -ECHILD: it has ended before; -ETIMEDOUT after
 * `patience`; -EINTR: SIGTERM, SIGINT or SIGHUP came.
 */
int service_wait(struct service *service, prong_duration patience, bool (*ready)(void *argument), void *argument);

/* Waits until it has ended by itself: 0, or -ETIMEDOUT, -EINTR as above. */
int service_finish(struct service *service, prong_duration patience);

/* Notes the end of a process that waitpid() has told; true if it is this one. */
bool service_ended(struct service *service, pid_t pid, int wait_status);

/* Asks it to stop, waits at most ten seconds, kills it; nothing when it does not run. */
void service_stop(struct service *service);

/* "it was killed by SIGKILL", malloc'ed. */
char *service_end_text(const struct service *service);

/* Prints the last lines that this run has logged, on standard error. */
void service_show_log(const struct service *service);

/* Becomes that user for good; for use after fork(). -errno. */
int service_become(const struct service_user *user);

#endif
