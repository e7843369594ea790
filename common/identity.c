#include "common/identity.h"

#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

struct identity {
	char boot[40];
	unsigned long long namespace, start; /* `start` in clock ticks since the boot */
	int pid;
};

/* The 22nd field; the second, the program's name, may contain anything. */
static int read_start(pid_t pid, unsigned long long *ret_start)
{
	_cleanup_(freep) char *path = format_text("/proc/%d/stat", pid), *stat = NULL;
	const char *field;
	size_t size;
	int r = file_read(path, 65536, &stat, &size);

	if (r < 0)
		return r;
	field = strrchr(stat, ')');
	for (int i = 2; field && i < 22; i++)
		field = strchr(field + 1, ' ');
	return field && sscanf(field, " %llu", ret_start) == 1 ? 0 : -EINVAL;
}

static int read_own(struct identity *ret_identity)
{
	_cleanup_(freep) char *boot = NULL;
	struct identity identity = { .pid = getpid() };
	struct stat namespace;
	size_t size;

	if (file_read("/proc/sys/kernel/random/boot_id", 4096, &boot, &size) < 0 ||
	    sscanf(boot, "%39s", identity.boot) != 1)
		return -ENODATA;
	if (stat("/proc/self/ns/pid", &namespace) < 0 || read_start(identity.pid, &identity.start) < 0)
		return -ENODATA;
	identity.namespace = namespace.st_ino;
	*ret_identity = identity;
	return 0;
}

char *process_identity(void)
{
	struct identity own;

	if (read_own(&own) < 0)
		return NULL;
	return format_text("%s %llu %d %llu", own.boot, own.namespace, own.pid, own.start);
}

bool process_is_dead(const char *identity)
{
	struct identity own, other;
	unsigned long long start;

	if (sscanf(identity, "%39s %llu %d %llu", other.boot, &other.namespace, &other.pid, &other.start) != 4 ||
	    other.pid <= 0 || read_own(&own) < 0)
		return false;
	if (!string_equal(own.boot, other.boot) || own.namespace != other.namespace)
		return false;
	/* Not by /proc alone: mounted with hidepid it does not show what belongs to others. */
	if (kill(other.pid, 0) < 0 && errno == ESRCH)
		return true;
	return read_start(other.pid, &start) == 0 && start != other.start;
}
