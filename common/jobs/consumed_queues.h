/* Which queues the workers of a tree consume: JOB_QUEUES. */
#ifndef CONSUMED_QUEUES_H
#define CONSUMED_QUEUES_H

#include "common/registry.h"
#include "common/settings.h"

/* 0; or -EINVAL with a sentence (malloc'ed) that says which name is no queue, and which are. */
int consumed_queues_check(const struct settings *settings, const struct registry *registry, char **ret_reason);

/* By the registry's index, malloc'ed; all where JOB_QUEUES is unset. */
bool *consumed_queues(const struct settings *settings, const struct registry *registry);

/* The names of those that are not consumed, with commas between; malloc'ed; NULL: none. */
char *consumed_queues_others(const struct settings *settings, const struct registry *registry);

#endif
