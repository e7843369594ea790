/* A heap of deadlines, the earliest first. Entries are embedded in their owners; O(log n), O(1) for the usual case. */
#ifndef DEADLINES_H
#define DEADLINES_H

#include "common/basics.h"

struct deadline {
	int64_t at;   /* monotonic µs; INT64_MAX while it is not in the heap */
	size_t place; /* in the heap */
};

struct deadlines {
	struct deadline **heap;
	size_t count;
};

#define DEADLINE_NONE ((struct deadline){ .at = INT64_MAX })

void deadlines_init(struct deadlines *deadlines, size_t capacity);
void deadlines_close(struct deadlines *deadlines);
struct deadline *deadlines_first(const struct deadlines *deadlines); /* NULL: none */

/* Puts `deadline` in, or moves it; INT64_MAX takes it out. */
void deadlines_set(struct deadlines *deadlines, struct deadline *deadline, int64_t at);

#endif
