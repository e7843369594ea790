#include "common/security/signing_key.h"

#include <sodium.h>

#include "common/security/base64url.h"
#include "common/security/signing_key_evp.h"

static const char *const names[] = { "EdDSA", "ES256", "HS256", "RS256" };

const char *algorithm_name(enum algorithm algorithm)
{
	return names[algorithm];
}

int algorithm_from_name(const char *name, enum algorithm *ret_algorithm)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (string_equal(names[i], name)) {
			*ret_algorithm = (enum algorithm)i;
			return 0;
		}
	return -EINVAL;
}

/* ---- ids ---- */

static void name_of(char ret_id[SIGNING_KEY_ID_SIZE], const unsigned char hash[32])
{
	sodium_bin2base64(ret_id, SIGNING_KEY_ID_SIZE, hash, 32, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

/* RFC 7638: the members that make the key, in the order of their names. */
static void name_by_thumbprint(struct signing_key *key)
{
	_cleanup_(buffer_free) struct buffer jwk = { 0 };
	unsigned char thumbprint[crypto_hash_sha256_BYTES];

	if (key->algorithm == ALGORITHM_EDDSA) {
		buffer_add_literal(&jwk, "{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"");
		base64url_add(&jwk, key->public_key, key->public_size);
	} else {
		buffer_add_literal(&jwk, "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"");
		base64url_add(&jwk, key->public_key + 1, 32);
		buffer_add_literal(&jwk, "\",\"y\":\"");
		base64url_add(&jwk, key->public_key + 33, 32);
	}
	buffer_add_literal(&jwk, "\"}");
	crypto_hash_sha256(thumbprint, (const unsigned char *)jwk.data, jwk.size);
	name_of(key->id, thumbprint);
}

static void hmac(const struct signing_key *key, const void *data, size_t size,
		 unsigned char ret_mac[crypto_auth_hmacsha256_BYTES])
{
	crypto_auth_hmacsha256_state state;

	crypto_auth_hmacsha256_init(&state, key->secret_key, key->secret_size);
	crypto_auth_hmacsha256_update(&state, data, size);
	crypto_auth_hmacsha256_final(&state, ret_mac);
	sodium_memzero(&state, sizeof(state));
}

/* No token's signature: what a token signs has a '.'. */
static void name_by_mac(struct signing_key *key)
{
	unsigned char mac[crypto_auth_hmacsha256_BYTES];

	hmac(key, "kid", 3, mac);
	name_of(key->id, mac);
}

/* ---- opening ---- */

static int open_eddsa(const unsigned char *secret, size_t size, struct signing_key *key)
{
	if (size != crypto_sign_SEEDBYTES)
		return -EINVAL;
	crypto_sign_seed_keypair(key->public_key, key->secret_key, secret);
	key->public_size = crypto_sign_PUBLICKEYBYTES;
	key->secret_size = crypto_sign_SECRETKEYBYTES;
	name_by_thumbprint(key);
	return 0;
}

static int open_es256(const unsigned char *secret, size_t size, struct signing_key *key)
{
	int r;

	if (size != SIGNING_SECRET_SIZE)
		return -EINVAL;
	r = evp_open_p256(secret, key->public_key, &key->evp);
	if (r < 0)
		return r;
	memcpy(key->secret_key, secret, size);
	key->secret_size = size;
	key->public_size = P256_POINT_SIZE;
	name_by_thumbprint(key);
	return 0;
}

static int open_hs256(const unsigned char *secret, size_t size, struct signing_key *key)
{
	if (size < SIGNING_SECRET_SIZE || size > sizeof(key->secret_key))
		return -EINVAL;
	memcpy(key->secret_key, secret, size);
	key->secret_size = size;
	name_by_mac(key);
	return 0;
}

int signing_key_open(enum algorithm algorithm, const unsigned char *secret, size_t size, struct signing_key *ret_key)
{
	struct signing_key key = { .algorithm = algorithm };
	int r = -EINVAL;

	if (algorithm == ALGORITHM_EDDSA)
		r = open_eddsa(secret, size, &key);
	else if (algorithm == ALGORITHM_ES256)
		r = open_es256(secret, size, &key);
	else if (algorithm == ALGORITHM_HS256)
		r = open_hs256(secret, size, &key);
	if (r == 0)
		*ret_key = key;
	sodium_memzero(&key, sizeof(key));
	return r;
}

void signing_key_generate(enum algorithm algorithm, struct signing_key *ret_key)
{
	unsigned char secret[SIGNING_SECRET_SIZE];
	bool good;

	check(algorithm != ALGORITHM_RS256);
	do {
		randombytes_buf(secret, sizeof(secret));
		/* One number of 32 bytes in 2^32 is none of P-256; an id is not to look like a command's option. */
		good = signing_key_open(algorithm, secret, sizeof(secret), ret_key) == 0;
		if (good && ret_key->id[0] == '-') {
			signing_key_close(ret_key);
			good = false;
		}
	} while (!good);
	sodium_memzero(secret, sizeof(secret));
}

int signing_key_open_public(enum algorithm algorithm, const unsigned char *public_key, size_t size,
			    struct signing_key *ret_key)
{
	struct signing_key key = { .algorithm = algorithm, .public_size = size };
	int r;

	if (algorithm == ALGORITHM_EDDSA) {
		if (size != crypto_sign_PUBLICKEYBYTES)
			return -EINVAL;
	} else {
		if (algorithm != ALGORITHM_ES256 || size != P256_POINT_SIZE)
			return -EINVAL;
		r = evp_open_p256_public(public_key, &key.evp);
		if (r < 0)
			return r;
	}
	memcpy(key.public_key, public_key, size);
	*ret_key = key;
	return 0;
}

int signing_key_open_rsa(const unsigned char *modulus, size_t modulus_size, const unsigned char *exponent,
			 size_t exponent_size, struct signing_key *ret_key)
{
	struct signing_key key = { .algorithm = ALGORITHM_RS256 };
	int r = evp_open_rsa(modulus, modulus_size, exponent, exponent_size, &key.evp);

	if (r == 0)
		*ret_key = key;
	return r;
}

void signing_key_close(struct signing_key *key)
{
	evp_close(key->evp);
	sodium_memzero(key, sizeof(*key));
}

/* ---- signatures ---- */

size_t signing_key_sign(const struct signing_key *key, const void *data, size_t size,
			unsigned char ret_signature[SIGNATURE_SIZE])
{
	check(key->secret_size && key->algorithm != ALGORITHM_RS256);
	if (key->algorithm == ALGORITHM_HS256) {
		hmac(key, data, size, ret_signature);
		return crypto_auth_hmacsha256_BYTES;
	}
	if (key->algorithm == ALGORITHM_EDDSA)
		crypto_sign_detached(ret_signature, NULL, data, size, key->secret_key);
	else
		evp_sign_es256(key->evp, data, size, ret_signature);
	return SIGNATURE_SIZE;
}

static bool verify_hmac(const struct signing_key *key, const void *data, size_t size, const unsigned char *signature,
			size_t signature_size)
{
	unsigned char mac[crypto_auth_hmacsha256_BYTES];

	if (!key->secret_size || signature_size != sizeof(mac))
		return false;
	hmac(key, data, size, mac);
	return sodium_memcmp(mac, signature, sizeof(mac)) == 0;
}

bool signing_key_verify(const struct signing_key *key, const void *data, size_t size, const unsigned char *signature,
			size_t signature_size)
{
	switch (key->algorithm) {
	case ALGORITHM_EDDSA:
		return signature_size == crypto_sign_BYTES &&
		       crypto_sign_verify_detached(signature, data, size, key->public_key) == 0;
	case ALGORITHM_ES256:
		return evp_verify_es256(key->evp, data, size, signature, signature_size);
	case ALGORITHM_HS256:
		return verify_hmac(key, data, size, signature, signature_size);
	case ALGORITHM_RS256:
		return evp_verify_rs256(key->evp, data, size, signature, signature_size);
	}
	return false;
}
