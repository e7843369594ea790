#include "common/context.h"
#include "server/routes/accounts/audit.h"
#include "server/routes/accounts/sessions.h"

static int note(struct prong_ctx *ctx, const char *action, const char *detail)
{
	return audit(ctx, &(struct audit_event){
				  .account_id = ctx->principal.account_id,
				  .action = action,
				  .result = AUDIT_OK,
				  .detail = { detail },
			  });
}

static const char *detail_of(struct prong_ctx *ctx, prong_uuid session_id)
{
	char text[PRONG_UUID_TEXT_SIZE];

	return prong_format(ctx, "{\"session_id\":\"%s\"}", prong_uuid_format(session_id, text));
}

/* -ENOENT: there is none, or it has ended. */
static int end_and_note(struct prong_ctx *ctx, prong_uuid session_id, const char *reason, const char *action)
{
	int r;

	r = prong_begin(ctx);
	if (r < 0)
		return r;
	r = session_end(ctx, ctx->principal.account_id, session_id, reason);
	if (r == 0)
		r = note(ctx, action, detail_of(ctx, session_id));
	if (r == 0)
		return prong_commit(ctx);
	prong_rollback(ctx);
	return r;
}

int end_own_session(struct prong_ctx *ctx)
{
	int r;

	r = account_need_session(ctx);
	if (r < 0)
		return r;
	r = end_and_note(ctx, ctx->principal.session_id, "signed_out", "sign_out");
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
	r = end_and_note(ctx, id, "revoked", "session.revoke");
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
	r = prong_begin(ctx);
	if (r < 0)
		return r;
	count = sessions_end_all(ctx, ctx->principal.account_id, except, "revoked");
	if (count < 0)
		return count;
	if (count > 0)
		r = note(ctx, others ? "session.revoke_others" : "session.revoke_all",
			 prong_format(ctx, "{\"count\":%d}", count));
	if (r == 0)
		r = prong_commit(ctx);
	if (r < 0)
		return r;
	if (!others)
		session_clear_cookies(ctx);
	return prong_reply(ctx, 200, count, &(struct count){ .count = count });
}
