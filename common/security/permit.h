/*
 * Permits: a counting semaphore over processes that nobody's death can leak. A permit is the lock of one byte of a
 * shared memory file (F_OFD_SETLK), held by a file description of its own; the kernel frees it with the description, so
 * with the process at the latest. A child forked while a permit is held shares it: fork elsewhere.
 */
#ifndef PERMIT_H
#define PERMIT_H

#include <stddef.h>
#include <stdint.h>

/*
 * Takes one of `count` permits of the memory file `fd`, waiting for one until `deadline` (monotonic µs). Blocks: only
 * on the thread pool. Returns a descriptor to close() when done; -EAGAIN: none came free, or there is no descriptor
 * left for it; another negative errno where /proc/self/fd cannot be opened.
 */
int permit_take(int fd, size_t count, int64_t deadline);

#endif
