/*
 * A token's parts in the compact form (RFC 7515 §3.1), and reading its JSON: what tokens of ours (token.h) and those of
 * other issuers (issuers.h) have in common. Nothing here says whether a token is good.
 */
#ifndef JWS_H
#define JWS_H

#include "common/arena.h"
#include "common/security/signing_key.h"

#define JWS_LATEST 253402300799 /* 9999-12-31T23:59:59Z: a time beyond is nonsense, or json-c's saturation */

struct json_object;

struct jws_part {
	const char *text;
	size_t size;
};

/* Header and payload stand side by side in the token, with the '.' that is signed with them. */
struct jws {
	struct jws_part header, payload, signature;
};

/* Whether the token has three parts; they point into it. */
bool jws_split(const char *token, size_t size, struct jws *ret_jws);

/*
 * A part's JSON object, which the caller owns, and in `ret_json` (may be NULL) its text from the arena; NULL: it is
 * none, or not strict JSON: duplicate members are among what is refused.
 */
struct json_object *jws_object(const struct jws_part *part, struct arena *arena, struct jws_part *ret_json);

/* NULL where the signature is the key's, else a short reason. */
const char *jws_check_signature(const struct jws *jws, const struct signing_key *key);

/* A member that is a string without U+0000, as long as the object lives; else NULL. */
const char *jws_string(struct json_object *object, const char *name);
bool jws_has_string(struct json_object *object, const char *name, const char *expected);

/* A member that is a whole number from 0 to `high`. False: it is another one, or none. */
bool jws_integer(struct json_object *object, const char *name, int64_t high, int64_t *ret_value);

#endif
