#include "common/memory.h"
#include "common/process.h"
#include "tests/unit/test.h"

#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

/* A master of one child, whose program is the test; the child answers by its exit status: 0, or the line that failed.
 */
struct master {
	struct scoreboard *scoreboard;
	int channel;
	pid_t pid;
};

#define EXPECT(condition)                          \
	do {                                       \
		if (!(condition))                  \
			_exit(__LINE__ % 250 + 2); \
	} while (0)

static struct scoreboard_slot *slot_of(const struct process *process)
{
	return &process->scoreboard->slots[process->slot];
}

static struct master start(void (*program)(const struct process *process))
{
	struct master master = { .scoreboard = scoreboard_new((size_t[]){ 1, 1, 0 }) };
	int ends[2];

	CU_ASSERT_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
	master.scoreboard->slots[1].state = PROCESS_STARTING;
	master.channel = ends[0];
	master.pid = fork();
	if (master.pid == 0) {
		struct process process = {
			.class = PROCESS_WORKER, .slot = 1, .channel = ends[1], .scoreboard = master.scoreboard
		};

		close(ends[0]);
		dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
		program(&process);
		_exit(0);
	}
	close(ends[1]);
	return master;
}

static void finish(struct master *master, int expected)
{
	int status;

	CU_ASSERT(waitpid(master->pid, &status, 0) == master->pid);
	CU_ASSERT(WIFEXITED(status));
	CU_ASSERT_EQUAL(WEXITSTATUS(status), expected);
	if (master->channel >= 0)
		close(master->channel);
}

static int drains;

static void count_drain(void *argument)
{
	drains++;
	loop_stop(argument);
}

static void be_terminated(const struct process *process)
{
	struct loop *loop = loop_new(1);

	process_attach(process, loop, count_drain, loop);
	EXPECT(slot_of(process)->state == PROCESS_STARTING);
	process_ready(process);
	loop_run(loop);
	EXPECT(drains == 1);
	EXPECT(slot_of(process)->state == PROCESS_DRAINING);
	raise(SIGTERM);
	event_base_loop(loop_base(loop), EVLOOP_NONBLOCK);
	event_base_loop(loop_base(loop), EVLOOP_NONBLOCK);
	EXPECT(drains == 1);
	process_ready(process);
	EXPECT(slot_of(process)->state == PROCESS_DRAINING);
	process_detach();
	process_detach();
	raise(SIGTERM);
	loop_free(loop);
}

TEST(process, says_ready_and_drains_once)
{
	struct master master = start(be_terminated);
	char byte;

	CU_ASSERT(read(master.channel, &byte, 1) == 1);
	CU_ASSERT(master.scoreboard->slots[1].state == PROCESS_READY);
	kill(master.pid, SIGINT);
	kill(master.pid, SIGHUP);
	kill(master.pid, SIGTERM);
	finish(&master, 0);
}

static void be_blocked(const struct process *process)
{
	struct loop *loop = loop_new(1);
	sigset_t terminate;

	sigemptyset(&terminate);
	sigaddset(&terminate, SIGTERM);
	sigprocmask(SIG_BLOCK, &terminate, NULL);
	raise(SIGTERM); /* before it could be told */
	process_attach(process, loop, count_drain, loop);
	loop_run(loop);
	EXPECT(drains == 1);
}

TEST(process, loses_no_signal_that_came_before)
{
	struct master master = start(be_blocked);

	finish(&master, 0);
}

#define GROWTH (64 << 20)

static void be_large(const struct process *process)
{
	struct loop *loop = loop_new(1);
	_cleanup_(freep) char *memory = NULL;

	process_attach(process, loop, count_drain, loop);
	process_limit_memory(memory_resident() + GROWTH / 2);
	memory = allocate(GROWTH);
	memset(memory, 1, GROWTH);
	loop_run(loop);
	EXPECT(drains == 1);
	EXPECT(memory[GROWTH - 1] == 1);
	EXPECT(slot_of(process)->state == PROCESS_DRAINING);
}

TEST(process, drains_when_it_has_grown)
{
	struct master master = start(be_large);

	finish(&master, 0);
}

static void be_alive(const struct process *process)
{
	struct loop *loop = loop_new(1);
	int64_t first;

	EXPECT(slot_of(process)->heartbeat == 0);
	process_attach(process, loop, count_drain, loop);
	first = slot_of(process)->heartbeat;
	EXPECT(first > 0 && first <= monotonic_us());
	while (slot_of(process)->heartbeat == first)
		event_base_loop(loop_base(loop), EVLOOP_ONCE);
	EXPECT(slot_of(process)->heartbeat > first);
	process_detach();
}

TEST(process, shows_that_its_loop_turns)
{
	struct master master = start(be_alive);

	finish(&master, 0);
}

static void mark_itself(void *process)
{
	const prong_uuid id = prong_uuid_make();

	coroutine_set_mark(coroutine_current(), id);
	EXPECT(prong_uuid_equal(slot_culprit(slot_of(process)), id));
}

static void be_marked(const struct process *process)
{
	struct loop *loop = loop_new(1);

	process_attach(process, loop, count_drain, loop);
	EXPECT(coroutine_start(loop, mark_itself, (void *)process, NULL) == 0);
	EXPECT(prong_uuid_equal(slot_culprit(slot_of(process)), (prong_uuid){ 0 }));
	process_detach();
}

TEST(process, shows_whose_code_runs)
{
	struct master master = start(be_marked);

	finish(&master, 0);
}

static void be_orphaned(const struct process *process)
{
	struct loop *loop = loop_new(1);

	process_attach(process, loop, count_drain, loop);
	process_ready(process);
	loop_run(loop);
}

TEST(process, ends_with_its_master)
{
	struct master master = start(be_orphaned);
	char byte;

	CU_ASSERT(read(master.channel, &byte, 1) == 1);
	CU_ASSERT(write(master.channel, "?", 1) == 1); /* nothing that the child knows */
	close(master.channel);
	master.channel = -1;
	finish(&master, STATUS_FAILURE);
}