#include "server/routes/accounts/sessions.h"

#include "common/basics.h"
#include "common/context.h"
#include "common/security/csrf.h"
#include "common/security/keyring.h"
#include "common/security/revocations.h"
#include "server/http/client.h"
#include "server/http/cookies.h"
#include "server/routes/accounts/audit.h"
#include "server/routes/accounts/refresh_token.h"

#define CLEAN_BATCH 1000
#define DROP_BATCH 100000 /* well within DATABASE_TIMEOUT; each batch looks past those before it */

static prong_duration shorter(prong_duration a, prong_duration b)
{
	return a < b ? a : b;
}

/* ---- the record ---- */

/* What the application adds to the token. */
static int ask_claims(struct prong_ctx *ctx, prong_uuid account_id, const char **ret_claims)
{
	const struct prong_app *app = ctx->runtime->registry->app;
	prong_json claims = { 0 };
	int r;

	if (!app->claims)
		return 0;
	r = app->claims(ctx, account_id, &claims);
	if (r < 0) {
		prong_log(ctx, PRONG_LOG_ERROR, "the application's claims for an access token failed: %s",
			  ctx->problem.code ? ctx->problem.code : strerror(-r));
		return r == -ENOENT ? -EIO : r; /* it is not the account that is missing */
	}
	*ret_claims = claims.text;
	return 0;
}

static int sign_access_token(struct prong_ctx *ctx, const struct session_owner *owner,
			     const struct session_grant *grant, prong_duration lifetime, const char **ret_token)
{
	const char *self = ctx->runtime->settings->public_url, *further = NULL, *reason;
	int64_t now = prong_time_now().us / PRONG_SECONDS(1);
	const struct signing_key *key;
	char *token;
	int r;

	r = ask_claims(ctx, owner->account.id, &further);
	if (r < 0)
		return r;
	key = keyring_current(ctx->runtime->keyring);
	if (!key)
		return -EHOSTDOWN;
	r = token_sign(&ctx->arena, key,
		       &(struct token_claims){
			       .issuer = self,
			       .audience = self,
			       .token_id = prong_uuid_make(),
			       .issued_at = now,
			       .principal = {
				       .account_id = owner->account.id,
				       .session_id = grant->session_id,
				       .epoch = owner->epoch,
				       .scope = owner->scope,
				       .claims = further,
				       .authenticated_at = grant->authenticated_at,
				       .expires_at = now + lifetime / PRONG_SECONDS(1),
			       },
		       },
		       &token, &reason);
	if (r < 0) {
		prong_log(ctx, PRONG_LOG_ERROR, "the application's claims cannot be in an access token: %s", reason);
		return -EIO;
	}
	*ret_token = token;
	return 0;
}

int session_issue(struct prong_ctx *ctx, const struct session_owner *owner, const struct session_grant *grant,
		  struct session **ret_session)
{
	const struct settings *settings = ctx->runtime->settings;
	prong_duration lifetime = shorter(settings->token_lifetime, grant->rest);
	struct session *session = prong_alloc(ctx, sizeof(*session));
	struct account *account = prong_alloc(ctx, sizeof(*account));
	int r;

	r = sign_access_token(ctx, owner, grant, lifetime, &session->access_token);
	if (r < 0)
		return r;
	*account = owner->account;
	session->token_type = "Bearer";
	session->expires_in = (int32_t)(lifetime / PRONG_SECONDS(1));
	session->refresh_token = grant->refresh_token;
	session->refresh_expires_in = (int32_t)(shorter(settings->session_idle, grant->rest) / PRONG_SECONDS(1));
	session->session_id = grant->session_id;
	session->account = account;
	*ret_session = session;
	return 0;
}

int session_reply(struct prong_ctx *ctx, int status, const struct session *session, bool cookie)
{
	struct session shown = *session;
	char csrf[CSRF_TOKEN_SIZE];

	if (cookie) {
		prong_duration kept = PRONG_SECONDS(session->refresh_expires_in);

		cookie_set(ctx, COOKIE_ACCESS, session->access_token, kept);
		cookie_set(ctx, COOKIE_REFRESH, session->refresh_token, kept);
		csrf_token_make(ctx->runtime->settings->secret, session->session_id, csrf);
		shown.csrf_token = csrf;
		shown.access_token = shown.refresh_token = shown.token_type = NULL;
	}
	prong_set_header(ctx, "Cache-Control", "no-store");
	return prong_reply(ctx, status, session, &shown);
}

void session_clear_cookies(struct prong_ctx *ctx)
{
	cookie_clear(ctx, COOKIE_ACCESS);
	cookie_clear(ctx, COOKIE_REFRESH);
}

/* ---- room for another ---- */

/* clang-format off */
#define IS_LIVE "revoked_at IS NULL AND expires_at > now()"
#define HAS_TOKEN "used_at > now() - interval '2 hours'" /* older access tokens have run out by themselves */
/* clang-format on */

struct ended {
	prong_uuid id;
	bool has_token;
};
PRONG_SCHEMA(ended, PRONG_FIELD(ended, id), PRONG_FIELD(ended, has_token));

static int revoke_tokens(struct prong_ctx *ctx, const struct ended ended[], size_t count)
{
	prong_uuid *subjects = prong_alloc(ctx, count * sizeof(*subjects));
	size_t n = 0;

	for (size_t i = 0; i < count; i++)
		if (ended[i].has_token)
			subjects[n++] = ended[i].id;
	return revocations_add_all(ctx, subjects, n);
}

/*
 * One row each, but for accounts from before there was a limit. A statement of its own, after the one that waited for
 * the account's row: it sees what those started who held that before.
 */
static int make_room(struct prong_ctx *ctx, prong_uuid account_id)
{
	struct ended *evicted;
	size_t count;
	int r;

	r = prong_query(ctx, ended, &evicted, &count,
			"WITH excess AS (SELECT id FROM prong_sessions WHERE account_id = $1 AND " IS_LIVE
			" ORDER BY used_at DESC, id OFFSET $2 LIMIT $4),"
			" forgotten AS (DELETE FROM prong_sessions WHERE id IN (SELECT id FROM prong_sessions"
			" WHERE account_id = $1 AND NOT (" IS_LIVE ") ORDER BY used_at DESC, id OFFSET $3 LIMIT $4))"
			" UPDATE prong_sessions SET revoked_at = now(), revoked_for = 'evicted' FROM excess"
			" WHERE prong_sessions.id = excess.id AND revoked_at IS NULL"
			" RETURNING excess.id, " HAS_TOKEN " AS has_token",
			account_id, SESSIONS_MAX - 1, SESSIONS_ENDED_MAX, CLEAN_BATCH);
	if (r < 0 || count == 0)
		return r;
	r = revoke_tokens(ctx, evicted, count);
	if (r < 0)
		return r;
	return audit(ctx, &(struct audit_event){
				  .account_id = account_id,
				  .actor = AUDIT_SYSTEM,
				  .action = "session.evict",
				  .result = AUDIT_OK,
				  .detail = { prong_format(ctx, "{\"count\":%zu}", count) },
			  });
}

/* ---- starting ---- */

struct started {
	int64_t authenticated_at;
};
PRONG_SCHEMA(started, PRONG_FIELD(started, authenticated_at));

int session_start(struct prong_ctx *ctx, const struct session_owner *owner, bool cookie, struct session **ret_session)
{
	const struct settings *settings = ctx->runtime->settings;
	struct session_grant grant = { .session_id = prong_uuid_make(), .rest = settings->session_lifetime };
	char text[REFRESH_TOKEN_SIZE], hash[REFRESH_HASH_HEX_SIZE];
	struct refresh_token token;
	struct started *started;
	int r;

	r = make_room(ctx, owner->account.id);
	if (r < 0)
		return r;
	refresh_token_make(grant.session_id, &token);
	grant.refresh_token = prong_strdup(ctx, refresh_token_format(settings->secret, &token, text));
	/* The lock waits for whoever is about to disable the account, or to end its sessions. */
	r = prong_query_one(
		ctx, started, &started,
		"INSERT INTO prong_sessions"
		" (id, account_id, expires_at, is_cookie, device, address, refresh_hash)"
		" SELECT $1::uuid, id, now() + $3::float8 * interval '1 microsecond', $4::boolean, $5::text,"
		" $6::text, decode($7, 'hex')"
		" FROM (SELECT id FROM prong_accounts WHERE id = $2 AND disabled_at IS NULL FOR SHARE) AS account"
		" RETURNING floor(extract(epoch FROM authenticated_at))::bigint AS authenticated_at",
		grant.session_id, owner->account.id, grant.rest, cookie, client_device(ctx), prong_client_address(ctx),
		refresh_token_hash(text, hash));
	if (r < 0)
		return r;
	grant.authenticated_at = started->authenticated_at;
	return session_issue(ctx, owner, &grant, ret_session);
}

/* ---- ending ---- */

/* The context's transaction, or one of its own. */
static int begin(struct prong_ctx *ctx, bool *ret_own)
{
	*ret_own = !ctx->transaction;
	return *ret_own ? prong_begin(ctx) : 0;
}

static int finish(struct prong_ctx *ctx, bool own, int result)
{
	int r = 0;

	if (own && result >= 0)
		r = prong_commit(ctx);
	else if (own)
		prong_rollback(ctx);
	return r < 0 ? r : result;
}

static int end_one(struct prong_ctx *ctx, prong_uuid account_id, prong_uuid session_id, const char *reason)
{
	int r = prong_exec(ctx,
			   "UPDATE prong_sessions SET revoked_at = now(), revoked_for = $3"
			   " WHERE id = $1 AND account_id = $2 AND " IS_LIVE,
			   session_id, account_id, reason);

	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	return revocations_add(ctx, session_id, REVOKE_ALL);
}

int session_end(struct prong_ctx *ctx, prong_uuid account_id, prong_uuid session_id, const char *reason)
{
	bool own;
	int r = begin(ctx, &own);

	return r < 0 ? r : finish(ctx, own, end_one(ctx, account_id, session_id, reason));
}

struct renewed {
	int32_t epoch;
};
PRONG_SCHEMA(renewed, PRONG_FIELD(renewed, epoch));

static int renew_epoch(struct prong_ctx *ctx, prong_uuid account_id)
{
	struct renewed *renewed;
	int r = prong_query_one(
		ctx, renewed, &renewed,
		"UPDATE prong_accounts SET epoch = epoch + 1, updated_at = now() WHERE id = $1 RETURNING epoch",
		account_id);

	return r < 0 ? r : revocations_add(ctx, account_id, renewed->epoch);
}

int account_renew_epoch(struct prong_ctx *ctx, prong_uuid account_id)
{
	bool own;
	int r = begin(ctx, &own);

	return r < 0 ? r : finish(ctx, own, renew_epoch(ctx, account_id));
}

static int end_latest(struct prong_ctx *ctx, prong_uuid account_id, prong_uuid except, const char *reason)
{
	struct ended *ended;
	size_t count;
	int r;

	r = prong_query(ctx, ended, &ended, &count,
			"WITH latest AS (SELECT id FROM prong_sessions WHERE account_id = $1 AND id <> $2"
			" AND " IS_LIVE " ORDER BY used_at DESC, id LIMIT $4)"
			" UPDATE prong_sessions SET revoked_at = now(), revoked_for = $3 FROM latest"
			" WHERE prong_sessions.id = latest.id AND revoked_at IS NULL"
			" RETURNING latest.id, " HAS_TOKEN " AS has_token",
			account_id, except, reason, SESSIONS_MAX);
	if (r == 0)
		r = revoke_tokens(ctx, ended, count);
	return r < 0 ? r : (int)count;
}

/* What is beyond the limit, from before there was one. A revocation each could be millions: a new epoch is one. */
static int drop_others(struct prong_ctx *ctx, prong_uuid account_id, prong_uuid except)
{
	int r, count = 0;

	do {
		r = prong_exec(ctx,
			       "DELETE FROM prong_sessions WHERE id IN (SELECT id FROM prong_sessions"
			       " WHERE account_id = $1 AND id <> $2 AND " IS_LIVE " LIMIT $3)",
			       account_id, except, DROP_BATCH);
		if (r < 0)
			return r;
		count += r;
	} while (r > 0);
	if (count > 0)
		r = renew_epoch(ctx, account_id);
	return r < 0 ? r : count;
}

int sessions_end_all(struct prong_ctx *ctx, prong_uuid account_id, prong_uuid except, const char *reason)
{
	int r, count = end_latest(ctx, account_id, except, reason);

	if (count < 0)
		return count;
	r = drop_others(ctx, account_id, except);
	return r < 0 ? r : count + r;
}

/* ---- housekeeping ---- */

int sessions_purge(struct prong_ctx *ctx)
{
	prong_duration idle = ctx->runtime->settings->session_idle;
	int r;

	do {
		r = prong_exec(ctx,
			       "DELETE FROM prong_sessions WHERE id IN (SELECT id FROM prong_sessions"
			       " WHERE least(revoked_at, expires_at, used_at + $1::float8 * interval '1 microsecond')"
			       " < now() - $2::float8 * interval '1 microsecond' LIMIT $3::integer"
			       " FOR UPDATE SKIP LOCKED)", /* a sign-in may be deleting some of them */
			       idle, SESSIONS_KEPT, CLEAN_BATCH);
	} while (r == CLEAN_BATCH);
	return r < 0 ? r : 0;
}
