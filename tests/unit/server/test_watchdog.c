#include "server/supervisor/watchdog.h"

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "server/supervisor/supervisor.h"
#include "tests/unit/test.h"

#define TIMEOUT PRONG_SECONDS(10)

/* A master of one child, which started and last turned its loop so long ago as a test says. */
struct world {
	struct child child;
	struct family family;
	struct plan plan;
	struct scoreboard_slot *slot;
	struct watchdog watchdog;
};

static void be_child(bool traced)
{
	signal(SIGABRT, SIG_DFL);
	if (traced && ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
		_exit(1);
	raise(SIGSTOP); /* it is in its place */
	for (;;)
		pause();
}

static void open_world(struct world *world, prong_duration silent, bool traced)
{
	int64_t now = monotonic_us();
	pid_t pid = fork();

	if (pid == 0)
		be_child(traced);
	*world = (struct world){ .child = { .class = PROCESS_WORKER, .pid = pid, .kill_at = INT64_MAX } };
	world->family = (struct family){ .children = &world->child, .count = 1 };
	world->plan.scoreboard = scoreboard_new((size_t[]){ 0, 1, 0 });
	world->slot = &world->plan.scoreboard->slots[0];
	world->child.started_at = now - PRONG_HOURS(1);
	atomic_store(&world->slot->heartbeat, now - silent);
	watchdog_init(&world->watchdog, TIMEOUT);
	world->watchdog.awake_since = now - PRONG_HOURS(1);
	CU_ASSERT(waitpid(pid, NULL, WUNTRACED) == pid);
	if (!traced)
		kill(pid, SIGCONT);
}

/* It is time to look. */
static void look(struct world *world)
{
	world->watchdog.look_at = monotonic_us();
	watchdog_look(&world->watchdog, &world->family, &world->plan);
}

/* The signal that ends the child. */
static int death_of(struct world *world)
{
	int status = 0;

	CU_ASSERT(waitpid(world->child.pid, &status, 0) == world->child.pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : -1;
}

static void close_world(struct world *world)
{
	kill(world->child.pid, SIGKILL);
	waitpid(world->child.pid, NULL, 0);
	scoreboard_free(world->plan.scoreboard);
}

static bool is_left_alone(const struct world *world)
{
	return world->child.kill_at == INT64_MAX && atomic_load(&world->slot->stalls) == 0;
}

TEST(watchdog, aborts_a_child_that_does_not_turn)
{
	struct world world;

	open_world(&world, TIMEOUT + 1, false);
	look(&world);
	CU_ASSERT_EQUAL(death_of(&world), SIGABRT);
	CU_ASSERT_EQUAL(atomic_load(&world.slot->stalls), 1);
	close_world(&world);
}

TEST(watchdog, kills_what_takes_no_signal)
{
	struct world world;
	int status;

	open_world(&world, TIMEOUT + 1, false);
	kill(world.child.pid, SIGSTOP);
	CU_ASSERT(waitpid(world.child.pid, &status, WUNTRACED) == world.child.pid);
	look(&world);
	look(&world);
	CU_ASSERT(world.child.kill_at != INT64_MAX);
	CU_ASSERT_EQUAL(atomic_load(&world.slot->stalls), 1);
	CU_ASSERT_EQUAL(waitpid(world.child.pid, NULL, WNOHANG), 0);
	world.child.kill_at = monotonic_us();
	look(&world);
	CU_ASSERT_EQUAL(death_of(&world), SIGKILL);
	CU_ASSERT_EQUAL(atomic_load(&world.slot->stalls), 1);
	close_world(&world);
}

TEST(watchdog, leaves_those_alone_that_turn_or_start)
{
	struct world world;

	open_world(&world, PRONG_SECONDS(1), false);
	look(&world);
	CU_ASSERT(is_left_alone(&world));
	atomic_store(&world.slot->heartbeat, 0);
	world.child.started_at = monotonic_us();
	look(&world);
	CU_ASSERT(is_left_alone(&world));
	close_world(&world);
}

TEST(watchdog, looks_no_sooner_than_it_has_to)
{
	struct world world;

	open_world(&world, TIMEOUT + 1, false);
	world.watchdog.look_at = monotonic_us() + PRONG_HOURS(1);
	watchdog_look(&world.watchdog, &world.family, &world.plan);
	CU_ASSERT(is_left_alone(&world));
	watchdog_init(&world.watchdog, 0);
	watchdog_look(&world.watchdog, &world.family, &world.plan);
	CU_ASSERT(is_left_alone(&world));
	CU_ASSERT_EQUAL(world.watchdog.look_at, INT64_MAX);
	close_world(&world);
}

TEST(watchdog, gives_time_after_it_was_held_up_itself)
{
	struct world world;

	open_world(&world, PRONG_MINUTES(1), false);
	world.watchdog.look_at = monotonic_us() - PRONG_MINUTES(1);
	watchdog_look(&world.watchdog, &world.family, &world.plan);
	CU_ASSERT(is_left_alone(&world));
	look(&world);
	CU_ASSERT(is_left_alone(&world));
	/* And no longer than to any other. */
	world.watchdog.awake_since -= TIMEOUT;
	look(&world);
	CU_ASSERT_EQUAL(death_of(&world), SIGABRT);
	close_world(&world);
}

TEST(watchdog, leaves_a_child_to_its_debugger)
{
	struct world world;

	open_world(&world, TIMEOUT + 1, true);
	look(&world);
	CU_ASSERT(is_left_alone(&world));
	close_world(&world);
}
