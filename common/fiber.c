#include "common/fiber.h"

#include "common/basics.h"

#ifdef FIBER_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

/* `save` is NULL when the fiber that is left never runs again, so that ASan frees its fake stack. */
static void announce_departure(void **save, const struct fiber *to)
{
#ifdef FIBER_ASAN
	__sanitizer_start_switch_fiber(save, to->bottom, to->size);
#else
	(void)save;
	(void)to;
#endif
}

/* ASan also says here what stack was left, which is how the thread's own first stack becomes known. */
static void announce_arrival(struct fiber *self)
{
#ifdef FIBER_ASAN
	__sanitizer_finish_switch_fiber(self->fake_stack, &self->previous->bottom, &self->previous->size);
#else
	(void)self;
#endif
}

static void **fake_stack(struct fiber *fiber)
{
#ifdef FIBER_ASAN
	return &fiber->fake_stack;
#else
	(void)fiber;
	return NULL;
#endif
}

static void note_stack(struct fiber *fiber, void *bottom, size_t size)
{
#ifdef FIBER_ASAN
	fiber->fake_stack = NULL;
	fiber->bottom = bottom;
	fiber->size = size;
#else
	(void)fiber;
	(void)bottom;
	(void)size;
#endif
}

#ifdef PRONG_UCONTEXT

/* makecontext() passes only ints. */
static void begin(unsigned high, unsigned low)
{
	struct fiber *self = (struct fiber *)((uintptr_t)high << 32 | low);

	announce_arrival(self);
	self->entry();
}

void fiber_make(struct fiber *fiber, void *bottom, size_t size, void (*entry)(void))
{
	uintptr_t self = (uintptr_t)fiber;

	fiber->entry = entry;
	note_stack(fiber, bottom, size);
	check(getcontext(&fiber->context) == 0);
	fiber->context.uc_stack.ss_sp = bottom;
	fiber->context.uc_stack.ss_size = size;
	fiber->context.uc_link = NULL;
	makecontext(&fiber->context, (void (*)(void))begin, 2, (unsigned)(self >> 32), (unsigned)self);
}

void fiber_switch(struct fiber *from, struct fiber *to)
{
	to->previous = from;
	announce_departure(fake_stack(from), to);
	check(swapcontext(&from->context, &to->context) == 0);
	announce_arrival(from);
}

void fiber_leave(struct fiber *from, struct fiber *to)
{
	to->previous = from;
	announce_departure(NULL, to);
	setcontext(&to->context);
	panic("a fiber that ended was resumed");
}

#else

/* Of libboost_context.a; its C++ headers declare the same. */
struct transfer {
	void *context; /* of the stack that was left */
	void *data;
};
struct transfer jump_fcontext(void *to, void *data);
void *make_fcontext(void *stack_top, size_t size, void (*entry)(struct transfer));

static void arrive(struct fiber *self, struct transfer transfer)
{
	self->previous->context = transfer.context;
	announce_arrival(self);
}

static void begin(struct transfer transfer)
{
	struct fiber *self = transfer.data;

	arrive(self, transfer);
	self->entry();
}

void fiber_make(struct fiber *fiber, void *bottom, size_t size, void (*entry)(void))
{
	fiber->entry = entry;
	note_stack(fiber, bottom, size);
	fiber->context = make_fcontext((char *)bottom + size, size, begin);
}

void fiber_switch(struct fiber *from, struct fiber *to)
{
	to->previous = from;
	announce_departure(fake_stack(from), to);
	arrive(from, jump_fcontext(to->context, to));
}

void fiber_leave(struct fiber *from, struct fiber *to)
{
	to->previous = from;
	announce_departure(NULL, to);
	jump_fcontext(to->context, to);
	panic("a fiber that ended was resumed");
}

#endif
