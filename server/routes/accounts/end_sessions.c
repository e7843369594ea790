#include "common/context.h"
#include "server/routes/accounts/audit.h"
#include "server/routes/accounts/own_account.h"
#include "server/routes/accounts/sessions.h"

static int note(struct prong_ctx *ctx, prong_uuid account_id, const char *action, const char *detail)
{
	return audit(ctx, &(struct audit_event){
				  .account_id = account_id,
				  .action = action,
				  .result = AUDIT_OK,
				  .detail = { detail },
			  });
}

/* -ENOENT: there is none, or it has ended. */
static int end_and_note(struct prong_ctx *ctx, prong_uuid account_id, prong_uuid session_id, const char *reason,
			const char *action)
{
	char text[PRONG_UUID_TEXT_SIZE];
	int r = session_end(ctx, account_id, session_id, reason);

	if (r < 0)
		return r;
	return note(ctx, account_id, action,
		    prong_format(ctx, "{\"session_id\":\"%s\"}", prong_uuid_format(session_id, text)));
}

int session_sign_out(struct prong_ctx *ctx, prong_uuid account_id, prong_uuid session_id)
{
	return end_and_note(ctx, account_id, session_id, "signed_out", "sign_out");
}

static int finish(struct prong_ctx *ctx, int result)
{
	if (result == 0)
		return prong_commit(ctx);
	prong_rollback(ctx);
	return result;
}

int end_own_session(struct prong_ctx *ctx)
{
	int r;

	r = account_need_session(ctx);
	if (r < 0)
		return r;
	r = prong_begin(ctx);
	if (r < 0)
		return r;
	r = finish(ctx, session_sign_out(ctx, ctx->principal.account_id, ctx->principal.session_id));
	/* Who signs out twice at once is signed out. */
	if (r < 0 && r != -ENOENT)
		return r;
	session_clear_cookies(ctx);
	return prong_reply_empty(ctx, 204);
}

int end_session(struct prong_ctx *ctx)
{
	prong_uuid id;
	int r;

	r = account_need_session(ctx);
	if (r < 0)
		return r;
	r = prong_path_uuid(ctx, "id", &id);
	if (r < 0)
		return r;
	r = account_begin(ctx);
	if (r < 0)
		return r;
	r = finish(ctx, end_and_note(ctx, ctx->principal.account_id, id, "revoked", "session.revoke"));
	if (r < 0)
		return r;
	if (prong_uuid_equal(id, ctx->principal.session_id))
		session_clear_cookies(ctx);
	return prong_reply_empty(ctx, 204);
}

int end_sessions(struct prong_ctx *ctx)
{
	bool others = prong_query_string(ctx, which_sessions)->except == EXCEPT_CURRENT;
	prong_uuid except = others ? ctx->principal.session_id : (prong_uuid){ 0 };
	int count, r;

	r = account_need_session(ctx);
	if (r < 0)
		return r;
	r = account_begin(ctx);
	if (r < 0)
		return r;
	count = sessions_end_all(ctx, ctx->principal.account_id, except, "revoked");
	if (count < 0)
		return count;
	if (count > 0)
		r = note(ctx, ctx->principal.account_id, others ? "session.revoke_others" : "session.revoke_all",
			 prong_format(ctx, "{\"count\":%d}", count));
	if (r == 0)
		r = prong_commit(ctx);
	if (r < 0)
		return r;
	if (!others)
		session_clear_cookies(ctx);
	return prong_reply(ctx, 200, count, &(struct count){ .count = count });
}
