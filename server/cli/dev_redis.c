#include "server/cli/dev_redis.h"

#include <hiredis/hiredis.h>
#include <signal.h>
#include <sys/stat.h>

#include "server/cli/dev.h"

#define FOLDER DEV_FOLDER "/redis"
#define LOG DEV_FOLDER "/redis.log"
#define SOCKET "redis.sock"
#define PATIENCE PRONG_SECONDS(60) /* loading the data may take a while */

static bool answers(void *argument)
{
	const struct dev_redis *redis = argument;
	redisContext *context = redisConnectUnixWithTimeout(redis->socket, (struct timeval){ .tv_sec = 1 });
	redisReply *reply = NULL;
	bool pong;

	if (context && !context->err) {
		redisSetTimeout(context, (struct timeval){ .tv_sec = 1 });
		reply = redisCommand(context, "PING");
	}
	pong = reply && reply->type == REDIS_REPLY_STATUS;
	if (reply)
		freeReplyObject(reply);
	if (context)
		redisFree(context);
	return pong;
}

static int start(struct dev_redis *redis, struct invocation *invocation, const char *folder)
{
	const char *const argv[] = {
		"redis-server", "--port", "0",	  "--unixsocket",	redis->socket, "--unixsocketperm",
		"700",		"--dir",  folder, "--appendonly",	"yes",	       "--appendfsync",
		"everysec",	"--save", "",	  "--maxmemory-policy", "noeviction",  "--daemonize",
		"no",		NULL,
	};
	int r = service_start(&redis->service, argv);

	if (r == -ENOENT)
		return command_error(
			invocation, STATUS_UNAVAILABLE,
			"Redis is not installed: run `sudo apt-get install redis-server`, or set REDIS_URL");
	if (r < 0)
		return command_error(invocation, STATUS_UNAVAILABLE, "Redis cannot be started: %s", strerror(-r));
	return STATUS_OK;
}

int dev_redis_start(struct dev_redis *redis, struct invocation *invocation)
{
	_cleanup_(freep) char *folder = dev_path(FOLDER), *encoded = NULL, *end = NULL;
	int status, r;

	redis->service = (struct service){ .name = "Redis", .log = LOG, .stop_signal = SIGTERM };
	if (!folder || (mkdir(FOLDER, 0700) < 0 && errno != EEXIST) || access(FOLDER "/.", R_OK | W_OK | X_OK) < 0)
		return command_error(invocation, STATUS_CONFIGURATION, "the folder %s cannot be used: %s: remove it",
				     FOLDER, strerror(errno));
	redis->socket_folder = dev_socket_folder(folder, SOCKET, NULL);
	if (!redis->socket_folder)
		return command_error(invocation, STATUS_CONFIGURATION, "no folder for a socket can be made in /tmp: %s",
				     strerror(errno));
	redis->socket = format_text("%s/" SOCKET, redis->socket_folder);

	status = start(redis, invocation, folder);
	if (status)
		return status;
	r = service_wait(&redis->service, PATIENCE, answers, redis);
	if (r == -EINTR)
		return r;
	if (r < 0) {
		service_show_log(&redis->service);
		end = r == -ECHILD ? service_end_text(&redis->service) : duplicate("it does not answer");
		return command_error(
			invocation, STATUS_UNAVAILABLE,
			"Redis did not start: %s; see %s. If its data is damaged, remove %s: queued jobs are "
			"lost with it",
			end, LOG, FOLDER);
	}
	encoded = dev_url_encode(redis->socket);
	redis->url = format_text("unix://%s", encoded);
	return STATUS_OK;
}

void dev_redis_stop(struct dev_redis *redis)
{
	_cleanup_(freep) char *folder = dev_path(FOLDER);

	service_stop(&redis->service);
	if (folder)
		dev_socket_folder_remove(folder, redis->socket_folder);
	free(redis->socket_folder);
	free(redis->socket);
	free(redis->url);
}
