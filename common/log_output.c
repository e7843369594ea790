#include "common/log_output.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

enum output_kind {
	OUTPUT_PLAIN, /* never blocks for long: a file, or a descriptor of our own that is non-blocking */
	OUTPUT_SOCKET,
	OUTPUT_POLLED, /* blocking, shared, and not to be opened again */
};

static struct {
	int fd;
	bool own; /* opened here */
	enum output_kind kind;
	char *data;
	size_t start, end; /* unwritten */
	uint64_t dropped;
} output = { .fd = STDERR_FILENO, .kind = OUTPUT_POLLED };

static void reopen(void)
{
	int fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return; /* no /proc, or a terminal of another user */
	output.fd = fd;
	output.own = true;
	output.kind = OUTPUT_PLAIN;
}

void log_output_open(void)
{
	struct stat status;

	if (output.own)
		close(output.fd);
	output.own = false;
	output.start = output.end = 0;
	output.dropped = 0;
	output.fd = STDERR_FILENO;
	output.kind = OUTPUT_POLLED;
	if (fstat(STDERR_FILENO, &status) < 0)
		output.fd = -1;
	else if (S_ISSOCK(status.st_mode))
		output.kind = OUTPUT_SOCKET;
	else if (S_ISREG(status.st_mode))
		output.kind = OUTPUT_PLAIN;
	else if (S_ISFIFO(status.st_mode) || isatty(STDERR_FILENO))
		reopen();
}

bool log_output_is_terminal(void)
{
	return isatty(STDERR_FILENO);
}

int log_output_fd(void)
{
	return output.fd;
}

uint64_t log_output_dropped(void)
{
	return output.dropped;
}

static void make_room(size_t size)
{
	if (!output.data)
		output.data = allocate(LOG_BUFFER_SIZE);
	if (output.start == 0 || LOG_BUFFER_SIZE - output.end >= size)
		return;
	memmove(output.data, output.data + output.start, output.end - output.start);
	output.end -= output.start;
	output.start = 0;
}

void log_output_add(const char *line, size_t size)
{
	check(size <= LOG_LINE_MAX);
	make_room(size);
	if (LOG_BUFFER_SIZE - output.end < size) {
		output.dropped++;
		return;
	}
	memcpy(output.data + output.end, line, size);
	output.end += size;
}

static ssize_t write_bytes(const char *data, size_t size)
{
	struct pollfd room = { .fd = output.fd, .events = POLLOUT };

	if (output.kind == OUTPUT_SOCKET)
		return send(output.fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (output.kind == OUTPUT_POLLED && poll(&room, 1, 0) == 0) {
		errno = EAGAIN;
		return -1;
	}
	return write(output.fd, data, size);
}

/* As many whole lines as stay in one piece; no line is longer than that. */
static size_t next_piece(void)
{
	const char *data = output.data + output.start, *newline;
	size_t size = output.end - output.start;

	if (size <= LOG_LINE_MAX)
		return size;
	newline = memrchr(data, '\n', LOG_LINE_MAX);
	check(newline);
	return (size_t)(newline - data) + 1;
}

static void drop_all(void)
{
	for (size_t i = output.start; i < output.end; i++)
		output.dropped += output.data[i] == '\n';
	output.start = output.end = 0;
}

int log_output_write(void)
{
	while (output.start < output.end) {
		ssize_t written = write_bytes(output.data + output.start, next_piece());

		if (written >= 0) {
			output.start += (size_t)written;
		} else if (errno == EAGAIN) {
			return -EAGAIN;
		} else if (errno != EINTR) {
			int error = errno;

			drop_all();
			return -error;
		}
	}
	output.start = output.end = 0;
	return 0;
}

int log_output_wait(int64_t deadline)
{
	struct pollfd room = { .fd = output.fd, .events = POLLOUT };
	int64_t now;
	int r;

	while ((r = log_output_write()) == -EAGAIN && (now = monotonic_us()) < deadline)
		poll(&room, 1, (int)((deadline - now + 999) / 1000));
	return r;
}
