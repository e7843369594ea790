#include "server/routes/accounts/audit.h"
#include "server/routes/accounts/own_account.h"

static int update(struct prong_ctx *ctx, const struct account_update *in, struct own_account **ret_account)
{
	prong_uuid id = prong_account_id(ctx);
	int r;

	r = account_begin(ctx);
	if (r >= 0)
		r = prong_query_one(ctx, own_account, ret_account,
				    "UPDATE prong_accounts SET name = $2, updated_at = now() WHERE id = $1"
				    " RETURNING " OWN_ACCOUNT_COLUMNS,
				    id, in->name);
	if (r >= 0)
		r = audit(ctx, &(struct audit_event){ id, .action = "account.update", .result = AUDIT_OK });
	return r < 0 ? r : prong_commit(ctx);
}

int update_own_account(struct prong_ctx *ctx)
{
	const struct account_update *in = prong_body(ctx, account_update);
	struct own_account *account;
	const char *reason;
	int r;

	r = account_may_change(ctx);
	if (r < 0)
		return r;
	if (in->name && name_check(in->name, &reason) < 0)
		return prong_fail_field(ctx, "/name", "format", "%s", reason);
	r = update(ctx, in, &account);
	if (r < 0)
		return r;
	return prong_reply(ctx, 200, own_account, account);
}
