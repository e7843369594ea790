#include "common/deadlines.h"

void deadlines_init(struct deadlines *deadlines, size_t capacity)
{
	*deadlines = (struct deadlines){ .heap = allocate_array(capacity, sizeof(struct deadline *)) };
}

void deadlines_close(struct deadlines *deadlines)
{
	free(deadlines->heap);
	*deadlines = (struct deadlines){ 0 };
}

struct deadline *deadlines_first(const struct deadlines *deadlines)
{
	return deadlines->count ? deadlines->heap[0] : NULL;
}

static void put(struct deadlines *deadlines, size_t place, struct deadline *deadline)
{
	deadlines->heap[place] = deadline;
	deadline->place = place;
}

static void rise(struct deadlines *deadlines, size_t place, struct deadline *deadline)
{
	while (place > 0 && deadlines->heap[(place - 1) / 2]->at > deadline->at) {
		put(deadlines, place, deadlines->heap[(place - 1) / 2]);
		place = (place - 1) / 2;
	}
	put(deadlines, place, deadline);
}

static void sink(struct deadlines *deadlines, size_t place, struct deadline *deadline)
{
	for (;;) {
		size_t child = 2 * place + 1;

		if (child + 1 < deadlines->count && deadlines->heap[child + 1]->at < deadlines->heap[child]->at)
			child++;
		if (child >= deadlines->count || deadlines->heap[child]->at >= deadline->at)
			break;
		put(deadlines, place, deadlines->heap[child]);
		place = child;
	}
	put(deadlines, place, deadline);
}

static void move(struct deadlines *deadlines, size_t place, struct deadline *deadline)
{
	if (place > 0 && deadlines->heap[(place - 1) / 2]->at > deadline->at)
		rise(deadlines, place, deadline);
	else
		sink(deadlines, place, deadline);
}

void deadlines_set(struct deadlines *deadlines, struct deadline *deadline, int64_t at)
{
	bool inside = deadline->at != INT64_MAX;

	deadline->at = at;
	if (at == INT64_MAX && inside) {
		struct deadline *last = deadlines->heap[--deadlines->count];

		if (last != deadline)
			move(deadlines, deadline->place, last);
	} else if (inside) {
		move(deadlines, deadline->place, deadline);
	} else if (at != INT64_MAX) {
		rise(deadlines, deadlines->count++, deadline);
	}
}
