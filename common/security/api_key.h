/*
 * API keys, for machines: `prong_`, 43 characters of base62 that say 32 random bytes, and 6 that are their CRC-32, so
 * that a scanner finds leaked ones and a typing error costs no query. Stored as SHA-256. A key acts for its account
 * with those of its own scopes that the account has too; it has no session, and care of the account is closed to it.
 */
#ifndef API_KEY_H
#define API_KEY_H

#include "common/security/principal.h"
#include <prong/context.h>

#define API_KEY_PREFIX "prong_"
#define API_KEY_SIZE 56 /* with its NUL */
#define API_KEY_HASH_SIZE 32

void api_key_make(char ret_key[API_KEY_SIZE]);

/* Of a valid key, which may come without its NUL. */
void api_key_hash(const char *key, unsigned char ret_hash[API_KEY_HASH_SIZE]);

/* Whether a bearer token is meant to be an API key: it has the prefix. */
bool api_key_is_meant(const char *text, size_t size);

/* Form and checksum. */
bool api_key_is_valid(const char *text, size_t size);

/*
 * A process's cache of verified keys, each for at most a minute. To find and to verify ask the runtime's revocations,
 * so a principal that they return is not revoked. It has the account's epoch as of when the key was looked up: a new
 * epoch (a scope taken away, the account disabled) does not end a key, it has it looked up again.
 */
struct api_keys;

struct api_keys *api_keys_new(void);
struct api_keys *api_keys_free(struct api_keys *keys);

/* A key that is in the cache. 0; -ENOENT: ask api_keys_verify(). Does not suspend. */
int api_keys_find(struct api_keys *keys, struct prong_ctx *ctx, const char *text, size_t size,
		  struct principal *ret_principal);

/* Whether it was good when it was looked up last, and is still remembered. Does not suspend. */
bool api_keys_knew(struct api_keys *keys, const char *text, size_t size);

/*
 * Looks the key up. Suspends. 0; -EACCES: malformed, unknown, expired or revoked, or its account is disabled or about
 * to be deleted; else as prong_query(). Notes the key's last use, at most once a minute.
 */
int api_keys_verify(struct api_keys *keys, struct prong_ctx *ctx, const char *text, size_t size,
		    struct principal *ret_principal);

#endif
