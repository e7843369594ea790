/*
 * The signing keys of this installation: rows of prong_signing_keys, the secret half sealed with XChaCha20-Poly1305
 * under a key derived from PRONG_SECRET. Every http worker holds them opened in locked memory. The first process to
 * find none makes one; a unique index sees to it that there is one.
 */
#ifndef KEYRING_H
#define KEYRING_H

#include "common/security/token.h"

struct prong_ctx;
struct keyring;

struct keyring *keyring_new(const char *master_secret);
struct keyring *keyring_free(struct keyring *keyring); /* wipes it; returns NULL */

/*
 * Loads the keys, making the first one where there is none. Suspends. -EBADMSG: a key does not open with this
 * PRONG_SECRET (a configuration error); otherwise as in database.h.
 */
int keyring_load(struct keyring *keyring, struct prong_ctx *ctx);

/* The key to sign with, and all to verify with, valid until the next load; NULL and 0 before the first. */
const struct signing_key *keyring_current(const struct keyring *keyring);
const struct signing_key *keyring_all(const struct keyring *keyring, size_t *ret_count);

#endif
