/* Parts of a scheduler that run beside the test's own coroutines, in its process. */
#ifndef PARTS_H
#define PARTS_H

#include "tests/unit/common/durable_fixture.h"
#include "worker/scheduler.h"

struct parts {
	struct durable durable;
	struct process process;
	struct scheduler schedulers[2];
	struct part {
		struct parts *all;
		struct scheduler *scheduler;
		scheduler_part_main *main;
		struct coroutine *coroutine; /* NULL: it has ended */
	} started[4];
	size_t n_started, n_running;
};

void parts_open(struct parts *parts);
void parts_close(struct parts *parts); /* stops the parts first */

/* Starts a part of the scheduler `number`. */
void parts_start(struct parts *parts, size_t number, scheduler_part_main *main);

/* Waits until a query's first column is 0, NULL, or there is no row; false after a minute. */
bool parts_come_to_nothing(struct parts *parts, const char *sql);

#endif
