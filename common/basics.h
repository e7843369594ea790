/* Small things every file may use: cleanup attributes, overflow-safe helpers, the monotonic clock, broken invariants.
 */
#ifndef BASICS_H
#define BASICS_H

#include <prong/types.h>

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define _cleanup_(function) __attribute__((cleanup(function)))
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#define container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

static inline void freep(void *pointer)
{
	free(*(void **)pointer);
}

static inline void closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline bool string_equal(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

/* All zero: what stands for no UUID where there may be none. */
static inline bool uuid_is_zero(prong_uuid uuid)
{
	static const prong_uuid zero;

	return memcmp(&uuid, &zero, sizeof(zero)) == 0;
}

/* CLOCK_MONOTONIC in µs: the time of all deadlines. Wall-clock time is only for what people and other machines read. */
static inline int64_t monotonic_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/*
 * A broken invariant of ours, or memory exhausted: says where and why on standard error, and aborts. Never for bad
 * input.
 */
_Noreturn void panic_at(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));
#define panic(...) panic_at(__FILE__, __LINE__, __VA_ARGS__)
#define check(condition)                                 \
	do {                                             \
		if (!(condition))                        \
			panic("broken: %s", #condition); \
	} while (0)

/* As their namesakes, but never NULL: a process out of memory ends, and its supervisor replaces it. Zeroed. */
void *allocate(size_t size);
void *allocate_array(size_t count, size_t size);
void *reallocate(void *pointer, size_t size);
char *duplicate(const char *text);
char *format_text(const char *format, ...) __attribute__((format(printf, 1, 2)));
char *vformat_text(const char *format, va_list arguments) __attribute__((format(printf, 1, 0)));

/* Reads a whole file of at most `max_size` bytes; NUL-terminated for convenience. 0 or negative errno (-EFBIG). */
int file_read(const char *path, size_t max_size, char **ret_data, size_t *ret_size);

/* Writes a new file, under another name until it is whole; one of the same name is replaced. 0 or negative errno. */
int file_write(const char *path, mode_t mode, const void *data, size_t size);

/* Makes a folder, with the mode given, and those above it, where they are missing. 0 or negative errno. */
int folder_make(const char *path, mode_t mode);

/* Cryptographically random where it matters is libsodium's job; this is for jitter and ids. xoshiro256**. */
uint64_t random_u64(void);

/*
 * How long to wait before a server is tried again after `failures` failures in a row before this one: 50 ms doubling to
 * 2 s. Half of it is random, so that many processes do not come back at the same instant.
 */
prong_duration reconnect_delay(size_t failures);

#endif
