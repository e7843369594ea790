#include "common/identity.h"

#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

struct identity {
	char boot[40];
	unsigned long long namespace, start; /* `start` in clock ticks since the boot */
	int pid;
};

/* What /proc says of a process. */
struct stat_line {
	char state;
	int parent, threads;
	unsigned long long start;
};

/* The 3rd, 4th, 20th and 22nd field; the second, the program's name, may contain anything. */
static int read_stat(pid_t pid, struct stat_line *ret_line)
{
	_cleanup_(freep) char *path = format_text("/proc/%d/stat", pid), *text = NULL;
	struct stat_line line;
	const char *field;
	size_t size;
	int r = file_read(path, 65536, &text, &size);

	if (r < 0)
		return r;
	field = strrchr(text, ')');
	if (!field || sscanf(field, ") %c %d", &line.state, &line.parent) != 2)
		return -EINVAL;
	for (int i = 2; field && i < 20; i++)
		field = strchr(field + 1, ' ');
	if (!field || sscanf(field, " %d %*s %llu", &line.threads, &line.start) != 2)
		return -EINVAL;
	*ret_line = line;
	return 0;
}

static int read_own(struct identity *ret_identity)
{
	_cleanup_(freep) char *boot = NULL;
	struct identity identity = { .pid = getpid() };
	struct stat namespace;
	struct stat_line line;
	size_t size;

	if (file_read("/proc/sys/kernel/random/boot_id", 4096, &boot, &size) < 0 ||
	    sscanf(boot, "%39s", identity.boot) != 1)
		return -ENODATA;
	if (stat("/proc/self/ns/pid", &namespace) < 0 || read_stat(identity.pid, &line) < 0)
		return -ENODATA;
	identity.namespace = namespace.st_ino;
	identity.start = line.start;
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
	struct stat_line line;

	if (sscanf(identity, "%39s %llu %d %llu", other.boot, &other.namespace, &other.pid, &other.start) != 4 ||
	    other.pid <= 0 || read_own(&own) < 0)
		return false;
	if (!string_equal(own.boot, other.boot) || own.namespace != other.namespace)
		return false;
	/* Not by /proc alone: mounted with hidepid it does not show what belongs to others. */
	if (kill(other.pid, 0) < 0 && errno == ESRCH)
		return true;
	if (read_stat(other.pid, &line) < 0)
		return false;
	/* Whoever waits to be reaped is its parent's affair, which knows more, but for an orphan: init may take its
	 * time. */
	return line.start != other.start || (line.state == 'Z' && line.parent == 1 && line.threads <= 1);
}
