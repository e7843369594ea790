#include "tests/unit/common/servers.h"

#include <dirent.h>
#include <grp.h>
#include <hiredis/hiredis.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define POSTGRES_FOLDER "/usr/lib/postgresql/15/bin/"

static char folder[] = "/tmp/prong-test-XXXXXX";
static bool have_folder;
static pid_t owner; /* a forked child that exits must not stop its parent's servers */

static struct server_state {
	const char *variable;
	pid_t pid;
	char *url;
	bool foreign;
} servers[] = {
	[SERVER_POSTGRES] = { .variable = "PRONG_TEST_DATABASE_URL" },
	[SERVER_REDIS] = { .variable = "PRONG_TEST_REDIS_URL" },
};

/* PostgreSQL refuses to run as root. */
static void become_postgres(void)
{
	const struct passwd *user = getpwnam("postgres");

	if (geteuid() != 0)
		return;
	if (!user || setgroups(0, NULL) < 0 || setgid(user->pw_gid) < 0 || setuid(user->pw_uid) < 0)
		panic("cannot become the user postgres: %m");
}

static pid_t spawn(char *const arguments[], bool as_postgres)
{
	_cleanup_(freep) char *log = format_text("%s/log", folder);
	pid_t parent = getpid(), pid;

	/* Or the child would write it, too. */
	fflush(NULL);
	pid = fork();

	if (pid < 0)
		panic("fork: %m");
	if (pid > 0)
		return pid;
	if (!freopen(log, "a", stdout) || !freopen(log, "a", stderr))
		_exit(1);
	if (as_postgres)
		become_postgres();
	/* After the change of user, which would clear it. */
	prctl(PR_SET_PDEATHSIG, SIGQUIT);
	if (getppid() != parent)
		_exit(1);
	execv(arguments[0], arguments);
	_exit(127);
}

static void run(char *const arguments[], bool as_postgres)
{
	pid_t pid = spawn(arguments, as_postgres);
	int status;

	if (waitpid(pid, &status, 0) != pid || status != 0)
		panic("%s failed; see %s/log", arguments[0], folder);
}

static void stop_all(void)
{
	if (getpid() != owner)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(servers); i++) {
		if (servers[i].pid)
			server_stop((enum server)i);
		free(servers[i].url);
		servers[i].url = NULL;
	}
	if (have_folder)
		run((char *[]){ "/bin/rm", "-rf", folder, NULL }, false);
}

static void make_folder(void)
{
	if (have_folder)
		return;
	if (!mkdtemp(folder) || chmod(folder, 0777) < 0)
		panic("cannot make %s: %m", folder);
	have_folder = true;
	owner = getpid();
	atexit(stop_all);
}

static void start_postgres(void)
{
	_cleanup_(freep) char *data = format_text("%s/data", folder);

	if (access(data, F_OK) < 0)
		run((char *[]){ POSTGRES_FOLDER "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-N", "-E",
				"UTF8", "--locale=C.UTF-8", NULL },
		    true);
	servers[SERVER_POSTGRES].pid = spawn((char *[]){ POSTGRES_FOLDER "postgres", "-F", "-D", data, "-k", folder,
							 "-c", "listen_addresses=", "-c", "max_connections=200", "-c",
							 "max_prepared_transactions=2", NULL },
					     true);
}

static void start_redis(void)
{
	_cleanup_(freep) char *socket = format_text("%s/redis.sock", folder);

	servers[SERVER_REDIS].pid = spawn((char *[]){ "/usr/bin/redis-server", "--port", "0", "--unixsocket", socket,
						      "--dir", folder, "--save", "", "--appendonly", "no", NULL },
					  false);
}

static bool answers(enum server server)
{
	_cleanup_(freep) char *socket = format_text("%s/redis.sock", folder);
	redisContext *context;
	redisReply *reply;
	bool alive;

	if (server == SERVER_POSTGRES)
		return PQping(servers[server].url) == PQPING_OK;
	context = redisConnectUnix(socket);
	reply = context && !context->err ? redisCommand(context, "PING") : NULL;
	alive = reply && reply->type == REDIS_REPLY_STATUS;
	if (reply)
		freeReplyObject(reply);
	if (context)
		redisFree(context);
	return alive;
}

static void wait_for(enum server server)
{
	int64_t give_up = monotonic_us() + 60000000;

	while (!answers(server)) {
		if (monotonic_us() > give_up || waitpid(servers[server].pid, NULL, WNOHANG) != 0)
			panic("the server of %s did not start; see %s/log", servers[server].variable, folder);
		usleep(10000);
	}
}

const char *server_url(enum server server)
{
	struct server_state *state = &servers[server];
	const char *given = getenv(state->variable);

	if (state->url)
		return state->url;
	make_folder();
	if (given) {
		state->foreign = true;
		state->url = duplicate(given);
		return state->url;
	}
	state->url = server == SERVER_POSTGRES ? format_text("postgresql://postgres@/postgres?host=%s", folder)
					       : format_text("unix://%s/redis.sock", folder);
	server_start(server);
	return state->url;
}

bool server_is_private(enum server server)
{
	server_url(server);
	return !servers[server].foreign;
}

void server_start(enum server server)
{
	check(!servers[server].pid && !servers[server].foreign);
	if (server == SERVER_POSTGRES)
		start_postgres();
	else
		start_redis();
	wait_for(server);
}

static pid_t parent_of(pid_t pid)
{
	_cleanup_(freep) char *path = format_text("/proc/%d/stat", (int)pid);
	FILE *file = fopen(path, "r");
	int parent = 0;

	if (!file)
		return 0;
	if (fscanf(file, "%*d (%*[^)]) %*c %d", &parent) != 1)
		parent = 0;
	fclose(file);
	return parent;
}

void server_signal(enum server server, int signal)
{
	pid_t pid = servers[server].pid;
	struct dirent *entry;
	DIR *proc;

	check(pid > 0);
	/* The parent first, so that a stopped one starts no more children. */
	kill(pid, signal);
	proc = opendir("/proc");
	check(proc);
	while ((entry = readdir(proc))) {
		pid_t child = (pid_t)atoi(entry->d_name);

		if (child > 0 && parent_of(child) == pid)
			kill(child, signal);
	}
	closedir(proc);
}

void server_stop(enum server server)
{
	pid_t pid = servers[server].pid;

	check(pid > 0);
	server_signal(server, SIGCONT);
	kill(pid, server == SERVER_POSTGRES ? SIGQUIT : SIGKILL);
	waitpid(pid, NULL, 0);
	servers[server].pid = 0;
}
