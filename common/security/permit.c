#include "common/security/permit.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>

#include "common/basics.h"

/* Short beside a hash (7 ms and more), long beside a round of tries; jittered so that waiting processes do not align.
 */
#define PAUSE_MIN_US 500
#define PAUSE_SPREAD_US 1500

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

int permit_take(int fd, size_t count, int64_t deadline)
{
	_cleanup_(closep) int own = -1;
	char path[64];
	int permit, r;

	/* A lock belongs to the open file description, and fork shares the master's: each permit needs one of its own.
	 */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	own = open(path, O_RDWR | O_CLOEXEC);
	if (own < 0)
		return errno == EMFILE || errno == ENFILE ? -EAGAIN : -errno;
	while ((r = lock_any(own, count)) == -EAGAIN && monotonic_us() < deadline)
		usleep(PAUSE_MIN_US + randombytes_uniform(PAUSE_SPREAD_US));
	if (r < 0)
		return r;
	permit = own;
	own = -1;
	return permit;
}
