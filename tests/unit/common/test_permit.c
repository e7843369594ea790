#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "common/basics.h"
#include "common/security/password.h"
#include "common/security/permit.h"
#include "tests/unit/test.h"

TEST(permit, is_one_of_a_fixed_number)
{
	_cleanup_(closep) int fd = password_permits_open();
	int permits[3];

	for (size_t i = 0; i < 3; i++) {
		permits[i] = permit_take(fd, 3, 0);
		CU_ASSERT(permits[i] >= 0);
	}
	CU_ASSERT_EQUAL(permit_take(fd, 3, 0), -EAGAIN);
	close(permits[1]);
	permits[1] = permit_take(fd, 3, 0);
	CU_ASSERT(permits[1] >= 0);
	for (size_t i = 0; i < 3; i++)
		close(permits[i]);
}

TEST(permit, is_waited_for_until_the_deadline)
{
	_cleanup_(closep) int fd = password_permits_open();
	_cleanup_(closep) int held = permit_take(fd, 1, 0);
	int64_t deadline = monotonic_us() + 20000;

	CU_ASSERT(held >= 0);
	CU_ASSERT_EQUAL(permit_take(fd, 1, deadline), -EAGAIN);
	CU_ASSERT(monotonic_us() >= deadline);
}

TEST(permit, is_not_there_without_a_descriptor)
{
	_cleanup_(closep) int fd = password_permits_open();
	struct rlimit before, none;

	CU_ASSERT_FATAL(getrlimit(RLIMIT_NOFILE, &before) == 0);
	none = before;
	none.rlim_cur = 0;
	CU_ASSERT_FATAL(setrlimit(RLIMIT_NOFILE, &none) == 0);
	CU_ASSERT_EQUAL(permit_take(fd, 1, 0), -EAGAIN);
	CU_ASSERT_FATAL(setrlimit(RLIMIT_NOFILE, &before) == 0);
}

struct shared {
	_Atomic int inside, most;
};

static void work_under_permits(int fd, size_t count, struct shared *shared)
{
	for (int i = 0; i < 40; i++) {
		_cleanup_(closep) int permit = permit_take(fd, count, INT64_MAX);
		int inside = atomic_fetch_add(&shared->inside, 1) + 1, most = atomic_load(&shared->most);

		if (permit < 0)
			_exit(1);
		while (inside > most && !atomic_compare_exchange_weak(&shared->most, &most, inside))
			;
		usleep(200);
		atomic_fetch_sub(&shared->inside, 1);
	}
	_exit(0);
}

TEST(permit, holds_over_processes)
{
	_cleanup_(closep) int fd = password_permits_open();
	struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t children[8];

	CU_ASSERT_FATAL(shared != MAP_FAILED);
	for (size_t i = 0; i < ARRAY_SIZE(children); i++) {
		children[i] = fork();
		CU_ASSERT_FATAL(children[i] >= 0);
		if (children[i] == 0)
			work_under_permits(fd, 3, shared);
	}
	for (size_t i = 0; i < ARRAY_SIZE(children); i++) {
		int status;

		CU_ASSERT_EQUAL(waitpid(children[i], &status, 0), children[i]);
		CU_ASSERT_EQUAL(status, 0);
	}
	CU_ASSERT(shared->most >= 1 && shared->most <= 3);
	munmap(shared, sizeof(*shared));
}

TEST(permit, is_freed_by_sigkill)
{
	_cleanup_(closep) int fd = password_permits_open();
	_cleanup_(closep) int permit = -1;
	int ready[2], status;
	pid_t child;
	char byte;

	CU_ASSERT_FATAL(pipe(ready) == 0);
	child = fork();
	CU_ASSERT_FATAL(child >= 0);
	if (child == 0) {
		if (permit_take(fd, 1, 0) < 0 || write(ready[1], "", 1) != 1)
			_exit(1);
		pause();
		_exit(1);
	}
	close(ready[1]);
	CU_ASSERT_EQUAL_FATAL(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	CU_ASSERT_EQUAL(permit_take(fd, 1, 0), -EAGAIN);
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	CU_ASSERT(WIFSIGNALED(status));
	permit = permit_take(fd, 1, 0);
	CU_ASSERT(permit >= 0);
}

TEST(permit, needs_a_file)
{
	CU_ASSERT_EQUAL(permit_take(1 << 20, 1, 0), -ENOENT);
}
