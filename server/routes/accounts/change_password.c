#include "common/basics.h"
#include "common/context.h"
#include "common/security/password.h"
#include "server/http/abuse.h"
#include "server/routes/accounts/audit.h"
#include "server/routes/accounts/own_account.h"
#include "server/routes/accounts/password_rules.h"
#include "server/routes/accounts/secrets.h"

struct own_password {
	const char *email, *name;
	const char *password_hash;
	prong_time password_changed_at;
};

/* clang-format off */
PRONG_SCHEMA(own_password,
	PRONG_FIELD(own_password, email),
	PRONG_FIELD(own_password, name),
	PRONG_FIELD(own_password, password_hash, .secret = true),
	PRONG_FIELD(own_password, password_changed_at));
/* clang-format on */

static int refuse(struct prong_ctx *ctx)
{
	int r;

	r = audit(ctx, &(struct audit_event){ prong_account_id(ctx), .action = "password.change",
					      .result = "wrong_password" });
	if (r < 0)
		return r;
	return prong_fail(ctx, 403, "wrong_password", "The current password is wrong.");
}

/* A stored hash that is unusable has no password that would be right; the log says so. */
static int verify_current(struct prong_ctx *ctx, const struct own_password *own, const char *password)
{
	char account[PRONG_UUID_TEXT_SIZE];
	int r = -EACCES;

	prong_uuid_format(prong_account_id(ctx), account);
	if (strlen(password) <= PASSWORD_MAX_SIZE)
		r = password_verify(ctx->runtime->password_hasher, prong_account_id(ctx), password, own->password_hash,
				    NULL);
	if (r == -EINVAL)
		r = -EACCES;
	abuse_settle(ctx, WAY_PASSWORD, account, verdict_of(r));
	return r == -EACCES ? refuse(ctx) : r;
}

/* Not where the password is no longer the one that was verified; a sign-in may have hashed that one anew. */
static int replace(struct prong_ctx *ctx, prong_time verified, const char *hash)
{
	prong_uuid id = prong_account_id(ctx);
	int r;

	r = account_begin(ctx);
	if (r >= 0)
		r = secrets_void(ctx, id);
	if (r >= 0)
		r = prong_exec(ctx,
			       "UPDATE prong_accounts SET password_hash = $3, password_changed_at = now(),"
			       " updated_at = now() WHERE id = $1 AND password_changed_at = $2",
			       id, verified, hash);
	if (r == 0)
		return prong_fail(ctx, 409, "password_changed", "The password was changed meanwhile: try again.");
	if (r >= 0)
		r = password_changed(ctx, id, ctx->principal.session_id, "password.change");
	return r < 0 ? r : prong_commit(ctx);
}

int change_password(struct prong_ctx *ctx)
{
	const struct password_change *in = prong_body(ctx, password_change);
	char account[PRONG_UUID_TEXT_SIZE], hash[PASSWORD_HASH_SIZE];
	prong_uuid id = prong_account_id(ctx);
	struct own_password *own;
	int r;

	r = account_need_session(ctx);
	if (r >= 0)
		r = abuse_check(ctx, WAY_PASSWORD, prong_uuid_format(id, account));
	if (r < 0)
		return r;
	r = prong_query_one(ctx, own_password, &own,
			    "SELECT email, name, password_hash, password_changed_at FROM prong_accounts WHERE id = $1",
			    id);
	if (r < 0)
		abuse_settle(ctx, WAY_PASSWORD, account, VERDICT_UNKNOWN);
	if (r == -ENOENT)
		return account_gone(ctx);
	if (r >= 0)
		r = verify_current(ctx, own, in->current_password);
	if (r >= 0)
		r = password_accept(ctx, "/password", in->password, (const char *[]){ own->email, own->name, NULL });
	if (r >= 0)
		r = password_hash(ctx->runtime->password_hasher, id, in->password, hash);
	if (r >= 0)
		r = replace(ctx, own->password_changed_at, hash);
	return r < 0 ? r : prong_reply_empty(ctx, 204);
}
