/* The job worker's program: consumes the queues of the registry, each job a coroutine (common/process.h). */
#ifndef WORKER_H
#define WORKER_H

#include "common/process.h"

int worker_main(const struct process *process);

#endif
