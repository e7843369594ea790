#include "common/basics.h"
#include "common/context.h"
#include "common/security/keyring.h"
#include "common/security/password.h"
#include "server/routes/accounts/accounts.h"

/* An account as sign-in reads it. */
struct known_account {
	prong_uuid id;
	const char *email;
	const char *name;
	bool email_verified;
	prong_time created_at;
	const char *password_hash;
	const char *scope;
};

/* clang-format off */
PRONG_SCHEMA(known_account,
	PRONG_FIELD(known_account, id),
	PRONG_FIELD(known_account, email),
	PRONG_FIELD(known_account, name),
	PRONG_FIELD(known_account, email_verified),
	PRONG_FIELD(known_account, created_at),
	PRONG_FIELD(known_account, password_hash, .secret = true),
	PRONG_FIELD(known_account, scope));
/* clang-format on */

/* One answer for an unknown account and a wrong password. */
static int refuse(struct prong_ctx *ctx)
{
	prong_set_header(ctx, "WWW-Authenticate", "Bearer");
	return prong_fail(ctx, 401, "invalid_credentials", "The address or the password is wrong.");
}

/* `known` NULL: there is no such account, and finding that out takes as long. */
static int verify(struct prong_ctx *ctx, const struct known_account *known, const char *password, bool *ret_rehash)
{
	struct password_hasher *hasher = ctx->runtime->password_hasher;
	static const prong_uuid nobody;
	int r;

	r = password_verify(hasher, known ? known->id : nobody, password, known ? known->password_hash : NULL,
			    ret_rehash);
	if (r == -EINVAL)
		r = password_verify(hasher, nobody, password, NULL, NULL);
	return r;
}

/* The password's hash under the current parameters. Fails nothing: the next sign-in tries again. */
static void rehash(struct prong_ctx *ctx, const struct known_account *known, const char *password)
{
	char hash[PASSWORD_HASH_SIZE];
	int r;

	r = password_hash(ctx->runtime->password_hasher, known->id, password, hash);
	if (r == 0)
		r = prong_exec(ctx,
			       "UPDATE prong_accounts SET password_hash = $3, updated_at = now()"
			       " WHERE id = $1 AND password_hash = $2",
			       known->id, known->password_hash, hash);
	if (r < 0)
		prong_log(ctx, PRONG_LOG_WARNING, "a password was not hashed anew: %s", strerror(-r));
}

static int start_session(struct prong_ctx *ctx, const struct known_account *known)
{
	const char *self = ctx->runtime->settings->public_url;
	prong_time now = prong_time_now(), expires = { now.us + TOKEN_LIFETIME };
	struct token_claims claims = {
		.issuer = self,
		.audience = self,
		.token_id = prong_uuid_make(),
		.issued_at = now.us / PRONG_SECONDS(1),
		.principal = {
			.account_id = known->id,
			.session_id = prong_uuid_make(),
			.scope = known->scope,
			.authenticated_at = now.us / PRONG_SECONDS(1),
			.expires_at = expires.us / PRONG_SECONDS(1),
		},
	};
	struct session *session = prong_alloc(ctx, sizeof(*session));
	const char *reason;
	char *token;
	int r;

	r = prong_exec(ctx,
		       "INSERT INTO prong_sessions (id, account_id, expires_at)"
		       " SELECT $1::uuid, id, $3::timestamptz FROM prong_accounts WHERE id = $2",
		       claims.principal.session_id, known->id, expires);
	if (r < 0)
		return r;
	if (r == 0)
		return refuse(ctx); /* the account was deleted meanwhile */

	r = token_sign(&ctx->arena, keyring_current(ctx->runtime->keyring), &claims, &token, &reason);
	if (r < 0) {
		prong_log(ctx, PRONG_LOG_ERROR, "no access token: %s", reason);
		return -EIO;
	}
	session->access_token = token;
	session->token_type = "Bearer";
	session->expires_in = TOKEN_LIFETIME / PRONG_SECONDS(1);
	session->session_id = claims.principal.session_id;
	session->account = prong_alloc(ctx, sizeof(*session->account));
	*session->account =
		(struct account){ known->id, known->email, known->name, known->email_verified, known->created_at };
	prong_set_header(ctx, "Cache-Control", "no-store");
	return prong_reply(ctx, 201, session, session);
}

int create_session(struct prong_ctx *ctx)
{
	const struct credentials *in = prong_body(ctx, credentials);
	struct known_account *known = NULL;
	char email[EMAIL_SIZE];
	bool needs_rehash;
	int r;

	if (!keyring_current(ctx->runtime->keyring))
		return -EHOSTDOWN; /* not loaded yet */
	/* Neither can be anybody's: sign-up does not take them. */
	if (strlen(in->password) > PASSWORD_MAX_SIZE || email_normalise(in->email, email) < 0)
		return refuse(ctx);
	r = prong_query_one(ctx, known_account, &known,
			    "SELECT " ACCOUNT_COLUMNS ", password_hash, array_to_string(scopes, ' ') AS scope"
			    " FROM prong_accounts WHERE email_normalised = $1",
			    email);
	if (r < 0 && r != -ENOENT)
		return r;
	r = verify(ctx, known, in->password, &needs_rehash);
	if (r == -EACCES)
		return refuse(ctx);
	if (r < 0)
		return r;
	if (needs_rehash)
		rehash(ctx, known, in->password);
	return start_session(ctx, known);
}
