#include "common/basics.h"
#include "common/context.h"
#include "common/security/password.h"
#include "server/http/abuse.h"
#include "server/routes/accounts/audit.h"
#include "server/routes/accounts/mails.h"
#include "server/routes/accounts/own_account.h"
#include "server/routes/accounts/password_rules.h"
#include "server/routes/accounts/secrets.h"

/* ---- asking ---- */

struct asked {
	prong_uuid id;
};

PRONG_SCHEMA(asked, PRONG_FIELD(asked, id));

/*
 * The same statements whether there is such an account: it is looked up for the audit log only, and the mail's job
 * finds out by itself.
 */
static int order_mail(struct prong_ctx *ctx, const char *email)
{
	struct asked nobody = { 0 }, *account = &nobody;
	int r;

	r = prong_begin(ctx);
	if (r >= 0)
		r = prong_query_one(ctx, asked, &account, "SELECT id FROM prong_accounts WHERE email_normalised = $1",
				    email);
	if (r >= 0 || r == -ENOENT)
		r = audit(ctx, &(struct audit_event){ account->id, .actor = AUDIT_NOBODY,
						      .action = "password.reset_request", .result = AUDIT_OK });
	if (r >= 0)
		r = account_mail(ctx, MAIL_RESET, (prong_uuid){ 0 }, email, NULL);
	return r < 0 ? r : prong_commit(ctx);
}

int request_password_reset(struct prong_ctx *ctx)
{
	const struct mail_address *in = prong_body(ctx, mail_address);
	char email[EMAIL_SIZE];
	int r;

	if (email_normalise(in->email, email) < 0)
		return prong_fail_field(ctx, "/email", "format", "Only addresses of ASCII characters are taken.");
	r = abuse_check(ctx, WAY_MAIL, email);
	if (r >= 0)
		r = order_mail(ctx, email);
	if (r < 0)
		return r;
	return prong_reply(ctx, 202, notice, &notice_check_mail);
}

/* ---- confirming ---- */

/* Whose password it becomes. */
struct resetting {
	prong_uuid id;
	const char *email, *name;
};

PRONG_SCHEMA(resetting, PRONG_FIELD(resetting, id), PRONG_FIELD(resetting, email), PRONG_FIELD(resetting, name));

/* Before anything is hashed. -ENOENT: the token is not good. */
static int find(struct prong_ctx *ctx, const char *token, struct resetting **ret_resetting)
{
	prong_uuid id;
	int r;

	r = abuse_check(ctx, WAY_PROOF, NULL);
	if (r < 0)
		return r;
	r = secret_find(ctx, SECRET_RESET, token, &id);
	if (r >= 0)
		r = prong_query_one(ctx, resetting, ret_resetting,
				    "SELECT id, email, name FROM prong_accounts WHERE id = $1 AND disabled_at IS NULL",
				    id);
	abuse_settle(ctx, WAY_PROOF, NULL, verdict_of(r));
	return r;
}

/* -ENOENT: it is disabled meanwhile. */
static int set_password(struct prong_ctx *ctx, prong_uuid id, const char *hash)
{
	int r = prong_exec(ctx,
			   "UPDATE prong_accounts SET password_hash = $2, password_changed_at = now(),"
			   " updated_at = now() WHERE id = $1 AND disabled_at IS NULL",
			   id, hash);

	return r == 0 ? -ENOENT : r;
}

/* -ENOENT: the token is not good. */
static int replace(struct prong_ctx *ctx, const char *token, const char *hash)
{
	const char *address;
	prong_uuid id;
	int r;

	r = prong_begin(ctx);
	if (r >= 0)
		r = secret_use(ctx, SECRET_RESET, token, &id, &address);
	if (r >= 0)
		r = account_prove_address(ctx, id, address);
	if (r >= 0)
		r = set_password(ctx, id, hash);
	if (r >= 0)
		r = password_changed(ctx, id, (prong_uuid){ 0 }, "password.reset");
	return r < 0 ? r : prong_commit(ctx);
}

int confirm_password_reset(struct prong_ctx *ctx)
{
	const struct password_reset *in = prong_body(ctx, password_reset);
	char hash[PASSWORD_HASH_SIZE], email[EMAIL_SIZE];
	struct resetting *resetting;
	int r;

	r = find(ctx, in->token, &resetting);
	if (r >= 0)
		r = password_accept(ctx, "/password", in->password,
				    (const char *[]){ resetting->email, resetting->name, NULL });
	if (r >= 0)
		r = password_hash(ctx->runtime->password_hasher, resetting->id, in->password, hash);
	if (r >= 0)
		r = replace(ctx, in->token, hash);
	if (r == -ENOENT)
		return secret_refuse(ctx);
	if (r < 0)
		return r;
	/* Whoever has tried all that came to mind before is to be let in with the new one. */
	if (email_normalise(resetting->email, email) == 0)
		abuse_forgive(ctx, WAY_SIGN_IN, email);
	return prong_reply_empty(ctx, 204);
}
