/*
 * The nursery: a process without threads, loop, connections or state of the application, that forks a child for each
 * attempt it is ordered to start, kills it when it is ordered to, and tells when it has ended. It leaves, with all its
 * children, when the worker's end of the channel closes.
 */
#ifndef NURSERY_H
#define NURSERY_H

#include "common/process.h"

/* Children at once; each has a place, by whose number the two speak of it. */
#define NURSERY_MAX_PLACES 256

enum nursery_order_kind {
	NURSERY_START, /* with two descriptors: the request, and where to report to */
	NURSERY_KILL,  /* without effect when it has ended already */
};

/* From the worker. A place may be used again once the end of its child was told. */
struct nursery_order {
	enum nursery_order_kind kind;
	unsigned place;
};

/* To the worker: the child of this place has ended, or could not be forked. */
struct nursery_news {
	unsigned place;
	int error; /* of fork(): negative errno; else 0 */
	int wait_status;
};

/* What the new process runs, with the socket (SOCK_SEQPACKET) on which orders come. */
_Noreturn void nursery_main(const struct process *process, int channel);

#endif
