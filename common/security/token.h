/*
 * Access tokens: JWT (RFC 7519), `typ: at+jwt` (RFC 9068), verified locally. The rules of RFC 8725: a key has one
 * algorithm and the header must name it; the header's kid only looks up our own keys; a header that says anything
 * beyond alg, typ and kid (crit, jku, jwk, x5u …) is refused. Pure functions; nothing suspends.
 */
#ifndef TOKEN_H
#define TOKEN_H

#include "common/arena.h"
#include "common/security/base64url.h"
#include "common/security/principal.h"
#include "common/security/signing_key.h"

struct token_claims {
	/* Both are the setting PUBLIC_URL: an installation issues tokens for itself. */
	const char *issuer, *audience;
	prong_uuid token_id;
	int64_t issued_at; /* seconds since the epoch */
	/* sub, sid, epoch, scope (RFC 8693 §4.2), auth_time, exp, and `claims` among the others. */
	struct principal principal;
};

#define TOKEN_MAX_SIZE 8192
#define TOKEN_SKEW 30	    /* seconds that the clock of whoever made it may be ahead */
#define SCOPE_ADMIN "admin" /* the one scope that means something to the library: PRONG_ADMIN asks for it */

/*
 * The compact form, from the arena, with 0; or -EINVAL with a sentence for the log in `ret_reason`, from the arena too:
 * principal.claims is no JSON object, longer than CLAIMS_MAX_SIZE (claims.h) or has a name that is the library's, or
 * the token would be longer than TOKEN_MAX_SIZE. All else of `claims` is taken as it is.
 */
int token_sign(struct arena *arena, const struct signing_key *key, const struct token_claims *claims, char **ret_token,
	       const char **ret_reason);

/*
 * Verifies a compact token against `keys`, as keyring_all() gives them. Returns 0 and the claims, whose `issuer` and
 * `audience` are as given and whose principal's texts are in the arena; tokens made before there were epoch and
 * auth_time have 0 there. Or, with a short reason for the log, never for the client: -ENOKEY for a token that seems to
 * be ours but names none of the keys, else -EACCES. `now` in seconds since the epoch; TOKEN_SKEW is allowed on iat and
 * nbf, none on exp.
 */
int token_verify(struct arena *arena, const struct signing_key *keys, size_t n_keys, const char *token, size_t size,
		 const char *issuer, const char *audience, int64_t now, struct token_claims *ret_claims,
		 const char **ret_reason);

#endif
