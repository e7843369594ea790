#include "common/security/token_cache.h"

#include <sodium.h>

/*
 * SipHash-2-4 with 128 bits, a MAC under a key that only this process has: to pass another text for a token that is
 * known, one would have to guess them, and nobody can aim at a set. BLAKE2b takes seven times as long, which would be
 * most of what a signed-in request costs.
 */
#define HASH_SIZE crypto_shorthash_siphashx24_BYTES
#define WAYS 4 /* places that a token can be at, by its hash */
#define SETS (TOKEN_CACHE_ENTRIES / WAYS)

struct entry {
	unsigned char hash[HASH_SIZE];
	uint64_t generation;
	struct principal principal; /* its texts are in `texts` */
	char *texts;		    /* NULL: it has none; then its scope is NULL too, for "" */
	size_t texts_size;
};

struct token_cache {
	unsigned char key[crypto_shorthash_siphashx24_KEYBYTES]; /* random, of this process */
	size_t texts_size;					 /* of all entries */
	struct entry sets[SETS][WAYS];
};

struct token_cache *token_cache_new(void)
{
	struct token_cache *cache = allocate(sizeof(*cache));

	randombytes_buf(cache->key, sizeof(cache->key));
	return cache;
}

static void entry_drop(struct token_cache *cache, struct entry *entry)
{
	free(entry->texts);
	cache->texts_size -= entry->texts_size;
	*entry = (struct entry){ 0 };
}

struct token_cache *token_cache_free(struct token_cache *cache)
{
	if (!cache)
		return NULL;
	for (size_t i = 0; i < SETS; i++)
		for (size_t way = 0; way < WAYS; way++)
			entry_drop(cache, &cache->sets[i][way]);
	check(cache->texts_size == 0);
	free(cache);
	return NULL;
}

static struct entry *set_of(struct token_cache *cache, const char *token, size_t size,
			    unsigned char ret_hash[HASH_SIZE])
{
	crypto_shorthash_siphashx24(ret_hash, (const unsigned char *)token, size, cache->key);
	return cache->sets[(ret_hash[0] << 8 | ret_hash[1]) % SETS];
}

static bool is_alive(const struct entry *entry, uint64_t generation, int64_t now)
{
	return entry->principal.expires_at > now && entry->generation == generation;
}

/* ---- texts: one block for each principal ---- */

static size_t text_size(const char *text)
{
	return text && *text ? strlen(text) + 1 : 0;
}

static const char *text_move(const char *text, char **place)
{
	size_t size = text_size(text);
	char *copy = *place;

	if (!size)
		return NULL;
	memcpy(copy, text, size);
	*place += size;
	return copy;
}

static const char *text_rebase(const char *text, const char *from, const char *to)
{
	return text ? to + (text - from) : NULL;
}

static void copy_texts(const struct entry *entry, struct arena *arena, struct principal *principal)
{
	char *texts;

	if (entry->texts) {
		texts = arena_alloc(arena, entry->texts_size);
		memcpy(texts, entry->texts, entry->texts_size);
		principal->scope = text_rebase(principal->scope, entry->texts, texts);
		principal->issuer = text_rebase(principal->issuer, entry->texts, texts);
		principal->subject = text_rebase(principal->subject, entry->texts, texts);
		principal->claims = text_rebase(principal->claims, entry->texts, texts);
	}
	if (!principal->scope)
		principal->scope = "";
}

bool token_cache_find(struct token_cache *cache, const char *token, size_t size, uint64_t generation, int64_t now,
		      struct arena *arena, struct principal *ret_principal)
{
	unsigned char hash[HASH_SIZE];
	struct entry *set = set_of(cache, token, size, hash);

	for (size_t way = 0; way < WAYS; way++) {
		if (sodium_memcmp(set[way].hash, hash, HASH_SIZE) != 0)
			continue;
		if (!is_alive(&set[way], generation, now))
			return false;
		*ret_principal = set[way].principal;
		copy_texts(&set[way], arena, ret_principal);
		return true;
	}
	return false;
}

/* Frees what is dead in the set; returns a free place, or the one that would have ended first. */
static struct entry *make_room(struct token_cache *cache, struct entry *set, const unsigned char hash[HASH_SIZE],
			       uint64_t generation, int64_t now)
{
	struct entry *place = NULL;

	for (size_t way = 0; way < WAYS; way++) {
		if (!is_alive(&set[way], generation, now) || sodium_memcmp(set[way].hash, hash, HASH_SIZE) == 0)
			entry_drop(cache, &set[way]);
		if (!place || set[way].principal.expires_at < place->principal.expires_at)
			place = &set[way];
	}
	entry_drop(cache, place);
	return place;
}

void token_cache_add(struct token_cache *cache, const char *token, size_t size, uint64_t generation, int64_t now,
		     const struct principal *principal)
{
	size_t texts_size = text_size(principal->scope) + text_size(principal->issuer) + text_size(principal->subject) +
			    text_size(principal->claims);
	unsigned char hash[HASH_SIZE];
	struct entry *set = set_of(cache, token, size, hash), *entry = make_room(cache, set, hash, generation, now);
	char *place;

	if (texts_size > TOKEN_CACHE_TEXTS - cache->texts_size)
		return;
	memcpy(entry->hash, hash, HASH_SIZE);
	entry->generation = generation;
	entry->principal = *principal;
	entry->texts = place = texts_size ? allocate(texts_size) : NULL;
	entry->texts_size = texts_size;
	cache->texts_size += texts_size;
	entry->principal.scope = text_move(principal->scope, &place);
	entry->principal.issuer = text_move(principal->issuer, &place);
	entry->principal.subject = text_move(principal->subject, &place);
	entry->principal.claims = text_move(principal->claims, &place);
}
