#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "common/basics.h"
#include "common/security/permit.h"
#include "tests/unit/test.h"

static void permits_freep(struct permits **permits)
{
	permits_free(*permits);
}

/* Both as they are in each process: one file, one view of it. */
#define PERMITS(count)                             \
	_cleanup_(closep) int fd = permits_open(); \
	_cleanup_(permits_freep) struct permits *permits = permits_new(fd, count)

TEST(permit, is_one_of_a_fixed_number)
{
	PERMITS(3);
	int taken[3];

	for (size_t i = 0; i < 3; i++) {
		taken[i] = permit_take(permits, 0);
		CU_ASSERT(taken[i] >= 0);
	}
	CU_ASSERT_EQUAL(permit_take(permits, 0), -EAGAIN);
	permit_release(permits, taken[1]);
	taken[1] = permit_take(permits, 0);
	CU_ASSERT(taken[1] >= 0);
	for (size_t i = 0; i < 3; i++)
		permit_release(permits, taken[i]);
}

TEST(permit, is_waited_for_until_the_deadline)
{
	PERMITS(1);
	_cleanup_(closep) int held = permit_take(permits, 0);
	int64_t deadline = monotonic_us() + 20000;

	CU_ASSERT(held >= 0);
	CU_ASSERT_EQUAL(permit_take(permits, deadline), -EAGAIN);
	CU_ASSERT(monotonic_us() >= deadline);
}

TEST(permit, is_not_there_without_a_descriptor)
{
	PERMITS(1);
	struct rlimit before, none;

	CU_ASSERT_FATAL(getrlimit(RLIMIT_NOFILE, &before) == 0);
	none = before;
	none.rlim_cur = 0;
	CU_ASSERT_FATAL(setrlimit(RLIMIT_NOFILE, &none) == 0);
	CU_ASSERT_EQUAL(permit_take(permits, 0), -EAGAIN);
	CU_ASSERT_FATAL(setrlimit(RLIMIT_NOFILE, &before) == 0);
}

struct shared {
	_Atomic int inside, most;
};

static void work_under_permits(int fd, struct shared *shared)
{
	struct permits *permits = permits_new(fd, 3);

	for (int i = 0; i < 40; i++) {
		int permit = permit_take(permits, INT64_MAX);
		int inside = atomic_fetch_add(&shared->inside, 1) + 1, most = atomic_load(&shared->most);

		if (permit < 0)
			_exit(1);
		while (inside > most && !atomic_compare_exchange_weak(&shared->most, &most, inside))
			;
		usleep(200);
		atomic_fetch_sub(&shared->inside, 1);
		permit_release(permits, permit);
	}
	_exit(0);
}

TEST(permit, holds_over_processes)
{
	_cleanup_(closep) int fd = permits_open();
	struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t children[8];

	CU_ASSERT_FATAL(shared != MAP_FAILED);
	for (size_t i = 0; i < ARRAY_SIZE(children); i++) {
		children[i] = fork();
		CU_ASSERT_FATAL(children[i] >= 0);
		if (children[i] == 0)
			work_under_permits(fd, shared);
	}
	for (size_t i = 0; i < ARRAY_SIZE(children); i++) {
		int status;

		CU_ASSERT_EQUAL(waitpid(children[i], &status, 0), children[i]);
		CU_ASSERT_EQUAL(status, 0);
	}
	CU_ASSERT(shared->most >= 1 && shared->most <= 3);
	munmap(shared, sizeof(*shared));
}

struct waiter {
	struct permits *permits;
	int64_t taken_at;
};

static void *take_late(void *argument)
{
	struct waiter *waiter = argument;
	int permit = permit_take(waiter->permits, INT64_MAX);

	waiter->taken_at = monotonic_us();
	permit_release(waiter->permits, permit);
	return NULL;
}

/* Sooner than it would look by itself, at least once in many tries. */
TEST(permit, wakes_who_waits_for_it)
{
	PERMITS(1);
	int64_t soonest = INT64_MAX;

	for (int i = 0; i < 50 && soonest >= 1000; i++) {
		struct waiter waiter = { .permits = permits };
		int permit = permit_take(permits, 0);
		int64_t released_at;
		pthread_t thread;

		CU_ASSERT_FATAL(permit >= 0);
		CU_ASSERT_FATAL(pthread_create(&thread, NULL, take_late, &waiter) == 0);
		usleep(2000);
		released_at = monotonic_us();
		permit_release(permits, permit);
		pthread_join(thread, NULL);
		if (waiter.taken_at - released_at < soonest)
			soonest = waiter.taken_at - released_at;
	}
	CU_ASSERT(soonest < 1000);
}

TEST(permit, is_freed_by_sigkill)
{
	PERMITS(1);
	_cleanup_(closep) int permit = -1;
	int ready[2], status;
	pid_t child;
	char byte;

	CU_ASSERT_FATAL(pipe(ready) == 0);
	child = fork();
	CU_ASSERT_FATAL(child >= 0);
	if (child == 0) {
		if (permit_take(permits, 0) < 0 || write(ready[1], "", 1) != 1)
			_exit(1);
		pause();
		_exit(1);
	}
	close(ready[1]);
	CU_ASSERT_EQUAL_FATAL(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	CU_ASSERT_EQUAL(permit_take(permits, 0), -EAGAIN);
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	CU_ASSERT(WIFSIGNALED(status));
	permit = permit_take(permits, 0);
	CU_ASSERT(permit >= 0);
}

TEST(permit, needs_a_file)
{
	PERMITS(1);

	close(fd);
	fd = -1;
	CU_ASSERT_EQUAL(permit_take(permits, 0), -ENOENT);
}
