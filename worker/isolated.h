/* The child's program: one attempt of one job, from the request to the report (isolation_wire.h). */
#ifndef ISOLATED_H
#define ISOLATED_H

#include "common/process.h"

_Noreturn void isolated_main(const struct process *process, int request, int report);

#endif
