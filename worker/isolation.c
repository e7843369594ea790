#include "worker/isolation.h"

#include <event2/event.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "common/jobs/job_queue.h"
#include "common/log.h"
#include "common/loop.h"
#include "worker/isolation_report.h"
#include "worker/isolation_wire.h"
#include "worker/nursery.h"

/* A child and the coroutine that waits for it. */
struct place {
	struct isolation *isolation;
	unsigned number;
	struct prong_ctx *ctx; /* of the attempt; NULL: the place is free */
	struct coroutine *coroutine;
	struct isolation_report report;
	bool ended; /* the process; `news` says how */
	struct nursery_news news;
};

/* A coroutine that waits for a place. */
struct waiter {
	TAILQ_ENTRY(waiter) link;
	struct coroutine *coroutine;
	struct prong_ctx *ctx;
	struct place *place; /* NULL: still waiting */
};

struct isolation {
	pid_t nursery;
	int channel;
	struct loop *loop;
	struct event *readable;
	void (*lost)(void *argument);
	void *argument;
	bool is_lost, is_draining;
	struct place *places;
	unsigned n_places;
	TAILQ_HEAD(, waiter) waiters;
};

/* ---- the nursery ---- */

static struct isolation *isolation_new(pid_t nursery, int channel, size_t n_places)
{
	struct isolation *isolation = allocate(sizeof(*isolation));

	isolation->nursery = nursery;
	isolation->channel = channel;
	isolation->n_places = (unsigned)(n_places < NURSERY_MAX_PLACES ? n_places : NURSERY_MAX_PLACES);
	isolation->places = allocate_array(isolation->n_places, sizeof(*isolation->places));
	for (unsigned i = 0; i < isolation->n_places; i++) {
		isolation->places[i].isolation = isolation;
		isolation->places[i].number = i;
	}
	TAILQ_INIT(&isolation->waiters);
	return isolation;
}

int isolation_start(const struct process *process, struct isolation **ret_isolation)
{
	int channels[2];
	pid_t pid;

	if (!registry_isolates(process->registry)) {
		*ret_isolation = NULL;
		return 0;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channels) < 0)
		return -errno;
	fflush(NULL); /* or both would write what is in the buffers */
	pid = fork();
	if (pid == 0) {
		close(channels[0]);
		nursery_main(process, channels[1]);
	}
	close(channels[1]);
	if (pid < 0) {
		int error = errno;

		close(channels[0]);
		return -error;
	}
	*ret_isolation = isolation_new(pid, channels[0], (size_t)process->settings->job_isolated);
	return 0;
}

/* Waits only as long as the nursery takes to kill its children, which it does at once. */
static int end_nursery(struct isolation *isolation)
{
	int wait_status = 0;

	close(isolation->channel);
	isolation->channel = -1;
	while (waitpid(isolation->nursery, &wait_status, 0) < 0 && errno == EINTR)
		;
	return wait_status;
}

static void wake_waiters(struct isolation *isolation)
{
	struct waiter *waiter;

	TAILQ_FOREACH(waiter, &isolation->waiters, link)
	{
		coroutine_wake(waiter->coroutine, 0);
	}
}

/* Its children have died with it: PR_SET_PDEATHSIG. */
static void lose_nursery(struct isolation *isolation)
{
	int wait_status;

	event_free(isolation->readable);
	isolation->readable = NULL;
	wait_status = end_nursery(isolation);
	if (WIFSIGNALED(wait_status))
		log_error("the nursery, which starts the processes of jobs, was killed by SIG%s",
			  sigabbrev_np(WTERMSIG(wait_status)));
	else
		log_error("the nursery, which starts the processes of jobs, left with status %d",
			  WEXITSTATUS(wait_status));
	isolation->is_lost = true;
	for (unsigned i = 0; i < isolation->n_places; i++)
		if (isolation->places[i].ctx)
			coroutine_wake(isolation->places[i].coroutine, 0);
	wake_waiters(isolation);
	isolation->lost(isolation->argument);
}

/* Once the channel is broken its end says so, too. */
static void give_order(struct isolation *isolation, const struct nursery_order *order, const int *fds)
{
	union {
		char space[CMSG_SPACE(2 * sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec part = { (void *)order, sizeof(*order) };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	ssize_t n;

	if (fds) {
		struct cmsghdr *head;

		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
		head = CMSG_FIRSTHDR(&message);
		*head = (struct cmsghdr){ CMSG_LEN(2 * sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
		memcpy(CMSG_DATA(head), fds, 2 * sizeof(int));
	}
	do
		n = sendmsg(isolation->channel, &message, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
}

static void on_news(evutil_socket_t fd, short events, void *argument)
{
	struct isolation *isolation = argument;
	struct nursery_news news;
	struct place *place;
	ssize_t n;

	(void)events;
	while ((n = recv(fd, &news, sizeof(news), MSG_DONTWAIT)) == sizeof(news)) {
		check(news.place < isolation->n_places);
		place = &isolation->places[news.place];
		check(place->ctx && !place->ended);
		place->news = news;
		place->ended = true;
		coroutine_wake(place->coroutine, 0);
	}
	if (n >= 0 || (errno != EAGAIN && errno != EINTR))
		lose_nursery(isolation);
}

void isolation_attach(struct isolation *isolation, struct loop *loop, void (*lost)(void *argument), void *argument)
{
	isolation->loop = loop;
	isolation->lost = lost;
	isolation->argument = argument;
	isolation->readable = event_new(loop_base(loop), isolation->channel, EV_READ | EV_PERSIST, on_news, isolation);
	check(isolation->readable && event_add(isolation->readable, NULL) == 0);
}

struct isolation *isolation_free(struct isolation *isolation)
{
	if (!isolation)
		return NULL;
	check(TAILQ_EMPTY(&isolation->waiters));
	for (unsigned i = 0; i < isolation->n_places; i++)
		check(!isolation->places[i].ctx);
	if (isolation->readable)
		event_free(isolation->readable);
	if (isolation->channel >= 0)
		end_nursery(isolation);
	free(isolation->places);
	free(isolation);
	return NULL;
}

/* ---- places ---- */

static bool is_leaving(const struct isolation *isolation)
{
	return isolation->is_lost || isolation->is_draining;
}

static void occupy(struct place *place, struct prong_ctx *ctx, struct coroutine *coroutine)
{
	*place = (struct place){
		.isolation = place->isolation,
		.number = place->number,
		.ctx = ctx,
		.coroutine = coroutine,
	};
}

static struct place *find_place(struct isolation *isolation)
{
	for (unsigned i = 0; i < isolation->n_places; i++)
		if (!isolation->places[i].ctx)
			return &isolation->places[i];
	return NULL;
}

static void give_place(struct place *place)
{
	struct isolation *isolation = place->isolation;
	struct waiter *waiter = TAILQ_FIRST(&isolation->waiters);

	isolation_report_close(&place->report);
	place->ctx = NULL;
	if (!waiter || is_leaving(isolation))
		return;
	TAILQ_REMOVE(&isolation->waiters, waiter, link);
	waiter->place = place;
	occupy(place, waiter->ctx, waiter->coroutine);
	coroutine_wake(waiter->coroutine, 0);
}

/* 0 with a place, or with NULL where nothing is started any more; -ECANCELED. */
static int take_place(struct isolation *isolation, struct prong_ctx *ctx, struct place **ret_place)
{
	struct waiter waiter = { .coroutine = coroutine_current(), .ctx = ctx };
	struct place *place = is_leaving(isolation) ? NULL : find_place(isolation);
	int r;

	*ret_place = place;
	if (place)
		occupy(place, ctx, waiter.coroutine);
	if (place || is_leaving(isolation))
		return 0;
	TAILQ_INSERT_TAIL(&isolation->waiters, &waiter, link);
	r = coroutine_wait(INT64_MAX);
	if (!waiter.place)
		TAILQ_REMOVE(&isolation->waiters, &waiter, link);
	else if (r < 0)
		give_place(waiter.place);
	*ret_place = r < 0 ? NULL : waiter.place;
	return r;
}

void isolation_drain(struct isolation *isolation)
{
	isolation->is_draining = true;
	wake_waiters(isolation);
}

/* ---- one attempt ---- */

static int write_request(const struct delivery *delivery, int64_t deadline)
{
	_cleanup_(closep) int fd = memfd_create("prong-job", MFD_CLOEXEC);
	struct buffer request = { 0 };
	ssize_t n;
	int result;

	if (fd < 0)
		return -errno;
	isolation_request_write(&request, delivery, deadline);
	n = write(fd, request.data, request.size);
	if (n != (ssize_t)request.size) {
		result = n < 0 ? -errno : -ENOSPC;
		buffer_free(&request);
		return result;
	}
	buffer_free(&request);
	result = fd;
	fd = -1;
	return result;
}

static void kill_child(void *argument)
{
	struct place *place = argument;
	const struct nursery_order order = { .kind = NURSERY_KILL, .place = place->number };

	give_order(place->isolation, &order, NULL);
}

static int start_child(struct place *place, int64_t deadline)
{
	const struct nursery_order order = { .kind = NURSERY_START, .place = place->number };
	_cleanup_(closep) int request = write_request(place->ctx->delivery, deadline), report = -1;

	if (request < 0)
		return request;
	report = isolation_report_open(&place->report, place->ctx, kill_child, place);
	if (report < 0)
		return report;
	give_order(place->isolation, &order, (const int[]){ request, report });
	return 0;
}

/* 0 when the process ended by itself, else why it was killed. */
static int await_end(struct place *place)
{
	struct isolation *isolation = place->isolation;
	int r = 0;

	while (r == 0 && !place->ended && !isolation->is_lost)
		r = coroutine_wait(INT64_MAX);
	if (r == 0)
		return 0;
	kill_child(place);
	coroutine_shield(place->coroutine);
	while (!place->ended && !isolation->is_lost)
		coroutine_wait(INT64_MAX);
	coroutine_unshield(place->coroutine);
	return r;
}

static int fail_crashed(struct place *place)
{
	int wait_status = place->news.wait_status;

	if (place->report.broken)
		return prong_fail(place->ctx, 500, "crashed", "Its process wrote over what it had to report.");
	if (WIFSIGNALED(wait_status))
		return prong_fail(place->ctx, 500, "crashed", "Its process was killed by SIG%s%s.",
				  sigabbrev_np(WTERMSIG(wait_status)), WCOREDUMP(wait_status) ? " (core dumped)" : "");
	return prong_fail(place->ctx, 500, "crashed", "Its process left with status %d before the job had returned.",
			  WEXITSTATUS(wait_status));
}

/* A handler that has returned has done its work, whatever came afterwards. */
static int conclude(struct place *place, int killed_for, enum isolation_end *ret_end)
{
	isolation_report_finish(&place->report);
	*ret_end = ISOLATION_RETURNED;
	if (place->report.returned)
		return place->report.result;
	if (killed_for < 0)
		return killed_for;
	*ret_end = ISOLATION_NOT_RUN;
	if (!place->ended)
		return -ECANCELED;
	*ret_end = ISOLATION_RETURNED;
	if (place->news.error)
		return prong_fail(place->ctx, 503, "no_process", "No process could be started for it: %s.",
				  strerror(-place->news.error));
	*ret_end = ISOLATION_CRASHED;
	return fail_crashed(place);
}

int isolation_run(struct isolation *isolation, struct prong_ctx *ctx, enum isolation_end *ret_end,
		  int64_t *ret_started_at)
{
	struct coroutine *coroutine = coroutine_current();
	struct place *place;
	int64_t deadline;
	int r;

	*ret_started_at = 0;
	coroutine_set_deadline(coroutine, INT64_MAX);
	r = take_place(isolation, ctx, &place);
	*ret_end = r < 0 ? ISOLATION_RETURNED : ISOLATION_NOT_RUN;
	if (!place)
		return r < 0 ? r : -ECANCELED;
	*ret_started_at = monotonic_us();
	deadline = *ret_started_at + ctx->delivery->timeout;
	r = start_child(place, deadline);
	if (r == 0) {
		coroutine_set_deadline(coroutine, deadline);
		r = conclude(place, await_end(place), ret_end);
	} else {
		*ret_end = ISOLATION_RETURNED;
		r = prong_fail(ctx, 503, "no_process", "No process could be started for it: %s.", strerror(-r));
	}
	give_place(place);
	return r;
}
