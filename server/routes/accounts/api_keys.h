/* The routes of an account's API keys. */
#ifndef ROUTES_API_KEYS_H
#define ROUTES_API_KEYS_H

#include <prong/prong.h>

#define API_KEYS_MAX 100 /* of an account */

struct api_key {
	prong_uuid id;
	const char *name;
	const char *key;  /* once, when it is made */
	const char *hint; /* its last characters */
	PRONG_ARRAY(const char *) scopes;
	prong_time created_at;
	prong_opt_time expires_at, last_used_at;
};

struct new_api_key {
	const char *name;
	PRONG_ARRAY(const char *) scopes;
	prong_opt_time expires_at;
};

/* clang-format off */
PRONG_SCHEMA(api_key,
	PRONG_FIELD(api_key, id, .read_only = true),
	PRONG_FIELD(api_key, name, .read_only = true),
	PRONG_FIELD(api_key, key, .read_only = true, .secret = true),
	PRONG_FIELD(api_key, hint, .read_only = true),
	PRONG_FIELD_ARRAY(api_key, scopes, .read_only = true, .required = true),
	PRONG_FIELD(api_key, created_at, .read_only = true),
	PRONG_FIELD(api_key, expires_at, .read_only = true, .nullable = true),
	PRONG_FIELD(api_key, last_used_at, .read_only = true, .nullable = true));

PRONG_SCHEMA(new_api_key,
	PRONG_FIELD(new_api_key, name, .required = true, .min_length = 1, .max_length = 100),
	PRONG_FIELD_ARRAY(new_api_key, scopes, .max_items = 100, .max_length = 64),
	PRONG_FIELD(new_api_key, expires_at, .nullable = true));
/* clang-format on */

#define API_KEY_COLUMNS "id, name, hint, to_jsonb(scopes) AS scopes, created_at, expires_at, last_used_at"

prong_handler create_api_key; /* POST /v1/account/api-keys */
prong_handler list_api_keys;  /* GET /v1/account/api-keys */
prong_handler delete_api_key; /* DELETE /v1/account/api-keys/{id} */

/* Revokes all of an account, in the context's transaction, with one line in the audit log. Suspends; as prong_exec().
 */
int api_keys_revoke_all(struct prong_ctx *ctx, prong_uuid account_id);

/* Housekeeping: revoked ones go after a month. Suspends; 0, errors as prong_exec(). */
int api_keys_purge(struct prong_ctx *ctx);

#endif
