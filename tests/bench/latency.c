/*
 * How long a GET takes that is sent at a fixed pace on one connection, whether or not the server is busy with others.
 * What is late because the answer before it was late counts from when it was due. Prints the median, the 99th
 * percentile and the longest in µs.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void wait_until(int64_t us)
{
	struct timespec then = { .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000 };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &then, NULL) == EINTR)
		;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int connect_to(const char *port)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_port = htons((uint16_t)atoi(port)),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), yes = 1;

	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die("latency: connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	return fd;
}

/* One small answer, which comes with its Content-Length. */
static void get(int fd, const char *request)
{
	size_t size = strlen(request), received = 0, whole = SIZE_MAX;
	char answer[8192];

	if (write(fd, request, size) != (ssize_t)size)
		die("latency: write");
	while (received < whole) {
		ssize_t n = read(fd, answer + received, sizeof(answer) - 1 - received);
		const char *end, *length;

		if (n <= 0)
			die("latency: read");
		received += (size_t)n;
		answer[received] = '\0';
		end = strstr(answer, "\r\n\r\n");
		length = strcasestr(answer, "\r\ncontent-length:");
		if (end && length)
			whole = (size_t)(end + 4 - answer) + (size_t)atol(length + strlen("\r\ncontent-length:"));
	}
	if (strncmp(answer, "HTTP/1.1 200 ", 13) != 0) {
		fprintf(stderr, "latency: %.40s\n", answer);
		exit(1);
	}
}

static int by_value(const void *a, const void *b)
{
	int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

	return left < right ? -1 : left > right;
}

int main(int argc, char *argv[])
{
	char request[512];
	size_t count, pace;
	int64_t *taken, due;
	int fd;

	if (argc != 5) {
		fprintf(stderr, "usage: latency PORT PATH PER_SECOND SECONDS\n");
		return 64;
	}
	pace = (size_t)atol(argv[3]);
	count = pace * (size_t)atol(argv[4]);
	taken = calloc(count, sizeof(*taken));
	if (!count || !taken)
		return 64;
	snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", argv[2]);
	fd = connect_to(argv[1]);
	due = now_us();
	for (size_t i = 0; i < count; i++, due += 1000000 / (int64_t)pace) {
		wait_until(due);
		get(fd, request);
		taken[i] = now_us() - due;
	}
	qsort(taken, count, sizeof(*taken), by_value);
	printf("%lld %lld %lld\n", (long long)taken[count / 2], (long long)taken[count * 99 / 100],
	       (long long)taken[count - 1]);
	close(fd);
	free(taken);
	return 0;
}
