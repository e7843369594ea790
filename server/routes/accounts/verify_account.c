#include "common/basics.h"
#include "server/http/abuse.h"
#include "server/routes/accounts/audit.h"
#include "server/routes/accounts/mails.h"
#include "server/routes/accounts/own_account.h"
#include "server/routes/accounts/secrets.h"

/* In one transaction. -ENOENT: wrong, used, too old, or of an address that the account has no more. */
static int verify(struct prong_ctx *ctx, const char *token)
{
	const char *address;
	prong_uuid id;
	int r;

	r = prong_begin(ctx);
	if (r < 0)
		return r;
	r = secret_use(ctx, SECRET_VERIFY, token, &id, &address);
	if (r < 0)
		return r;
	r = account_prove_address(ctx, id, address);
	if (r < 0)
		return r;
	r = audit(ctx, &(struct audit_event){ .account_id = id, .action = "email.verify", .result = AUDIT_OK });
	if (r < 0)
		return r;
	return prong_commit(ctx);
}

int verify_account(struct prong_ctx *ctx)
{
	const struct proof *in = prong_body(ctx, proof);
	int r;

	r = abuse_check(ctx, WAY_PROOF, NULL);
	if (r < 0)
		return r;
	r = verify(ctx, in->token);
	prong_rollback(ctx);
	abuse_settle(ctx, WAY_PROOF, NULL, verdict_of(r));
	if (r == -ENOENT)
		return secret_refuse(ctx);
	return r < 0 ? r : prong_reply_empty(ctx, 204);
}

int ask_verification(struct prong_ctx *ctx)
{
	const struct mail_address *in = prong_body(ctx, mail_address);
	static const prong_uuid unknown;
	char normalised[EMAIL_SIZE];
	int r;

	if (email_normalise(in->email, normalised) < 0)
		return prong_fail_field(ctx, "/email", "format", "Only addresses of ASCII characters are taken.");
	r = abuse_check(ctx, WAY_MAIL, normalised);
	if (r < 0)
		return r;
	r = account_mail(ctx, MAIL_VERIFY, unknown, normalised, NULL);
	if (r < 0)
		return r;
	return prong_reply(ctx, 202, notice, &notice_check_mail);
}
