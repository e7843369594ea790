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

/*
 * The session's row must be locked as well: of rows that it locks a statement takes what they are by then, of others
 * what they were when it began, before it waited. And one session may end without its account's row.
 */
int account_begin(struct prong_ctx *ctx)
{
	int r = prong_begin(ctx);

	if (r < 0)
		return r;
	r = prong_exec(ctx,
		       "SELECT a.id FROM prong_accounts a JOIN prong_sessions s ON s.account_id = a.id"
		       " WHERE a.id = $1 AND a.disabled_at IS NULL AND a.epoch <= $2"
		       " AND s.id = $3 AND s.revoked_at IS NULL AND s.expires_at > now()"
		       " FOR NO KEY UPDATE OF a FOR SHARE OF s",
		       prong_account_id(ctx), ctx->principal.epoch, ctx->principal.session_id);
	if (r == 0)
		return account_gone(ctx);
	return r < 0 ? r : 0;
}

int account_gone(struct prong_ctx *ctx)
{
	prong_set_header(ctx, "WWW-Authenticate", "Bearer error=\"invalid_token\"");
	return prong_fail(ctx, 401, "invalid_token", "The session or the account of this token is gone.");
}
