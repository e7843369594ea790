/* What signing keys have of libcrypto: P-256 and RSA. Leaves nothing in its queue of errors, which TLS reads too. */
#ifndef SIGNING_KEY_EVP_H
#define SIGNING_KEY_EVP_H

#include <stdbool.h>
#include <stddef.h>

struct evp_pkey_st;

#define P256_POINT_SIZE 65 /* 4, x, y */
#define ES256_SIZE 64	   /* r, s */

/* From the secret number of 32 bytes, with the point that is its public half. 0, or -EINVAL: the number is out of
 * range. */
int evp_open_p256(const unsigned char secret[32], unsigned char ret_point[P256_POINT_SIZE],
		  struct evp_pkey_st **ret_key);

/* Only to verify. 0, or -EINVAL: the point is not on the curve. */
int evp_open_p256_public(const unsigned char point[P256_POINT_SIZE], struct evp_pkey_st **ret_key);

/* Only to verify. 0, or -EINVAL: not the size that signing_key.h says, even, or an exponent of more than 8 bytes. */
int evp_open_rsa(const unsigned char *modulus, size_t modulus_size, const unsigned char *exponent, size_t exponent_size,
		 struct evp_pkey_st **ret_key);

void evp_close(struct evp_pkey_st *key); /* NULL does nothing */

void evp_sign_es256(struct evp_pkey_st *key, const void *data, size_t size, unsigned char ret_signature[ES256_SIZE]);
bool evp_verify_es256(struct evp_pkey_st *key, const void *data, size_t size, const unsigned char *signature,
		      size_t signature_size);
bool evp_verify_rs256(struct evp_pkey_st *key, const void *data, size_t size, const unsigned char *signature,
		      size_t signature_size);

#endif
