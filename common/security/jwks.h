/* Public keys as JSON Web Keys (RFC 7517): ours to publish, another issuer's to read. */
#ifndef JWKS_H
#define JWKS_H

#include "common/arena.h"
#include "common/buffer.h"
#include "common/security/signing_key.h"

#define JWKS_MAX_KEYS 64

/* Adds {"keys":[…]} with the keys that have a public half to show: EdDSA and ES256. */
void jwks_add(struct buffer *out, const struct signing_key *keys, size_t count);

/* A key of another issuer: it verifies tokens of this kid and the key's algorithm. */
struct jwk {
	char *kid;
	struct signing_key key;
};

/*
 * Reads a set: keys of OKP/Ed25519, EC/P-256 and RSA of 2048 to 8192 bits that have a kid and may verify signatures,
 * the first JWKS_MAX_KEYS of them. What else a set has is left out: other kinds, keys to encrypt (`use`, `key_ops`),
 * another `alg` than ours for the kind, malformed ones. 0, and a malloc'ed array, which may be empty; -EBADMSG with a
 * sentence in `ret_detail` from the arena: the text is no set at all.
 */
int jwks_read(const char *text, size_t size, struct arena *arena, struct jwk **ret_keys, size_t *ret_count,
	      const char **ret_detail);

struct jwk *jwks_free(struct jwk *keys, size_t count); /* returns NULL */

#endif
