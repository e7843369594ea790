#include "common/security/issuer_token.h"

#include <json-c/json.h>
#include <sodium.h>
#include <strings.h>

#include "common/json.h"
#include "common/security/claims.h"
#include "common/security/token.h"

#define MAX_SUBJECT 1024

/* ---- taking it apart ---- */

/* What would have keys come from the token itself, or change what its signature means. */
static bool header_is_harmless(struct json_object *header)
{
	static const char *const refused[] = { "crit", "b64", "jku", "jwk", "x5u", "x5c", "zip", "enc" };

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		if (json_object_object_get_ex(header, refused[i], NULL))
			return false;
	return true;
}

/* A media type, so its case does not count (RFC 7515 §4.1.9). */
static bool is_typ(const char *typ)
{
	return typ && (strcasecmp(typ, "at+jwt") == 0 || strcasecmp(typ, "application/at+jwt") == 0 ||
		       strcasecmp(typ, "JWT") == 0);
}

const char *issuer_token_read(struct issuer_token *token, struct arena *arena, const char *text, size_t size)
{
	const char *algorithm;
	struct jws_part claims;

	*token = (struct issuer_token){ 0 };
	if (size > TOKEN_MAX_SIZE)
		return "too long";
	if (!jws_split(text, size, &token->jws))
		return "not three segments";
	token->header = jws_object(&token->jws.header, arena, NULL);
	token->claims = jws_object(&token->jws.payload, arena, &claims);
	if (!token->header || !token->claims)
		return "malformed header or claims";
	token->text = claims.text;
	token->issuer = jws_string(token->claims, "iss");
	if (!token->issuer)
		return "wrong iss";
	if (!header_is_harmless(token->header))
		return "header with crit, b64, jku, jwk, x5u, x5c, zip or enc";
	algorithm = jws_string(token->header, "alg");
	if (!algorithm || algorithm_from_name(algorithm, &token->algorithm) < 0 || token->algorithm == ALGORITHM_HS256)
		return "wrong alg";
	if (!is_typ(jws_string(token->header, "typ")))
		return "wrong typ";
	token->kid = jws_string(token->header, "kid");
	return token->kid ? NULL : "no kid";
}

void issuer_token_end(struct issuer_token *token)
{
	json_object_put(token->header);
	json_object_put(token->claims);
}

/* ---- claims ---- */

static bool has(struct json_object *object, const char *name)
{
	return json_object_object_get_ex(object, name, NULL);
}

/* RFC 7519's NumericDate may have a fraction. */
static bool get_date(struct json_object *object, const char *name, int64_t *ret_seconds)
{
	struct json_object *value;
	double seconds;

	if (jws_integer(object, name, JWS_LATEST, ret_seconds))
		return true;
	if (!json_object_object_get_ex(object, name, &value) || !json_object_is_type(value, json_type_double))
		return false;
	seconds = json_object_get_double(value);
	if (!(seconds >= 0 && seconds <= (double)JWS_LATEST))
		return false;
	*ret_seconds = (int64_t)seconds;
	return true;
}

static const char *check_times(struct json_object *claims, int64_t now, struct principal *principal)
{
	int64_t at = 0;

	if (!get_date(claims, "exp", &principal->expires_at))
		return "wrong exp";
	if (principal->expires_at <= now)
		return "expired";
	if (has(claims, "nbf") && (!get_date(claims, "nbf", &at) || at > now + TOKEN_SKEW))
		return "wrong nbf";
	if (has(claims, "iat") && (!get_date(claims, "iat", &at) || at > now + TOKEN_SKEW))
		return "wrong iat";
	if (has(claims, "auth_time") && (!get_date(claims, "auth_time", &at) || at > now + TOKEN_SKEW))
		return "wrong auth_time";
	principal->authenticated_at = has(claims, "auth_time") ? at : 0;
	return NULL;
}

static bool is_for(struct json_object *claims, const char *audience)
{
	struct json_object *list;

	if (jws_has_string(claims, "aud", audience))
		return true;
	if (!json_object_object_get_ex(claims, "aud", &list) || !json_object_is_type(list, json_type_array))
		return false;
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *one = json_object_array_get_idx(list, i);

		if (json_object_is_type(one, json_type_string) &&
		    (size_t)json_object_get_string_len(one) == strlen(audience) &&
		    string_equal(json_object_get_string(one), audience))
			return true;
	}
	return false;
}

/* Adds the names of a text with spaces between, but for the one that only our own accounts may have. */
static void add_scopes(struct buffer *out, const char *names)
{
	for (size_t size; *names; names += size) {
		names += strspn(names, " ");
		size = strcspn(names, " ");
		if (!size || (size == strlen(SCOPE_ADMIN) && memcmp(names, SCOPE_ADMIN, size) == 0))
			continue;
		if (out->size)
			buffer_add_char(out, ' ');
		buffer_add(out, names, size);
	}
}

/* `scope`, else `scp`; either is a text or, as some have it, an array of them. */
static bool get_scope(struct json_object *claims, struct arena *arena, const char **ret_scope)
{
	_cleanup_(buffer_free) struct buffer out = { 0 };
	const char *name = has(claims, "scope") ? "scope" : "scp", *text = jws_string(claims, name);
	struct json_object *value;

	if (text)
		add_scopes(&out, text);
	else if (json_object_object_get_ex(claims, name, &value)) {
		if (!json_object_is_type(value, json_type_array))
			return false;
		for (size_t i = 0; i < json_object_array_length(value); i++) {
			struct json_object *one = json_object_array_get_idx(value, i);

			if (!json_object_is_type(one, json_type_string) ||
			    strlen(json_object_get_string(one)) != (size_t)json_object_get_string_len(one))
				return false;
			add_scopes(&out, json_object_get_string(one));
		}
	}
	*ret_scope = arena_strndup(arena, out.data ? out.data : "", out.size);
	return true;
}

/* Version 8 (RFC 9562): whoever has the issuer and the subject can make it, and nobody chooses it. */
static prong_uuid account_of(const char *issuer, const char *subject)
{
	unsigned char hash[crypto_hash_sha256_BYTES];
	crypto_hash_sha256_state state;
	prong_uuid id;

	crypto_hash_sha256_init(&state);
	crypto_hash_sha256_update(&state, (const unsigned char *)issuer, strlen(issuer) + 1);
	crypto_hash_sha256_update(&state, (const unsigned char *)subject, strlen(subject));
	crypto_hash_sha256_final(&state, hash);
	memcpy(id.bytes, hash, sizeof(id.bytes));
	id.bytes[6] = (id.bytes[6] & 0x0f) | 0x80;
	id.bytes[8] = (id.bytes[8] & 0x3f) | 0x80;
	return id;
}

const char *issuer_token_check(const struct issuer_token *token, const struct jwk *key, const char *audience,
			       int64_t now, struct arena *arena, struct principal *ret_principal)
{
	struct principal principal = { 0 };
	const char *subject, *reason;

	check(string_equal(key->kid, token->kid) && key->key.algorithm == token->algorithm);
	reason = jws_check_signature(&token->jws, &key->key);
	if (reason)
		return reason;
	if (!is_for(token->claims, audience))
		return "wrong aud";
	subject = jws_string(token->claims, "sub");
	if (!subject || !*subject || strlen(subject) > MAX_SUBJECT)
		return "wrong sub";
	if (!get_scope(token->claims, arena, &principal.scope))
		return "wrong scope";
	reason = check_times(token->claims, now, &principal);
	if (reason)
		return reason;
	principal.account_id = account_of(token->issuer, subject);
	principal.issuer = arena_strdup(arena, token->issuer);
	principal.subject = arena_strdup(arena, subject);
	principal.claims = claims_further(token->text, arena);
	*ret_principal = principal;
	return NULL;
}
