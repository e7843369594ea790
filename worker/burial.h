/*
 * Jobs that died without a verdict of a worker that ran them, and durable jobs that died: they are logged and counted,
 * and PostgreSQL is told of durable ones, as well as that goes.
 */
#ifndef BURIAL_H
#define BURIAL_H

#include "common/jobs/job_queue.h"
#include "common/runtime.h"

/* Jobs of a queue of the registry that the engine found dead, as an exchange or a reclaim told. Suspends. */
void burial_of_lost(struct runtime *runtime, size_t queue_index, const struct job_buried *buried, size_t count);

/* A durable job whose verdict, dead with `error` (JSON), Redis has taken. Suspends. */
void burial_of_durable(struct runtime *runtime, const char *id, const char *error);

#endif
