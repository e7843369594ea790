#include "common/basics.h"
#include "common/context.h"
#include "common/security/keyring.h"
#include "common/security/password.h"
#include "server/http/abuse.h"
#include "server/http/authenticate.h"
#include "server/http/client.h"
#include "server/http/cookies.h"
#include "server/routes/accounts/audit.h"
#include "server/routes/accounts/mails.h"
#include "server/routes/accounts/refresh_token.h"
#include "server/routes/accounts/sessions.h"

/* An account as sign-in reads it. */
struct known_account {
	prong_uuid id;
	const char *email;
	const char *name;
	bool email_verified;
	prong_time created_at;
	const char *password_hash;
	prong_time password_changed_at; /* by its owner: to hash it anew is no change */
	const char *scope;
	int32_t epoch;
	bool disabled;
	bool to_be_deleted; /* its owner has asked for it, and may still change their mind */
	bool young;	    /* had it been signed in to before, that session would still be known */
};

/* clang-format off */
PRONG_SCHEMA(known_account,
	PRONG_FIELD(known_account, id),
	PRONG_FIELD(known_account, email),
	PRONG_FIELD(known_account, name),
	PRONG_FIELD(known_account, email_verified),
	PRONG_FIELD(known_account, created_at),
	PRONG_FIELD(known_account, password_hash, .secret = true),
	PRONG_FIELD(known_account, password_changed_at),
	PRONG_FIELD(known_account, scope),
	PRONG_FIELD(known_account, epoch),
	PRONG_FIELD(known_account, disabled),
	PRONG_FIELD(known_account, to_be_deleted),
	PRONG_FIELD(known_account, young));
/* clang-format on */

/* Without those whose time is over, though they are still there. */
#define SELECT_KNOWN                                                                          \
	"SELECT " ACCOUNT_COLUMNS                                                             \
	", password_hash, password_changed_at, array_to_string(scopes, ' ') AS scope, epoch," \
	" disabled_at IS NOT NULL AS disabled, delete_after IS NOT NULL AS to_be_deleted,"    \
	" created_at > now() - $1::float8 * interval '1 microsecond' AS young"                \
	" FROM prong_accounts WHERE (delete_after IS NULL OR delete_after > now())"

/* Of who has proven to be the account's owner. */
static int note_sign_in(struct prong_ctx *ctx, prong_uuid account_id, const char *result)
{
	return audit(ctx, &(struct audit_event){ .account_id = account_id, .action = "sign_in", .result = result });
}

/* One answer for an unknown account and a wrong password, and the same work. `known` NULL: there is none. */
static int refuse(struct prong_ctx *ctx, const struct known_account *known)
{
	static const prong_uuid unknown;
	int r = audit(ctx, &(struct audit_event){
				   .account_id = known ? known->id : unknown,
				   .actor = AUDIT_NOBODY,
				   .action = "sign_in",
				   .result = "invalid_credentials",
			   });

	if (r < 0)
		return r;
	prong_set_header(ctx, "WWW-Authenticate", "Bearer");
	return prong_fail(ctx, 401, "invalid_credentials", "The address or the password is wrong.");
}

/* Only who knows the password learns this. */
static int refuse_disabled(struct prong_ctx *ctx, const struct known_account *known)
{
	int r = note_sign_in(ctx, known->id, "account_disabled");

	return r < 0 ? r : prong_fail(ctx, 403, "account_disabled", "This account is disabled.");
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

/* Whether nobody is to learn that there is the account, as long as its address is not proven. */
static bool is_hidden(const struct prong_ctx *ctx, const struct known_account *known)
{
	return ctx->runtime->settings->sign_up == SIGN_UP_PRIVATE && !known->email_verified;
}

/* The password's hash under the current parameters; NULL where there is none now: the next sign-in tries again. */
static const char *rehash(struct prong_ctx *ctx, const struct known_account *known, const char *password)
{
	char *hash = prong_alloc(ctx, PASSWORD_HASH_SIZE);
	int r = password_hash(ctx->runtime->password_hasher, known->id, password, hash);

	if (r == 0)
		return hash;
	prong_log(ctx, PRONG_LOG_WARNING, "a password was not hashed anew: %s", strerror(-r));
	return NULL;
}

/* ---- in the transaction ---- */

struct seen {
	const char *address;
	bool same_device;
};
PRONG_SCHEMA(seen, PRONG_FIELD(seen, address), PRONG_FIELD(seen, same_device));

/* Whether no session of the account so far came from both this device and this source. */
static int is_new_device(struct prong_ctx *ctx, const struct known_account *known)
{
	struct seen *seen;
	size_t count;
	int r;

	r = prong_query(ctx, seen, &seen, &count,
			"SELECT DISTINCT address, device IS NOT DISTINCT FROM $2 AS same_device FROM prong_sessions"
			" WHERE account_id = $1",
			known->id, client_device(ctx));
	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++)
		if (seen[i].same_device && client_is_from(ctx, seen[i].address))
			return 0;
	return count > 0 || !known->young;
}

static int tell_of_device(struct prong_ctx *ctx, const struct known_account *known)
{
	const char *device = client_device(ctx), *address = prong_client_address(ctx);
	int r = is_new_device(ctx, known);

	if (r <= 0)
		return r;
	return account_mail(ctx, MAIL_NEW_DEVICE, known->id, NULL,
			    prong_format(ctx, "%s, from %s", device ? device : "a program without a name",
					 address ? address : "an unknown address"));
}

/* Whoever signs in wants the account, and has it as it is now. */
static int bring_up_to_date(struct prong_ctx *ctx, const struct known_account *known, const char *new_hash)
{
	int r;

	if (new_hash) {
		r = prong_exec(ctx, "UPDATE prong_accounts SET password_hash = $2, updated_at = now() WHERE id = $1",
			       known->id, new_hash);
		if (r < 0)
			return r;
	}
	if (!known->to_be_deleted)
		return 0;
	r = prong_exec(ctx, "UPDATE prong_accounts SET delete_after = NULL, updated_at = now() WHERE id = $1",
		       known->id);
	if (r < 0)
		return r;
	return audit(ctx,
		     &(struct audit_event){ .account_id = known->id, .action = "account.keep", .result = AUDIT_OK });
}

/*
 * One browser has one session: the account's that its cookies are of ends, for they are about to be replaced. The
 * refresh cookie tells which, for as long as the session may live; that of anybody else's stays.
 */
static int end_former(struct prong_ctx *ctx, prong_uuid account_id)
{
	struct refresh_token token;
	struct http_text text;
	int r;

	if (cookie_find(&ctx->exchange->head, COOKIE_REFRESH, &text) < 0 ||
	    refresh_token_parse(ctx->runtime->settings->secret, arena_strndup(&ctx->arena, text.data, text.size),
				&token) < 0)
		return 0;
	r = session_sign_out(ctx, account_id, token.session_id);
	return r == -ENOENT ? 0 : r;
}

static int start(struct prong_ctx *ctx, const struct known_account *known, bool cookie, struct session **ret_session)
{
	const struct session_owner owner = {
		.account = { known->id, known->email, known->name, known->email_verified, known->created_at },
		.scope = known->scope,
		.epoch = known->epoch,
	};
	int r;

	r = tell_of_device(ctx, known);
	if (r >= 0 && cookie)
		r = end_former(ctx, known->id);
	if (r < 0)
		return r;
	r = session_start(ctx, &owner, cookie, ret_session);
	return r < 0 ? r : note_sign_in(ctx, known->id, AUDIT_OK);
}

/*
 * -ENOENT: meanwhile the account has gone, is disabled or hidden, or has another password. Another hash is not another
 * password: of several sign-ins at once the first to come here brings its new one, and the others find it.
 */
static int start_in_transaction(struct prong_ctx *ctx, const struct known_account *known, const char *new_hash,
				bool cookie, struct session **ret_session)
{
	struct known_account *locked;
	int r;

	r = prong_begin(ctx);
	if (r < 0)
		return r;
	r = prong_query_one(ctx, known_account, &locked,
			    SELECT_KNOWN " AND id = $2 AND password_changed_at = $3 FOR NO KEY UPDATE", SESSIONS_KEPT,
			    known->id, known->password_changed_at);
	if (r < 0)
		return r;
	if (locked->disabled || is_hidden(ctx, locked))
		return -ENOENT;
	if (strcmp(locked->password_hash, known->password_hash) != 0)
		new_hash = NULL;
	r = bring_up_to_date(ctx, locked, new_hash);
	if (r == 0)
		r = start(ctx, locked, cookie, ret_session);
	return r < 0 ? r : prong_commit(ctx);
}

/* ---- the handler ---- */

static int admit(struct prong_ctx *ctx, const struct known_account *known, const struct credentials *in,
		 const char *new_hash, enum verdict *ret_verdict)
{
	struct session *session;
	int r;

	r = start_in_transaction(ctx, known, new_hash, in->cookie, &session);
	if (r < 0)
		prong_rollback(ctx);
	if (r == -ENOENT && !ctx->problem.status) {
		*ret_verdict = VERDICT_WRONG;
		return refuse(ctx, known);
	}
	if (r < 0)
		return r;
	*ret_verdict = VERDICT_RIGHT;
	return session_reply(ctx, 201, session, in->cookie);
}

/* `email` is normalised; NULL: nobody can have it. */
static int sign_in(struct prong_ctx *ctx, const struct credentials *in, const char *email, enum verdict *ret_verdict)
{
	struct known_account *known = NULL;
	bool needs_rehash;
	int r;

	*ret_verdict = VERDICT_UNKNOWN;
	/* Neither can be anybody's: sign-up does not take them. */
	if (!email || strlen(in->password) > PASSWORD_MAX_SIZE) {
		*ret_verdict = VERDICT_WRONG;
		return refuse(ctx, NULL);
	}
	r = prong_query_one(ctx, known_account, &known, SELECT_KNOWN " AND email_normalised = $2", SESSIONS_KEPT,
			    email);
	if (r < 0 && r != -ENOENT)
		return r;
	r = verify(ctx, known, in->password, &needs_rehash);
	if (r == -EACCES || (r == 0 && is_hidden(ctx, known))) {
		*ret_verdict = VERDICT_WRONG;
		return refuse(ctx, known);
	}
	if (r < 0)
		return r;
	if (known->disabled) {
		*ret_verdict = VERDICT_RIGHT;
		return refuse_disabled(ctx, known);
	}
	return admit(ctx, known, in, needs_rehash ? rehash(ctx, known, in->password) : NULL, ret_verdict);
}

int create_session(struct prong_ctx *ctx)
{
	const struct credentials *in = prong_body(ctx, credentials);
	char normalised[EMAIL_SIZE];
	const char *email = email_normalise(in->email, normalised) < 0 ? NULL : normalised;
	enum verdict verdict;
	int r;

	if (!keyring_current(ctx->runtime->keyring))
		return -EHOSTDOWN; /* not loaded yet */
	r = in->cookie ? csrf_check_origin(ctx) : 0;
	if (r < 0)
		return r;
	r = abuse_check(ctx, WAY_SIGN_IN, email);
	if (r < 0)
		return r;
	r = sign_in(ctx, in, email, &verdict);
	abuse_settle(ctx, WAY_SIGN_IN, email, verdict);
	return r;
}
