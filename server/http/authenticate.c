#include "server/http/authenticate.h"

#include "common/security/csrf.h"
#include "common/security/keyring.h"
#include "server/http/checks.h"
#include "server/http/cookies.h"
#include "server/http/http_server.h"
#include "server/http/reply.h"

#define FOREIGN_DETAIL "Send this from a page of the application itself."

struct credential {
	struct http_text text;
	bool cookie;
};

static int refuse(struct problem *ret_problem, int status, const char *code, const char *detail)
{
	*ret_problem = (struct problem){ .status = status, .code = code, .detail = detail };
	return -EACCES;
}

static int refuse_token(struct exchange *exchange, struct problem *ret_problem, const char *challenge, const char *code,
			const char *detail)
{
	reply_header_add(exchange, "WWW-Authenticate", challenge);
	return refuse(ret_problem, 401, code, detail);
}

static int find_credential(struct exchange *exchange, struct credential *ret_credential, struct problem *ret_problem)
{
	int r;

	ret_credential->cookie = false;
	r = bearer_token(&exchange->head, &ret_credential->text);
	if (r == -EINVAL)
		return refuse_token(exchange, ret_problem, "Bearer error=\"invalid_request\"", "invalid_request",
				    "Send one Authorization field of the form Bearer TOKEN.");
	if (r == 0)
		return 0;
	ret_credential->cookie = true;
	r = cookie_find(&exchange->head, COOKIE_ACCESS, &ret_credential->text);
	if (r == -ENOENT)
		return refuse_token(exchange, ret_problem, "Bearer", "token_missing",
				    "Sign in: send Authorization: Bearer TOKEN.");
	if (r < 0)
		return refuse(ret_problem, 400, "invalid_cookie",
			      "The cookie " COOKIE_ACCESS " is there twice, or is malformed.");
	return 0;
}

static int refuse_invalid(struct exchange *exchange, struct problem *ret_problem, const char *reason)
{
	prong_log(&exchange->ctx, PRONG_LOG_DEBUG, "access token refused: %s", reason);
	return refuse_token(exchange, ret_problem, "Bearer error=\"invalid_token\"", "invalid_token",
			    "The access token is not valid or has expired.");
}

static int verify(struct exchange *exchange, struct http_text token, struct principal *ret_principal,
		  struct problem *ret_problem)
{
	const struct runtime *runtime = exchange->server->runtime;
	const char *self = runtime->settings->public_url, *reason = NULL;
	const struct signing_key *keys;
	struct token_claims claims;
	size_t n_keys;
	int r;

	keys = runtime->keyring ? keyring_all(runtime->keyring, &n_keys) : NULL;
	if (!keys) {
		refuse(ret_problem, 503, "unavailable", "Tokens cannot be verified yet. Try again.");
		ret_problem->retry_after = 1;
		return -EACCES;
	}
	r = token_verify(&exchange->ctx.arena, keys, n_keys, token.data, token.size, self, self, (int64_t)time(NULL),
			 &claims, &reason);
	if (r < 0)
		return refuse_invalid(exchange, ret_problem, reason);
	*ret_principal = claims.principal;
	return 0;
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

static int refuse_scope(struct exchange *exchange, struct problem *ret_problem, const char *code, const char *scope)
{
	struct arena *arena = &exchange->ctx.arena;

	reply_header_add(exchange, "WWW-Authenticate",
			 arena_format(arena, "Bearer error=\"insufficient_scope\", scope=\"%s\"", scope));
	return refuse(ret_problem, 403, code, arena_format(arena, "This is for those that have the scope %s.", scope));
}

static bool is_recent(const struct principal *principal, prong_duration limit)
{
	int64_t at = principal->authenticated_at;

	return at > 0 && (int64_t)time(NULL) - at <= limit / PRONG_SECONDS(1);
}

/* RFC 9470. */
static int refuse_age(struct exchange *exchange, struct problem *ret_problem, prong_duration limit)
{
	reply_header_add(exchange, "WWW-Authenticate",
			 arena_format(&exchange->ctx.arena,
				      "Bearer error=\"insufficient_user_authentication\", max_age=%lld",
				      (long long)(limit / PRONG_SECONDS(1))));
	return refuse(ret_problem, 403, "recent_sign_in_required", "Sign in again: this asks for a recent sign-in.");
}

/* Of the context's principal. */
static int check_route(struct exchange *exchange, struct problem *ret_problem)
{
	const struct prong_route *route = exchange->match.route;
	const struct principal *principal = &exchange->ctx.principal;
	prong_duration limit = exchange->server->runtime->settings->recent_sign_in;

	/* Whoever else issues tokens has no say about who administers this. */
	if (route->access == PRONG_ADMIN && (principal->issuer || !prong_has_scope(&exchange->ctx, SCOPE_ADMIN)))
		return refuse_scope(exchange, ret_problem, "admin_required", SCOPE_ADMIN);
	if (route->scope && !prong_has_scope(&exchange->ctx, route->scope))
		return refuse_scope(exchange, ret_problem, "insufficient_scope", route->scope);
	if (route->recent && !is_recent(principal, limit))
		return refuse_age(exchange, ret_problem, limit);
	return 0;
}

int authenticate(struct exchange *exchange, struct problem *ret_problem)
{
	struct credential credential;
	struct principal principal;
	int r;

	if (exchange->match.route->access == PRONG_PUBLIC)
		return 0;
	r = find_credential(exchange, &credential, ret_problem);
	if (r == 0)
		r = verify(exchange, credential.text, &principal, ret_problem);
	if (r < 0)
		return r;
	if (credential.cookie && is_forged(exchange, &principal))
		return refuse(ret_problem, 403, "csrf",
			      FOREIGN_DETAIL " Where the browser says nothing about it, send "
					     "the session's csrf_token in X-CSRF-Token.");
	exchange->ctx.signed_in = true;
	exchange->ctx.principal = principal;
	return check_route(exchange, ret_problem);
}
