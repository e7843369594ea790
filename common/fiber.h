/*
 * Switching stacks: Boost.Context's assembly, or ucontext where PRONG_UCONTEXT is defined. AddressSanitizer is told of
 * every switch. Only common/coroutine.c uses this.
 */
#ifndef FIBER_H
#define FIBER_H

#include <stddef.h>

#ifdef PRONG_UCONTEXT
#include <ucontext.h>
#endif

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FIBER_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) && !defined(FIBER_ASAN)
#define FIBER_ASAN 1
#endif

/* One stack and where it goes on. Zeroed, it stands for the stack the thread began on. */
struct fiber {
#ifdef PRONG_UCONTEXT
	ucontext_t context;
#else
	void *context;
#endif
	void (*entry)(void);
	struct fiber *previous; /* whence it was last switched to */
#ifdef FIBER_ASAN
	void *fake_stack;
	const void *bottom;
	size_t size;
#endif
};

/* Lets `fiber` begin with `entry`, which must end with fiber_leave(), on the stack of `size` bytes from `bottom`. */
void fiber_make(struct fiber *fiber, void *bottom, size_t size, void (*entry)(void));

/* Suspends `from`, which must be the running one, and goes on with `to`. Returns when something switches to `from`. */
void fiber_switch(struct fiber *from, struct fiber *to);

/* As fiber_switch(), but `from` never runs again: its stack may be reused as soon as `to` runs. */
_Noreturn void fiber_leave(struct fiber *from, struct fiber *to);

#endif
