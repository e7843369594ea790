#include "common/arena.h"

#include <stdalign.h>
#include <stdio.h>

#include "common/basics.h"

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif
#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#define GAP 16 /* poisoned, so that running over one allocation's end is seen */
#else
#define ASAN_POISON_MEMORY_REGION(data, size) ((void)0)
#define ASAN_UNPOISON_MEMORY_REGION(data, size) ((void)0)
#define GAP 0
#endif

#define CHUNK_SIZE 8192
#define POOL_MAX 64

struct arena_chunk {
	alignas(16) struct arena_chunk *next;
	size_t size; /* of what follows */
	char data[];
};

/* Empty chunks of CHUNK_SIZE, so that a request in a busy process calls neither malloc nor free. */
static struct arena_chunk *pool;
static size_t pool_count;

void arena_init(struct arena *arena)
{
	*arena = (struct arena){ 0 };
}

static struct arena_chunk *chunk_take(size_t size)
{
	struct arena_chunk *chunk = pool;

	if (size == CHUNK_SIZE && chunk) {
		pool = chunk->next;
		pool_count--;
		return chunk;
	}
	chunk = malloc(sizeof(*chunk) + size);
	if (!chunk)
		panic("out of memory: %zu bytes", size);
	chunk->size = size;
	ASAN_POISON_MEMORY_REGION(chunk->data, size);
	return chunk;
}

static void chunk_release(struct arena_chunk *chunk)
{
	ASAN_POISON_MEMORY_REGION(chunk->data, chunk->size);
	if (chunk->size == CHUNK_SIZE && pool_count < POOL_MAX) {
		chunk->next = pool;
		pool = chunk;
		pool_count++;
		return;
	}
	ASAN_UNPOISON_MEMORY_REGION(chunk->data, chunk->size);
	free(chunk);
}

void arena_reset(struct arena *arena)
{
	struct arena_chunk *next;

	for (struct arena_chunk *chunk = arena->chunks; chunk; chunk = next) {
		next = chunk->next;
		chunk_release(chunk);
	}
	arena_init(arena);
}

static void *alloc_uncleared(struct arena *arena, size_t size)
{
	size_t needed = (size + GAP + 15) & ~(size_t)15;
	struct arena_chunk *chunk;
	char *data;

	if (size > SIZE_MAX / 2)
		panic("out of memory: %zu bytes", size);
	if ((size_t)(arena->end - arena->next) < needed) {
		/* A large allocation gets a chunk of its own behind the current one, whose rest stays in use. */
		if (needed > CHUNK_SIZE / 2 && arena->chunks) {
			chunk = chunk_take(needed);
			chunk->next = arena->chunks->next;
			arena->chunks->next = chunk;
			ASAN_UNPOISON_MEMORY_REGION(chunk->data, size);
			arena->used += size;
			return chunk->data;
		}
		chunk = chunk_take(needed > CHUNK_SIZE ? needed : CHUNK_SIZE);
		chunk->next = arena->chunks;
		arena->chunks = chunk;
		arena->next = chunk->data;
		arena->end = chunk->data + chunk->size;
	}
	data = arena->next;
	arena->next += needed;
	arena->used += size;
	ASAN_UNPOISON_MEMORY_REGION(data, size);
	return data;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	return memset(alloc_uncleared(arena, size), 0, size);
}

char *arena_strndup(struct arena *arena, const char *text, size_t length)
{
	char *copy = alloc_uncleared(arena, length + 1);

	memcpy(copy, text, length);
	copy[length] = '\0';
	return copy;
}

char *arena_strdup(struct arena *arena, const char *text)
{
	return arena_strndup(arena, text, strlen(text));
}

char *arena_vformat(struct arena *arena, const char *format, va_list arguments)
{
	va_list again;
	char *text;
	int length;

	va_copy(again, arguments);
	length = vsnprintf(NULL, 0, format, again);
	va_end(again);
	check(length >= 0);
	text = alloc_uncleared(arena, (size_t)length + 1);
	vsnprintf(text, (size_t)length + 1, format, arguments);
	return text;
}

char *arena_format(struct arena *arena, const char *format, ...)
{
	va_list arguments;
	char *text;

	va_start(arguments, format);
	text = arena_vformat(arena, format, arguments);
	va_end(arguments);
	return text;
}
