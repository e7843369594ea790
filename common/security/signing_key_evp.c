#include "common/security/signing_key_evp.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include "common/basics.h"
#include "common/security/signing_key.h"

/* DER of two numbers of 33 bytes at most. */
#define ES256_DER_SIZE 72

static void bn_freep(BIGNUM **number)
{
	BN_clear_free(*number);
}

static void builder_freep(OSSL_PARAM_BLD **builder)
{
	OSSL_PARAM_BLD_free(*builder);
}

static void point_freep(EC_POINT **point)
{
	EC_POINT_free(*point);
}

static void group_freep(EC_GROUP **group)
{
	EC_GROUP_free(*group);
}

static void signature_freep(ECDSA_SIG **signature)
{
	ECDSA_SIG_free(*signature);
}

static BIGNUM *number_of(const unsigned char *bytes, size_t size)
{
	BIGNUM *number = BN_bin2bn(bytes, (int)size, NULL);

	check(number);
	return number;
}

/* ---- opening ---- */

static int build(const char *type, int selection, OSSL_PARAM_BLD *builder, EVP_PKEY **ret_key)
{
	OSSL_PARAM *parameters = OSSL_PARAM_BLD_to_param(builder);
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *key = NULL;
	bool good;

	check(parameters && context);
	good = EVP_PKEY_fromdata_init(context) > 0 && EVP_PKEY_fromdata(context, &key, selection, parameters) > 0;
	OSSL_PARAM_free(parameters);
	EVP_PKEY_CTX_free(context);
	ERR_clear_error();
	if (!good)
		return -EINVAL;
	*ret_key = key;
	return 0;
}

/* `secret` NULL: only to verify. Refuses a point that is not on the curve. */
static int build_p256(const unsigned char *point, const BIGNUM *secret, EVP_PKEY **ret_key)
{
	_cleanup_(builder_freep) OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();

	check(builder);
	check(OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0));
	check(OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point, P256_POINT_SIZE));
	if (secret)
		check(OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_PRIV_KEY, secret));
	return build("EC", secret ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY, builder, ret_key);
}

int evp_open_p256(const unsigned char secret[32], unsigned char ret_point[P256_POINT_SIZE], EVP_PKEY **ret_key)
{
	_cleanup_(bn_freep) BIGNUM *number = number_of(secret, 32);
	_cleanup_(group_freep) EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
	_cleanup_(point_freep) EC_POINT *point = NULL;
	unsigned char bytes[P256_POINT_SIZE];
	int r;

	check(group);
	BN_set_flags(number, BN_FLG_CONSTTIME);
	if (BN_is_zero(number) || BN_cmp(number, EC_GROUP_get0_order(group)) >= 0)
		return -EINVAL;
	point = EC_POINT_new(group);
	check(point && EC_POINT_mul(group, point, number, NULL, NULL, NULL));
	check(EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED, bytes, sizeof(bytes), NULL) ==
	      sizeof(bytes));
	r = build_p256(bytes, number, ret_key);
	if (r == 0)
		memcpy(ret_point, bytes, sizeof(bytes));
	return r;
}

int evp_open_p256_public(const unsigned char point[P256_POINT_SIZE], EVP_PKEY **ret_key)
{
	return point[0] == POINT_CONVERSION_UNCOMPRESSED ? build_p256(point, NULL, ret_key) : -EINVAL;
}

int evp_open_rsa(const unsigned char *modulus, size_t modulus_size, const unsigned char *exponent, size_t exponent_size,
		 EVP_PKEY **ret_key)
{
	_cleanup_(builder_freep) OSSL_PARAM_BLD *builder = NULL;
	_cleanup_(bn_freep) BIGNUM *n = NULL;
	_cleanup_(bn_freep) BIGNUM *e = NULL;

	if (modulus_size > RSA_MAX_BITS / 8 || exponent_size > sizeof(uint64_t))
		return -EINVAL;
	n = number_of(modulus, modulus_size);
	e = number_of(exponent, exponent_size);
	if (BN_num_bits(n) < RSA_MIN_BITS || !BN_is_odd(n) || !BN_is_odd(e) || BN_is_one(e))
		return -EINVAL;
	builder = OSSL_PARAM_BLD_new();
	check(builder && OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) &&
	      OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e));
	return build("RSA", EVP_PKEY_PUBLIC_KEY, builder, ret_key);
}

void evp_close(EVP_PKEY *key)
{
	EVP_PKEY_free(key);
}

/* ---- signatures ---- */

static bool verify(EVP_PKEY *key, const void *data, size_t size, const unsigned char *signature, size_t signature_size)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool good;

	check(context);
	good = EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
	       EVP_DigestVerify(context, signature, signature_size, data, size) == 1;
	EVP_MD_CTX_free(context);
	ERR_clear_error();
	return good;
}

void evp_sign_es256(EVP_PKEY *key, const void *data, size_t size, unsigned char ret_signature[ES256_SIZE])
{
	_cleanup_(signature_freep) ECDSA_SIG *signature = NULL;
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	unsigned char der[ES256_DER_SIZE];
	const unsigned char *at = der;
	size_t der_size = sizeof(der);

	check(context && EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) == 1);
	check(EVP_DigestSign(context, der, &der_size, data, size) == 1);
	EVP_MD_CTX_free(context);
	signature = d2i_ECDSA_SIG(NULL, &at, (long)der_size);
	check(signature && BN_bn2binpad(ECDSA_SIG_get0_r(signature), ret_signature, 32) == 32 &&
	      BN_bn2binpad(ECDSA_SIG_get0_s(signature), ret_signature + 32, 32) == 32);
}

bool evp_verify_es256(EVP_PKEY *key, const void *data, size_t size, const unsigned char *signature,
		      size_t signature_size)
{
	_cleanup_(signature_freep) ECDSA_SIG *pair = NULL;
	unsigned char der[ES256_DER_SIZE], *at = der;
	int der_size;

	if (signature_size != ES256_SIZE)
		return false;
	pair = ECDSA_SIG_new();
	check(pair && ECDSA_SIG_set0(pair, number_of(signature, 32), number_of(signature + 32, 32)));
	der_size = i2d_ECDSA_SIG(pair, &at);
	check(der_size > 0 && (size_t)der_size <= sizeof(der));
	return verify(key, data, size, der, (size_t)der_size);
}

bool evp_verify_rs256(EVP_PKEY *key, const void *data, size_t size, const unsigned char *signature,
		      size_t signature_size)
{
	/* libcrypto's padding is PKCS #1 v1.5 unless told otherwise; a signature is as long as the modulus. */
	return verify(key, data, size, signature, signature_size);
}
