#include <sodium.h>

#include "common/context.h"
#include "common/postgres/postgres.h"
#include "common/scope.h"
#include "common/security/api_key.h"
#include "server/routes/accounts/accounts.h"
#include "server/routes/accounts/api_keys.h"
#include "server/routes/accounts/audit.h"
#include "server/routes/accounts/mails.h"
#include "server/routes/accounts/own_account.h"

#define HINT_SIZE 4

/* What the account has, as long as the transaction holds its row. */
struct owned {
	const char *scope;
	int64_t keys;
	bool has_name;
};
PRONG_SCHEMA(owned, PRONG_FIELD(owned, scope), PRONG_FIELD(owned, keys), PRONG_FIELD(owned, has_name));

struct key_detail {
	prong_uuid id;
	const char *name;
	PRONG_ARRAY(const char *) scopes;
};

/* clang-format off */
PRONG_SCHEMA(key_detail,
	PRONG_FIELD(key_detail, id),
	PRONG_FIELD(key_detail, name),
	PRONG_FIELD_ARRAY(key_detail, scopes, .required = true));
/* clang-format on */

static int check_scopes(struct prong_ctx *ctx, const struct new_api_key *in, const char *owned)
{
	for (size_t i = 0; i < in->scopes.count; i++)
		if (!scope_list_has(owned, in->scopes.items[i]))
			return prong_fail_field(ctx, prong_format(ctx, "/scopes/%zu", i), "unknown_scope",
						"The account does not have this scope itself.");
	return 0;
}

/* Keys of one account are made one after the other: each sees those before it. */
static int check_owner(struct prong_ctx *ctx, const struct new_api_key *in)
{
	struct owned *owned;
	int r;

	r = prong_query_one(ctx, owned, &owned,
			    "SELECT array_to_string(a.scopes, ' ') AS scope, count(k.id) AS keys,"
			    " coalesce(bool_or(k.name = $2), false) AS has_name FROM prong_accounts a"
			    " LEFT JOIN prong_api_keys k ON k.account_id = a.id AND k.revoked_at IS NULL"
			    " WHERE a.id = $1 GROUP BY a.id",
			    prong_account_id(ctx), in->name);
	if (r < 0)
		return r;
	r = check_scopes(ctx, in, owned->scope);
	if (r < 0)
		return r;
	if (owned->has_name)
		return prong_fail(ctx, 409, "name_taken", "There is an API key of this name already.");
	if (owned->keys >= API_KEYS_MAX)
		return prong_fail(ctx, 409, "too_many_api_keys", "An account has at most %d API keys: delete one.",
				  API_KEYS_MAX);
	return 0;
}

static int insert(struct prong_ctx *ctx, const struct new_api_key *in, struct api_key **ret_key)
{
	unsigned char hash[API_KEY_HASH_SIZE];
	char *text = prong_alloc(ctx, API_KEY_SIZE), hex[API_KEY_HASH_SIZE * 2 + 1];
	struct api_key *key;
	int r;

	api_key_make(text);
	api_key_hash(text, hash);
	sodium_bin2hex(hex, sizeof(hex), hash, sizeof(hash));
	r = prong_query_one(ctx, api_key, &key,
			    "INSERT INTO prong_api_keys (id, account_id, name, hash, hint, scopes, expires_at)"
			    " VALUES ($1, $2, $3, decode($4, 'hex'), $5,"
			    " ARRAY(SELECT DISTINCT unnest($6::text[]) ORDER BY 1), $7) RETURNING " API_KEY_COLUMNS,
			    prong_uuid_make(), prong_account_id(ctx), in->name, hex,
			    text + API_KEY_SIZE - 1 - HINT_SIZE,
			    postgres_array(ctx, in->scopes.items, in->scopes.count), in->expires_at);
	if (r < 0)
		return r;
	key->key = text;
	*ret_key = key;
	return 0;
}

static int tell(struct prong_ctx *ctx, const struct api_key *key)
{
	struct key_detail detail = { .id = key->id, .name = key->name };
	int r;

	detail.scopes.count = key->scopes.count;
	detail.scopes.items = key->scopes.items;
	r = audit(ctx, &(struct audit_event){
			       .account_id = prong_account_id(ctx),
			       .action = "api_key.create",
			       .result = AUDIT_OK,
			       .detail = prong_to_json(ctx, key_detail, &detail),
		       });
	if (r < 0)
		return r;
	return account_mail(ctx, MAIL_API_KEY_CREATED, prong_account_id(ctx), NULL, key->name);
}

int create_api_key(struct prong_ctx *ctx)
{
	const struct new_api_key *in = prong_body(ctx, new_api_key);
	struct api_key *key;
	const char *reason;
	int r;

	r = account_may_change(ctx);
	if (r < 0)
		return r;
	if (name_check(in->name, &reason) < 0)
		return prong_fail_field(ctx, "/name", "format", "%s", reason);
	if (in->expires_at.set && in->expires_at.value.us <= prong_time_now().us)
		return prong_fail_field(ctx, "/expires_at", "range", "It must be in the future.");
	r = account_begin(ctx);
	if (r < 0)
		return r;
	r = check_owner(ctx, in);
	if (r < 0)
		return r;
	r = insert(ctx, in, &key);
	if (r < 0)
		return r;
	r = tell(ctx, key);
	if (r < 0)
		return r;
	r = prong_commit(ctx);
	if (r < 0)
		return r;
	return prong_reply(ctx, 201, api_key, key);
}
