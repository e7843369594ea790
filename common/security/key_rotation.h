/*
 * The rows of prong_signing_keys as commands and the schedule of rotation change them (keyring.h says what they mean).
 * A key is added and deleted, never changed. Every call suspends.
 */
#ifndef KEY_ROTATION_H
#define KEY_ROTATION_H

#include <prong/context.h>
#include <prong/schema.h>

#include "common/security/keyring.h"

/*
 * How long a new key is known before it signs, and how long others may keep the JWKS. A process that has not looked in
 * PostgreSQL yet hands out the set without the key, so the lead covers both; the rest is for services that do not fetch
 * the set again within half a minute, whatever they may keep.
 */
#define KEY_LEAD PRONG_MINUTES(1)
#define KEY_SCHEDULED_LEAD PRONG_MINUTES(10) /* where nobody waits for it */
#define JWKS_MAX_AGE PRONG_SECONDS(30)
_Static_assert(KEYRING_INTERVAL + JWKS_MAX_AGE < KEY_LEAD && KEY_LEAD <= KEY_SCHEDULED_LEAD,
	       "no key signs before everybody can know it");

struct listed_key {
	const char *kid;
	const char *algorithm;
	const char *state; /* next, current, previous */
	prong_time created_at;
	prong_time signs_from;
	prong_opt_time signs_to; /* when the next one took over, or will */
};

/* All keys, oldest first, in the context's memory. 0; errors as in database.h. */
int keys_list(struct prong_ctx *ctx, struct listed_key **ret_keys, size_t *ret_count);

/*
 * Adds the key that follows the newest one, where that signs and will have done so for `age` when the new one takes
 * over after `lead`; of many processes at once, one does. Loads the keyring first, so that no key is added with another
 * PRONG_SECRET than the others. 1 and the new key's id, in the context's memory; 0: the newest does not sign yet, or
 * has not for so long. Errors as keyring_load().
 */
int keys_rotate(struct prong_ctx *ctx, struct keyring *keyring, enum algorithm algorithm, prong_duration age,
		prong_duration lead, const char **ret_id);

/* Deletes a key; its tokens are void. 0; -ENOENT: no such key; -EBUSY: it is the one that signs; else as prong_exec().
 */
int keys_retire(struct prong_ctx *ctx, const char *id);

/* Deletes the keys that were replaced so long ago that no token of theirs is left. Their number, or as prong_exec(). */
int keys_forget(struct prong_ctx *ctx, prong_duration token_lifetime);

#endif
