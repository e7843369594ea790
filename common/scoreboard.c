#include "common/scoreboard.h"

#include <sys/mman.h>

static size_t size_of(size_t n_slots)
{
	return sizeof(struct scoreboard) + n_slots * sizeof(struct scoreboard_slot);
}

struct scoreboard *scoreboard_new(const size_t counts[PROCESS_CLASSES])
{
	struct scoreboard *scoreboard;
	size_t n_slots = 0;

	for (size_t class = 0; class < PROCESS_CLASSES; class ++)
		n_slots += counts[class];
	scoreboard = mmap(NULL, size_of(n_slots), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (scoreboard == MAP_FAILED)
		panic("no shared memory for %zu processes: %s", n_slots, strerror(errno));
	scoreboard->n_slots = n_slots;
	for (size_t class = 0, first = 0; class < PROCESS_CLASSES; first += counts[class ++]) {
		scoreboard->first[class] = first;
		scoreboard->count[class] = counts[class];
	}
	return scoreboard;
}

struct scoreboard *scoreboard_free(struct scoreboard *scoreboard)
{
	if (scoreboard)
		munmap(scoreboard, size_of(scoreboard->n_slots));
	return NULL;
}

const char *process_class_name(enum process_class class)
{
	static const char *const names[] = { "http", "worker", "scheduler" };

	check(class < PROCESS_CLASSES);
	return names[class];
}
