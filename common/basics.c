#include "common/basics.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>

void panic_at(const char *file, int line, const char *format, ...)
{
	va_list arguments;
	char text[1024];

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	dprintf(STDERR_FILENO, "prong: panic at %s:%d: %s (process %d)\n", file, line, text, (int)getpid());
	abort();
}

void *allocate_array(size_t count, size_t size)
{
	void *pointer = calloc(count ? count : 1, size ? size : 1);

	if (!pointer)
		panic("out of memory: %zu × %zu bytes", count, size);
	return pointer;
}

void *allocate(size_t size)
{
	return allocate_array(1, size);
}

void *reallocate(void *pointer, size_t size)
{
	void *moved = realloc(pointer, size ? size : 1);

	if (!moved)
		panic("out of memory: %zu bytes", size);
	return moved;
}

char *duplicate(const char *text)
{
	size_t size = strlen(text) + 1;

	return memcpy(allocate(size), text, size);
}

char *vformat_text(const char *format, va_list arguments)
{
	char *text;

	if (vasprintf(&text, format, arguments) < 0)
		panic("out of memory: formatting \"%s\"", format);
	return text;
}

char *format_text(const char *format, ...)
{
	va_list arguments;
	char *text;

	va_start(arguments, format);
	text = vformat_text(format, arguments);
	va_end(arguments);
	return text;
}

int file_read(const char *path, size_t max_size, char **ret_data, size_t *ret_size)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_(freep) char *data = NULL;
	size_t size = 0, capacity = 4096;

	if (fd < 0)
		return -errno;
	data = allocate(capacity + 1);
	for (;;) {
		ssize_t n = read(fd, data + size, capacity - size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		size += (size_t)n;
		if (size > max_size)
			return -EFBIG;
		if (size == capacity) {
			capacity *= 2;
			data = reallocate(data, capacity + 1);
		}
	}
	data[size] = '\0';
	*ret_data = data;
	*ret_size = size;
	data = NULL;
	return 0;
}

static int write_all(int fd, const char *data, size_t size)
{
	while (size) {
		ssize_t n = write(fd, data, size);

		if (n < 0 && errno != EINTR)
			return -errno;
		data += n > 0 ? n : 0;
		size -= n > 0 ? (size_t)n : 0;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

int file_write(const char *path, mode_t mode, const void *data, size_t size)
{
	_cleanup_(freep) char *temporary = format_text("%s.new", path);
	_cleanup_(closep) int fd = -1;
	int r;

	/* Made anew: what lies there may be open to others, or a link to elsewhere. */
	unlink(temporary);
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (fd < 0)
		return -errno;
	r = write_all(fd, data, size);
	if (r == 0 && rename(temporary, path) < 0)
		r = -errno;
	if (r < 0)
		unlink(temporary);
	return r;
}

int folder_make(const char *path, mode_t mode)
{
	_cleanup_(freep) char *part = duplicate(path);

	for (char *end = part + 1; *end; end++) {
		if (*end != '/')
			continue;
		*end = '\0';
		if (mkdir(part, 0777) < 0 && errno != EEXIST)
			return -errno;
		*end = '/';
	}
	return mkdir(part, mode) < 0 && errno != EEXIST ? -errno : 0;
}

static uint64_t rotate_left(uint64_t x, int k)
{
	return (x << k) | (x >> (64 - k));
}

static bool seeded;

/* A forked child must not repeat its parent. Asking for the process id each time would be a system call. */
static void forget_seed(void)
{
	seeded = false;
}

static void seed(uint64_t state[4])
{
	static bool watching;

	if (getrandom(state, 4 * sizeof(state[0]), 0) != 4 * sizeof(state[0]))
		panic("getrandom: %s", strerror(errno));
	if (!watching)
		check(pthread_atfork(NULL, NULL, forget_seed) == 0);
	watching = seeded = true;
}

uint64_t random_u64(void)
{
	static uint64_t state[4];
	uint64_t result, t;

	if (!seeded)
		seed(state);
	result = rotate_left(state[1] * 5, 7) * 9;
	t = state[1] << 17;
	state[2] ^= state[0];
	state[3] ^= state[1];
	state[1] ^= state[2];
	state[0] ^= state[3];
	state[2] ^= t;
	state[3] = rotate_left(state[3], 45);
	return result;
}

prong_duration reconnect_delay(size_t failures)
{
	prong_duration full = PRONG_MILLISECONDS(50) << (failures < 6 ? failures : 6);

	if (full > PRONG_SECONDS(2))
		full = PRONG_SECONDS(2);
	return full / 2 + (prong_duration)(random_u64() % (uint64_t)(full / 2));
}
