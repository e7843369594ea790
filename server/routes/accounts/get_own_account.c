#include "common/context.h"
#include "server/routes/accounts/own_account.h"

/* An API key may look too. Whoever another issuer vouches for has no account here. */
int get_own_account(struct prong_ctx *ctx)
{
	struct own_account *account;
	int r = ctx->principal.issuer ? account_need_session(ctx) : 0;

	if (r < 0)
		return r;
	r = prong_query_one(ctx, own_account, &account,
			    "SELECT " OWN_ACCOUNT_COLUMNS " FROM prong_accounts WHERE id = $1", prong_account_id(ctx));
	if (r == -ENOENT)
		return account_gone(ctx);
	if (r < 0)
		return r;
	return prong_reply(ctx, 200, own_account, account);
}
