#include <sodium.h>

#include "common/basics.h"
#include "common/context.h"
#include "server/http/abuse.h"
#include "server/http/authenticate.h"
#include "server/http/cookies.h"
#include "server/routes/accounts/audit.h"
#include "server/routes/accounts/refresh_token.h"
#include "server/routes/accounts/sessions.h"

/* What a client presents. */
struct presented {
	const char *text;
	bool cookie;
	struct refresh_token token;
	char hash[REFRESH_HASH_HEX_SIZE];
};

/* A session as it stands, with its account. */
struct family {
	prong_uuid id; /* of the account, as all up to `epoch` */
	const char *email;
	const char *name;
	bool email_verified;
	prong_time created_at;
	const char *scope;
	int32_t epoch;
	int64_t authenticated_at; /* seconds */
	int64_t rest;		  /* µs */
	bool alive;
	bool is_current;   /* the token that was presented, as the next */
	bool is_successor; /* … was used a moment ago: `salt` tells what came of it */
	const char *salt;  /* hexadecimal; NULL before the first rotation */
};

/* clang-format off */
PRONG_SCHEMA(family,
	PRONG_FIELD(family, id),
	PRONG_FIELD(family, email),
	PRONG_FIELD(family, name),
	PRONG_FIELD(family, email_verified),
	PRONG_FIELD(family, created_at),
	PRONG_FIELD(family, scope),
	PRONG_FIELD(family, epoch),
	PRONG_FIELD(family, authenticated_at),
	PRONG_FIELD(family, rest),
	PRONG_FIELD(family, alive),
	PRONG_FIELD(family, is_current),
	PRONG_FIELD(family, is_successor),
	PRONG_FIELD(family, salt, .secret = true));

#define FAMILY_COLUMNS                                                                                     \
	"a.id, a.email, a.name, a.email_verified_at IS NOT NULL AS email_verified, a.created_at,"          \
	" array_to_string(a.scopes, ' ') AS scope, a.epoch,"                                               \
	" floor(extract(epoch FROM s.authenticated_at))::bigint AS authenticated_at,"                      \
	" (extract(epoch FROM s.expires_at - now()) * 1000000)::bigint AS rest"
/* clang-format on */

/* ---- refusals ---- */

static int refuse(struct prong_ctx *ctx, const struct presented *presented)
{
	if (presented->cookie)
		session_clear_cookies(ctx);
	prong_set_header(ctx, "WWW-Authenticate", "Bearer");
	return prong_fail(ctx, 401, "invalid_refresh_token", "The session has ended, or never was: sign in.");
}

/* Somebody has a copy of the session's tokens, and nobody knows who. Nothing revives it. */
static int end_family(struct prong_ctx *ctx, const struct presented *presented, const struct family *family)
{
	char session[PRONG_UUID_TEXT_SIZE], account[PRONG_UUID_TEXT_SIZE];
	prong_uuid id = presented->token.session_id;
	int r;

	prong_uuid_format(id, session);
	r = session_end(ctx, family->id, id, "reused");
	if (r == -ENOENT)
		return refuse(ctx, presented); /* another one ended it meanwhile */
	if (r < 0)
		return r;
	r = audit(ctx, &(struct audit_event){
			       .account_id = family->id,
			       .actor = AUDIT_NOBODY,
			       .action = "session.reuse",
			       .result = "ended",
			       .detail = { prong_format(ctx, "{\"session_id\":\"%s\",\"number\":%u}", session,
							presented->token.number) },
		       });
	if (r < 0)
		return r;
	r = prong_commit(ctx);
	if (r < 0)
		return r;
	prong_log(ctx, PRONG_LOG_WARNING,
		  "account %s: refresh token %u of session %s was used again; the session is ended",
		  prong_uuid_format(family->id, account), presented->token.number, session);
	return refuse(ctx, presented);
}

/* ---- in the transaction ---- */

/* Of all that present the current token at once, one changes the row; the others wait for it, and find nothing. */
static int rotate(struct prong_ctx *ctx, const struct presented *presented, const char *next_hash, const char *salt,
		  struct family **ret_family)
{
	return prong_query_one(ctx, family, ret_family,
			       "WITH s AS (UPDATE prong_sessions SET refresh_hash = decode($3, 'hex'),"
			       " previous_hash = refresh_hash, rotated_at = clock_timestamp(),"
			       " rotation_salt = decode($4, 'hex'), used_at = now(), address = coalesce($5, address)"
			       " WHERE id = $1 AND refresh_hash = decode($2, 'hex') AND is_cookie = $6"
			       " AND revoked_at IS NULL AND expires_at > now()"
			       " AND used_at > now() - $7::float8 * interval '1 microsecond'"
			       " AND EXISTS (SELECT FROM prong_accounts WHERE id = account_id AND disabled_at IS NULL)"
			       " RETURNING account_id, authenticated_at, expires_at)"
			       " SELECT " FAMILY_COLUMNS " FROM s JOIN prong_accounts a ON a.id = s.account_id",
			       presented->token.session_id, presented->hash, next_hash, salt, prong_client_address(ctx),
			       presented->cookie, ctx->runtime->settings->session_idle);
}

static int look(struct prong_ctx *ctx, const struct presented *presented, struct family **ret_family)
{
	return prong_query_one(ctx, family, ret_family,
			       "SELECT " FAMILY_COLUMNS ","
			       " s.revoked_at IS NULL AND s.expires_at > now() AND a.disabled_at IS NULL"
			       " AND s.used_at > now() - $4::float8 * interval '1 microsecond'"
			       " AND s.is_cookie = $3 AND s.refresh_hash IS NOT NULL AS alive,"
			       " coalesce(s.refresh_hash = decode($2, 'hex'), false) AS is_current,"
			       " coalesce(s.previous_hash = decode($2, 'hex') AND"
			       " s.rotated_at + $5::float8 * interval '1 microsecond' > clock_timestamp(), false)"
			       " AS is_successor, encode(s.rotation_salt, 'hex') AS salt"
			       " FROM prong_sessions s JOIN prong_accounts a ON a.id = s.account_id WHERE s.id = $1",
			       presented->token.session_id, presented->hash, presented->cookie,
			       ctx->runtime->settings->session_idle, ctx->runtime->settings->refresh_grace);
}

static int issue(struct prong_ctx *ctx, const struct presented *presented, const struct family *family,
		 const struct refresh_token *next, struct session **ret_session)
{
	const struct session_owner owner = {
		.account = { family->id, family->email, family->name, family->email_verified, family->created_at },
		.scope = family->scope,
		.epoch = family->epoch,
	};
	char text[REFRESH_TOKEN_SIZE];
	const struct session_grant grant = {
		.session_id = presented->token.session_id,
		.authenticated_at = family->authenticated_at,
		.rest = family->rest,
		.refresh_token = prong_strdup(ctx, refresh_token_format(ctx->runtime->settings->secret, next, text)),
	};
	int r = session_issue(ctx, &owner, &grant, ret_session);

	return r < 0 ? r : prong_commit(ctx);
}

/* The token is not current, or the session is none any more. */
static int take_late(struct prong_ctx *ctx, const struct presented *presented, struct session **ret_session)
{
	unsigned char salt[REFRESH_SALT_SIZE];
	struct refresh_token next;
	struct family *family;
	int r;

	r = look(ctx, presented, &family);
	if (r == -ENOENT || (r == 0 && !family->alive))
		return refuse(ctx, presented);
	if (r < 0)
		return r;
	if (family->is_current)
		return -EAGAIN; /* enabled again in between */
	if (!family->is_successor || !family->salt ||
	    sodium_hex2bin(salt, sizeof(salt), family->salt, strlen(family->salt), NULL, NULL, NULL) != 0)
		return end_family(ctx, presented, family);
	refresh_token_succeed(ctx->runtime->settings->secret, &presented->token, salt, &next);
	return issue(ctx, presented, family, &next, ret_session);
}

static int refresh(struct prong_ctx *ctx, const struct presented *presented, struct session **ret_session)
{
	const char *secret = ctx->runtime->settings->secret;
	char text[REFRESH_TOKEN_SIZE], hash[REFRESH_HASH_HEX_SIZE], salt_text[REFRESH_SALT_HEX_SIZE];
	unsigned char salt[REFRESH_SALT_SIZE];
	struct refresh_token next;
	struct family *family;
	int r;

	r = prong_begin(ctx);
	if (r < 0)
		return r;
	randombytes_buf(salt, sizeof(salt));
	sodium_bin2hex(salt_text, sizeof(salt_text), salt, sizeof(salt));
	refresh_token_succeed(secret, &presented->token, salt, &next);
	refresh_token_hash(refresh_token_format(secret, &next, text), hash);
	r = rotate(ctx, presented, hash, salt_text, &family);
	if (r == -ENOENT)
		return take_late(ctx, presented, ret_session);
	return r < 0 ? r : issue(ctx, presented, family, &next, ret_session);
}

/* ---- the handler ---- */

static int read_presented(struct prong_ctx *ctx, struct presented *ret_presented)
{
	const struct refresh_request *in = prong_body(ctx, refresh_request);
	struct presented presented = { .text = in->refresh_token };
	int r;

	if (!presented.text) {
		r = cookie_read(ctx, COOKIE_REFRESH, &presented.text);
		if (r == -ENOENT)
			return prong_fail_field(ctx, "/refresh_token", "missing",
						"Send the refresh token here, or as the cookie " COOKIE_REFRESH ".");
		if (r < 0)
			return r;
		presented.cookie = true;
		r = csrf_check_origin(ctx);
		if (r < 0)
			return r;
	}
	if (refresh_token_parse(ctx->runtime->settings->secret, presented.text, &presented.token) < 0)
		return refuse(ctx, &presented);
	refresh_token_hash(presented.text, presented.hash);
	*ret_presented = presented;
	return 0;
}

int refresh_session(struct prong_ctx *ctx)
{
	struct presented presented;
	struct session *session;
	enum verdict verdict;
	int r;

	r = abuse_check(ctx, WAY_REFRESH, NULL);
	if (r < 0)
		return r;
	r = read_presented(ctx, &presented);
	if (r == 0)
		r = refresh(ctx, &presented, &session);
	prong_rollback(ctx);
	verdict = r == 0 ? VERDICT_RIGHT : ctx->problem.status == 401 ? VERDICT_WRONG : VERDICT_UNKNOWN;
	abuse_settle(ctx, WAY_REFRESH, NULL, verdict);
	return r < 0 ? r : session_reply(ctx, 200, session, presented.cookie);
}
