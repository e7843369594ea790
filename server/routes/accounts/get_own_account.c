#include "common/basics.h"
#include "server/routes/accounts/accounts.h"

int get_own_account(struct prong_ctx *ctx)
{
	struct account *account;
	int r;

	r = prong_query_one(ctx, account, &account, "SELECT " ACCOUNT_COLUMNS " FROM prong_accounts WHERE id = $1",
			    prong_account_id(ctx));
	if (r == -ENOENT) {
		prong_set_header(ctx, "WWW-Authenticate", "Bearer error=\"invalid_token\"");
		return prong_fail(ctx, 401, "invalid_token", "The account of this token is gone.");
	}
	if (r < 0)
		return r;
	return prong_reply(ctx, 200, account, account);
}
