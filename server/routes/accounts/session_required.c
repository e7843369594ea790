#include "common/basics.h"
#include "common/context.h"
#include "server/routes/accounts/accounts.h"

int account_need_session(struct prong_ctx *ctx)
{
	if (!uuid_is_zero(ctx->principal.session_id))
		return 0;
	return prong_fail(ctx, 403, "session_required", "Sign in for this: API keys and other tokens do not do.");
}
