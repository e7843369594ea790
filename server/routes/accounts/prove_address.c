#include "server/routes/accounts/api_keys.h"
#include "server/routes/accounts/own_account.h"

struct proven_now {
	bool first;
};

PRONG_SCHEMA(proven_now, PRONG_FIELD(proven_now, first));

int account_prove_address(struct prong_ctx *ctx, prong_uuid account_id, const char *address)
{
	struct proven_now *proven;
	int r;

	r = prong_query_one(ctx, proven_now, &proven,
			    "UPDATE prong_accounts a SET email_verified_at = coalesce(a.email_verified_at, now()),"
			    " updated_at = now()"
			    " FROM (SELECT id, email_verified_at FROM prong_accounts WHERE id = $1 FOR UPDATE) old"
			    " WHERE a.id = old.id AND a.email = $2 RETURNING old.email_verified_at IS NULL AS first",
			    account_id, address);
	if (r < 0 || !proven->first)
		return r;
	return api_keys_revoke_all(ctx, account_id);
}
