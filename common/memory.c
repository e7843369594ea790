#include "common/memory.h"

#include <stdio.h>

uint64_t memory_resident(void)
{
	_cleanup_(freep) char *statm = NULL;
	unsigned long long pages;
	size_t size;

	if (file_read("/proc/self/statm", 4096, &statm, &size) < 0 || sscanf(statm, "%*u %llu", &pages) != 1)
		return 0;
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Of the own control group (version 2), as systemd and containers set it; UINT64_MAX for none. */
static uint64_t control_group_limit(void)
{
	_cleanup_(freep) char *groups = NULL, *path = NULL, *limit = NULL;
	unsigned long long bytes;
	const char *name;
	size_t size;

	if (file_read("/proc/self/cgroup", 65536, &groups, &size) < 0)
		return UINT64_MAX;
	name = strstr(groups, "0::"); /* the line of version 2; others have no empty second field */
	if (!name)
		return UINT64_MAX;
	name += strlen("0::");
	path = format_text("/sys/fs/cgroup%.*s/memory.max", (int)strcspn(name, "\n"), name);
	if (file_read(path, 4096, &limit, &size) < 0 || sscanf(limit, "%llu", &bytes) != 1)
		return UINT64_MAX;
	return bytes;
}

uint64_t memory_of_machine(void)
{
	uint64_t machine = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t limit = control_group_limit();

	return limit < machine ? limit : machine;
}
