/*
 * Which process of which machine: text that another process of the same machine can hold against the system, to learn
 * that the first is dead. It names the boot of the machine, the pid namespace, the pid, and when the process started.
 */
#ifndef IDENTITY_H
#define IDENTITY_H

#include "common/basics.h"

/* Of this process, malloc'ed; NULL where the system does not tell. */
char *process_identity(void);

/*
 * Whether the process that `identity` names has certainly ended. False in doubt: on another machine, in another pid
 * namespace, for text that is no identity.
 */
bool process_is_dead(const char *identity);

#endif
