#include "tests/unit/common/redis_server.h"

#include <arpa/inet.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define MAX_ARGUMENTS 64

struct redis_server {
	char folder[32];
	char *url, *socket;
	int port;
	pid_t pid;
	const char *const *options;
};

static int free_port(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);
	_cleanup_(closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) < 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &size) < 0)
		panic("no port is free: %m");
	return ntohs(address.sin_port);
}

static void execute(struct redis_server *server)
{
	_cleanup_(freep) char *port = format_text("%d", server->port);
	_cleanup_(freep) char *log = format_text("%s/log", server->folder);
	const char *arguments[MAX_ARGUMENTS] = {
		"redis-server", "--port",	 port,		 "--bind",    "127.0.0.1", "--unixsocket",
		server->socket, "--dir",	 server->folder, "--save",    "",	   "--appendonly",
		"yes",		"--appendfsync", "always",	 "--logfile", log
	};
	size_t n = 17;

	for (size_t i = 0; server->options[i] && n < MAX_ARGUMENTS - 1; i++)
		arguments[n++] = server->options[i];
	execvp(arguments[0], (char *const *)arguments);
	_exit(127);
}

void redis_server_launch(struct redis_server *server)
{
	pid_t parent = getpid();

	server->pid = fork();
	if (server->pid < 0)
		panic("fork: %m");
	if (server->pid > 0)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() == parent)
		execute(server);
	_exit(1);
}

static bool answers(const struct redis_server *server)
{
	redisContext *context = redisConnectUnix(server->socket);
	redisReply *reply = context && !context->err ? redisCommand(context, "PING") : NULL;
	bool alive = reply && (reply->type != REDIS_REPLY_ERROR || strncmp(reply->str, "LOADING", 7) != 0);

	if (reply)
		freeReplyObject(reply);
	if (context)
		redisFree(context);
	return alive;
}

void redis_server_wait(struct redis_server *server)
{
	int64_t give_up = monotonic_us() + PRONG_SECONDS(60);

	while (!answers(server)) {
		if (monotonic_us() > give_up || waitpid(server->pid, NULL, WNOHANG) != 0)
			panic("redis-server did not start; see %s/log", server->folder);
		usleep(5000);
	}
}

struct redis_server *redis_server_new(const char *const options[])
{
	struct redis_server *server = allocate(sizeof(*server));

	strcpy(server->folder, "/tmp/prong-redis-XXXXXX");
	if (!mkdtemp(server->folder))
		panic("cannot make %s: %m", server->folder);
	server->socket = format_text("%s/socket", server->folder);
	server->url = format_text("unix://%s", server->socket);
	server->port = free_port();
	server->options = options;
	redis_server_launch(server);
	redis_server_wait(server);
	return server;
}

void redis_server_signal(struct redis_server *server, int signal)
{
	kill(server->pid, signal);
}

void redis_server_kill(struct redis_server *server)
{
	kill(server->pid, SIGKILL);
	waitpid(server->pid, NULL, 0);
	server->pid = 0;
}

struct redis_server *redis_server_free(struct redis_server *server)
{
	_cleanup_(freep) char *command = NULL;

	if (!server)
		return NULL;
	if (server->pid)
		redis_server_kill(server);
	command = format_text("rm -rf %s", server->folder);
	if (system(command) != 0)
		panic("%s failed", command);
	free(server->socket);
	free(server->url);
	free(server);
	return NULL;
}

const char *redis_server_url(const struct redis_server *server)
{
	return server->url;
}

int redis_server_port(const struct redis_server *server)
{
	return server->port;
}
