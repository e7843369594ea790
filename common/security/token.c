#include "common/security/token.h"

#include <json-c/json.h>
#include <sodium.h>

#include "common/buffer.h"
#include "common/json.h"

#define SKEW 30
#define LATEST 253402300799 /* 9999-12-31T23:59:59Z: a number beyond is nonsense, or json-c's saturation */

/* ---- keys ---- */

void signing_key_generate(struct signing_key *ret_key)
{
	crypto_sign_keypair(ret_key->public_key, ret_key->secret_key);
	signing_key_name(ret_key);
}

static void add_base64url(struct buffer *out, const void *data, size_t size)
{
	size_t text_size = sodium_base64_ENCODED_LEN(size, sodium_base64_VARIANT_URLSAFE_NO_PADDING);

	buffer_reserve(out, text_size);
	sodium_bin2base64(out->data + out->size, text_size, data, size, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	out->size += text_size - 1;
}

void signing_key_name(struct signing_key *key)
{
	_cleanup_(buffer_free) struct buffer jwk = { 0 };
	unsigned char thumbprint[crypto_hash_sha256_BYTES];

	buffer_add_literal(&jwk, "{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"");
	add_base64url(&jwk, key->public_key, sizeof(key->public_key));
	buffer_add_literal(&jwk, "\"}");
	crypto_hash_sha256(thumbprint, (const unsigned char *)jwk.data, jwk.size);
	sodium_bin2base64(key->id, sizeof(key->id), thumbprint, sizeof(thumbprint),
			  sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

bool signing_key_verify(const struct signing_key *key, const void *data, size_t size, const unsigned char *signature,
			size_t signature_size)
{
	return signature_size == crypto_sign_BYTES &&
	       crypto_sign_verify_detached(signature, data, size, key->public_key) == 0;
}

/* ---- signing ---- */

static void add_string(struct buffer *out, const char *name, const char *value)
{
	buffer_add_format(out, "\"%s\":", name);
	buffer_add_json_string(out, value, strlen(value));
	buffer_add_char(out, ',');
}

static void add_uuid(struct buffer *out, const char *name, prong_uuid value)
{
	char text[PRONG_UUID_TEXT_SIZE];

	add_string(out, name, prong_uuid_format(value, text));
}

static void write_claims(const struct token_claims *claims, struct buffer *out)
{
	buffer_add_char(out, '{');
	add_string(out, "iss", claims->issuer);
	add_string(out, "aud", claims->audience);
	add_uuid(out, "sub", claims->principal.account_id);
	add_uuid(out, "sid", claims->principal.session_id);
	add_uuid(out, "jti", claims->token_id);
	if (claims->principal.scope && *claims->principal.scope)
		add_string(out, "scope", claims->principal.scope);
	buffer_add_format(out, "\"epoch\":%d,\"auth_time\":%lld,", claims->principal.epoch,
			  (long long)claims->principal.authenticated_at);
	buffer_add_format(out, "\"iat\":%lld,\"exp\":%lld}", (long long)claims->issued_at,
			  (long long)claims->principal.expires_at);
}

char *token_sign(struct arena *arena, const struct signing_key *key, const struct token_claims *claims)
{
	_cleanup_(buffer_free) struct buffer json = { 0 };
	_cleanup_(buffer_free) struct buffer token = { 0 };
	unsigned char signature[crypto_sign_BYTES];

	buffer_add_format(&json, "{\"alg\":\"EdDSA\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}", key->id);
	add_base64url(&token, json.data, json.size);
	buffer_add_char(&token, '.');
	json.size = 0;
	write_claims(claims, &json);
	add_base64url(&token, json.data, json.size);
	crypto_sign_detached(signature, NULL, (const unsigned char *)token.data, token.size, key->secret_key);
	buffer_add_char(&token, '.');
	add_base64url(&token, signature, sizeof(signature));
	return arena_strndup(arena, token.data, token.size);
}

/* ---- verifying ---- */

struct segments {
	const char *header, *claims, *signature;
	size_t header_size, claims_size, signature_size;
};

static bool split(const char *token, size_t size, struct segments *ret_segments)
{
	const char *end = token + size, *first, *second;

	first = memchr(token, '.', size);
	if (!first)
		return false;
	second = memchr(first + 1, '.', (size_t)(end - first - 1));
	if (!second || memchr(second + 1, '.', (size_t)(end - second - 1)))
		return false;
	*ret_segments = (struct segments){
		.header = token,
		.header_size = (size_t)(first - token),
		.claims = first + 1,
		.claims_size = (size_t)(second - first - 1),
		.signature = second + 1,
		.signature_size = (size_t)(end - second - 1),
	};
	return true;
}

/* A segment's JSON object; the caller owns it. NULL: it is none. */
static struct json_object *decode_object(struct arena *arena, const char *text, size_t size)
{
	unsigned char *json = arena_alloc(arena, size + 1);
	struct json_object *value = NULL;
	const char *detail;
	size_t json_size;

	if (base64url_decode(text, size, json, size + 1, &json_size) < 0 ||
	    json_parse((const char *)json, json_size, arena, &value, &detail) < 0)
		return NULL;
	if (json_object_is_type(value, json_type_object))
		return value;
	json_object_put(value);
	return NULL;
}

/* A member that is a string without U+0000, else NULL. */
static const char *get_string(struct json_object *object, const char *name)
{
	struct json_object *value;
	const char *text;

	if (!json_object_object_get_ex(object, name, &value) || !json_object_is_type(value, json_type_string))
		return NULL;
	text = json_object_get_string(value);
	return strlen(text) == (size_t)json_object_get_string_len(value) ? text : NULL;
}

static bool has_string(struct json_object *object, const char *name, const char *expected)
{
	const char *text = get_string(object, name);

	return text && string_equal(text, expected);
}

static bool get_uuid(struct json_object *object, const char *name, prong_uuid *ret_uuid)
{
	const char *text = get_string(object, name);

	return text && prong_uuid_parse(text, ret_uuid) == 0;
}

static bool get_seconds(struct json_object *object, const char *name, int64_t *ret_seconds)
{
	struct json_object *value;
	int64_t seconds;

	if (!json_object_object_get_ex(object, name, &value) || !json_object_is_type(value, json_type_int))
		return false;
	seconds = json_object_get_int64(value);
	if (seconds < 0 || seconds > LATEST)
		return false;
	*ret_seconds = seconds;
	return true;
}

static const char *check_header(struct json_object *header, const struct signing_key *keys, size_t n_keys,
				const struct signing_key **ret_key)
{
	const char *id;

	if (!header)
		return "malformed header";
	if (json_object_object_length(header) != 3)
		return "header other than alg, typ, kid";
	if (!has_string(header, "alg", "EdDSA"))
		return "wrong alg";
	if (!has_string(header, "typ", "at+jwt"))
		return "wrong typ";
	id = get_string(header, "kid");
	for (size_t i = 0; id && i < n_keys; i++)
		if (string_equal(keys[i].id, id)) {
			*ret_key = &keys[i];
			return NULL;
		}
	return "unknown kid";
}

static const char *check_signature(const struct segments *segments, const struct signing_key *key)
{
	unsigned char signature[crypto_sign_BYTES];
	size_t size;

	if (base64url_decode(segments->signature, segments->signature_size, signature, sizeof(signature), &size) < 0)
		return "malformed signature";
	if (!signing_key_verify(key, segments->header, segments->header_size + 1 + segments->claims_size, signature,
				size))
		return "wrong signature";
	return NULL;
}

static const char *check_times(struct json_object *json, int64_t now, struct token_claims *claims)
{
	int64_t not_before = 0;

	if (!get_seconds(json, "iat", &claims->issued_at) || claims->issued_at > now + SKEW)
		return "wrong iat";
	if (!get_seconds(json, "exp", &claims->principal.expires_at))
		return "wrong exp";
	if (claims->principal.expires_at <= now)
		return "expired";
	if (json_object_object_get_ex(json, "nbf", NULL) &&
	    (!get_seconds(json, "nbf", &not_before) || not_before > now + SKEW))
		return "wrong nbf";
	return NULL;
}

static bool get_scope(struct json_object *json, struct arena *arena, const char **ret_scope)
{
	const char *scope = "";

	if (json_object_object_get_ex(json, "scope", NULL))
		scope = get_string(json, "scope");
	if (!scope)
		return false;
	*ret_scope = arena_strdup(arena, scope);
	return true;
}

static const char *check_claims(struct json_object *json, int64_t now, struct arena *arena, struct token_claims *claims)
{
	if (!json)
		return "malformed claims";
	if (!has_string(json, "iss", claims->issuer))
		return "wrong iss";
	if (!has_string(json, "aud", claims->audience))
		return "wrong aud";
	if (!get_uuid(json, "sub", &claims->principal.account_id) ||
	    !get_uuid(json, "sid", &claims->principal.session_id) || !get_uuid(json, "jti", &claims->token_id))
		return "wrong sub, sid or jti";
	if (!get_scope(json, arena, &claims->principal.scope))
		return "wrong scope";
	return check_times(json, now, claims);
}

/* The order matters: nothing that the token says of itself is looked at before its signature, but for the header. */
static const char *check_token(struct arena *arena, const struct signing_key *keys, size_t n_keys, const char *token,
			       size_t size, int64_t now, struct token_claims *claims)
{
	_cleanup_(json_object_putp) struct json_object *header = NULL;
	_cleanup_(json_object_putp) struct json_object *json = NULL;
	const struct signing_key *key;
	struct segments segments;
	const char *reason;

	if (size > TOKEN_MAX_SIZE)
		return "too long";
	if (!split(token, size, &segments))
		return "not three segments";
	header = decode_object(arena, segments.header, segments.header_size);
	reason = check_header(header, keys, n_keys, &key);
	if (!reason)
		reason = check_signature(&segments, key);
	if (reason)
		return reason;
	json = decode_object(arena, segments.claims, segments.claims_size);
	return check_claims(json, now, arena, claims);
}

int token_verify(struct arena *arena, const struct signing_key *keys, size_t n_keys, const char *token, size_t size,
		 const char *issuer, const char *audience, int64_t now, struct token_claims *ret_claims,
		 const char **ret_reason)
{
	struct token_claims claims = { .issuer = issuer, .audience = audience };
	const char *reason;

	reason = check_token(arena, keys, n_keys, token, size, now, &claims);
	if (reason) {
		*ret_reason = reason;
		return -EACCES;
	}
	*ret_claims = claims;
	return 0;
}
