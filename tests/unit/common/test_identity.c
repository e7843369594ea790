#include "common/identity.h"
#include "tests/unit/test.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

/* A process that waits to be killed, and its identity. */
static pid_t start_other(char identity[128])
{
	int channel[2];
	ssize_t n;
	pid_t pid;

	CU_ASSERT_FATAL(pipe(channel) == 0);
	pid = fork();
	if (pid == 0) {
		_cleanup_(freep) char *own = process_identity();

		if (write(channel[1], own, strlen(own) + 1) < 0)
			_exit(1);
		for (;;)
			pause();
	}
	n = read(channel[0], identity, 128);
	CU_ASSERT_FATAL(n > 1 && identity[n - 1] == '\0');
	close(channel[0]);
	close(channel[1]);
	return pid;
}

static void end_other(pid_t pid)
{
	kill(pid, SIGKILL);
	CU_ASSERT(waitpid(pid, NULL, 0) == pid);
}

TEST(identity, tells_the_living_from_the_dead)
{
	_cleanup_(freep) char *own = process_identity();
	char other[128];
	siginfo_t info;
	pid_t pid = start_other(other);

	CU_ASSERT_FATAL(own != NULL);
	CU_ASSERT(!string_equal(own, other));
	CU_ASSERT(!process_is_dead(own));
	CU_ASSERT(!process_is_dead(other));
	kill(pid, SIGSTOP);
	CU_ASSERT(waitpid(pid, NULL, WUNTRACED) == pid);
	CU_ASSERT(!process_is_dead(other));
	/* One that its parent has not noticed is left to the parent: it knows more. */
	kill(pid, SIGKILL);
	CU_ASSERT(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) == 0);
	CU_ASSERT(!process_is_dead(other));
	end_other(pid);
	CU_ASSERT(process_is_dead(other));
}

/* As `identity` with another field; the fields are boot, namespace, pid, start. */
static char *with(const char *identity, int field, const char *value)
{
	char fields[4][64];

	CU_ASSERT_FATAL(sscanf(identity, "%63s %63s %63s %63s", fields[0], fields[1], fields[2], fields[3]) == 4);
	snprintf(fields[field], sizeof(fields[field]), "%s", value);
	return format_text("%s %s %s %s", fields[0], fields[1], fields[2], fields[3]);
}

TEST(identity, knows_a_pid_that_was_given_again)
{
	_cleanup_(freep) char *own = process_identity(), *earlier = with(own, 3, "1");

	CU_ASSERT(process_is_dead(earlier));
}

TEST(identity, is_never_sure_of_what_it_cannot_see)
{
	_cleanup_(freep) char *elsewhere = NULL, *inside = NULL, *nobody = NULL;
	char other[128];
	pid_t pid = start_other(other);

	end_other(pid);
	elsewhere = with(other, 0, "00000000-0000-0000-0000-000000000000");
	inside = with(other, 1, "1");
	nobody = with(other, 2, "0");
	CU_ASSERT(process_is_dead(other));
	CU_ASSERT(!process_is_dead(elsewhere));
	CU_ASSERT(!process_is_dead(inside));
	CU_ASSERT(!process_is_dead(nobody));
	CU_ASSERT(!process_is_dead(""));
	CU_ASSERT(!process_is_dead("web-1 4711"));
	CU_ASSERT(!process_is_dead("a b c d"));
}
