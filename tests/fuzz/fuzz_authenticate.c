/*
 * Fuzzes whom a request is taken to be from. The first byte chooses the route and the method, the rest is field lines
 * of a head. Whatever they are: only the one token that is known lets anybody in, and from a cookie to change something
 * only with what a page of ours sends along; a refusal is one of those that clients are told of.
 */
#include <sodium.h>

#include "common/buffer.h"
#include "common/security/api_key.h"
#include "common/security/csrf.h"
#include "common/security/keyring.h"
#include "common/security/token_cache.h"
#include "server/http/authenticate.h"
#include "server/http/cookies.h"
#include "server/http/http_server.h"

#define SECRET "a secret of the fuzzers, 32 bytes or more"
#define TOKEN "eyJ0.eyJpc3M.c2ln"
#define URL "https://app.example.com"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct prong_route routes[] = {
	{ PRONG_GET, "/a", NULL, .access = PRONG_SIGNED_IN },
	{ PRONG_GET, "/b", NULL, .access = PRONG_ADMIN },
	{ PRONG_GET, "/c", NULL, .access = PRONG_SIGNED_IN, .scope = "notes:read" },
	{ PRONG_GET, "/d", NULL, .access = PRONG_SIGNED_IN, .recent = true },
};
static const struct prong_app app = { .name = "fuzz", .version = "1" };

static struct settings settings = { .public_url = URL, .secret = SECRET, .recent_sign_in = PRONG_MINUTES(10) };
static struct runtime runtime = { .settings = &settings };
static struct http_server *server;
static char csrf_token[CSRF_TOKEN_SIZE];
static const struct principal known = {
	.account_id = { { 1 } }, .session_id = { { 2 } }, .scope = "notes:read", .expires_at = INT64_MAX
};

static void set_up(void)
{
	static struct registry *registry;
	struct buffer mistakes = { 0 };

	check(sodium_init() >= 0 && registry_new(&app, NULL, &registry, &mistakes) == 0);
	csrf_token_make(SECRET, known.session_id, csrf_token);
	runtime.registry = registry;
	runtime.loop = loop_new(4);
	runtime.keyring = keyring_new(SECRET, ALGORITHM_EDDSA); /* without keys: nothing else can be verified */
	runtime.api_keys = api_keys_new();
	server = http_server_new(&runtime, -1);
	token_cache_add(server->tokens, TOKEN, strlen(TOKEN), keyring_generation(runtime.keyring), 0, &known);
}

static bool has(struct http_text text, const char *part)
{
	return text.data && memmem(text.data, text.size, part, strlen(part));
}

static bool ends(struct http_text text, const char *part)
{
	size_t size = strlen(part);

	return text.size >= size && memcmp(text.data + text.size - size, part, size) == 0;
}

static void check_let_in(const struct exchange *exchange, const struct prong_route *route)
{
	const struct http_head *head = &exchange->head;
	struct http_text authorization = http_field(head, "authorization", NULL), site, origin;

	check(exchange->ctx.signed_in);
	check(memcmp(&exchange->ctx.principal.account_id, &known.account_id, sizeof(known.account_id)) == 0);
	check(route->access == PRONG_SIGNED_IN && !route->recent);
	if (authorization.data) {
		check(ends(authorization, " " TOKEN));
		return;
	}
	if (head->method == PRONG_GET)
		return;
	site = http_field(head, "sec-fetch-site", NULL);
	origin = http_field(head, "origin", NULL);
	if (site.data)
		check(http_text_is(site, "same-origin") || http_text_is(site, "none"));
	else if (origin.data)
		check(http_text_is(origin, URL));
	else
		check(has(http_field(head, "x-csrf-token", NULL), csrf_token));
}

static bool is_challenged(const struct exchange *exchange)
{
	for (const struct reply_header *header = exchange->headers; header; header = header->next)
		if (strcmp(header->name, "WWW-Authenticate") == 0)
			return true;
	return false;
}

static void ask(struct exchange *exchange, const struct prong_route *route)
{
	struct problem problem = { 0 };
	struct http_text token;
	int r;

	exchange->match.route = route;
	r = authenticate(exchange, &problem);
	if (r == 0) {
		check_let_in(exchange, route);
	} else if (r == -EAGAIN) {
		token = http_field(&exchange->head, "authorization", NULL);
		check(has(token, API_KEY_PREFIX)); /* it is to be looked up */
	} else {
		check(r == -EACCES && problem.code && problem.detail);
		check(problem.status == 400 || problem.status == 401 || problem.status == 403 || problem.status == 503);
		check(problem.status != 401 || is_challenged(exchange));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const methods[] = { "GET", "POST", "DELETE", "HEAD" };
	struct buffer request = { 0 };
	struct http_refusal refusal;
	struct exchange *exchange;

	if (!server)
		set_up();
	if (size == 0)
		return 0;
	buffer_add_format(&request, "%s / HTTP/1.1\r\nHost: a\r\n", methods[data[0] / ARRAY_SIZE(routes) % 4]);
	/* CSRF's right token depends on a secret: '$' stands for it. */
	for (size_t i = 1; i < size; i++)
		if (data[i] == '$')
			buffer_add_string(&request, csrf_token);
		else
			buffer_add_char(&request, (char)data[i]);
	buffer_add_literal(&request, "\r\n\r\n");
	exchange = exchange_take(server, NULL);
	if (http_parse_head(request.data, request.size, &exchange->head, &refusal) == 0)
		ask(exchange, &routes[data[0] % ARRAY_SIZE(routes)]);
	exchange_give_back(exchange);
	buffer_free(&request);
	return 0;
}
