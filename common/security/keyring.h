/*
 * The signing keys of this installation: rows of prong_signing_keys, the secret half sealed with XChaCha20-Poly1305
 * under a key derived from PRONG_SECRET. Every http process holds them opened in locked memory.
 *
 * Keys take turns. The one whose turn came last signs; those before it verify until they are deleted; one that is yet
 * to come is known to all processes before it signs. Whose turn it is goes by PostgreSQL's clock, carried on by the
 * monotonic one, so it also comes while PostgreSQL is away. The first process to find no key makes one; a unique index
 * sees to it that there is one first key, and one that follows each.
 */
#ifndef KEYRING_H
#define KEYRING_H

#include "common/security/token.h"

struct feed;
struct prong_ctx;
struct keyring;

/* `algorithm` is that of the first key, should this one make it. */
struct keyring *keyring_new(const char *master_secret, enum algorithm algorithm);
struct keyring *keyring_free(struct keyring *keyring); /* wipes it; returns NULL */

/*
 * Loads the keys, making the first one where there is none; those it had are replaced at once, or kept where it fails.
 * Suspends; may run several times at once, the last that began counts. -EBADMSG: a key does not open with this
 * PRONG_SECRET (a configuration error); otherwise as in database.h.
 */
int keyring_load(struct keyring *keyring, struct prong_ctx *ctx);

/*
 * For a token whose key is not known (-ENOKEY of token_verify()): loads the keys anew, at most once a second, so that
 * made-up tokens cost little. Suspends. 0: verify again; -EAGAIN: looked within this second; else as keyring_load().
 */
int keyring_look(struct keyring *keyring, struct prong_ctx *ctx);

/*
 * The key to sign with, and all to verify with, oldest first, both valid until the caller suspends; NULL and 0 before
 * the first load.
 */
const struct signing_key *keyring_current(const struct keyring *keyring);
const struct signing_key *keyring_all(const struct keyring *keyring, size_t *ret_count);

/* Changes whenever a key was taken away: whoever keeps what verified tokens said must then forget it. */
uint64_t keyring_generation(const struct keyring *keyring);

/* ---- keeping up ---- */

#define KEYRING_EVENT "keys" /* of the feed: a key was made or retired; its text is the key's id */

#define KEYRING_INTERVAL PRONG_SECONDS(10) /* between looks in PostgreSQL, where the feed says nothing */

/* Has the feed say when the keys should be loaded again. The feed is freed first. */
void keyring_listen(struct keyring *keyring, struct feed *feed);

/*
 * Suspends until the keys should be loaded again: the feed says so, or after KEYRING_INTERVAL; after a second where the
 * feed is away or the last load failed. 0 or -ECANCELED. For one coroutine of the process.
 */
int keyring_wait(struct keyring *keyring);

/* ---- for rows (key_rotation.h) ---- */

/* A key's secret as its row has it, in hexadecimal from the context's memory. */
const char *keyring_seal(const struct keyring *keyring, struct prong_ctx *ctx, const struct signing_key *key);

#endif
