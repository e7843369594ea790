/*
 * Stacks of coroutines: mapped when first needed, with a guard page below, and reused, the most recently used first,
 * so that a busy process never maps. What lay unused for a while gives its pages back to the system and stays mapped.
 */
#ifndef STACK_POOL_H
#define STACK_POOL_H

#include "common/fiber.h"

#include <stdbool.h>

#ifdef FIBER_ASAN
#define STACK_SIZE ((size_t)512 * 1024) /* instrumented frames are several times larger */
#else
#define STACK_SIZE ((size_t)256 * 1024)
#endif

struct stack_pool {
	void **free; /* [0, n_cold) hold no pages; the last is the next to be taken */
	size_t n_free, n_cold;
	size_t low; /* the least n_free since the last trim */
};

void stack_pool_init(struct stack_pool *pool, size_t max_stacks);
void stack_pool_close(struct stack_pool *pool); /* unmaps those that were given back */

/* The lowest address of STACK_SIZE bytes, of any content; NULL when the system has none left. */
void *stack_pool_take(struct stack_pool *pool);
void stack_pool_give(struct stack_pool *pool, void *stack);

/* Whether so many keep pages that stack_pool_trim() should be called in a second or so. */
bool stack_pool_untidy(const struct stack_pool *pool);

/* Gives back the pages of stacks not used since the last call, but of a few. */
void stack_pool_trim(struct stack_pool *pool);

#endif
