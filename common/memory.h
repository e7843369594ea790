/* What memory there is, and how much of it this process has. */
#ifndef MEMORY_H
#define MEMORY_H

#include "common/basics.h"

/* Bytes of this process that are in memory now, shared ones included; 0 where that cannot be told. */
uint64_t memory_resident(void);

/* Bytes that this process and its siblings may have: the machine's, or what their control group is limited to. */
uint64_t memory_of_machine(void);

#endif
