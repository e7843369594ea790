#include "server/routes/accounts/own_account.h"

#include "common/basics.h"
#include "common/context.h"
#include "server/http/abuse.h"

int account_need_session(struct prong_ctx *ctx)
{
	if (!uuid_is_zero(ctx->principal.session_id))
		return 0;
	return prong_fail(ctx, 403, "session_required", "Sign in for this: API keys and other tokens do not do.");
}

int account_may_change(struct prong_ctx *ctx)
{
	char account[PRONG_UUID_TEXT_SIZE];
	int r = account_need_session(ctx);

	return r < 0 ? r : abuse_check(ctx, WAY_CHANGE, prong_uuid_format(prong_account_id(ctx), account));
}

int account_gone(struct prong_ctx *ctx)
{
	prong_set_header(ctx, "WWW-Authenticate", "Bearer error=\"invalid_token\"");
	return prong_fail(ctx, 401, "invalid_token", "The account of this token is gone.");
}
