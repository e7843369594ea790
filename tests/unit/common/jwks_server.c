#include "tests/unit/common/jwks_server.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>

#include "common/basics.h"
#include "tests/unit/test.h"

/* NULL: there is nothing to say yet. malloc'ed. */
static char *take_answer(struct jwks_server *server, bool *ret_ending)
{
	char *answer;

	pthread_mutex_lock(&server->mutex);
	answer = server->answer ? duplicate(server->answer) : NULL;
	*ret_ending = server->ending;
	pthread_mutex_unlock(&server->mutex);
	return answer;
}

static void serve_one(struct jwks_server *server, int fd)
{
	struct pollfd client = { .fd = fd, .events = POLLRDHUP };
	bool ending = false;
	char request[4096];
	char *answer;

	if (recv(fd, request, sizeof(request), 0) <= 0)
		return;
	pthread_mutex_lock(&server->mutex);
	server->asked++;
	pthread_mutex_unlock(&server->mutex);
	while (!(answer = take_answer(server, &ending)) && !ending && poll(&client, 1, 5) == 0)
		;
	for (size_t sent = 0, size = answer ? strlen(answer) : 0; sent < size;) {
		ssize_t n = send(fd, answer + sent, size - sent, MSG_NOSIGNAL);

		if (n <= 0)
			break;
		sent += (size_t)n;
	}
	free(answer);
}

static void *serve(void *argument)
{
	struct jwks_server *server = argument;
	int fd;

	while ((fd = accept(server->listener, NULL, NULL)) >= 0) {
		serve_one(server, fd);
		close(fd);
	}
	return NULL;
}

void jwks_server_start(struct jwks_server *server)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);

	*server = (struct jwks_server){ .listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
	pthread_mutex_init(&server->mutex, NULL);
	CU_ASSERT_FATAL(bind(server->listener, (struct sockaddr *)&address, size) == 0);
	CU_ASSERT_FATAL(listen(server->listener, 64) == 0);
	CU_ASSERT_FATAL(getsockname(server->listener, (struct sockaddr *)&address, &size) == 0);
	server->port = ntohs(address.sin_port);
	CU_ASSERT_FATAL(pthread_create(&server->thread, NULL, serve, server) == 0);
}

void jwks_server_end(struct jwks_server *server)
{
	pthread_mutex_lock(&server->mutex);
	server->ending = true;
	pthread_mutex_unlock(&server->mutex);
	shutdown(server->listener, SHUT_RDWR);
	pthread_join(server->thread, NULL);
	close(server->listener);
	free(server->answer);
	pthread_mutex_destroy(&server->mutex);
}

static void set_answer(struct jwks_server *server, char *answer)
{
	pthread_mutex_lock(&server->mutex);
	free(server->answer);
	server->answer = answer;
	pthread_mutex_unlock(&server->mutex);
}

void jwks_server_say(struct jwks_server *server, const char *status, const char *body)
{
	set_answer(server, format_text("HTTP/1.1 %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s", status,
				       strlen(body), body));
}

void jwks_server_hang(struct jwks_server *server)
{
	set_answer(server, NULL);
}

int jwks_server_asked(struct jwks_server *server)
{
	int asked;

	pthread_mutex_lock(&server->mutex);
	asked = server->asked;
	pthread_mutex_unlock(&server->mutex);
	return asked;
}
