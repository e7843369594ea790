/*
 * An arena: memory of one request or job, freed at once at its end. Grows by chunks, which the process keeps a few of,
 * so small requests never call malloc. Allocations are 16-byte aligned, with poisoned gaps between them under ASan.
 * Only for the loop's thread.
 */
#ifndef ARENA_H
#define ARENA_H

#include <stdarg.h>
#include <stddef.h>

struct arena_chunk;

struct arena {
	char *next, *end;
	struct arena_chunk *chunks; /* newest first */
	size_t used;		    /* bytes handed out */
};

void arena_init(struct arena *arena);

/* Frees everything. The arena is as after arena_init(). */
void arena_reset(struct arena *arena);

/* Never NULL. Zeroed. */
void *arena_alloc(struct arena *arena, size_t size);
char *arena_strdup(struct arena *arena, const char *text);
char *arena_strndup(struct arena *arena, const char *text, size_t length);
char *arena_format(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *arena_vformat(struct arena *arena, const char *format, va_list arguments) __attribute__((format(printf, 2, 0)));

#endif
