#include "server/routes/accounts/own_account.h"

#include "common/basics.h"
#include "common/context.h"

int account_need_session(struct prong_ctx *ctx)
{
	if (!uuid_is_zero(ctx->principal.session_id))
		return 0;
	return prong_fail(ctx, 403, "session_required", "Sign in for this: API keys and other tokens do not do.");
}

int account_gone(struct prong_ctx *ctx)
{
	prong_set_header(ctx, "WWW-Authenticate", "Bearer error=\"invalid_token\"");
	return prong_fail(ctx, 401, "invalid_token", "The account of this token is gone.");
}
