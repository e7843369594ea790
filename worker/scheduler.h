/*
 * The scheduler's program: housekeeping of the queues, so that jobs of dead workers and jobs that became due move on
 * even where no worker looks, and the gauges of the queues' depths. Everything it does may be done twice: there is no
 * leader.
 */
#ifndef SCHEDULER_H
#define SCHEDULER_H

#include "common/process.h"

int scheduler_main(const struct process *process);

#endif
