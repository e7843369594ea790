#include "common/crash.h"
#include "common/thread_pool.h"
#include "tests/unit/test.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

/* What a process that crashes leaves behind. */
struct remains {
	_Atomic uint64_t place[2];
	prong_uuid mark; /* of what crashed */
};
static struct remains *remains;

static int *volatile nowhere = (int *)8;

static int write_nowhere(void *argument)
{
	(void)argument;
	*nowhere = 1;
	return 0;
}

static int abort_at_once(void *argument)
{
	(void)argument;
	abort();
}

static volatile bool for_ever = true;

static int overflow_the_stack(void *argument)
{
	volatile char room[4096];

	room[0] = (char)(uintptr_t)argument;
	return for_ever ? overflow_the_stack((void *)room) + room[0] : 0;
}

/* ---- in the process that crashes ---- */

static struct thread_pool *pool;
static int (*work)(void *argument);

static void run_on_thread(void *argument)
{
	(void)argument;
	coroutine_set_mark(coroutine_current(), remains->mark);
	thread_pool_run(pool, work, NULL, INT64_MAX);
}

static void run_on_loop(void *argument)
{
	coroutine_set_mark(coroutine_current(), remains->mark);
	work(argument);
}

static _Noreturn void be_crashing(coroutine_function *run)
{
	struct loop *loop = loop_new(2);

	dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
	signal(SIGSEGV, SIG_DFL); /* instead of a sanitizer's report */
	signal(SIGABRT, SIG_DFL);
	crash_watch(remains->place);
	pool = thread_pool_new(loop, 1, 1);
	check(coroutine_start(loop, run, NULL, NULL) == 0);
	loop_run(loop);
	_exit(1);
}

/* ---- in the test ---- */

/* The signal that ends it; what it leaves behind is in `remains`. */
static int death_of(coroutine_function *run, int (*crash)(void *argument))
{
	int status = 0;
	pid_t pid;

	remains = mmap(NULL, sizeof(*remains), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CU_ASSERT_FATAL(remains != MAP_FAILED);
	remains->mark = prong_uuid_make();
	work = crash;
	pid = fork();
	if (pid == 0)
		be_crashing(run);
	CU_ASSERT(waitpid(pid, &status, 0) == pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : -1;
}

static bool left_its_mark(void)
{
	bool left = memcmp((const void *)remains->place, remains->mark.bytes, sizeof(remains->mark.bytes)) == 0;

	munmap(remains, sizeof(*remains));
	return left;
}

TEST(crash, of_a_thread_says_whose_work_it_was)
{
	CU_ASSERT_EQUAL(death_of(run_on_thread, write_nowhere), SIGSEGV);
	CU_ASSERT(left_its_mark());
	CU_ASSERT_EQUAL(death_of(run_on_thread, abort_at_once), SIGABRT);
	CU_ASSERT(left_its_mark());
}

TEST(crash, of_a_thread_whose_stack_is_full_says_it_too)
{
	CU_ASSERT_EQUAL(death_of(run_on_thread, overflow_the_stack), SIGSEGV);
	CU_ASSERT(left_its_mark());
}

TEST(crash, of_the_loop_is_not_a_threads)
{
	CU_ASSERT_EQUAL(death_of(run_on_loop, write_nowhere), SIGSEGV);
	CU_ASSERT(!left_its_mark());
	CU_ASSERT_EQUAL(death_of(run_on_loop, abort_at_once), SIGABRT);
	CU_ASSERT(!left_its_mark());
}

static void abort_by_another(void *argument)
{
	(void)argument;
	kill(getpid(), SIGABRT);
}

TEST(crash, leaves_signals_that_are_sent_their_effect)
{
	CU_ASSERT_EQUAL(death_of(abort_by_another, NULL), SIGABRT);
	CU_ASSERT(!left_its_mark());
}

TEST(crash, is_watched_until_it_is_not)
{
	_Atomic uint64_t place[2] = { 0 };
	struct sigaction before, during, after;

	sigaction(SIGSEGV, NULL, &before);
	crash_watch(place);
	crash_watch(place);
	sigaction(SIGSEGV, NULL, &during);
	crash_watch(NULL);
	crash_watch(NULL);
	sigaction(SIGSEGV, NULL, &after);
	CU_ASSERT(before.sa_handler == after.sa_handler);
	CU_ASSERT(during.sa_handler != after.sa_handler);
}
