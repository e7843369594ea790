/*
 * Passwords: Argon2id (RFC 9106) by libsodium, at most PASSWORD_HASHES at once over all processes of the tree. The cap
 * is byte-range F_OFD_SETLK locks on a memory file: a permit belongs to the hash, and the kernel frees it with the
 * process. Hashes wait and run on threads of their own, as many as there are permits, so that nothing else waits behind
 * them. Waiting, for a thread and a permit together, is bounded: after one second -EAGAIN (503 + Retry-After).
 */
#ifndef PASSWORD_H
#define PASSWORD_H

#include <prong/context.h>

#include "common/security/pepper.h"

struct loop;
struct password_hasher;

struct password_options {
	size_t memory_kib, passes;
	size_t permits;
	const char *peppers; /* as peppers_check() accepts them; NULL: none */
};

/* `permits_fd`: of permits_open(), which all processes share. Threads start with the first hashes. */
struct password_hasher *password_hasher_new(struct loop *loop, const struct password_options *options, int permits_fd);

/* Joins its threads; returns NULL. A coroutine that still waits for a hash is a broken invariant. */
struct password_hasher *password_hasher_free(struct password_hasher *hasher);

#define PASSWORD_MIN_SIZE 8
#define PASSWORD_MAX_SIZE 1024
#define PASSWORD_HASH_SIZE PEPPER_SEALED_SIZE /* what is stored: a PHC string, sealed where there are peppers */

/*
 * Hashes a password for the account's row; with peppers the hash serves that account only. Suspends. -EAGAIN: too many
 * at once; -ETIMEDOUT (the coroutine's deadline), -ECANCELED while still waiting.
 */
int password_hash(struct password_hasher *hasher, prong_uuid account_id, const char *password,
		  char ret_hash[PASSWORD_HASH_SIZE]);

/*
 * Suspends. 0: right. -EACCES: wrong, or `hash` is NULL (no such account): then a dummy of the current parameters is
 * verified, which takes as long as a hash that was made with these. -EINVAL: the stored hash is unusable, and a line of
 * the log says why: it is malformed, its parameters are beyond 1 GiB, 10 passes or one lane, or its pepper is unknown.
 * `ret_rehash` (may be NULL): made with other than the current parameters or pepper. Further errors as password_hash().
 */
int password_verify(struct password_hasher *hasher, prong_uuid account_id, const char *password, const char *hash,
		    bool *ret_rehash);

/*
 * Whether a hash from elsewhere can be an account's: a PHC string of Argon2id of one lane, at most 256 MiB and 10
 * passes, and 1 GiB in all of them together. 0, or -EINVAL and a reason (a constant) that names what is wrong with it,
 * as in "its parallelism is not p=1". `ret_memory_kib` (may be NULL): what it takes to verify it.
 */
int password_hash_check(const char *text, size_t *ret_memory_kib, const char **ret_reason);

/* What is stored of such a hash: sealed where there are peppers. */
void password_seal(struct password_hasher *hasher, prong_uuid account_id, const char *phc,
		   char ret_hash[PASSWORD_HASH_SIZE]);

#endif
