#include "common/security/token.h"

#include <json-c/json.h>

#include "common/buffer.h"
#include "common/json.h"
#include "common/security/claims.h"
#include "common/security/jws.h"

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

static int write_claims(const struct token_claims *claims, struct buffer *out, struct arena *arena,
			const char **ret_reason)
{
	const struct principal *principal = &claims->principal;
	int r = 0;

	buffer_add_char(out, '{');
	add_string(out, "iss", claims->issuer);
	add_string(out, "aud", claims->audience);
	add_uuid(out, "sub", principal->account_id);
	add_uuid(out, "sid", principal->session_id);
	add_uuid(out, "jti", claims->token_id);
	if (principal->scope && *principal->scope)
		add_string(out, "scope", principal->scope);
	buffer_add_format(out, "\"epoch\":%d,", principal->epoch);
	if (principal->authenticated_at)
		buffer_add_format(out, "\"auth_time\":%lld,", (long long)principal->authenticated_at);
	buffer_add_format(out, "\"iat\":%lld,\"exp\":%lld", (long long)claims->issued_at,
			  (long long)principal->expires_at);
	if (principal->claims)
		r = claims_add(out, principal->claims, arena, ret_reason);
	buffer_add_char(out, '}');
	return r;
}

int token_sign(struct arena *arena, const struct signing_key *key, const struct token_claims *claims, char **ret_token,
	       const char **ret_reason)
{
	_cleanup_(buffer_free) struct buffer json = { 0 };
	_cleanup_(buffer_free) struct buffer token = { 0 };
	unsigned char signature[SIGNATURE_SIZE];
	size_t signature_size;
	int r;

	buffer_add_format(&json, "{\"alg\":\"%s\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}", algorithm_name(key->algorithm),
			  key->id);
	base64url_add(&token, json.data, json.size);
	buffer_add_char(&token, '.');
	json.size = 0;
	r = write_claims(claims, &json, arena, ret_reason);
	if (r < 0)
		return r;
	base64url_add(&token, json.data, json.size);
	signature_size = signing_key_sign(key, token.data, token.size, signature);
	buffer_add_char(&token, '.');
	base64url_add(&token, signature, signature_size);
	if (token.size > TOKEN_MAX_SIZE) {
		*ret_reason =
			arena_format(arena, "the token would have %zu bytes, more than %d", token.size, TOKEN_MAX_SIZE);
		return -EINVAL;
	}
	*ret_token = arena_strndup(arena, token.data, token.size);
	return 0;
}

/* ---- verifying ---- */

struct refusal {
	int error;
	const char *reason; /* NULL: none so far */
};

static bool get_uuid(struct json_object *object, const char *name, prong_uuid *ret_uuid)
{
	const char *text = jws_string(object, name);

	return text && prong_uuid_parse(text, ret_uuid) == 0;
}

static bool get_seconds(struct json_object *object, const char *name, int64_t *ret_seconds)
{
	return jws_integer(object, name, JWS_LATEST, ret_seconds);
}

static bool has(struct json_object *object, const char *name)
{
	return json_object_object_get_ex(object, name, NULL);
}

static struct refusal refuse(const char *reason)
{
	return (struct refusal){ -EACCES, reason };
}

static struct refusal check_header(struct json_object *header, const struct signing_key *keys, size_t n_keys,
				   const struct signing_key **ret_key)
{
	const char *id, *name;
	enum algorithm algorithm;

	if (!header)
		return refuse("malformed header");
	if (json_object_object_length(header) != 3)
		return refuse("header other than alg, typ, kid");
	name = jws_string(header, "alg");
	if (!name || algorithm_from_name(name, &algorithm) < 0)
		return refuse("wrong alg");
	if (!jws_has_string(header, "typ", "at+jwt"))
		return refuse("wrong typ");
	id = jws_string(header, "kid");
	for (size_t i = 0; id && i < n_keys; i++)
		if (string_equal(keys[i].id, id)) {
			*ret_key = &keys[i];
			return keys[i].algorithm == algorithm ? (struct refusal){ 0 } : refuse("wrong alg");
		}
	return (struct refusal){ -ENOKEY, "unknown kid" };
}

static const char *check_times(struct json_object *json, int64_t now, struct token_claims *claims)
{
	int64_t not_before = 0;

	if (!get_seconds(json, "iat", &claims->issued_at) || claims->issued_at > now + TOKEN_SKEW)
		return "wrong iat";
	if (!get_seconds(json, "exp", &claims->principal.expires_at))
		return "wrong exp";
	if (claims->principal.expires_at <= now)
		return "expired";
	if (has(json, "nbf") && (!get_seconds(json, "nbf", &not_before) || not_before > now + TOKEN_SKEW))
		return "wrong nbf";
	return NULL;
}

static bool get_scope(struct json_object *json, struct arena *arena, const char **ret_scope)
{
	const char *scope = "";

	if (has(json, "scope"))
		scope = jws_string(json, "scope");
	if (!scope)
		return false;
	*ret_scope = arena_strdup(arena, scope);
	return true;
}

static bool get_epoch(struct json_object *json, int32_t *ret_epoch)
{
	int64_t epoch = 0;

	/* The highest number is no account's: it stands for all of them where tokens are revoked. */
	if (has(json, "epoch") && !jws_integer(json, "epoch", INT32_MAX - 1, &epoch))
		return false;
	*ret_epoch = (int32_t)epoch;
	return true;
}

static const char *check_claims(struct json_object *json, int64_t now, struct arena *arena, struct token_claims *claims)
{
	struct principal *principal = &claims->principal;

	if (!json)
		return "malformed claims";
	if (!jws_has_string(json, "iss", claims->issuer))
		return "wrong iss";
	if (!jws_has_string(json, "aud", claims->audience))
		return "wrong aud";
	if (!get_uuid(json, "sub", &principal->account_id) || !get_uuid(json, "sid", &principal->session_id) ||
	    !get_uuid(json, "jti", &claims->token_id))
		return "wrong sub, sid or jti";
	if (!get_scope(json, arena, &principal->scope))
		return "wrong scope";
	if (!get_epoch(json, &principal->epoch))
		return "wrong epoch";
	if (has(json, "auth_time") && !get_seconds(json, "auth_time", &principal->authenticated_at))
		return "wrong auth_time";
	return check_times(json, now, claims);
}

/* The order matters: nothing that the token says of itself is looked at before its signature, but for the header. */
static struct refusal check_token(struct arena *arena, const struct signing_key *keys, size_t n_keys, const char *token,
				  size_t size, int64_t now, struct token_claims *claims)
{
	_cleanup_(json_object_putp) struct json_object *header = NULL;
	_cleanup_(json_object_putp) struct json_object *json = NULL;
	const struct signing_key *key;
	struct jws_part text;
	struct refusal refusal;
	struct jws jws;

	if (size > TOKEN_MAX_SIZE)
		return refuse("too long");
	if (!jws_split(token, size, &jws))
		return refuse("not three segments");
	header = jws_object(&jws.header, arena, NULL);
	refusal = check_header(header, keys, n_keys, &key);
	if (refusal.reason)
		return refusal;
	refusal = refuse(jws_check_signature(&jws, key));
	if (refusal.reason)
		return refusal;
	json = jws_object(&jws.payload, arena, &text);
	refusal = refuse(check_claims(json, now, arena, claims));
	if (!refusal.reason)
		claims->principal.claims = claims_further(text.text, arena);
	return refusal;
}

int token_verify(struct arena *arena, const struct signing_key *keys, size_t n_keys, const char *token, size_t size,
		 const char *issuer, const char *audience, int64_t now, struct token_claims *ret_claims,
		 const char **ret_reason)
{
	struct token_claims claims = { .issuer = issuer, .audience = audience };
	struct refusal refusal = check_token(arena, keys, n_keys, token, size, now, &claims);

	if (refusal.reason) {
		*ret_reason = refusal.reason;
		return refusal.error;
	}
	*ret_claims = claims;
	return 0;
}
