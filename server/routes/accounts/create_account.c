#include "common/basics.h"
#include "common/context.h"
#include "common/security/password.h"
#include "server/routes/accounts/accounts.h"
#include "server/routes/accounts/password_rules.h"

/*
 * A courtesy: the account exists already, and the client must hear so. When the queue cannot take the mail, it is the
 * mail that is missing, and the log says which.
 */
static void send_welcome(struct prong_ctx *ctx, const struct account *account)
{
	char id[PRONG_UUID_TEXT_SIZE];
	int r;

	r = prong_send_mail(ctx,
			    &(struct prong_mail){
				    .to = account->email,
				    .subject = prong_format(ctx, "Welcome to %s", ctx->runtime->registry->app->name),
				    .text = "Your account is ready: sign in with this address and your password.\n",
			    });
	if (r < 0)
		prong_log(ctx, PRONG_LOG_ERROR, "account %s: the welcome mail was not enqueued: %s",
			  prong_uuid_format(account->id, id), strerror(-r));
}

int create_account(struct prong_ctx *ctx)
{
	const struct sign_up *in = prong_body(ctx, sign_up);
	char email[EMAIL_SIZE], hash[PASSWORD_HASH_SIZE];
	prong_uuid id = prong_uuid_make();
	struct account *account;
	const char *reason;
	int r;

	if (email_normalise(in->email, email) < 0)
		return prong_fail_field(ctx, "/email", "format", "Only addresses of ASCII characters are taken.");
	if (in->name && name_check(in->name, &reason) < 0)
		return prong_fail_field(ctx, "/name", "format", "%s", reason);
	r = password_accept(ctx, "/password", in->password, (const char *[]){ in->email, in->name, NULL });
	if (r < 0)
		return r;
	r = password_hash(ctx->runtime->password_hasher, id, in->password, hash);
	if (r < 0)
		return r;
	r = prong_query_one(ctx, account, &account,
			    "INSERT INTO prong_accounts (id, email, email_normalised, password_hash, name)"
			    " VALUES ($1, $2, $3, $4, $5) RETURNING " ACCOUNT_COLUMNS,
			    id, in->email, email, hash, in->name);
	if (r == -EEXIST)
		return prong_fail(ctx, 409, "email_taken", "There is an account with this address already.");
	if (r < 0)
		return r;
	send_welcome(ctx, account);
	return prong_reply(ctx, 201, account, account);
}
