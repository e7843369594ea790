/*
 * Permits: a counting semaphore over processes that nobody's death can leak. A permit is the lock of one byte of a
 * shared memory file (F_OFD_SETLK), held by a file description of its own; the kernel frees it with the description, so
 * with the process at the latest. A child forked while a permit is held shares it: fork elsewhere.
 *
 * Those who wait sleep on a futex in the same file, which whoever gives a permit back wakes. That is a hint only: they
 * look by themselves now and then too, because a process that was killed wakes nobody.
 */
#ifndef PERMIT_H
#define PERMIT_H

#include <stddef.h>
#include <stdint.h>

struct permits;

/* The memory file; made before the processes fork that share it. Returns its descriptor, or negative errno. */
int permits_open(void);

/* One process's view of the `count` permits of the file, which stays the caller's and must stay open. */
struct permits *permits_new(int fd, size_t count);
struct permits *permits_free(struct permits *permits); /* returns NULL */

/*
 * Takes one, waiting for it until `deadline` (monotonic µs). Blocks: only on a thread beside the loop. Returns it, to
 * be given to permit_release(); -EAGAIN: none came free, or there is no descriptor left for it; another negative errno
 * where /proc/self/fd cannot be opened.
 */
int permit_take(struct permits *permits, int64_t deadline);

/* Gives it back; a negative one is none. */
void permit_release(struct permits *permits, int permit);

#endif
