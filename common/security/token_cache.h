/*
 * What a process's access tokens said when they were verified, so that a token's signature is checked once. A token is
 * known by a keyed hash of all of it; neither it nor anything that it could be made of is kept. Memory is bounded;
 * where it is used up, what ends first makes room. Nothing here suspends.
 *
 * Whether the principal was revoked meanwhile is asked at every use, by whoever uses this.
 */
#ifndef TOKEN_CACHE_H
#define TOKEN_CACHE_H

#include "common/arena.h"
#include "common/basics.h"
#include "common/security/principal.h"

#define TOKEN_CACHE_ENTRIES 8192
#define TOKEN_CACHE_TEXTS ((size_t)4 * 1024 * 1024) /* bytes, of all principals' texts */

struct token_cache;

struct token_cache *token_cache_new(void);
struct token_cache *token_cache_free(struct token_cache *cache); /* returns NULL */

/*
 * Whether the token is known. `generation` is that of the keys: what was added under another is forgotten. `now` in
 * seconds since the epoch: so is what has expired. The principal's texts are in the arena.
 */
bool token_cache_find(struct token_cache *cache, const char *token, size_t size, uint64_t generation, int64_t now,
		      struct arena *arena, struct principal *ret_principal);

/* After its verification with keys of that generation. Copies. */
void token_cache_add(struct token_cache *cache, const char *token, size_t size, uint64_t generation, int64_t now,
		     const struct principal *principal);

#endif
