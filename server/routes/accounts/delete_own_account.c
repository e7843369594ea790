#include "common/basics.h"
#include "common/context.h"
#include "server/routes/accounts/audit.h"
#include "server/routes/accounts/deletion.h"
#include "server/routes/accounts/mails.h"
#include "server/routes/accounts/own_account.h"
#include "server/routes/accounts/secrets.h"
#include "server/routes/accounts/sessions.h"

static int mark(struct prong_ctx *ctx, prong_uuid id, struct deletion **ret_deletion)
{
	return prong_query_one(ctx, deletion, ret_deletion,
			       "UPDATE prong_accounts SET delete_after = now() + $2::bigint * interval '1 microsecond',"
			       " updated_at = now() WHERE id = $1 RETURNING delete_after",
			       id, ctx->runtime->settings->deletion_grace);
}

/* The new epoch has API keys looked up again, which then are refused. */
static int leave(struct prong_ctx *ctx, struct deletion **ret_deletion)
{
	prong_uuid id = prong_account_id(ctx);
	int r;

	r = account_begin(ctx);
	if (r >= 0)
		r = secrets_void(ctx, id);
	if (r >= 0)
		r = mark(ctx, id, ret_deletion);
	if (r >= 0)
		r = sessions_end_all(ctx, id, (prong_uuid){ 0 }, "deleted");
	if (r >= 0)
		r = account_renew_epoch(ctx, id);
	if (r >= 0 && ctx->runtime->settings->deletion_grace > 0)
		r = account_mail(ctx, MAIL_DELETION, id, NULL, NULL);
	if (r >= 0)
		r = audit(ctx, &(struct audit_event){ id, .action = "account.delete_request", .result = AUDIT_OK });
	return r < 0 ? r : prong_commit(ctx);
}

/* Without a grace it is deleted here; where that fails the log says why, and housekeeping tries again. */
int delete_own_account(struct prong_ctx *ctx)
{
	struct deletion *deletion;
	int r;

	r = account_need_session(ctx);
	if (r < 0)
		return r;
	r = leave(ctx, &deletion);
	if (r < 0)
		return r;
	if (ctx->runtime->settings->deletion_grace == 0)
		account_delete(ctx, prong_account_id(ctx), NULL);
	session_clear_cookies(ctx);
	return prong_reply(ctx, 202, deletion, deletion);
}
