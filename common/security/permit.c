#include "common/security/permit.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "common/basics.h"

/* Between looks of one who was not woken; jittered so that waiting processes do not align. */
#define PAUSE_MIN_US 5000
#define PAUSE_SPREAD_US 10000

struct permits {
	int fd;
	size_t count;
	_Atomic uint32_t *released; /* the futex: how many were given back, shared by all */
};

int permits_open(void)
{
	int fd = memfd_create("prong-permits", MFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, sizeof(uint32_t)) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	return fd;
}

struct permits *permits_new(int fd, size_t count)
{
	struct permits *permits = allocate(sizeof(*permits));

	permits->fd = fd;
	permits->count = count;
	permits->released = mmap(NULL, sizeof(*permits->released), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (permits->released == MAP_FAILED)
		panic("cannot map the permits: %s", strerror(errno));
	return permits;
}

struct permits *permits_free(struct permits *permits)
{
	if (!permits)
		return NULL;
	munmap((void *)permits->released, sizeof(*permits->released));
	free(permits);
	return NULL;
}

static int lock_byte(int fd, size_t byte)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1 };

	if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
		return 0;
	return errno == EACCES ? -EAGAIN : -errno;
}

static int lock_any(int fd, size_t count)
{
	size_t first = randombytes_uniform((uint32_t)count);
	int r = -EAGAIN;

	for (size_t i = 0; i < count && r == -EAGAIN; i++)
		r = lock_byte(fd, (first + i) % count);
	return r;
}

/* Until a permit was given back since `seen`, or a while has passed. */
static void wait_for_release(struct permits *permits, uint32_t seen, int64_t deadline)
{
	int64_t pause = PAUSE_MIN_US + randombytes_uniform(PAUSE_SPREAD_US), left = deadline - monotonic_us();
	struct timespec timeout = { .tv_nsec = 1000 * (pause < left ? pause : left > 0 ? left : 0) };

	syscall(SYS_futex, permits->released, FUTEX_WAIT, seen, &timeout, NULL, 0);
}

int permit_take(struct permits *permits, int64_t deadline)
{
	_cleanup_(closep) int own = -1;
	char path[64];
	uint32_t seen;
	int permit, r;

	/* A lock belongs to the open file description, and fork shares the master's: each permit needs one of its own.
	 */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", permits->fd);
	own = open(path, O_RDWR | O_CLOEXEC);
	if (own < 0)
		return errno == EMFILE || errno == ENFILE ? -EAGAIN : -errno;
	for (;;) {
		seen = atomic_load(permits->released);
		r = lock_any(own, permits->count);
		if (r != -EAGAIN || monotonic_us() >= deadline)
			break;
		wait_for_release(permits, seen, deadline);
	}
	if (r < 0)
		return r;
	permit = own;
	own = -1;
	return permit;
}

void permit_release(struct permits *permits, int permit)
{
	if (permit < 0)
		return;
	close(permit);
	atomic_fetch_add(permits->released, 1);
	syscall(SYS_futex, permits->released, FUTEX_WAKE, 1, NULL, NULL, 0);
}
