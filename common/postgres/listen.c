#include "common/postgres/listen.h"

#include <event2/event.h>

#include "common/context.h"
#include "common/log.h"
#include "common/postgres/dial.h"
#include "common/postgres/pool.h"

/* ---- listening ---- */

struct postgres_listener {
	struct postgres *postgres;
	char *settings; /* of the session: what makes it listen */
	void (*notified)(void *argument);
	void *argument;
	struct dial *dial;
	PGconn *pg; /* NULL: not connected */
	struct event *readable, *retry;
	size_t failures;
};

static void dial_ended(void *argument, PGconn *pg, const char *error);

static void back_off(struct postgres_listener *listener)
{
	timer_set(listener->retry, reconnect_delay(listener->failures++));
}

static void connect_again(evutil_socket_t fd, short what, void *argument)
{
	struct postgres_listener *listener = argument;
	const struct dial_options options = {
		.url = listener->postgres->url,
		.application_name = listener->postgres->application_name,
		.settings = listener->settings,
	};

	(void)fd;
	(void)what;
	listener->dial = dial_start(listener->postgres->loop, &options, dial_ended, listener);
	if (!listener->dial)
		back_off(listener);
}

static void disconnect(struct postgres_listener *listener)
{
	if (!listener->pg)
		return;
	event_free(listener->readable);
	PQfinish(listener->pg);
	listener->pg = NULL;
}

static bool take_notifications(PGconn *pg)
{
	PGnotify *notification;
	bool any = false;

	while ((notification = PQnotifies(pg))) {
		PQfreemem(notification);
		any = true;
	}
	return any;
}

static void on_readable(evutil_socket_t fd, short what, void *argument)
{
	struct postgres_listener *listener = argument;
	bool alive = PQconsumeInput(listener->pg);

	(void)fd;
	(void)what;
	if (take_notifications(listener->pg)) {
		listener->failures = 0;
		listener->notified(listener->argument);
	}
	if (alive)
		return;
	/* The pools tell of a server that is away. */
	disconnect(listener);
	back_off(listener);
}

static void dial_ended(void *argument, PGconn *pg, const char *error)
{
	struct postgres_listener *listener = argument;

	listener->dial = NULL;
	if (!pg) {
		log_debug("PostgreSQL: cannot listen: %s", error);
		back_off(listener);
		return;
	}
	listener->pg = pg;
	listener->readable = event_new(loop_base(listener->postgres->loop), PQsocket(pg), EV_READ | EV_PERSIST,
				       on_readable, listener);
	check(listener->readable);
	event_add(listener->readable, NULL);
	listener->notified(listener->argument);
}

struct postgres_listener *postgres_listen(struct postgres *postgres, const char *channel,
					  void (*notified)(void *argument), void *argument)
{
	struct postgres_listener *listener = allocate(sizeof(*listener));

	listener->postgres = postgres;
	listener->settings = format_text("LISTEN %s; SELECT 1", channel);
	listener->notified = notified;
	listener->argument = argument;
	listener->retry = event_new(loop_base(postgres->loop), -1, 0, connect_again, listener);
	check(listener->retry);
	timer_set(listener->retry, 0);
	return listener;
}

struct postgres_listener *postgres_unlisten(struct postgres_listener *listener)
{
	if (!listener)
		return NULL;
	if (listener->dial)
		dial_abandon(listener->dial);
	disconnect(listener);
	event_free(listener->retry);
	free(listener->settings);
	free(listener);
	return NULL;
}

/* ---- notifying ---- */

#define NOTIFY_EVERY PRONG_MILLISECONDS(5)
#define NOTIFY_TIMEOUT PRONG_SECONDS(5)

static void send_notification(struct postgres *postgres)
{
	struct postgres_connection *connection = pool_idle(postgres);
	_cleanup_(freep) char *sql = format_text("NOTIFY %s", postgres->channel);
	const struct parameter_texts none = { 0 };

	postgres->notified_at = monotonic_us();
	postgres->channel = NULL;
	if (!connection)
		return;
	if (connection->pool->shared) {
		statement_forget(connection_send(connection, NULL, sql, &none, false));
	} else {
		connection->taken = true;
		connection_send_last(connection, sql, postgres->notified_at + NOTIFY_TIMEOUT);
	}
}

void notify_later(struct postgres *postgres)
{
	if (postgres->channel)
		send_notification(postgres);
}

void postgres_notify(struct prong_ctx *ctx, const char *channel)
{
	struct postgres *postgres = ctx->runtime->postgres;
	prong_duration since = monotonic_us() - postgres->notified_at;

	if (ctx->transaction && !ctx->transaction->pinned) {
		ctx->notify = channel;
		return;
	}
	check(!postgres->channel || string_equal(postgres->channel, channel));
	if (postgres->channel)
		return;
	postgres->channel = channel;
	if (since >= NOTIFY_EVERY)
		send_notification(postgres);
	else
		timer_set(postgres->notify, NOTIFY_EVERY - since);
}
