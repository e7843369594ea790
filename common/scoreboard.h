/*
 * The scoreboard: shared memory through which the master sees its children and they see each other. One slot per
 * child, reserved per class, one writer per field as stated. Only fixed-layout integers and bounded text.
 */
#ifndef SCOREBOARD_H
#define SCOREBOARD_H

#include <stdatomic.h>

#include "common/basics.h"

enum process_class { PROCESS_HTTP, PROCESS_WORKER, PROCESS_SCHEDULER, PROCESS_CLASSES };
enum process_state { PROCESS_ABSENT, PROCESS_STARTING, PROCESS_READY, PROCESS_DRAINING };

struct scoreboard_slot {
	/* Written by the master. Slots share no cache line. */
	_Alignas(64) _Atomic int32_t pid; /* 0: none */
	_Atomic int32_t state;		  /* STARTING and ABSENT by the master, READY and DRAINING by the child */
	_Atomic uint32_t restarts;
	_Atomic uint32_t stalls; /* children that the watchdog ended */
	/* Written by the child; the master clears them after its death. */
	_Atomic uint64_t incarnation; /* of a worker: random, the owner of its jobs */
	_Atomic uint64_t running[2];  /* the job whose code runs now: loop_set_mark_place(); read by slot_culprit() */
	_Atomic uint64_t crashed[2];  /* the job whose work crashed on a thread beside the loop: crash_watch() */
	_Atomic int64_t heartbeat;    /* when its loop last turned, monotonic µs; 0: not yet */
};

/* The end of a process that may have had jobs, for the scheduler to put them back. */
struct death {
	uint64_t incarnation;
	prong_uuid culprit; /* the job whose code ran at that moment; zero: none */
	int wait_status;    /* of waitpid() */
};

#define DEATHS 64 /* kept; later ones take the place of the oldest */

struct death_entry {
	_Atomic uint64_t incarnation, culprit[2];
	_Atomic int32_t wait_status;
};

struct scoreboard {
	size_t n_slots;
	size_t first[PROCESS_CLASSES], count[PROCESS_CLASSES]; /* each class's range of slots; fixed before the fork */
	_Atomic int32_t draining;			       /* master: the whole tree is leaving */
	int death_fd;					       /* an eventfd, readable after scoreboard_add_death() */
	_Atomic uint64_t deaths_added;			       /* master */
	_Atomic uint64_t deaths_settled;		       /* scheduler: its successor goes on from there */
	struct death_entry deaths[DEATHS];		       /* master; the n-th death at n % DEATHS */
	struct scoreboard_slot slots[];
};

/* Shared memory for the given counts; never NULL. */
struct scoreboard *scoreboard_new(const size_t counts[PROCESS_CLASSES]);

/* Unmaps it in this process only; returns NULL. A process's end does the same. */
struct scoreboard *scoreboard_free(struct scoreboard *scoreboard);

const char *process_class_name(enum process_class class); /* "http", "worker", "scheduler" */

/* The job whose code runs in the slot's process, or ran when it died; zero: none. */
prong_uuid slot_culprit(const struct scoreboard_slot *slot);

/* The master: tells of a death, and wakes the scheduler. */
void scoreboard_add_death(struct scoreboard *scoreboard, const struct death *death);

/*
 * The scheduler: the oldest death that is not settled; false when there is none. The same one again until
 * scoreboard_settle_death(). What was overwritten before anybody came to it is left out.
 */
bool scoreboard_next_death(struct scoreboard *scoreboard, struct death *ret_death);
void scoreboard_settle_death(struct scoreboard *scoreboard);

#endif
