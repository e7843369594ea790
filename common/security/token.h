/*
 * Access tokens: JWT (RFC 7519) signed with Ed25519 (RFC 8037), `typ: at+jwt` (RFC 9068), verified locally. The rules
 * of RFC 8725: one key, one algorithm; the header's kid only looks up our own keys; a header that says anything beyond
 * alg, typ and kid (crit, jku, jwk, x5u …) is refused. Pure functions; nothing suspends.
 */
#ifndef TOKEN_H
#define TOKEN_H

#include "common/arena.h"
#include "common/basics.h"
#include "common/security/principal.h"

#define SIGNING_KEY_ID_SIZE 44 /* RFC 7638 thumbprint in base64url with its NUL */

struct signing_key {
	char id[SIGNING_KEY_ID_SIZE];
	unsigned char public_key[32];
	unsigned char secret_key[64]; /* libsodium's form; all zero where only verifying */
};

struct token_claims {
	/* Both are the setting PUBLIC_URL: an installation issues tokens for itself. */
	const char *issuer, *audience;
	prong_uuid token_id;
	int64_t issued_at; /* seconds since the epoch */
	/* sub, sid, epoch, scope (RFC 8693 §4.2), auth_time, exp, and `claims` among the others. */
	struct principal principal;
};

#define TOKEN_MAX_SIZE 8192
#define TOKEN_LIFETIME PRONG_MINUTES(10)
#define SCOPE_ADMIN "admin" /* the one scope that means something to the library: PRONG_ADMIN asks for it */

void signing_key_generate(struct signing_key *ret_key);
void signing_key_name(struct signing_key *key); /* sets `id` from `public_key` */

/* Whether `signature` (`signature_size` bytes, of which only 64 can be right) is the key's over `data`. */
bool signing_key_verify(const struct signing_key *key, const void *data, size_t size, const unsigned char *signature,
			size_t signature_size);

/* The compact form, from the arena. `claims` is taken as it is. */
char *token_sign(struct arena *arena, const struct signing_key *key, const struct token_claims *claims);

/*
 * Verifies a compact token against `keys`. Returns 0 and the claims, whose `issuer` and `audience` are as
 * given and whose `scope` is in the arena; or -EACCES with a short reason for the log, never for the client. `now` in
 * seconds since the epoch; 30 s of skew are allowed on iat and nbf, none on exp.
 */
int token_verify(struct arena *arena, const struct signing_key *keys, size_t n_keys, const char *token, size_t size,
		 const char *issuer, const char *audience, int64_t now, struct token_claims *ret_claims,
		 const char **ret_reason);

/* Strict base64url without padding (RFC 4648 §5): no white space, no '=', no leftover bits. -EINVAL. */
int base64url_decode(const char *text, size_t size, unsigned char *out, size_t capacity, size_t *ret_size);

#endif
