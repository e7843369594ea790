/* The signing keys as the world, the hourly job and the command `keys` see them. */
#ifndef SIGNING_KEYS_H
#define SIGNING_KEYS_H

#include <prong/prong.h>

prong_handler get_jwks; /* GET /.well-known/jwks.json */

/* Every hour: makes the next key where KEY_ROTATION asks for one, and deletes those that nobody needs any more. */
extern const struct prong_job rotate_keys_job;
extern const struct prong_schedule rotate_keys_schedule;

/*
 * As keys_rotate() and keys_retire() (common/security/key_rotation.h), by the settings, with a line in the audit log
 * and word to every process. `actor` as in audit.h. `ret_told`: whether the feed took it; else processes notice within
 * ten seconds.
 */
int signing_keys_rotate(struct prong_ctx *ctx, prong_duration age, prong_duration lead, const char *actor,
			const char **ret_id, bool *ret_told);
int signing_keys_retire(struct prong_ctx *ctx, const char *id, const char *actor, bool *ret_told);

#endif
