/*
 * Whom a request is from and what they may: requests as text through an exchange, whose tokens are signed by the keys
 * of a real keyring. What suspends is in tests/integration/test_authentication.py.
 */
#include "server/http/authenticate.h"

#include <sodium.h>
#include <stdio.h>

#include "common/log.h"
#include "common/postgres/postgres.h"
#include "common/security/csrf.h"
#include "common/security/keyring.h"
#include "common/security/token.h"
#include "common/security/token_cache.h"
#include "server/http/cookies.h"
#include "server/http/http_server.h"
#include "server/routes/routes.h"
#include "tests/unit/common/servers.h"
#include "tests/unit/test.h"

#define SECRET "a secret for tests, 32 bytes or more"
#define URL "https://app.example.com"
#define SESSION ((prong_uuid){ { 5 } })
#define LIMIT 600

struct note {
	const char *text;
};
PRONG_SCHEMA(note, PRONG_FIELD(note, text, .required = true));

/* Says whom the request is from. */
static int whoami(struct prong_ctx *ctx)
{
	char id[PRONG_UUID_TEXT_SIZE];

	prong_set_header(ctx, "X-Account", prong_uuid_format(prong_account_id(ctx), id));
	prong_set_header(ctx, "X-Scope", ctx->principal.scope);
	prong_set_header(ctx, "X-Tenant", prong_claim(ctx, "tenant") ? prong_claim(ctx, "tenant") : "none");
	return prong_reply_empty(ctx, 204);
}

static int anybody(struct prong_ctx *ctx)
{
	CU_ASSERT(!ctx->signed_in);
	CU_ASSERT_PTR_NULL(prong_claim(ctx, "tenant"));
	return prong_reply_empty(ctx, 204);
}

static int sets_cookies(struct prong_ctx *ctx)
{
	const char *value = NULL;
	int r = csrf_check_origin(ctx);

	if (r == 0)
		r = cookie_read(ctx, COOKIE_REFRESH, &value);
	if (r < 0 && r != -ENOENT)
		return r;
	prong_set_header(ctx, "X-Refresh", value ? value : "none");
	cookie_set(ctx, COOKIE_ACCESS, "a.b-c_d", PRONG_MINUTES(10));
	cookie_clear(ctx, COOKIE_REFRESH);
	return prong_reply_empty(ctx, 204);
}

static const struct prong_route routes[] = {
	{ PRONG_GET, "/public", anybody, .access = PRONG_PUBLIC },
	{ PRONG_POST, "/cookies", sets_cookies, .access = PRONG_PUBLIC },
	{ PRONG_GET, "/own", whoami, .access = PRONG_SIGNED_IN },
	{ PRONG_POST, "/own", whoami, .body = &note_schema, .access = PRONG_SIGNED_IN },
	{ PRONG_PUT, "/own", whoami, .access = PRONG_SIGNED_IN },
	{ PRONG_PATCH, "/own", whoami, .access = PRONG_SIGNED_IN },
	{ PRONG_DELETE, "/own", whoami, .access = PRONG_SIGNED_IN },
	{ PRONG_GET, "/admin", whoami, .access = PRONG_ADMIN },
	{ PRONG_GET, "/notes", whoami, .access = PRONG_SIGNED_IN, .scope = "notes:read" },
	{ PRONG_GET, "/recent", whoami, .access = PRONG_SIGNED_IN, .recent = true },
	{ PRONG_GET, "/all", whoami, .access = PRONG_ADMIN, .scope = "notes:read", .recent = true },
	{},
};

static const struct prong_app app = {
	.name = "test", .version = "1", .routes = routes, .modules = PRONG_MODULES(&prong_accounts)
};

static struct fixture {
	struct settings settings;
	struct runtime runtime;
	struct registry *registry;
	struct http_server *server;
	struct exchange *exchange;
	char *request;
	const char *reply; /* NUL-terminated */
	struct arena arena;
} fixture;

static int make_keys(struct prong_ctx *ctx, void *argument)
{
	static const char *const migrations[] = { "migrations/accounts/0003_signing_keys.up.sql",
						  "migrations/accounts/0010_key_rotation.up.sql" };
	struct postgres_error error;
	int r;

	(void)argument;
	r = prong_exec(ctx, "DROP TABLE IF EXISTS prong_signing_keys");
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(migrations); i++) {
		_cleanup_(freep) char *sql = NULL;
		size_t size;

		r = file_read(migrations[i], 65536, &sql, &size);
		if (r >= 0)
			r = postgres_run_script(ctx, sql, &error);
	}
	return r < 0 ? r : keyring_load(ctx->runtime->keyring, ctx);
}

static void set_up(void)
{
	struct buffer mistakes = { 0 };

	CU_ASSERT_FATAL(sodium_init() >= 0);
	fixture = (struct fixture){
		.settings = { .max_requests = 8,
			      .max_body = 1000,
			      .request_timeout = PRONG_SECONDS(30),
			      .public_url = URL,
			      .secret = SECRET,
			      .recent_sign_in = PRONG_SECONDS(LIMIT) },
	};
	arena_init(&fixture.arena);
	if (registry_new(&app, NULL, &fixture.registry, &mistakes) < 0)
		panic("%s", buffer_text(&mistakes));
	log_open("test", "http", PRONG_LOG_ERROR, false);
	fixture.runtime.settings = &fixture.settings;
	fixture.runtime.registry = fixture.registry;
	fixture.runtime.loop = loop_new(16);
	fixture.runtime.postgres = postgres_new(fixture.runtime.loop, &(struct postgres_options){
									      .url = server_url(SERVER_POSTGRES),
									      .shared = 1,
									      .owned = 1,
									      .statement_timeout = PRONG_SECONDS(20),
									      .application_name = "test_authenticate",
								      });
	fixture.runtime.keyring = keyring_new(SECRET, ALGORITHM_EDDSA);
	CU_ASSERT_EQUAL_FATAL(context_run(&fixture.runtime, PRONG_SECONDS(30), make_keys, NULL), 0);
	fixture.server = http_server_new(&fixture.runtime, -1);
	buffer_free(&mistakes);
}

static void tear_down(void)
{
	exchange_give_back(fixture.exchange);
	fixture.server = http_server_free(fixture.server);
	fixture.runtime.keyring = keyring_free(fixture.runtime.keyring);
	postgres_free(fixture.runtime.postgres);
	fixture.runtime.loop = loop_free(fixture.runtime.loop);
	fixture.registry = registry_free(fixture.registry);
	free(fixture.request);
	arena_reset(&fixture.arena);
}

/* What a good token of now says. */
static struct token_claims good_claims(void)
{
	int64_t now = (int64_t)time(NULL);

	return (struct token_claims){
		.issuer = URL,
		.audience = URL,
		.token_id = prong_uuid_make(),
		.issued_at = now,
		.principal = { .account_id = { { 1 } },
			       .session_id = SESSION,
			       .scope = "",
			       .authenticated_at = now,
			       .expires_at = now + 600 },
	};
}

static const char *sign(struct token_claims claims)
{
	const char *reason;
	char *token = NULL;

	CU_ASSERT_EQUAL_FATAL(
		token_sign(&fixture.arena, keyring_current(fixture.runtime.keyring), &claims, &token, &reason), 0);
	return token;
}

static const char *sign_with_scope(const char *scope)
{
	struct token_claims claims = good_claims();

	claims.principal.scope = scope;
	return sign(claims);
}

/* As if the token had been verified, whatever it is: for principals that no token of ours has. */
static const char *known_token(const char *token, struct principal principal)
{
	principal.expires_at = (int64_t)time(NULL) + 600;
	token_cache_add(fixture.server->tokens, token, strlen(token), keyring_generation(fixture.runtime.keyring),
			(int64_t)time(NULL), &principal);
	return token;
}

/*
 * Answers one request: `line` is its method and path, `fields` its further field lines, each with CRLF. Its status. A
 * body of JSON follows where there is one.
 */
static int ask_with_body(const char *line, const char *fields, const char *body)
{
	struct http_refusal refusal;
	enum exchange_step step;
	struct exchange *exchange;
	size_t head;

	exchange_give_back(fixture.exchange);
	free(fixture.request);
	fixture.request = body ? format_text("%s HTTP/1.1\r\nHost: evil.example\r\n%sContent-Type: application/json\r\n"
					     "Content-Length: %zu\r\n\r\n%s",
					     line, fields, strlen(body), body)
			       : format_text("%s HTTP/1.1\r\nHost: evil.example\r\n%s\r\n", line, fields);
	head = (size_t)(strstr(fixture.request, "\r\n\r\n") + 4 - fixture.request);
	fixture.exchange = exchange = exchange_take(fixture.server, NULL);
	CU_ASSERT_EQUAL_FATAL(http_parse_head(fixture.request, head, &exchange->head, &refusal), 0);
	step = exchange_begin(exchange);
	if (step == EXCHANGE_NEEDS_BODY)
		step = exchange_run(exchange, fixture.request + head, strlen(fixture.request + head));
	CU_ASSERT_EQUAL_FATAL(step, EXCHANGE_ANSWERED);
	fixture.reply = buffer_text(&exchange->reply);
	return exchange->status;
}

static int ask(const char *line, const char *fields)
{
	return ask_with_body(line, fields, NULL);
}

static int ask_bearer(const char *line, const char *token)
{
	return ask(line, arena_format(&fixture.arena, "Authorization: Bearer %s\r\n", token));
}

/* With the token in the cookie, and further fields. */
static int ask_cookie(const char *line, const char *token, const char *fields)
{
	return ask(line, arena_format(&fixture.arena, "Cookie: theme=dark; " COOKIE_ACCESS "=%s\r\n%s", token, fields));
}

static bool says(const char *part)
{
	bool found = strstr(fixture.reply, part) != NULL;

	if (!found)
		fprintf(stderr, "\n\"%s\" is not in:\n%s\n", part, fixture.reply);
	return found;
}

TEST(authenticate, a_token_says_who_it_is)
{
	struct token_claims claims;

	set_up();
	claims = good_claims();
	claims.principal.scope = "notes:read b";
	claims.principal.claims = "{\"tenant\":\"acme\"}";
	for (int i = 0; i < 3; i++) { /* from the cache, too */
		CU_ASSERT_EQUAL(ask_bearer("GET /own", sign(claims)), 204);
		CU_ASSERT(says("X-Account: 01000000-0000-0000-0000-000000000000\r\n"));
		CU_ASSERT(says("X-Scope: notes:read b\r\n") && says("X-Tenant: \"acme\"\r\n"));
	}
	CU_ASSERT_EQUAL(ask_bearer("GET /own", sign(good_claims())), 204);
	CU_ASSERT(says("X-Scope: \r\n") && says("X-Tenant: none\r\n"));
	tear_down();
}

static void expect_invalid(const char *token)
{
	for (int i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL(ask_bearer("GET /own", token), 401);
		CU_ASSERT(says("WWW-Authenticate: Bearer error=\"invalid_token\"\r\n"));
		CU_ASSERT(says("\"code\":\"invalid_token\""));
		CU_ASSERT_EQUAL(ask_cookie("GET /own", token, ""), 401);
	}
}

TEST(authenticate, tokens_of_others_or_of_another_time_are_refused)
{
	struct token_claims claims;
	char *changed;

	set_up();
	claims = good_claims();
	claims.issuer = "https://other.example";
	expect_invalid(sign(claims));
	claims = good_claims();
	claims.audience = "https://other.example";
	expect_invalid(sign(claims));
	claims = good_claims();
	claims.principal.expires_at = claims.issued_at;
	expect_invalid(sign(claims));
	claims = good_claims();
	claims.issued_at += 3600;
	expect_invalid(sign(claims));
	expect_invalid("a.b.c");
	expect_invalid("...");

	/* Another text for a token that is known. */
	changed = arena_strdup(&fixture.arena, sign(good_claims()));
	CU_ASSERT_EQUAL(ask_bearer("GET /own", changed), 204);
	changed[strlen(changed) / 2] = changed[strlen(changed) / 2] == 'A' ? 'B' : 'A';
	expect_invalid(changed);
	tear_down();
}

TEST(authenticate, what_was_verified_ends_with_the_token)
{
	const char *token = "known.token.x";
	int64_t now = (int64_t)time(NULL);

	set_up();
	token_cache_add(fixture.server->tokens, token, strlen(token), keyring_generation(fixture.runtime.keyring),
			now - 10, &(struct principal){ .scope = "", .expires_at = now });
	expect_invalid(token);
	/* So it does when the keys are others. */
	token_cache_add(fixture.server->tokens, token, strlen(token), keyring_generation(fixture.runtime.keyring) + 1,
			now, &(struct principal){ .scope = "", .expires_at = now + 600 });
	expect_invalid(token);
	tear_down();
}

TEST(authenticate, there_is_one_credential)
{
	const char *token, *fields;

	set_up();
	token = sign(good_claims());
	CU_ASSERT_EQUAL(ask("GET /own", ""), 401);
	CU_ASSERT(says("WWW-Authenticate: Bearer\r\n") && says("token_missing"));
	CU_ASSERT_EQUAL(ask(arena_format(&fixture.arena, "GET /own?access_token=%s", token), ""), 401);
	CU_ASSERT_EQUAL(ask_cookie("GET /own", token, ""), 204);

	/* Authorization wins, right or wrong. */
	CU_ASSERT_EQUAL(ask_cookie("GET /own", token, "Authorization: Bearer x.y.z\r\n"), 401);
	CU_ASSERT_EQUAL(ask_cookie("GET /own", token, "Authorization: Basic eA==\r\n"), 401);
	CU_ASSERT_EQUAL(ask_cookie("GET /own", token, "Authorization:\r\n"), 401);
	CU_ASSERT_EQUAL(
		ask_cookie("GET /own", "x", arena_format(&fixture.arena, "Authorization: Bearer %s\r\n", token)), 204);
	fields = arena_format(&fixture.arena, "Authorization: Bearer %s\r\nAuthorization: Bearer %s\r\n", token, token);
	CU_ASSERT_EQUAL(ask("GET /own", fields), 401);
	CU_ASSERT(says("WWW-Authenticate: Bearer error=\"invalid_request\"\r\n"));

	/* Which of two cookies is meant nobody can say. */
	fields = arena_format(&fixture.arena, "Cookie: " COOKIE_ACCESS "=%s\r\n", token);
	CU_ASSERT_EQUAL(ask_cookie("GET /own", token, fields), 400);
	CU_ASSERT(says("\"code\":\"invalid_cookie\""));
	CU_ASSERT_EQUAL(ask_cookie("GET /own", "", ""), 400);
	CU_ASSERT_EQUAL(ask_cookie("GET /own", "\"x\"", ""), 400);

	/* Where nobody need sign in, none of it matters. */
	CU_ASSERT_EQUAL(ask_cookie("GET /public", "\"x\"", "Authorization: Basic eA==\r\n"), 204);
	CU_ASSERT_EQUAL(ask_bearer("GET /public", token), 204);
	tear_down();
}

TEST(authenticate, nobody_unknown_learns_what_is_wrong_with_a_request)
{
	const char *bearer;

	set_up();
	CU_ASSERT_EQUAL(ask_with_body("POST /own", "", "{"), 401);
	CU_ASSERT_EQUAL(ask_with_body("POST /own", "Authorization: Bearer x.y.z\r\n", "{\"other\":1}"), 401);
	bearer = arena_format(&fixture.arena, "Authorization: Bearer %s\r\n", sign(good_claims()));
	CU_ASSERT_EQUAL(ask_with_body("POST /own", bearer, "{"), 400);
	CU_ASSERT_EQUAL(ask_with_body("POST /own", bearer, "{\"other\":1}"), 422);
	CU_ASSERT_EQUAL(ask_with_body("POST /own", bearer, "{\"text\":\"x\"}"), 204);
	tear_down();
}

/* ---- forged requests ---- */

TEST(authenticate, a_cookie_changes_things_only_from_our_pages)
{
	static const char *const methods[] = { "PUT /own", "PATCH /own", "DELETE /own" };
	const char *token;

	set_up();
	token = sign(good_claims());
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		CU_ASSERT_EQUAL(ask_cookie(methods[i], token, ""), 403);
		CU_ASSERT(says("\"code\":\"csrf\""));
		CU_ASSERT_EQUAL(ask_cookie(methods[i], token, "Sec-Fetch-Site: same-origin\r\n"), 204);
		CU_ASSERT_EQUAL(ask_cookie(methods[i], token, "Sec-Fetch-Site: none\r\n"), 204);
		CU_ASSERT_EQUAL(ask_cookie(methods[i], token, "Sec-Fetch-Site: same-site\r\n"), 403);
		CU_ASSERT_EQUAL(ask_cookie(methods[i], token, "Sec-Fetch-Site: cross-site\r\nOrigin: " URL "\r\n"),
				403);
		CU_ASSERT_EQUAL(ask_cookie(methods[i], token, "Origin: " URL "\r\n"), 204);
		CU_ASSERT_EQUAL(ask_cookie(methods[i], token, "Origin: null\r\n"), 403);
		/* Host is not asked: whoever makes a name lead here chooses it. */
		CU_ASSERT_EQUAL(ask_cookie(methods[i], token, "Origin: https://evil.example\r\n"), 403);
		CU_ASSERT_EQUAL(ask_cookie(methods[i], token, "Origin: http://evil.example\r\n"), 403);
		/* A bearer token is sent by nobody unasked. */
		CU_ASSERT_EQUAL(ask(methods[i],
				    arena_format(&fixture.arena,
						 "Authorization: Bearer %s\r\nSec-Fetch-Site: cross-site\r\n", token)),
				204);
	}
	CU_ASSERT_EQUAL(ask_cookie("GET /own", token, "Sec-Fetch-Site: cross-site\r\n"), 204);
	CU_ASSERT_EQUAL(ask_cookie("HEAD /own", token, "Origin: null\r\n"), 204);
	/* Who is nobody is told so first. */
	CU_ASSERT_EQUAL(ask_cookie("DELETE /own", "x.y.z", "Sec-Fetch-Site: cross-site\r\n"), 401);
	tear_down();
}

static int ask_csrf(const char *token, prong_uuid session, const char *more)
{
	char csrf[CSRF_TOKEN_SIZE];

	csrf_token_make(SECRET, session, csrf);
	return ask_cookie("DELETE /own", token, arena_format(&fixture.arena, "X-CSRF-Token: %s\r\n%s", csrf, more));
}

TEST(authenticate, a_browser_that_says_nothing_proves_itself_by_the_sessions_token)
{
	struct principal of_a_key = { .account_id = { { 1 } }, .api_key_id = { { 7 } }, .scope = "" };
	const char *token;

	set_up();
	token = sign(good_claims());
	CU_ASSERT_EQUAL(ask_csrf(token, SESSION, ""), 204);
	CU_ASSERT_EQUAL(ask_csrf(token, (prong_uuid){ { 6 } }, ""), 403);
	CU_ASSERT_EQUAL(ask_csrf(token, SESSION, "X-CSRF-Token: x\r\n"), 403);
	CU_ASSERT_EQUAL(ask_cookie("DELETE /own", token, "X-CSRF-Token: \r\n"), 403);
	/* It is no way past what the browser says. */
	CU_ASSERT_EQUAL(ask_csrf(token, SESSION, "Sec-Fetch-Site: cross-site\r\n"), 403);
	CU_ASSERT_EQUAL(ask_csrf(token, SESSION, "Origin: https://evil.example\r\n"), 403);

	/* Only sessions live in cookies. */
	CU_ASSERT_EQUAL(ask_cookie("GET /own", known_token("k.k.k", of_a_key), ""), 401);
	tear_down();
}

TEST(authenticate, handlers_that_set_cookies_ask_where_the_request_is_from)
{
	set_up();
	CU_ASSERT_EQUAL(ask("POST /cookies", "Origin: " URL "\r\nCookie: " COOKIE_REFRESH "=r_1-.x\r\n"), 204);
	CU_ASSERT(says("X-Refresh: r_1-.x\r\n"));
	CU_ASSERT(says(
		"Set-Cookie: __Host-prong_access=a.b-c_d; Max-Age=600; Path=/; Secure; HttpOnly; SameSite=Lax\r\n"));
	CU_ASSERT(says("Set-Cookie: __Host-prong_refresh=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax\r\n"));
	CU_ASSERT_EQUAL(ask("POST /cookies", ""), 204);
	CU_ASSERT(says("X-Refresh: none\r\n"));
	CU_ASSERT_EQUAL(ask("POST /cookies", "Origin: https://evil.example\r\n"), 403);
	CU_ASSERT(says("\"code\":\"csrf\"") && !strstr(fixture.reply, "Set-Cookie"));
	CU_ASSERT_EQUAL(ask("POST /cookies", "Sec-Fetch-Site: cross-site\r\n"), 403);
	CU_ASSERT_EQUAL(ask("POST /cookies", "Cookie: " COOKIE_REFRESH "=a\r\nCookie: " COOKIE_REFRESH "=b\r\n"), 400);
	CU_ASSERT(says("\"code\":\"invalid_cookie\""));
	tear_down();
}

/* ---- what routes ask for ---- */

TEST(authenticate, routes_ask_for_scopes)
{
	struct principal foreign = { .scope = "admin notes:read", .issuer = "https://issuer.example", .subject = "x" };
	const char *other;

	set_up();
	other = known_token("f.f.f", foreign);
	CU_ASSERT_EQUAL(ask_bearer("GET /notes", sign_with_scope("a notes:read")), 204);
	CU_ASSERT_EQUAL(ask_bearer("GET /notes", sign_with_scope("notes:reader notes admin")), 403);
	CU_ASSERT(says("WWW-Authenticate: Bearer error=\"insufficient_scope\", scope=\"notes:read\"\r\n"));
	CU_ASSERT(says("\"code\":\"insufficient_scope\""));
	CU_ASSERT_EQUAL(ask_bearer("GET /admin", sign_with_scope("admin")), 204);
	CU_ASSERT_EQUAL(ask_bearer("GET /admin", sign_with_scope("notes:read")), 403);
	CU_ASSERT(says("WWW-Authenticate: Bearer error=\"insufficient_scope\", scope=\"admin\"\r\n"));
	CU_ASSERT(says("\"code\":\"admin_required\""));

	/* Another issuer's word is good for the application's scopes, not for who administers this. */
	CU_ASSERT_EQUAL(ask_bearer("GET /notes", other), 204);
	CU_ASSERT_EQUAL(ask_bearer("GET /admin", other), 403);
	/* And its tokens do not live in cookies. */
	CU_ASSERT_EQUAL(ask_cookie("GET /notes", other, ""), 401);

	CU_ASSERT_EQUAL(ask_bearer("GET /all", sign_with_scope("admin")), 403);
	CU_ASSERT(says("insufficient_scope"));
	CU_ASSERT_EQUAL(ask_bearer("GET /all", sign_with_scope("admin notes:read")), 204);
	tear_down();
}

static int ask_recent(int64_t age)
{
	struct token_claims claims = good_claims();

	claims.principal.authenticated_at -= age;
	return ask_bearer("GET /recent", sign(claims));
}

TEST(authenticate, routes_ask_for_a_recent_sign_in)
{
	struct principal key = { .api_key_id = { { 7 } }, .scope = "" };
	struct token_claims claims;

	set_up();
	CU_ASSERT_EQUAL(ask_recent(0), 204);
	CU_ASSERT_EQUAL(ask_recent(LIMIT - 20), 204);
	CU_ASSERT_EQUAL(ask_recent(LIMIT + 1), 401);
	CU_ASSERT(says("WWW-Authenticate: Bearer error=\"insufficient_user_authentication\", max_age=600\r\n"));
	CU_ASSERT(says("\"code\":\"recent_sign_in_required\""));
	/* Not known: not recent. */
	claims = good_claims();
	claims.principal.authenticated_at = 0;
	CU_ASSERT_EQUAL(ask_bearer("GET /recent", sign(claims)), 401);
	CU_ASSERT_EQUAL(ask_bearer("GET /recent", known_token("k.k.k", key)), 401);
	tear_down();
}
