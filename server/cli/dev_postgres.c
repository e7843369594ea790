#include "server/cli/dev_postgres.h"

#include <libpq-fe.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>

#include "server/cli/dev.h"

#define LOG DEV_FOLDER "/postgres.log"
#define SOCKET ".s.PGSQL.5432.lock"
#define PATIENCE PRONG_SECONDS(60) /* recovery after a crash may take a while */
#define SPARE_CONNECTIONS 20	   /* for people, commands, and what the server reserves */

/* PostgreSQL refuses root. */
static int choose_user(struct dev_postgres *postgres, const struct invocation *invocation)
{
	const struct passwd *entry;

	if (geteuid() != 0)
		return STATUS_OK;
	entry = getpwnam("postgres");
	if (!entry)
		return command_error(
			invocation, STATUS_UNAVAILABLE,
			"PostgreSQL does not run as root, and there is no user 'postgres' to run it as: run `apt-get "
			"install postgresql`, or set DATABASE_URL");
	postgres->user = (struct service_user){ "postgres", entry->pw_uid, entry->pw_gid };
	postgres->service.user = &postgres->user;
	return STATUS_OK;
}

/* A pid of another time may by now be another process, which would stop the server from starting. */
static void remove_stale_pid(const struct dev_postgres *postgres)
{
	_cleanup_(freep) char *file = format_text("%s/postmaster.pid", postgres->data), *text = NULL, *link = NULL;
	_cleanup_(freep) char *socket_lock = format_text("%s/" SOCKET, postgres->socket_folder);
	char where[4096];
	size_t size;
	ssize_t n;

	if (file_read(file, 4096, &text, &size) < 0)
		return;
	link = format_text("/proc/%ld/cwd", strtol(text, NULL, 10));
	n = readlink(link, where, sizeof(where) - 1);
	if (n > 0) {
		where[n] = '\0';
		if (string_equal(where, postgres->data))
			return;
	}
	unlink(file);
	unlink(socket_lock);
}

static bool answers(void *argument)
{
	const struct dev_postgres *postgres = argument;

	return PQping(postgres->url) == PQPING_OK;
}

static int start(struct dev_postgres *postgres, struct invocation *invocation)
{
	const struct settings *settings = invocation->settings;
	_cleanup_(freep) char *program = format_text("%s/postgres", postgres->bin), *folder = NULL, *most = NULL;
	long long needed = (settings->http_processes + settings->worker_processes + 1) *
			   (settings->database_connections + settings->database_transactions);
	const char *argv[] = {
		program, "-D", postgres->data, "-c", NULL, "-c", NULL, "-c", "listen_addresses=", "-p", "5432", NULL,
	};
	int r;

	/* A list in the server's eyes: quotes keep commas and spaces together. */
	folder = format_text("unix_socket_directories=\"%s\"", postgres->socket_folder);
	most = format_text("max_connections=%lld", (needed < 100 ? 100 : needed) + SPARE_CONNECTIONS);
	argv[4] = folder;
	argv[6] = most;
	r = service_start(&postgres->service, argv);
	if (r < 0)
		return command_error(invocation, STATUS_UNAVAILABLE, "PostgreSQL cannot be started: %s: %s", program,
				     strerror(-r));
	return STATUS_OK;
}

static int wait_ready(struct dev_postgres *postgres, struct invocation *invocation)
{
	_cleanup_(freep) char *end = NULL;
	int r = service_wait(&postgres->service, PATIENCE, answers, postgres);

	if (r == 0 || r == -EINTR)
		return r;
	service_show_log(&postgres->service);
	end = r == -ECHILD ? service_end_text(&postgres->service) : duplicate("it does not answer");
	return command_error(
		invocation, STATUS_UNAVAILABLE,
		"PostgreSQL did not start: %s; see %s. If its data is damaged, remove %s/postgres to begin "
		"anew",
		end, LOG, DEV_FOLDER);
}

int dev_postgres_start(struct dev_postgres *postgres, struct invocation *invocation)
{
	_cleanup_(freep) char *encoded = NULL;
	int status;

	postgres->service = (struct service){ .name = "PostgreSQL", .log = LOG, .stop_signal = SIGINT };
	status = choose_user(postgres, invocation);
	if (status)
		return status;
	status = dev_postgres_make(postgres, invocation);
	if (status)
		return status;

	postgres->socket_folder = dev_socket_folder(postgres->home, SOCKET, postgres->service.user);
	if (!postgres->socket_folder)
		return command_error(invocation, STATUS_CONFIGURATION, "no folder for a socket can be made in /tmp: %s",
				     strerror(errno));
	encoded = dev_url_encode(postgres->socket_folder);
	postgres->url = format_text("postgresql://prong@/postgres?host=%s", encoded);
	remove_stale_pid(postgres);
	status = start(postgres, invocation);
	return status ? status : wait_ready(postgres, invocation);
}

void dev_postgres_stop(struct dev_postgres *postgres)
{
	service_stop(&postgres->service);
	if (postgres->home)
		dev_socket_folder_remove(postgres->home, postgres->socket_folder);
	free(postgres->home);
	free(postgres->data);
	free(postgres->socket_folder);
	free(postgres->bin);
	free(postgres->url);
}
