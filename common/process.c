#include "common/process.h"

#include <event2/event.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>

#include "common/crash.h"
#include "common/log.h"
#include "common/memory.h"

#define HEARTBEAT PRONG_SECONDS(1)

static struct {
	const struct process *process;
	struct loop *loop;
	void (*drain)(void *argument);
	void *argument;
	bool draining;
	struct event *terminate, *channel, *heartbeat;
	uint64_t most_memory; /* bytes; 0: no limit */
} attached;

static struct scoreboard_slot *slot_of(const struct process *process)
{
	return &process->scoreboard->slots[process->slot];
}

static void begin_to_drain(void)
{
	if (attached.draining)
		return;
	attached.draining = true;
	atomic_store(&slot_of(attached.process)->state, PROCESS_DRAINING);
	attached.drain(attached.argument);
}

static void on_terminate(evutil_socket_t signal_number, short events, void *argument)
{
	(void)signal_number;
	(void)events;
	(void)argument;
	begin_to_drain();
}

/* What the allocator only keeps for later is given back before anything is concluded. */
static void look_at_memory(void)
{
	uint64_t resident = attached.most_memory && !attached.draining ? memory_resident() : 0;

	if (resident <= attached.most_memory)
		return;
	malloc_trim(0);
	resident = memory_resident();
	if (resident <= attached.most_memory)
		return;
	log_warning("%llu MiB in memory are more than the %llu allowed: ending what has begun, then leaving",
		    (unsigned long long)resident >> 20, (unsigned long long)attached.most_memory >> 20);
	begin_to_drain();
}

/* Only the channel's end says something: without a master nobody would restart or stop this process. */
static void on_channel(evutil_socket_t fd, short events, void *argument)
{
	char ignored[64];
	ssize_t n = read(fd, ignored, sizeof(ignored));

	(void)events;
	(void)argument;
	if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return;
	log_warning("the master is gone: leaving");
	log_detach();
	_exit(STATUS_FAILURE);
}

static void on_heartbeat(evutil_socket_t fd, short events, void *argument)
{
	(void)fd;
	(void)events;
	(void)argument;
	atomic_store(&slot_of(attached.process)->heartbeat, monotonic_us());
	timer_set(attached.heartbeat, HEARTBEAT);
	look_at_memory();
}

static struct event *event_of(evutil_socket_t fd, short events, event_callback_fn callback)
{
	struct event *event = event_new(loop_base(attached.loop), fd, events | EV_PERSIST, callback, NULL);

	check(event && event_add(event, NULL) == 0);
	return event;
}

/* A terminal sends INT and HUP to the whole process group; what they mean is the master's to say. */
static void settle_signals(void)
{
	sigset_t terminate;

	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	sigemptyset(&terminate);
	sigaddset(&terminate, SIGTERM);
	sigprocmask(SIG_UNBLOCK, &terminate, NULL);
}

void process_attach(const struct process *process, struct loop *loop, void (*drain)(void *argument), void *argument)
{
	check(!attached.process);
	attached.process = process;
	attached.loop = loop;
	attached.drain = drain;
	attached.argument = argument;
	attached.draining = false;
	attached.most_memory = 0;
	fcntl(process->channel, F_SETFL, O_NONBLOCK);
	attached.terminate = event_of(SIGTERM, EV_SIGNAL, on_terminate);
	attached.channel = event_of(process->channel, EV_READ, on_channel);
	attached.heartbeat = event_new(loop_base(loop), -1, 0, on_heartbeat, NULL);
	check(attached.heartbeat);
	on_heartbeat(-1, 0, NULL);
	loop_set_mark_place(loop, slot_of(process)->running);
	crash_watch(slot_of(process)->crashed);
	settle_signals();
}

void process_limit_memory(uint64_t bytes)
{
	attached.most_memory = bytes;
}

void process_detach(void)
{
	if (!attached.process)
		return;
	crash_watch(NULL);
	loop_set_mark_place(attached.loop, NULL);
	event_free(attached.heartbeat);
	event_free(attached.channel);
	event_free(attached.terminate);
	signal(SIGTERM, SIG_IGN); /* it is leaving already */
	attached.process = NULL;
}

void process_ready(const struct process *process)
{
	int32_t starting = PROCESS_STARTING;
	ssize_t n;

	atomic_compare_exchange_strong(&slot_of(process)->state, &starting, PROCESS_READY);
	do
		n = write(process->channel, "R", 1);
	while (n < 0 && errno == EINTR); /* other errors: the master is gone, which the channel's end says too */
}
