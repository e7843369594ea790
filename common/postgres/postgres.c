#include "common/postgres/postgres.h"

#include <ctype.h>
#include <event2/event.h>
#include <stdio.h>

#include "common/postgres/pool.h"
#include "common/postgres/statement.h"

/* What follows a colon in libpq's messages may be the whole URL, and with it the password. */
static char *without_quotation(const char *message)
{
	static const char *const quotations[] = { ": \"", " after \"" };
	size_t length = strcspn(message, "\n");

	for (size_t i = 0; i < ARRAY_SIZE(quotations); i++) {
		const char *found = strstr(message, quotations[i]);

		if (found && (size_t)(found - message) < length)
			length = (size_t)(found - message);
	}
	return format_text("%.*s", (int)length, message);
}

static bool is_port_list(const char *text)
{
	while (*text) {
		char *end = (char *)text;
		long port = isdigit((unsigned char)*text) ? strtol(text, &end, 10) : 0;

		/* An empty one is the default. */
		if ((end > text && (port < 1 || port > 65535)) || (*end && *end != ','))
			return false;
		text = *end ? end + 1 : end;
	}
	return true;
}

static bool is_sslmode(const char *text)
{
	static const char *const modes[] = { "disable", "allow", "prefer", "require", "verify-ca", "verify-full" };

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++)
		if (string_equal(text, modes[i]))
			return true;
	return false;
}

/* An '@' within a host is one of the password's that was not escaped; in front of it, an abstract Unix socket. */
static bool has_password_in_host(const char *hosts)
{
	for (const char *at = strchr(hosts, '@'); at; at = strchr(at + 1, '@'))
		if (at > hosts && at[-1] != ',')
			return true;
	return false;
}

/* The options whose values libpq looks at only when it connects. */
static char *wrong_option(const PQconninfoOption *options)
{
	for (; options->keyword; options++) {
		if (!options->val)
			continue;
		if (string_equal(options->keyword, "port") && !is_port_list(options->val))
			return duplicate("the port is not a number from 1 to 65535");
		if (string_equal(options->keyword, "host") && has_password_in_host(options->val))
			return duplicate("the host has an '@' in it: in the user and the password, write it as %40");
		if (string_equal(options->keyword, "sslmode") && !is_sslmode(options->val))
			return duplicate("sslmode is none of disable, allow, prefer, require, verify-ca, verify-full");
	}
	return NULL;
}

int postgres_check_url(const char *url, char **ret_reason)
{
	char *message = NULL, *reason = NULL;
	PQconninfoOption *options = PQconninfoParse(url, &message);

	if (!options) {
		reason = strchr(url, '=') || strstr(url, "://")
				 ? without_quotation(message ? message : "out of memory")
				 : duplicate("it is neither postgresql://user:password@host/database nor keyword=value "
					     "pairs");
		PQfreemem(message);
	} else {
		reason = wrong_option(options);
		PQconninfoFree(options);
	}
	if (!reason)
		return 0;
	*ret_reason = reason;
	return -EINVAL;
}

static void on_tick(evutil_socket_t fd, short what, void *argument)
{
	(void)fd;
	(void)what;
	pool_tick(argument);
}

static void on_retry(evutil_socket_t fd, short what, void *argument)
{
	(void)fd;
	(void)what;
	pool_retry(argument);
}

static void on_notify(evutil_socket_t fd, short what, void *argument)
{
	(void)fd;
	(void)what;
	notify_later(argument);
}

/*
 * What a session needs beyond what goes into the connection's first packet. PgBouncer passes only a few parameters
 * there, so the rest is set by a statement. In its transaction mode it keeps the first three for us wherever our
 * statements run; the time-outs stay with the server's connection and thus reach its other users: set them for the role
 * there.
 */
#define SESSION_FORMATS                                                                             \
	"SELECT set_config('DateStyle', 'ISO, MDY', false), set_config('TimeZone', 'UTC', false), " \
	"set_config('standard_conforming_strings', 'on', false), set_config('IntervalStyle', 'iso_8601', false)"

#define SHARED_LOCK_TIMEOUT PRONG_SECONDS(1)

struct postgres *postgres_new(struct loop *loop, const struct postgres_options *options)
{
	struct postgres *postgres = allocate(sizeof(*postgres));
	int64_t timeout_ms = options->statement_timeout / 1000, lock_ms = SHARED_LOCK_TIMEOUT / 1000;

	check(options->shared > 0 && options->owned > 0 && timeout_ms > 0);
	postgres->loop = loop;
	postgres->url = duplicate(options->url);
	postgres->application_name = duplicate(options->application_name);
	postgres->statement_timeout = options->statement_timeout;
	postgres->last_error = duplicate("");
	postgres->queries = queries_new();
	postgres->tick = event_new(loop_base(loop), -1, 0, on_tick, postgres);
	postgres->retry = event_new(loop_base(loop), -1, 0, on_retry, postgres);
	postgres->notify = event_new(loop_base(loop), -1, 0, on_notify, postgres);
	check(postgres->tick && postgres->retry && postgres->notify);
	pool_init(postgres, &postgres->shared, options->shared, true);
	pool_init(postgres, &postgres->owned, options->owned, false);
	postgres->shared.settings =
		format_text(SESSION_FORMATS ", set_config('statement_timeout', '%lld', false)"
					    ", set_config('lock_timeout', '%lld', false)",
			    (long long)timeout_ms, (long long)(lock_ms < timeout_ms ? lock_ms : timeout_ms));
	postgres->owned.settings =
		format_text(SESSION_FORMATS ", set_config('statement_timeout', '%lld', false)", (long long)timeout_ms);
	return postgres;
}

struct postgres *postgres_free(struct postgres *postgres)
{
	if (!postgres)
		return NULL;
	pool_free(&postgres->shared);
	pool_free(&postgres->owned);
	event_free(postgres->tick);
	event_free(postgres->retry);
	event_free(postgres->notify);
	queries_free(postgres->queries);
	free(postgres->url);
	free(postgres->application_name);
	free(postgres->last_error);
	free(postgres->ping_reason);
	free(postgres);
	return NULL;
}

static char *ping_reason(const struct postgres *postgres, prong_duration timeout, int r)
{
	if (postgres->last_error[0])
		return duplicate(postgres->last_error);
	if (r == -ETIMEDOUT)
		return format_text("no answer within %lld ms", (long long)(timeout / 1000));
	if (r == -EHOSTDOWN)
		return duplicate("the connection was lost");
	return duplicate(strerror(-r));
}

int postgres_ping(struct postgres *postgres, prong_duration timeout, const char **ret_reason)
{
	PGresult *result;
	int r = statement_run(postgres, NULL, "SELECT 1", (struct prong_parameters){ 0 }, monotonic_us() + timeout,
			      &result);

	if (r == 0) {
		PQclear(result);
		return 0;
	}
	free(postgres->ping_reason);
	postgres->ping_reason = ping_reason(postgres, timeout, r);
	if (ret_reason)
		*ret_reason = postgres->ping_reason;
	return r;
}

const char *postgres_last_error(const struct postgres *postgres)
{
	return postgres->last_error;
}
