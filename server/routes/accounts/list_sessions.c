#include "common/context.h"
#include "server/routes/accounts/accounts.h"

#define MAX_LISTED 1000

int list_sessions(struct prong_ctx *ctx)
{
	struct listed_session *sessions;
	size_t count;
	int r;

	r = account_need_session(ctx);
	if (r < 0)
		return r;
	r = prong_query(ctx, listed_session, &sessions, &count,
			"SELECT id, device, address, is_cookie, id = $2 AS is_current, created_at, used_at, expires_at"
			" FROM prong_sessions WHERE account_id = $1 AND revoked_at IS NULL AND expires_at > now()"
			" AND used_at > now() - $3::float8 * interval '1 microsecond'"
			" ORDER BY used_at DESC, id LIMIT $4",
			ctx->principal.account_id, ctx->principal.session_id, ctx->runtime->settings->session_idle,
			MAX_LISTED);
	return r < 0 ? r : prong_reply_list(ctx, 200, listed_session, sessions, count);
}
