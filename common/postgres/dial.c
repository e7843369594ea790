#include "common/postgres/dial.h"

#include <event2/event.h>
#include <stdatomic.h>
#include <sys/eventfd.h>

#include "common/postgres/detached.h"

/* Shared by the loop's side and the thread's side; the last to leave frees it. */
struct dial {
	atomic_int sides;
	char *url, *application_name, *settings;
	int wake; /* eventfd */
	/* Written by the thread before it writes to `wake`. */
	PGconn *pg;
	char *error;
	/* The loop's side. */
	struct event *event;
	dial_done *done;
	void *argument;
};

static void dial_leave(struct dial *dial)
{
	if (atomic_fetch_sub(&dial->sides, 1) > 1)
		return;
	if (dial->pg)
		PQfinish(dial->pg);
	close(dial->wake);
	free(dial->url);
	free(dial->application_name);
	free(dial->settings);
	free(dial->error);
	free(dial);
}

/* libpq's messages span lines and end with one. */
static char *one_line(const char *message)
{
	char *line = duplicate(message), *out = line;

	for (const char *in = message; *in; in++) {
		bool space = *in == '\n' || *in == '\t' || *in == ' ';

		if (!space)
			*out++ = *in;
		else if (out > line && out[-1] != ' ')
			*out++ = ' ';
	}
	while (out > line && out[-1] == ' ')
		out--;
	*out = '\0';
	return line;
}

/* Notices are for people at a psql prompt; libpq would print them on standard error. */
static void ignore_notice(void *argument, const PGresult *result)
{
	(void)argument;
	(void)result;
}

static PGconn *connect_blocking(const struct dial *dial)
{
	/* What stands before `dbname` gives way to the URL's parameters, what stands after it overrides them. */
	const char *const keywords[] = { "connect_timeout",	      "tcp_user_timeout",
					 "keepalives_idle",	      "keepalives_interval",
					 "fallback_application_name", "dbname",
					 "client_encoding",	      NULL };
	const char *const values[] = { "5", "10000", "30", "10", dial->application_name, dial->url, "UTF8", NULL };

	return PQconnectdbParams(keywords, values, 1);
}

static bool prepare_session(PGconn *pg, const char *settings)
{
	PGresult *result;
	bool done;

	PQsetNoticeReceiver(pg, ignore_notice, NULL);
	result = PQexec(pg, settings);
	done = PQresultStatus(result) == PGRES_TUPLES_OK;
	PQclear(result);
	if (!done)
		return false;
	/* Servers before 14, or on systems that cannot tell, do without: they end an orphaned statement when it writes.
	 */
	PQclear(PQexec(pg, "SET client_connection_check_interval = '250ms'"));
	return PQstatus(pg) == CONNECTION_OK && PQsetnonblocking(pg, 1) == 0 && PQenterPipelineMode(pg);
}

static void *dial_thread(void *argument)
{
	struct dial *dial = argument;
	PGconn *pg = connect_blocking(dial);

	if (PQstatus(pg) == CONNECTION_OK && prepare_session(pg, dial->settings)) {
		dial->pg = pg;
	} else {
		dial->error = one_line(PQerrorMessage(pg));
		PQfinish(pg);
	}
	if (eventfd_write(dial->wake, 1) < 0)
		panic("eventfd: %m");
	dial_leave(dial);
	return NULL;
}

static void dial_finished(evutil_socket_t fd, short what, void *argument)
{
	struct dial *dial = argument;
	eventfd_t count;
	PGconn *pg;

	(void)what;
	if (eventfd_read(fd, &count) < 0)
		return;
	event_free(dial->event);
	pg = dial->pg;
	dial->pg = NULL;
	dial->done(dial->argument, pg, dial->error);
	dial_leave(dial);
}

struct dial *dial_start(struct loop *loop, const struct dial_options *options, dial_done *done, void *argument)
{
	int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct dial *dial;

	if (wake < 0)
		return NULL;
	dial = allocate(sizeof(*dial));
	atomic_init(&dial->sides, 2);
	dial->url = duplicate(options->url);
	dial->application_name = duplicate(options->application_name);
	dial->settings = duplicate(options->settings);
	dial->wake = wake;
	dial->done = done;
	dial->argument = argument;
	dial->event = event_new(loop_base(loop), wake, EV_READ | EV_PERSIST, dial_finished, dial);
	check(dial->event);
	event_add(dial->event, NULL);
	if (detached_start(dial_thread, dial) < 0) {
		event_free(dial->event);
		atomic_store(&dial->sides, 1);
		dial_leave(dial);
		return NULL;
	}
	return dial;
}

void dial_abandon(struct dial *dial)
{
	event_free(dial->event);
	dial_leave(dial);
}
