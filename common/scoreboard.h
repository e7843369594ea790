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
	_Atomic uint64_t
		predecessor; /* incarnation of the child that died here last; 0: none. A worker returns its jobs */
	/* Written by the child. */
	_Atomic uint64_t incarnation; /* of a worker: random, the owner of its jobs */
};

struct scoreboard {
	size_t n_slots;
	size_t first[PROCESS_CLASSES], count[PROCESS_CLASSES]; /* each class's range of slots; fixed before the fork */
	_Atomic int32_t draining;			       /* master: the whole tree is leaving */
	struct scoreboard_slot slots[];
};

/* Shared memory for the given counts; never NULL. */
struct scoreboard *scoreboard_new(const size_t counts[PROCESS_CLASSES]);

/* Unmaps it in this process only; returns NULL. A process's end does the same. */
struct scoreboard *scoreboard_free(struct scoreboard *scoreboard);

const char *process_class_name(enum process_class class); /* "http", "worker", "scheduler" */

#endif
