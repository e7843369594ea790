#include "server/supervisor/supervisor.h"

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "common/metrics.h"
#include "server/supervisor/composition.h"
#include "tests/unit/test.h"

#define PATIENCE PRONG_SECONDS(30)

/* What the children of a test tell it. */
struct shared {
	_Atomic int starts[2]; /* of http 0 and worker 0 */
	_Atomic int ready[2];
};
static struct shared *shared;

/* Whose code runs in worker 0. */
static const prong_uuid culprit_of_all = { "0123456789abcde" };

static void say_ready(const struct process *process)
{
	if (write(process->channel, "r", 1) == 1)
		shared->ready[process->class]++;
}

static void on_term(int number)
{
	(void)number;
	_exit(0);
}

/* As process_attach() does for real children. */
static void take_term(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static int rest(void)
{
	take_term();
	while (pause() < 0)
		;
	return 0;
}

static int serve(const struct process *process)
{
	signal(SIGTERM, on_term);
	shared->starts[0]++;
	say_ready(process);
	return rest();
}

static int work(const struct process *process)
{
	struct scoreboard_slot *slot = &process->scoreboard->slots[process->slot];
	int start = shared->starts[1]++;

	signal(SIGTERM, on_term);
	atomic_store(&slot->incarnation, (uint64_t)(100 + start));
	memcpy((void *)slot->running, culprit_of_all.bytes, sizeof(slot->running));
	say_ready(process);
	return rest();
}

/* Still builds what it needs when it is asked to leave. */
static int leave_while_starting(const struct process *process)
{
	sigset_t pending;

	(void)process;
	shared->starts[1]++;
	do {
		poll(NULL, 0, 1);
		sigpending(&pending);
	} while (!sigismember(&pending, SIGTERM));
	shared->ready[1]++;
	return 0;
}

static int crash(const struct process *process)
{
	(void)process;
	shared->starts[1]++;
	signal(SIGSEGV, SIG_DFL);
	raise(SIGSEGV);
	return 1;
}

static int refuse(const struct process *process)
{
	(void)process;
	return STATUS_CONFIGURATION;
}

static int refuse_later(const struct process *process)
{
	if (shared->starts[1]++ > 0)
		return STATUS_CONFIGURATION;
	say_ready(process);
	return rest();
}

static int ignore_term(const struct process *process)
{
	signal(SIGTERM, SIG_IGN);
	shared->starts[1]++;
	say_ready(process);
	return rest();
}

/* A tree of one http process that serves and one worker that does as told; run in a process of its own. */
struct tree {
	pid_t master;
	struct scoreboard *scoreboard;
	struct settings settings;
	struct prong_app app;
	struct registry registry;
	struct composition composition;
	struct plan plan;
};

static void tree_start(struct tree *tree, process_main *worker)
{
	*tree = (struct tree){
		.settings = { .drain_timeout = PRONG_SECONDS(20), .log_level = PRONG_LOG_ERROR + 1 },
		.app = { .name = "test" },
		.composition = { .mains = { serve, worker, NULL } },
	};
	tree->registry.app = &tree->app;
	tree->plan = (struct plan){
		.settings = &tree->settings,
		.registry = &tree->registry,
		.composition = &tree->composition,
		.counts = { 1, 1, 0 },
		.listener = -1,
		.permits = -1,
	};
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	tree->scoreboard = tree->plan.scoreboard = scoreboard_new(tree->plan.counts);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	tree->master = fork();
	if (tree->master == 0) {
		metrics_map(tree->plan.scoreboard->n_slots);
		_exit(supervisor_run(&tree->plan));
	}
}

/* Until a condition holds; a test fails when it never does. */
#define WAIT_UNTIL(condition)                                      \
	do {                                                       \
		int64_t deadline_ = monotonic_us() + PATIENCE;     \
		while (!(condition) && monotonic_us() < deadline_) \
			poll(NULL, 0, 2);                          \
		CU_ASSERT(condition);                              \
	} while (0)

/* A child may be ready before the master has noted its pid. */
static pid_t pid_of(const struct tree *tree, enum process_class class)
{
	struct scoreboard_slot *slot = &tree->scoreboard->slots[tree->scoreboard->first[class]];

	WAIT_UNTIL(atomic_load(&slot->pid) > 0);
	return atomic_load(&slot->pid);
}

static int tree_status(struct tree *tree)
{
	int wait_status = 0;

	waitpid(tree->master, &wait_status, 0);
	munmap(shared, sizeof(*shared));
	return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -WTERMSIG(wait_status);
}

static bool is_gone(pid_t pid)
{
	waitpid(pid, NULL, WNOHANG); /* orphans are this process's, as their subreaper */
	return kill(pid, 0) < 0 && errno == ESRCH;
}

TEST(supervisor, drains_on_sigterm)
{
	struct tree tree;
	pid_t http, worker;

	tree_start(&tree, work);
	WAIT_UNTIL(shared->ready[0] == 1 && shared->ready[1] == 1);
	http = pid_of(&tree, PROCESS_HTTP);
	worker = pid_of(&tree, PROCESS_WORKER);
	kill(tree.master, SIGTERM);
	CU_ASSERT_EQUAL(tree_status(&tree), STATUS_OK);
	CU_ASSERT(is_gone(http));
	CU_ASSERT(is_gone(worker));
	CU_ASSERT_EQUAL(atomic_load(&tree.scoreboard->draining), 1);
}

TEST(supervisor, replaces_the_dead_and_tells_of_them)
{
	struct death death = { 0 };
	struct tree tree;
	pid_t http, worker;

	tree_start(&tree, work);
	WAIT_UNTIL(shared->ready[0] == 1 && shared->ready[1] == 1);
	http = pid_of(&tree, PROCESS_HTTP);
	worker = pid_of(&tree, PROCESS_WORKER);
	kill(worker, SIGKILL);
	WAIT_UNTIL(shared->starts[1] == 2);
	WAIT_UNTIL(pid_of(&tree, PROCESS_WORKER) > 0 && pid_of(&tree, PROCESS_WORKER) != worker);
	CU_ASSERT(scoreboard_next_death(tree.scoreboard, &death));
	CU_ASSERT_EQUAL(death.incarnation, 100);
	CU_ASSERT_EQUAL(WTERMSIG(death.wait_status), SIGKILL);
	CU_ASSERT(prong_uuid_equal(death.culprit, culprit_of_all));
	scoreboard_settle_death(tree.scoreboard);
	CU_ASSERT(!scoreboard_next_death(tree.scoreboard, &death));
	CU_ASSERT_EQUAL(pid_of(&tree, PROCESS_HTTP), http);
	CU_ASSERT_EQUAL(atomic_load(&tree.scoreboard->slots[tree.scoreboard->first[PROCESS_WORKER]].restarts), 1);
	kill(tree.master, SIGTERM);
	CU_ASSERT_EQUAL(tree_status(&tree), STATUS_OK);
}

TEST(supervisor, lets_the_others_serve_while_one_crashes_in_a_loop)
{
	struct tree tree;
	pid_t http;

	tree_start(&tree, crash);
	WAIT_UNTIL(shared->starts[0] == 1);
	http = pid_of(&tree, PROCESS_HTTP);
	WAIT_UNTIL(shared->starts[1] >= 3);
	CU_ASSERT_EQUAL(pid_of(&tree, PROCESS_HTTP), http);
	CU_ASSERT_EQUAL(shared->starts[0], 1);
	kill(tree.master, SIGTERM);
	CU_ASSERT_EQUAL(tree_status(&tree), STATUS_OK);
}

TEST(supervisor, leaves_when_a_child_refuses_its_configuration_at_the_start)
{
	struct tree tree;

	tree_start(&tree, refuse);
	CU_ASSERT_EQUAL(tree_status(&tree), STATUS_CONFIGURATION);
}

TEST(supervisor, keeps_serving_when_a_successor_refuses_its_configuration)
{
	struct tree tree;
	struct scoreboard_slot *slot;
	pid_t http;

	tree_start(&tree, refuse_later);
	slot = &tree.scoreboard->slots[tree.scoreboard->first[PROCESS_WORKER]];
	WAIT_UNTIL(shared->ready[0] == 1 && shared->ready[1] == 1);
	http = pid_of(&tree, PROCESS_HTTP);
	/* The master reads what its children wrote before it reads of their deaths: both are ready now. */
	kill(pid_of(&tree, PROCESS_WORKER), SIGKILL);
	WAIT_UNTIL(shared->starts[1] == 2 && atomic_load(&slot->state) == PROCESS_ABSENT);
	CU_ASSERT_EQUAL(pid_of(&tree, PROCESS_HTTP), http);
	kill(tree.master, SIGTERM);
	CU_ASSERT_EQUAL(tree_status(&tree), STATUS_OK);
}

TEST(supervisor, kills_at_the_second_signal)
{
	struct tree tree;

	tree_start(&tree, ignore_term);
	WAIT_UNTIL(shared->ready[0] == 1 && shared->ready[1] == 1);
	kill(tree.master, SIGTERM);
	WAIT_UNTIL(atomic_load(&tree.scoreboard->draining) == 1);
	kill(tree.master, SIGINT);
	CU_ASSERT_EQUAL(tree_status(&tree), STATUS_FAILURE);
}

TEST(supervisor, lets_a_child_that_starts_take_sigterm_when_it_can)
{
	struct tree tree;

	tree_start(&tree, leave_while_starting);
	WAIT_UNTIL(shared->starts[1] == 1);
	kill(tree.master, SIGTERM);
	WAIT_UNTIL(shared->ready[1] == 1);
	CU_ASSERT_EQUAL(tree_status(&tree), STATUS_OK);
}

TEST(supervisor, leaves_no_orphans_when_it_is_killed)
{
	struct tree tree;
	pid_t http, worker;

	tree_start(&tree, ignore_term);
	WAIT_UNTIL(shared->ready[0] == 1 && shared->ready[1] == 1);
	http = pid_of(&tree, PROCESS_HTTP);
	worker = pid_of(&tree, PROCESS_WORKER);
	kill(tree.master, SIGKILL);
	CU_ASSERT_EQUAL(tree_status(&tree), -SIGKILL);
	WAIT_UNTIL(is_gone(http));
	WAIT_UNTIL(is_gone(worker));
}
