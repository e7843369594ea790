/*
 * Keys that sign and verify access tokens. A key has one algorithm and serves no other (RFC 8725 §3.1): its algorithm
 * decides how a signature is verified, never the token. Ed25519 and HMAC are libsodium's, P-256 and RSA libcrypto's.
 * Pure functions; nothing suspends.
 */
#ifndef SIGNING_KEY_H
#define SIGNING_KEY_H

#include "common/basics.h"
#include "common/security/algorithm.h"

#define SIGNING_KEY_ID_SIZE 44 /* 32 bytes in base64url with its NUL */
#define SIGNING_SECRET_SIZE 32
#define SIGNATURE_SIZE 64	/* of the longest that we make */
#define SIGNATURE_MAX_SIZE 1024 /* of the longest that we verify, RSA with 8192 bits */
#define RSA_MIN_BITS 2048
#define RSA_MAX_BITS 8192

struct evp_pkey_st;

/* Plain memory, but for `evp`: whoever fills one in closes it. */
struct signing_key {
	enum algorithm algorithm;
	/*
	 * The tokens' kid: the public key's thumbprint (RFC 7638); of HS256, which has none, a MAC under the key.
	 * Empty in another issuer's key.
	 */
	char id[SIGNING_KEY_ID_SIZE];
	unsigned char public_key[65]; /* EdDSA: 32 bytes; ES256: 4, x, y; else none */
	size_t public_size;
	unsigned char secret_key[64]; /* begins with the secret; of EdDSA, libsodium's form */
	size_t secret_size;	      /* 0: it can only verify */
	struct evp_pkey_st *evp;      /* libcrypto's form of ES256 and RS256; NULL of others */
};

const char *algorithm_name(enum algorithm algorithm);			  /* "EdDSA", as in the header's alg */
int algorithm_from_name(const char *name, enum algorithm *ret_algorithm); /* 0 or -EINVAL */

/* A new key; not RS256. */
void signing_key_generate(enum algorithm algorithm, struct signing_key *ret_key);

/*
 * The key of a secret: Ed25519's seed, P-256's number, HMAC's key, SIGNING_SECRET_SIZE bytes (HMAC: up to 64). 0, or
 * -EINVAL: no such key, or RS256.
 */
int signing_key_open(enum algorithm algorithm, const unsigned char *secret, size_t size, struct signing_key *ret_key);

/* The key that verifies EdDSA or ES256, from its public half as in `public_key`. 0, or -EINVAL: no such key. */
int signing_key_open_public(enum algorithm algorithm, const unsigned char *public_key, size_t size,
			    struct signing_key *ret_key);

/* The key that verifies RS256, from modulus and exponent, both big-endian. -EINVAL: not RSA_MIN_BITS to RSA_MAX_BITS.
 */
int signing_key_open_rsa(const unsigned char *modulus, size_t modulus_size, const unsigned char *exponent,
			 size_t exponent_size, struct signing_key *ret_key);

/* Wipes it. A zeroed one is closed already. */
void signing_key_close(struct signing_key *key);

/* Signs with a key that has its secret; returns the signature's size. */
size_t signing_key_sign(const struct signing_key *key, const void *data, size_t size,
			unsigned char ret_signature[SIGNATURE_SIZE]);

/* Whether `signature` (`signature_size` bytes, in the form of RFC 7518 §3.4 and RFC 8037) is the key's over `data`. */
bool signing_key_verify(const struct signing_key *key, const void *data, size_t size, const unsigned char *signature,
			size_t signature_size);

#endif
