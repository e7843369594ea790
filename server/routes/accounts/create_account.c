#include "common/basics.h"
#include "common/context.h"
#include "common/security/password.h"
#include "server/http/abuse.h"
#include "server/routes/accounts/accounts.h"
#include "server/routes/accounts/audit.h"
#include "server/routes/accounts/mails.h"
#include "server/routes/accounts/password_rules.h"

/*
 * The account of the address: the one that is made here, or the one that has it already. A single statement for both,
 * which take equally long.
 */
static int insert(struct prong_ctx *ctx, prong_uuid id, const struct sign_up *in, const char *normalised,
		  const char *password_hash, struct account **ret_account)
{
	int r;

	r = prong_query_one(
		ctx, account, ret_account,
		"WITH made AS (INSERT INTO prong_accounts (id, email, email_normalised, password_hash, name)"
		" VALUES ($1, $2, $3, $4, $5) ON CONFLICT (email_normalised) DO NOTHING"
		" RETURNING " ACCOUNT_COLUMNS ") SELECT * FROM made UNION ALL"
		" SELECT " ACCOUNT_COLUMNS " FROM prong_accounts WHERE email_normalised = $3",
		id, in->email, normalised, password_hash, in->name);
	if (r != -ENOENT)
		return r;
	/* Another's, committed since the statement began, so that neither half saw it. */
	*ret_account = prong_alloc(ctx, sizeof(**ret_account));
	return 0;
}

/* Whether the address was taken is told by mail only where SIGN_UP is private. */
static int settle(struct prong_ctx *ctx, const struct account *account, bool is_new, const char *normalised)
{
	static const prong_uuid unknown;
	bool private = ctx->runtime->settings->sign_up == SIGN_UP_PRIVATE;
	int r;

	r = audit(ctx, &(struct audit_event){
			       .account_id = account->id,
			       .actor = is_new ? NULL : AUDIT_NOBODY,
			       .action = "account.create",
			       .result = is_new ? AUDIT_OK : "email_taken",
		       });
	if (r < 0)
		return r;
	if (is_new)
		return account_mail(ctx, MAIL_VERIFY, account->id, NULL, NULL);
	return private ? account_mail(ctx, MAIL_ADDRESS_IN_USE, unknown, normalised, NULL) : 0;
}

static int answer(struct prong_ctx *ctx, const struct account *account, bool is_new)
{
	if (ctx->runtime->settings->sign_up == SIGN_UP_PRIVATE)
		return prong_reply(ctx, 202, notice, &notice_check_mail);
	if (!is_new)
		return prong_fail(ctx, 409, "email_taken", "There is an account with this address already.");
	return prong_reply(ctx, 201, account, account);
}

/*
 * What can be refused without asking whether there is such an account. The address's own limit is that of mails to it,
 * so that a few weak passwords do not use it up.
 */
static int accept(struct prong_ctx *ctx, const struct sign_up *in, char ret_normalised[EMAIL_SIZE])
{
	const char *reason;
	int r;

	if (ctx->runtime->settings->sign_up == SIGN_UP_CLOSED)
		return prong_fail(ctx, 403, "sign_up_closed", "Nobody can sign up here.");
	if (email_normalise(in->email, ret_normalised) < 0)
		return prong_fail_field(ctx, "/email", "format", "Only addresses of ASCII characters are taken.");
	if (in->name && name_check(in->name, &reason) < 0)
		return prong_fail_field(ctx, "/name", "format", "%s", reason);
	r = abuse_check(ctx, WAY_SIGN_UP, NULL);
	if (r < 0)
		return r;
	r = password_accept(ctx, "/password", in->password, (const char *[]){ in->email, in->name, NULL });
	if (r < 0)
		return r;
	return abuse_check(ctx, WAY_MAIL, ret_normalised);
}

int create_account(struct prong_ctx *ctx)
{
	const struct sign_up *in = prong_body(ctx, sign_up);
	char normalised[EMAIL_SIZE], hash[PASSWORD_HASH_SIZE];
	prong_uuid id = prong_uuid_make();
	struct account *account;
	bool is_new;
	int r;

	r = accept(ctx, in, normalised);
	if (r < 0)
		return r;
	r = password_hash(ctx->runtime->password_hasher, id, in->password, hash);
	if (r < 0)
		return r;
	r = prong_begin(ctx);
	if (r < 0)
		return r;
	r = insert(ctx, id, in, normalised, hash, &account);
	if (r < 0)
		return r;
	is_new = prong_uuid_equal(account->id, id);
	r = settle(ctx, account, is_new, normalised);
	if (r < 0)
		return r;
	r = prong_commit(ctx);
	if (r < 0)
		return r;
	abuse_settle(ctx, WAY_SIGN_UP, NULL, VERDICT_RIGHT);
	return answer(ctx, account, is_new);
}
