#include "common/basics.h"
#include "server/http/abuse.h"
#include "server/routes/accounts/api_keys.h"
#include "server/routes/accounts/audit.h"
#include "server/routes/accounts/mails.h"
#include "server/routes/accounts/own_account.h"
#include "server/routes/accounts/secrets.h"

/* ---- asking ---- */

/*
 * Whether somebody has the address is for the mails' job to find out. What is noted as asked is void with a new
 * password, or once another address is asked for, also where the mail is still under way.
 */
static int order_mails(struct prong_ctx *ctx, const char *email)
{
	prong_uuid id = prong_account_id(ctx);
	char asked[SECRET_TEXT_SIZE];
	int r;

	r = account_begin(ctx);
	if (r >= 0)
		r = secret_make(ctx, SECRET_EMAIL_ASKED, id, email, asked);
	if (r >= 0)
		r = account_mail(ctx, MAIL_CHANGE_EMAIL, id, email, NULL);
	if (r >= 0)
		r = account_mail(ctx, MAIL_EMAIL_CHANGING, id, NULL, email);
	if (r >= 0)
		r = audit(ctx, &(struct audit_event){ id, .action = "email.change_request", .result = AUDIT_OK });
	return r < 0 ? r : prong_commit(ctx);
}

int request_email_change(struct prong_ctx *ctx)
{
	const struct mail_address *in = prong_body(ctx, mail_address);
	char email[EMAIL_SIZE];
	int r;

	r = account_may_change(ctx);
	if (r < 0)
		return r;
	if (email_normalise(in->email, email) < 0)
		return prong_fail_field(ctx, "/email", "format", "Only addresses of ASCII characters are taken.");
	r = abuse_check(ctx, WAY_MAIL, email);
	if (r >= 0)
		r = order_mails(ctx, in->email);
	if (r < 0)
		return r;
	return prong_reply(ctx, 202, notice, &notice_check_mail);
}

/* ---- confirming ---- */

struct former {
	const char *email;
	bool proven;
};

PRONG_SCHEMA(former, PRONG_FIELD(former, email), PRONG_FIELD(former, proven));

static int set_email(struct prong_ctx *ctx, prong_uuid id, const char *email, struct former **ret_former)
{
	char normalised[EMAIL_SIZE];
	int r;

	check(email_normalise(email, normalised) == 0);
	r = prong_query_one(ctx, former, ret_former,
			    "UPDATE prong_accounts a SET email = $2, email_normalised = $3, email_verified_at = now(),"
			    " updated_at = now()"
			    " FROM (SELECT id, email, email_verified_at IS NOT NULL AS proven FROM prong_accounts"
			    " WHERE id = $1 FOR UPDATE) old"
			    " WHERE a.id = old.id AND a.disabled_at IS NULL RETURNING old.email, old.proven",
			    id, email, normalised);
	if (r == -EEXIST)
		return prong_fail(ctx, 409, "email_taken", "There is an account with this address by now.");
	return r;
}

/* -ENOENT: the token is not good. The first address that is proven counts as account_prove_address() has it. */
static int change(struct prong_ctx *ctx, const char *token)
{
	struct former *former = NULL;
	const char *email;
	prong_uuid id;
	int r;

	r = prong_begin(ctx);
	if (r >= 0)
		r = secret_use(ctx, SECRET_CHANGE_EMAIL, token, &id, &email);
	if (r >= 0)
		r = set_email(ctx, id, email, &former);
	if (r >= 0 && !former->proven)
		r = api_keys_revoke_all(ctx, id);
	if (r >= 0 && former->proven)
		r = account_mail(ctx, MAIL_EMAIL_CHANGED, id, former->email, email);
	if (r >= 0)
		r = audit(ctx, &(struct audit_event){ id, .action = "email.change", .result = AUDIT_OK });
	return r < 0 ? r : prong_commit(ctx);
}

int confirm_email_change(struct prong_ctx *ctx)
{
	const struct proof *in = prong_body(ctx, proof);
	int r;

	r = abuse_check(ctx, WAY_PROOF, NULL);
	if (r < 0)
		return r;
	r = change(ctx, in->token);
	prong_rollback(ctx);
	abuse_settle(ctx, WAY_PROOF, NULL, verdict_of(r));
	if (r == -ENOENT)
		return secret_refuse(ctx);
	return r < 0 ? r : prong_reply_empty(ctx, 204);
}
