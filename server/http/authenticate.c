#include "server/http/authenticate.h"

#include "common/security/api_key.h"
#include "common/security/csrf.h"
#include "common/security/issuers.h"
#include "common/security/keyring.h"
#include "common/security/revocations.h"
#include "common/security/token_cache.h"
#include "server/http/abuse.h"
#include "server/http/checks.h"
#include "server/http/cookies.h"
#include "server/http/http_server.h"
#include "server/http/reply.h"

#define FOREIGN_DETAIL "Send this from a page of the application itself."

/* What is asked about one request. Functions that take it return as authenticate(). */
struct question {
	struct exchange *exchange;
	struct http_text token;
	bool cookie;   /* the token's */
	bool can_wait; /* this is the exchange's coroutine */
	int64_t now;   /* seconds since the epoch */
	struct problem *problem;
};

static int refuse(const struct question *question, int status, const char *code, const char *detail)
{
	*question->problem = (struct problem){ .status = status, .code = code, .detail = detail };
	return -EACCES;
}

static int refuse_token(const struct question *question, const char *challenge, const char *code, const char *detail)
{
	reply_header_add(question->exchange, "WWW-Authenticate", challenge);
	return refuse(question, 401, code, detail);
}

static int find_token(struct question *question)
{
	const struct http_head *head = &question->exchange->head;
	int r;

	r = bearer_token(head, &question->token);
	if (r == -EINVAL)
		return refuse_token(question, "Bearer error=\"invalid_request\"", "invalid_request",
				    "Send one Authorization field of the form Bearer TOKEN.");
	if (r == 0)
		return 0;
	question->cookie = true;
	r = cookie_find(head, COOKIE_ACCESS, &question->token);
	if (r == -ENOENT)
		return refuse_token(question, "Bearer", "token_missing", "Sign in: send Authorization: Bearer TOKEN.");
	if (r < 0)
		return refuse(question, 400, "invalid_cookie",
			      "The cookie " COOKIE_ACCESS " is there twice, or is malformed.");
	return 0;
}

/* ---- whose the token is ---- */

static int refuse_invalid(const struct question *question, const char *reason)
{
	prong_log(&question->exchange->ctx, PRONG_LOG_DEBUG, "access token refused: %s", reason);
	return refuse_token(question, "Bearer error=\"invalid_token\"", "invalid_token",
			    "The access token is not valid or has expired.");
}

/* Whether it is valid cannot be found out. */
static int refuse_unknown(const struct question *question, int result)
{
	*question->problem = context_problem(&question->exchange->ctx, result);
	return -EACCES;
}

/* One that was good a minute ago is none that somebody tries: it goes on where others of its source use up the limit.
 */
static int look_up_api_key(const struct question *question, struct principal *ret_principal)
{
	struct prong_ctx *ctx = &question->exchange->ctx;
	struct api_keys *keys = ctx->runtime->api_keys;
	const char *text = question->token.data;
	size_t size = question->token.size;
	bool limited = !api_keys_knew(keys, text, size);
	int r;

	r = limited ? abuse_check(ctx, WAY_KEY, NULL) : 0;
	if (r < 0)
		return refuse_unknown(question, r);
	r = api_keys_verify(keys, ctx, text, size, ret_principal);
	if (limited)
		abuse_settle(ctx, WAY_KEY, NULL, verdict_of(r));
	if (r == -EACCES)
		return refuse_invalid(question, "unknown API key");
	return r < 0 ? refuse_unknown(question, r) : 0;
}

static int verify_api_key(const struct question *question, struct principal *ret_principal)
{
	struct prong_ctx *ctx = &question->exchange->ctx;
	const char *text = question->token.data;
	size_t size = question->token.size;

	if (!api_key_is_valid(text, size))
		return refuse_invalid(question, "malformed API key");
	if (api_keys_find(ctx->runtime->api_keys, ctx, text, size, ret_principal) == 0)
		return 0;
	return question->can_wait ? look_up_api_key(question, ret_principal) : -EAGAIN;
}

/* A token that we may have made. -ENOKEY: it names none of the keys that this process has; -EHOSTDOWN: it has none. */
static int verify_own(const struct question *question, struct principal *ret_principal, const char **ret_reason)
{
	struct prong_ctx *ctx = &question->exchange->ctx;
	const char *self = ctx->runtime->settings->public_url;
	const struct signing_key *keys = NULL;
	struct token_claims claims;
	size_t n_keys = 0;
	int r;

	if (ctx->runtime->keyring)
		keys = keyring_all(ctx->runtime->keyring, &n_keys);
	if (!n_keys)
		return -EHOSTDOWN;
	r = token_verify(&ctx->arena, keys, n_keys, question->token.data, question->token.size, self, self,
			 question->now, &claims, ret_reason);
	if (r == 0)
		*ret_principal = claims.principal;
	return r;
}

/* -ENOENT: it is of none of the other issuers. */
static int verify_foreign(const struct question *question, struct principal *ret_principal)
{
	struct prong_ctx *ctx = &question->exchange->ctx;
	const char *reason = NULL;
	int r;

	if (question->cookie)
		return -ENOENT;
	r = (question->can_wait ? issuers_verify : issuers_find)(ctx->runtime->issuers, &ctx->arena,
								 question->token.data, question->token.size,
								 question->now, ret_principal, &reason);
	if (r == -EACCES)
		return refuse_invalid(question, reason);
	return r == 0 || r == -ENOENT || r == -EAGAIN ? r : refuse_unknown(question, r);
}

/* The key may be new: made by another process a moment ago. */
static int verify_again(const struct question *question, struct principal *ret_principal)
{
	struct prong_ctx *ctx = &question->exchange->ctx;
	const char *reason = NULL;
	int r;

	r = keyring_look(ctx->runtime->keyring, ctx);
	if (r < 0 && r != -EAGAIN)
		return refuse_unknown(question, r);
	r = verify_own(question, ret_principal, &reason);
	return r < 0 ? refuse_invalid(question, reason) : 0;
}

static int verify_token(const struct question *question, struct principal *ret_principal)
{
	const char *reason = NULL;
	int r, foreign;

	r = verify_own(question, ret_principal, &reason);
	if (r == 0)
		return 0;
	foreign = verify_foreign(question, ret_principal);
	if (foreign != -ENOENT)
		return foreign;
	if (r == -ENOKEY)
		return question->can_wait ? verify_again(question, ret_principal) : -EAGAIN;
	if (r != -EHOSTDOWN)
		return refuse_invalid(question, reason);
	refuse(question, 503, "unavailable", "Tokens cannot be verified yet. Try again.");
	question->problem->retry_after = 1;
	return -EACCES;
}

/* Of all that verifies tokens; whichever changes, it grows. */
static uint64_t generation_of(const struct runtime *runtime)
{
	return (runtime->keyring ? keyring_generation(runtime->keyring) : 0) +
	       (runtime->issuers ? issuers_generation(runtime->issuers) : 0);
}

static int verify(const struct question *question, struct principal *ret_principal)
{
	struct exchange *exchange = question->exchange;
	const struct runtime *runtime = exchange->server->runtime;
	struct token_cache *tokens = exchange->server->tokens;
	const char *token = question->token.data;
	size_t size = question->token.size;
	int r;

	if (tokens && token_cache_find(tokens, token, size, generation_of(runtime), question->now, &exchange->ctx.arena,
				       ret_principal))
		return 0;
	if (!question->cookie && api_key_is_meant(token, size))
		return verify_api_key(question, ret_principal);
	r = verify_token(question, ret_principal);
	if (r == 0)
		token_cache_add(tokens, token, size, generation_of(runtime), question->now, ret_principal);
	return r;
}

/* ---- what a browser may have been made to send ---- */

static bool is_forged(const struct exchange *exchange, const struct principal *principal)
{
	const struct settings *settings = exchange->server->runtime->settings;
	enum request_origin origin;
	struct http_text token;
	bool repeated = false;

	if (exchange->head.method == PRONG_GET)
		return false;
	origin = request_origin(&exchange->head, settings->public_url);
	if (origin != ORIGIN_NOT_SAID)
		return origin == ORIGIN_OTHER;
	token = http_field(&exchange->head, "x-csrf-token", &repeated);
	return !token.data || repeated ||
	       !csrf_token_is_of(settings->secret, principal->session_id, token.data, token.size);
}

int csrf_check_origin(struct prong_ctx *ctx)
{
	if (request_origin(&ctx->exchange->head, ctx->runtime->settings->public_url) == ORIGIN_OTHER)
		return prong_fail(ctx, 403, "csrf", FOREIGN_DETAIL);
	return 0;
}

/* ---- what the route asks for ---- */

static int refuse_scope(const struct question *question, const char *code, const char *scope)
{
	struct arena *arena = &question->exchange->ctx.arena;

	reply_header_add(question->exchange, "WWW-Authenticate",
			 arena_format(arena, "Bearer error=\"insufficient_scope\", scope=\"%s\"", scope));
	return refuse(question, 403, code, arena_format(arena, "This is for those that have the scope %s.", scope));
}

/* RFC 9470. */
static int refuse_age(const struct question *question, prong_duration limit)
{
	reply_header_add(question->exchange, "WWW-Authenticate",
			 arena_format(&question->exchange->ctx.arena,
				      "Bearer error=\"insufficient_user_authentication\", max_age=%lld",
				      (long long)(limit / PRONG_SECONDS(1))));
	return refuse(question, 401, "recent_sign_in_required", "Sign in again: this asks for a recent sign-in.");
}

/* An API key is no sign-in, however new. */
static bool is_recent(const struct principal *principal, prong_duration limit, int64_t now)
{
	return principal->authenticated_at > 0 && now - principal->authenticated_at <= limit / PRONG_SECONDS(1);
}

/* Of the context's principal. */
static int check_route(const struct question *question)
{
	const struct prong_ctx *ctx = &question->exchange->ctx;
	const struct prong_route *route = question->exchange->match.route;
	prong_duration limit = ctx->runtime->settings->recent_sign_in;

	/* Whoever else issues tokens has no say about who administers this. */
	if (route->access == PRONG_ADMIN && (ctx->principal.issuer || !prong_has_scope(ctx, SCOPE_ADMIN)))
		return refuse_scope(question, "admin_required", SCOPE_ADMIN);
	if (route->scope && !prong_has_scope(ctx, route->scope))
		return refuse_scope(question, "insufficient_scope", route->scope);
	if (route->recent && !is_recent(&ctx->principal, limit, question->now))
		return refuse_age(question, limit);
	return 0;
}

int authenticate(struct exchange *exchange, struct problem *ret_problem)
{
	struct question question = {
		.exchange = exchange,
		.can_wait = exchange->coroutine != NULL,
		.now = (int64_t)time(NULL),
		.problem = ret_problem,
	};
	struct principal principal;
	int r;

	if (exchange->match.route->access <= PRONG_PUBLIC)
		return 0;
	r = find_token(&question);
	if (r == 0)
		r = verify(&question, &principal);
	if (r < 0)
		return r;
	/* Whether another site sent it can be told only of a session of ours. */
	if (question.cookie && uuid_is_zero(principal.session_id))
		return refuse_invalid(&question, "no session's, in a cookie");
	/* Asked at every use, and last: it may have happened while others were asked. */
	if (revocations_cover(exchange->server->runtime->revocations, &principal))
		return refuse_invalid(&question, "revoked");
	if (question.cookie && is_forged(exchange, &principal))
		return refuse(&question, 403, "csrf",
			      FOREIGN_DETAIL
			      " Where the browser says nothing about it, send the session's csrf_token in "
			      "X-CSRF-Token.");
	exchange->ctx.signed_in = true;
	exchange->ctx.principal = principal;
	return check_route(&question);
}
