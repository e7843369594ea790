/*
 * Access tokens: JWT (RFC 7519) signed with Ed25519 (RFC 8037), `typ: at+jwt` (RFC 9068), verified locally. The rules of
 * RFC 8725: one key, one algorithm; the header's kid only looks up our own keys; crit, jku, jwk, x5u are refused.
 * Pure functions; nothing suspends.
 */
#ifndef TOKEN_H
#define TOKEN_H

#include "common/arena.h"
#include "common/basics.h"

#define SIGNING_KEY_ID_SIZE 44 /* RFC 7638 thumbprint in base64url with its NUL */

struct signing_key {
	char id[SIGNING_KEY_ID_SIZE];
	unsigned char public_key[32];
	unsigned char secret_key[64]; /* libsodium's form; all zero where only verifying */
};

struct token_claims {
	const char *issuer, *audience; /* expected and written alike */
	prong_uuid account_id, session_id, token_id;
	int64_t issued_at, expires_at; /* seconds since the epoch */
};

#define TOKEN_MAX_SIZE 8192

void signing_key_generate(struct signing_key *ret_key);
void signing_key_name(struct signing_key *key); /* sets `id` from `public_key` */

char *token_sign(struct arena *arena, const struct signing_key *key, const struct token_claims *claims);

/*
 * Verifies a compact token against `keys`. Returns 0 and the claims, or -EACCES with a short reason for the log, never
 * for the client. `now` in seconds since the epoch; 30 s of skew are allowed on iat and nbf, none on exp.
 */
int token_verify(struct arena *arena, const struct signing_key *keys, size_t n_keys, const char *token, size_t size,
		 const char *issuer, const char *audience, int64_t now, struct token_claims *ret_claims,
		 const char **ret_reason);

/* Strict base64url without padding (RFC 4648 §5): no white space, no '=', no leftover bits. -EINVAL. */
int base64url_decode(const char *text, size_t size, unsigned char *out, size_t capacity, size_t *ret_size);

#endif
