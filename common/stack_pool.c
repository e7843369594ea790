#include "common/stack_pool.h"

#include "common/basics.h"

#include <sys/mman.h>

#ifdef FIBER_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/lsan_interface.h>
#endif

/* Unused stacks that keep their pages however long they lie. */
#define WARM_STACKS 16

static size_t guard_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

void stack_pool_init(struct stack_pool *pool, size_t max_stacks)
{
	*pool = (struct stack_pool){ .free = allocate_array(max_stacks, sizeof(void *)) };
}

static void *stack_map(void)
{
	size_t guard = guard_size();
	char *mapping = mmap(NULL, guard + STACK_SIZE, PROT_NONE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);

	if (mapping == MAP_FAILED)
		return NULL;
	if (mprotect(mapping + guard, STACK_SIZE, PROT_READ | PROT_WRITE) < 0) {
		munmap(mapping, guard + STACK_SIZE);
		return NULL;
	}
#ifdef FIBER_ASAN
	__lsan_register_root_region(mapping + guard, STACK_SIZE);
#endif
	return mapping + guard;
}

static void stack_unmap(void *stack)
{
	size_t guard = guard_size();

#ifdef FIBER_ASAN
	__lsan_unregister_root_region(stack, STACK_SIZE);
	__asan_unpoison_memory_region(stack, STACK_SIZE);
#endif
	munmap((char *)stack - guard, guard + STACK_SIZE);
}

void stack_pool_close(struct stack_pool *pool)
{
	while (pool->n_free > 0)
		stack_unmap(pool->free[--pool->n_free]);
	free(pool->free);
	*pool = (struct stack_pool){ 0 };
}

void *stack_pool_take(struct stack_pool *pool)
{
	void *stack;

	if (pool->n_free == 0)
		return stack_map();
	stack = pool->free[--pool->n_free];
	if (pool->low > pool->n_free)
		pool->low = pool->n_free;
	if (pool->n_cold > pool->n_free)
		pool->n_cold = pool->n_free;
#ifdef FIBER_ASAN
	__asan_unpoison_memory_region(stack, STACK_SIZE);
#endif
	return stack;
}

void stack_pool_give(struct stack_pool *pool, void *stack)
{
#ifdef FIBER_ASAN
	__asan_poison_memory_region(stack, STACK_SIZE); /* catches whoever still uses what lived there */
#endif
	pool->free[pool->n_free++] = stack;
}

bool stack_pool_untidy(const struct stack_pool *pool)
{
	return pool->n_free - pool->n_cold > WARM_STACKS;
}

void stack_pool_trim(struct stack_pool *pool)
{
	size_t unused = pool->low > WARM_STACKS ? pool->low - WARM_STACKS : 0;

	for (; pool->n_cold < unused; pool->n_cold++)
		madvise(pool->free[pool->n_cold], STACK_SIZE, MADV_DONTNEED);
	pool->low = pool->n_free;
}
