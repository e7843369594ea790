/* The token of another issuer: what it says of itself, and whether that is true. Pure functions; nothing suspends. */
#ifndef ISSUER_TOKEN_H
#define ISSUER_TOKEN_H

#include "common/security/jwks.h"
#include "common/security/jws.h"
#include "common/security/principal.h"

/* A token taken apart; nothing of it is verified. */
struct issuer_token {
	struct jws jws;
	enum algorithm algorithm;
	const char *kid;    /* as the next, as long as `header` and `claims` live */
	const char *issuer; /* whom it says that it is from */
	struct json_object *header, *claims;
	const char *text; /* the claims, in the arena */
};

/* NULL, or a short reason why it is none. To be ended in both cases. */
const char *issuer_token_read(struct issuer_token *token, struct arena *arena, const char *text, size_t size);
void issuer_token_end(struct issuer_token *token);

/*
 * Checks it against the key that has its kid and algorithm, and its claims. NULL and the principal, whose texts are in
 * the arena; or a short reason.
 */
const char *issuer_token_check(const struct issuer_token *token, const struct jwk *key, const char *audience,
			       int64_t now, struct arena *arena, struct principal *ret_principal);

#endif
