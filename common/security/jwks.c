#include "common/security/jwks.h"

#include <json-c/json.h>

#include "common/json.h"
#include "common/security/base64url.h"
#include "common/security/jws.h"

#define COORDINATE_SIZE 32

/* ---- ours ---- */

static void add_key(struct buffer *out, const struct signing_key *key)
{
	if (key->algorithm == ALGORITHM_EDDSA) {
		buffer_add_literal(out, "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"");
		base64url_add(out, key->public_key, key->public_size);
	} else {
		buffer_add_literal(out, "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"");
		base64url_add(out, key->public_key + 1, COORDINATE_SIZE);
		buffer_add_literal(out, "\",\"y\":\"");
		base64url_add(out, key->public_key + 1 + COORDINATE_SIZE, COORDINATE_SIZE);
	}
	buffer_add_format(out, "\",\"kid\":\"%s\",\"use\":\"sig\",\"alg\":\"%s\"}", key->id,
			  algorithm_name(key->algorithm));
}

void jwks_add(struct buffer *out, const struct signing_key *keys, size_t count)
{
	bool first = true;

	buffer_add_literal(out, "{\"keys\":[");
	for (size_t i = 0; i < count; i++) {
		if (!keys[i].public_size)
			continue;
		if (!first)
			buffer_add_char(out, ',');
		first = false;
		add_key(out, &keys[i]);
	}
	buffer_add_literal(out, "]}");
}

/* ---- another issuer's ---- */

/* The member's bytes, at most `capacity`; 0: there is none, or it is malformed. */
static size_t get_bytes(struct json_object *jwk, const char *name, unsigned char *out, size_t capacity)
{
	const char *text = jws_string(jwk, name);
	size_t size;

	if (!text || base64url_decode(text, strlen(text), out, capacity, &size) < 0)
		return 0;
	return size;
}

/* What is left of it without zeroes at its beginning, which some write though RFC 7518 §6.3.1 does not. */
static const unsigned char *without_zeroes(const unsigned char *number, size_t *size)
{
	while (*size && *number == 0) {
		number++;
		(*size)--;
	}
	return number;
}

static int read_okp(struct json_object *jwk, struct signing_key *ret_key)
{
	unsigned char x[COORDINATE_SIZE];

	if (!jws_has_string(jwk, "crv", "Ed25519"))
		return -EINVAL;
	return signing_key_open_public(ALGORITHM_EDDSA, x, get_bytes(jwk, "x", x, sizeof(x)), ret_key);
}

static int read_ec(struct json_object *jwk, struct signing_key *ret_key)
{
	unsigned char point[1 + 2 * COORDINATE_SIZE] = { 4 };

	if (!jws_has_string(jwk, "crv", "P-256") ||
	    get_bytes(jwk, "x", point + 1, COORDINATE_SIZE) != COORDINATE_SIZE ||
	    get_bytes(jwk, "y", point + 1 + COORDINATE_SIZE, COORDINATE_SIZE) != COORDINATE_SIZE)
		return -EINVAL;
	return signing_key_open_public(ALGORITHM_ES256, point, sizeof(point), ret_key);
}

static int read_rsa(struct json_object *jwk, struct signing_key *ret_key)
{
	unsigned char modulus[RSA_MAX_BITS / 8 + 1], exponent[16];
	size_t modulus_size = get_bytes(jwk, "n", modulus, sizeof(modulus));
	size_t exponent_size = get_bytes(jwk, "e", exponent, sizeof(exponent));
	const unsigned char *n = without_zeroes(modulus, &modulus_size);
	const unsigned char *e = without_zeroes(exponent, &exponent_size);

	return signing_key_open_rsa(n, modulus_size, e, exponent_size, ret_key);
}

/* True also where the key does not say what it is for. */
static bool may_verify(struct json_object *jwk)
{
	struct json_object *operations, *use;

	if (json_object_object_get_ex(jwk, "use", &use) && !jws_has_string(jwk, "use", "sig"))
		return false;
	if (!json_object_object_get_ex(jwk, "key_ops", &operations))
		return true;
	if (!json_object_is_type(operations, json_type_array))
		return false;
	for (size_t i = 0; i < json_object_array_length(operations); i++) {
		struct json_object *operation = json_object_array_get_idx(operations, i);

		if (json_object_is_type(operation, json_type_string) &&
		    string_equal(json_object_get_string(operation), "verify"))
			return true;
	}
	return false;
}

/* The key's kind decides the algorithm; what the key says of it must agree. */
static int read_key(struct json_object *jwk, struct signing_key *ret_key)
{
	const char *type = jws_string(jwk, "kty");
	int r = -EINVAL;

	if (!type || !may_verify(jwk))
		return -EINVAL;
	if (string_equal(type, "OKP"))
		r = read_okp(jwk, ret_key);
	else if (string_equal(type, "EC"))
		r = read_ec(jwk, ret_key);
	else if (string_equal(type, "RSA"))
		r = read_rsa(jwk, ret_key);
	if (r < 0)
		return r;
	if (json_object_object_get_ex(jwk, "alg", NULL) &&
	    !jws_has_string(jwk, "alg", algorithm_name(ret_key->algorithm))) {
		signing_key_close(ret_key);
		return -EINVAL;
	}
	return 0;
}

static size_t read_keys(struct json_object *array, struct jwk *keys)
{
	size_t count = 0;

	for (size_t i = 0; i < json_object_array_length(array) && count < JWKS_MAX_KEYS; i++) {
		struct json_object *jwk = json_object_array_get_idx(array, i);
		const char *kid;

		if (!json_object_is_type(jwk, json_type_object))
			continue;
		kid = jws_string(jwk, "kid");
		if (!kid || !*kid || read_key(jwk, &keys[count].key) < 0)
			continue;
		keys[count++].kid = duplicate(kid);
	}
	return count;
}

int jwks_read(const char *text, size_t size, struct arena *arena, struct jwk **ret_keys, size_t *ret_count,
	      const char **ret_detail)
{
	_cleanup_(json_object_putp) struct json_object *set = NULL;
	struct json_object *array;

	if (json_parse(text, size, arena, &set, ret_detail) < 0)
		return -EBADMSG;
	if (!json_object_is_type(set, json_type_object) || !json_object_object_get_ex(set, "keys", &array) ||
	    !json_object_is_type(array, json_type_array)) {
		*ret_detail = "it is no object with an array \"keys\"";
		return -EBADMSG;
	}
	*ret_keys = allocate_array(JWKS_MAX_KEYS, sizeof(**ret_keys));
	*ret_count = read_keys(array, *ret_keys);
	return 0;
}

struct jwk *jwks_free(struct jwk *keys, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(keys[i].kid);
		signing_key_close(&keys[i].key);
	}
	free(keys);
	return NULL;
}
