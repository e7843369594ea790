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
	int port, bus_port; /* of the cluster's bus; 0: none */
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
	_cleanup_(freep) char *bus_port = format_text("%d", server->bus_port);
	_cleanup_(freep) char *log = format_text("%s/log", server->folder);
	const char *arguments[MAX_ARGUMENTS] = {
		"redis-server", "--port",	 port,		 "--bind",    "127.0.0.1", "--unixsocket",
		server->socket, "--dir",	 server->folder, "--save",    "",	   "--appendonly",
		"yes",		"--appendfsync", "always",	 "--logfile", log
	};
	const char *const cluster[] = { "--cluster-enabled",	  "yes", "--cluster-port", bus_port,
					"--cluster-node-timeout", "1000" };
	size_t n = 17;

	for (size_t i = 0; server->bus_port && i < ARRAY_SIZE(cluster); i++)
		arguments[n++] = cluster[i];
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

static struct redis_server *start(const char *const options[], bool in_cluster)
{
	struct redis_server *server = allocate(sizeof(*server));

	strcpy(server->folder, "/tmp/prong-redis-XXXXXX");
	if (!mkdtemp(server->folder))
		panic("cannot make %s: %m", server->folder);
	server->socket = format_text("%s/socket", server->folder);
	server->url = format_text("unix://%s", server->socket);
	server->port = free_port();
	server->bus_port = in_cluster ? free_port() : 0;
	server->options = options;
	redis_server_launch(server);
	redis_server_wait(server);
	return server;
}

struct redis_server *redis_server_new(const char *const options[])
{
	return start(options, false);
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

/* ---- asking it ---- */

char *redis_server_ask(const struct redis_server *server, const char *format, ...)
{
	redisContext *context = redisConnectUnix(server->socket);
	redisReply *reply = NULL;
	va_list arguments;
	char *text;

	va_start(arguments, format);
	if (context && !context->err)
		reply = redisvCommand(context, format, arguments);
	va_end(arguments);
	if (!reply || reply->type == REDIS_REPLY_ERROR)
		panic("%s: %s", format, reply ? reply->str : "Redis does not answer");
	text = reply->str ? duplicate(reply->str) : format_text("%lld", reply->integer);
	freeReplyObject(reply);
	redisFree(context);
	return text;
}

/* ---- clusters ---- */

static bool knows(const struct redis_server *server, int n_nodes)
{
	_cleanup_(freep) char *info = redis_server_ask(server, "CLUSTER INFO");
	_cleanup_(freep) char *nodes = format_text("cluster_known_nodes:%d\r", n_nodes);

	return strstr(info, "cluster_state:ok") && strstr(info, nodes);
}

static void meet(const struct redis_server *server, const struct redis_server *other)
{
	free(redis_server_ask(server, "CLUSTER MEET 127.0.0.1 %d %d", other->port, other->bus_port));
}

/* Until each of `nodes` knows all of the cluster. */
static void wait_for_cluster(struct redis_server *const nodes[], int n_nodes, int n_known)
{
	int64_t give_up = monotonic_us() + PRONG_SECONDS(60);

	for (int i = 0; i < n_nodes; i++)
		while (!knows(nodes[i], n_known)) {
			if (monotonic_us() > give_up)
				panic("no cluster came about; see %s/log", nodes[i]->folder);
			usleep(5000);
		}
}

void redis_cluster_start(struct redis_server *ret_masters[REDIS_CLUSTER_MASTERS], const char *const options[])
{
	for (int i = 0; i < REDIS_CLUSTER_MASTERS; i++) {
		int first = 16384 * i / REDIS_CLUSTER_MASTERS, last = 16384 * (i + 1) / REDIS_CLUSTER_MASTERS - 1;

		ret_masters[i] = start(options, true);
		free(redis_server_ask(ret_masters[i], "CLUSTER ADDSLOTSRANGE %d %d", first, last));
		/* Nodes that come with the same epoch of their own would have to settle it first. */
		free(redis_server_ask(ret_masters[i], "CLUSTER SET-CONFIG-EPOCH %d", i + 1));
		if (i > 0)
			meet(ret_masters[0], ret_masters[i]);
	}
	wait_for_cluster(ret_masters, REDIS_CLUSTER_MASTERS, REDIS_CLUSTER_MASTERS);
}

void redis_cluster_stop(struct redis_server *masters[REDIS_CLUSTER_MASTERS])
{
	for (int i = 0; i < REDIS_CLUSTER_MASTERS; i++)
		masters[i] = redis_server_free(masters[i]);
}

static bool is_in_step(const struct redis_server *replica)
{
	_cleanup_(freep) char *info = redis_server_ask(replica, "INFO replication");

	return strstr(info, "master_link_status:up") != NULL;
}

struct redis_server *redis_cluster_replica(struct redis_server *masters[REDIS_CLUSTER_MASTERS], int master)
{
	struct redis_server *replica = start(masters[0]->options, true);
	_cleanup_(freep) char *id = redis_server_ask(masters[master], "CLUSTER MYID");
	int64_t give_up = monotonic_us() + PRONG_SECONDS(60);

	meet(masters[0], replica);
	wait_for_cluster(masters, REDIS_CLUSTER_MASTERS, REDIS_CLUSTER_MASTERS + 1);
	wait_for_cluster(&replica, 1, REDIS_CLUSTER_MASTERS + 1);
	free(redis_server_ask(replica, "CLUSTER REPLICATE %s", id));
	while (!is_in_step(replica)) {
		if (monotonic_us() > give_up)
			panic("no replica came about; see %s/log", replica->folder);
		usleep(5000);
	}
	return replica;
}
