/*
 * Other issuers whose access tokens are taken: the setting TRUSTED_ISSUERS, `ISSUER AUDIENCE JWKS_URL`, several with
 * commas between. Their keys are fetched when the process starts, every ten minutes, and when a token names a key that
 * is not known, at most every 30 seconds; while an issuer cannot be reached its keys stay good for 24 hours.
 *
 * A token of theirs is a JWT signed with EdDSA, ES256 or RS256, of `typ` at+jwt or JWT, whose `aud` is or contains
 * AUDIENCE and whose `exp` has not come. It is verified by the keys of the issuer that its own `iss` names and no
 * other. Its principal has `issuer` and `subject`, an account_id made of the two, no session and epoch 0; the scopes of
 * `scope` or `scp` without "admin"; `auth_time` as authenticated_at; `claims` as those of ours.
 *
 * Whoever authenticates a request asks token_verify() first. What that refuses:
 *
 *     r = issuers_find(issuers, arena, token, size, now, &principal, &reason);      does not suspend
 *     -ENOENT    it names none of these issuers: ours, and refused for the reason that token_verify() gave
 *     -EAGAIN    go on in a coroutine, with issuers_verify() and the same arguments
 *     -EACCES    refused
 *     -EHOSTDOWN the issuer's keys are not known and cannot be fetched now, or 64 wait for them already: 503 with
 *                Retry-After
 *
 * What was verified may be kept until principal.expires_at, and while issuers_generation() stays the same.
 */
#ifndef ISSUERS_H
#define ISSUERS_H

#include "common/arena.h"
#include "common/security/principal.h"

struct issuers;
struct loop;

/* The check of the setting: 0, or -EINVAL with a malloc'ed reason. */
int issuers_check(const char *text, char **ret_reason);

/* How often keys are fetched, with what pause at least, and for how long those that were fetched serve. */
struct issuers_times {
	prong_duration refresh, pause, keep;
};
extern const struct issuers_times issuers_times; /* as said above */

/*
 * Starts to fetch, on threads of its own: an issuer that hangs holds up no password hash. `text`, the setting, has
 * passed the check; NULL: none, and the result is NULL.
 */
struct issuers *issuers_new(struct loop *loop, const char *text, const struct issuers_times *times);

/* Ends a fetch that is under way, which takes up to a second; while loop_run() does not run. Returns NULL. */
struct issuers *issuers_free(struct issuers *issuers);

/*
 * Verifies a token with the keys at hand, as said above. `now` in seconds since the epoch, with the skew of token.h;
 * texts go to the arena. `issuers` may be NULL: -ENOENT. `ret_reason`, for the log, is set with each error but -EAGAIN.
 */
int issuers_find(struct issuers *issuers, struct arena *arena, const char *token, size_t size, int64_t now,
		 struct principal *ret_principal, const char **ret_reason);

/* As issuers_find(), but waits for the issuer's keys to be fetched. Suspends. Never -EAGAIN; -ETIMEDOUT, -ECANCELED. */
int issuers_verify(struct issuers *issuers, struct arena *arena, const char *token, size_t size, int64_t now,
		   struct principal *ret_principal, const char **ret_reason);

/* Changes whenever an issuer's keys do. */
uint64_t issuers_generation(const struct issuers *issuers);

#endif
