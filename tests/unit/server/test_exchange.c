/* Requests as text through the whole of an exchange, without a socket: what each is answered. */
#include <stdio.h>

#include "common/log.h"
#include "common/settings.h"
#include "server/http/exchange.h"
#include "server/http/http_server.h"
#include "server/http/reply.h"
#include "server/routes/routes.h"
#include "tests/unit/test.h"

struct thing {
	const char *title;
};
PRONG_SCHEMA(thing, PRONG_FIELD(thing, title, .required = true, .max_length = 5));

struct page {
	prong_opt_int32 limit;
};
PRONG_SCHEMA(page, PRONG_FIELD(page, limit, .range = PRONG_RANGE(1, 100)));

static int show_thing(struct prong_ctx *ctx)
{
	prong_set_header(ctx, "X-Path", prong_path(ctx, "id"));
	if (prong_header(ctx, "x-ASK"))
		prong_set_header(ctx, "X-Asked", prong_header(ctx, "x-ASK"));
	return prong_reply(ctx, 200, thing, &(struct thing){ .title = "one" });
}

static int list_things(struct prong_ctx *ctx)
{
	const struct page *page = prong_query_string(ctx, page);
	const struct thing things[] = { { "one" }, { "two" } };

	prong_set_header(ctx, "Cache-Control", "max-age=60");
	return prong_reply_list(ctx, 200, thing, things, page->limit.set ? 1 : 2);
}

static int create_thing(struct prong_ctx *ctx)
{
	const struct thing *in = prong_body(ctx, thing);

	return prong_reply(ctx, 201, thing, in);
}

static int delete_thing(struct prong_ctx *ctx)
{
	return prong_reply_empty(ctx, 204);
}

static int replace_thing(struct prong_ctx *ctx)
{
	prong_uuid id;

	return prong_path_uuid(ctx, "id", &id);
}

static int fail_after_reply(struct prong_ctx *ctx)
{
	prong_set_header(ctx, "Cache-Control", "max-age=60");
	prong_reply_bytes(ctx, 200, "text/plain", "wrong", 5);
	return prong_fail(ctx, 409, "taken", "It is \"%s\".", "taken");
}

static int unavailable(struct prong_ctx *ctx)
{
	(void)ctx;
	return -EHOSTDOWN;
}

static const struct prong_route routes[] = {
	{ PRONG_GET, "/things/{id}", show_thing, .access = PRONG_PUBLIC },
	{ PRONG_GET, "/things", list_things, .query = &page_schema, .access = PRONG_PUBLIC },
	{ PRONG_POST, "/things", create_thing, .body = &thing_schema, .max_body = 64, .access = PRONG_PUBLIC },
	{ PRONG_DELETE, "/things/{id}", delete_thing, .access = PRONG_PUBLIC },
	{ PRONG_PUT, "/things/{id}", replace_thing, .access = PRONG_PUBLIC },
	{ PRONG_GET, "/fail", fail_after_reply, .access = PRONG_PUBLIC },
	{ PRONG_GET, "/unavailable", unavailable, .access = PRONG_PUBLIC },
	{ PRONG_GET, "/own", show_thing, .access = PRONG_SIGNED_IN },
	{ PRONG_GET, "/guarded", show_thing, .access = PRONG_ADMIN },
	{}
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
} fixture;

static void set_up(void)
{
	const struct prong_module *const builtin[] = { &http_builtin_module, NULL };
	struct buffer mistakes = { 0 };

	fixture = (struct fixture){
		.settings = { .max_requests = 8, .max_body = 1000, .request_timeout = PRONG_SECONDS(5) },
	};
	if (registry_new(&app, builtin, &fixture.registry, &mistakes) < 0)
		panic("%s", buffer_text(&mistakes));
	log_open("test", "http", PRONG_LOG_ERROR, false);
	fixture.runtime.settings = &fixture.settings;
	fixture.runtime.registry = fixture.registry;
	fixture.runtime.loop = loop_new(16);
	fixture.server = http_server_new(&fixture.runtime, -1);
	buffer_free(&mistakes);
}

static void tear_down(void)
{
	exchange_give_back(fixture.exchange);
	fixture.server = http_server_free(fixture.server);
	fixture.runtime.loop = loop_free(fixture.runtime.loop);
	fixture.registry = registry_free(fixture.registry);
	free(fixture.request);
}

/* Answers one request, whose handler must not suspend; returns the reply's status. */
static int ask(const char *request)
{
	const char *body = strstr(request, "\r\n\r\n") + 4;
	struct http_refusal refusal;
	enum exchange_step step;
	struct exchange *exchange;

	exchange_give_back(fixture.exchange);
	free(fixture.request);
	fixture.request = duplicate(request);
	fixture.exchange = exchange = exchange_take(fixture.server, NULL);
	if (http_parse_head(fixture.request, (size_t)(body - request), &exchange->head, &refusal) < 0) {
		exchange_refuse_head(exchange, &refusal);
	} else {
		step = exchange_begin(exchange);
		if (step == EXCHANGE_NEEDS_BODY)
			step = exchange_run(exchange, body, strlen(body));
		CU_ASSERT_EQUAL_FATAL(step, EXCHANGE_ANSWERED);
	}
	fixture.reply = buffer_text(&exchange->reply);
	return exchange->status;
}

static bool says(const char *part)
{
	bool found = strstr(fixture.reply, part) != NULL;

	if (!found)
		fprintf(stderr, "\n\"%s\" is not in:\n%s\n", part, fixture.reply);
	return found;
}

static bool does_not_say(const char *part)
{
	return strstr(fixture.reply, part) == NULL;
}

#define HOST " HTTP/1.1\r\nHost: a\r\n"

TEST(exchange, replies_with_the_fields_every_reply_has)
{
	set_up();
	CU_ASSERT_EQUAL(ask("GET /things/a%20b" HOST "X-Request-Id: my.id\r\nX-Ask: yes\r\n\r\n"), 200);
	CU_ASSERT(says("HTTP/1.1 200 OK\r\nDate: "));
	CU_ASSERT(says("\r\nX-Request-Id: my.id\r\n"));
	CU_ASSERT(says("\r\nContent-Type: application/json\r\n"));
	CU_ASSERT(says("\r\nContent-Length: 15\r\n"));
	CU_ASSERT(says("\r\nX-Path: a b\r\n"));
	CU_ASSERT(says("\r\nX-Asked: yes\r\n"));
	CU_ASSERT(says("\r\nCache-Control: no-store\r\n"));
	CU_ASSERT(says("\r\nX-Content-Type-Options: nosniff\r\n"));
	CU_ASSERT(says("\r\n\r\n{\"title\":\"one\"}"));
	CU_ASSERT(does_not_say("Connection:"));
	CU_ASSERT(!fixture.exchange->close);
	tear_down();
}

TEST(exchange, leaves_out_a_header_that_a_client_would_inject)
{
	set_up();
	CU_ASSERT_EQUAL(ask("GET /things/a%0D%0ASet-Cookie:%20x" HOST "X-Ask: yes\r\n\r\n"), 200);
	CU_ASSERT(does_not_say("X-Path"));
	CU_ASSERT(does_not_say("Set-Cookie"));
	CU_ASSERT(says("\r\nX-Asked: yes\r\n"));
	tear_down();
}

TEST(exchange, makes_a_request_id_of_32_digits)
{
	char first[65];

	set_up();
	ask("GET /things/1" HOST "\r\n");
	snprintf(first, sizeof(first), "%s", fixture.exchange->ctx.request_id);
	CU_ASSERT_EQUAL(strspn(first, "0123456789abcdef"), 32);
	CU_ASSERT_EQUAL(strlen(first), 32);
	ask("GET /things/1" HOST "X-Request-Id: not {valid}\r\n\r\n");
	CU_ASSERT_EQUAL(strlen(fixture.exchange->ctx.request_id), 32);
	CU_ASSERT_STRING_NOT_EQUAL(fixture.exchange->ctx.request_id, first);
	tear_down();
}

#define PARENT "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n"
#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"

TEST(exchange, takes_part_in_the_clients_trace)
{
	const struct prong_ctx *ctx;

	set_up();
	ask("GET /things/1" HOST PARENT "\r\n");
	ctx = &fixture.exchange->ctx;
	CU_ASSERT_STRING_EQUAL(prong_trace_id(ctx), TRACE);
	CU_ASSERT_STRING_NOT_EQUAL(prong_request_id(ctx), TRACE); /* a trace has many requests */

	ask("GET /things/1" HOST PARENT PARENT "\r\n");
	CU_ASSERT_STRING_NOT_EQUAL(prong_trace_id(&fixture.exchange->ctx), TRACE);
	ask("GET /things/1" HOST "Traceparent: 00-" TRACE "-0000000000000000-01\r\n\r\n");
	CU_ASSERT_STRING_NOT_EQUAL(prong_trace_id(&fixture.exchange->ctx), TRACE);
	tear_down();
}

TEST(exchange, begins_a_trace_where_the_client_has_none)
{
	const struct prong_ctx *ctx;

	set_up();
	ask("GET /things/1" HOST "\r\n");
	ctx = &fixture.exchange->ctx;
	CU_ASSERT_STRING_EQUAL(prong_trace_id(ctx), prong_request_id(ctx));
	ask("GET /things/1" HOST "X-Request-Id: " TRACE "\r\n\r\n");
	CU_ASSERT_STRING_EQUAL(prong_trace_id(&fixture.exchange->ctx), TRACE);
	ask("GET /things/1" HOST "X-Request-Id: my.id\r\n\r\n");
	ctx = &fixture.exchange->ctx;
	CU_ASSERT_STRING_EQUAL(prong_request_id(ctx), "my.id");
	CU_ASSERT(trace_id_is_valid(prong_trace_id(ctx), strlen(prong_trace_id(ctx))));
	ask("GARBAGE\r\n\r\n");
	ctx = &fixture.exchange->ctx;
	CU_ASSERT(trace_id_is_valid(prong_trace_id(ctx), strlen(prong_trace_id(ctx))));
	tear_down();
}

TEST(exchange, answers_head_with_the_length_and_no_content)
{
	set_up();
	CU_ASSERT_EQUAL(ask("HEAD /things/1" HOST "\r\n"), 200);
	CU_ASSERT(says("\r\nContent-Length: 15\r\n"));
	CU_ASSERT_STRING_EQUAL(strstr(fixture.reply, "\r\n\r\n"), "\r\n\r\n");
	CU_ASSERT_EQUAL(ask("HEAD /nowhere" HOST "\r\n"), 404);
	CU_ASSERT_STRING_EQUAL(strstr(fixture.reply, "\r\n\r\n"), "\r\n\r\n");
	tear_down();
}

TEST(exchange, leaves_content_out_of_204)
{
	set_up();
	CU_ASSERT_EQUAL(ask("DELETE /things/1" HOST "\r\n"), 204);
	CU_ASSERT(does_not_say("Content-Length"));
	CU_ASSERT(does_not_say("Content-Type:"));
	tear_down();
}

TEST(exchange, closes_where_the_client_or_its_version_says_so)
{
	set_up();
	ask("GET /things/1" HOST "Connection: close\r\n\r\n");
	CU_ASSERT(fixture.exchange->close && says("\r\nConnection: close\r\n"));
	ask("GET /things/1 HTTP/1.0\r\n\r\n");
	CU_ASSERT(fixture.exchange->close && says("\r\nConnection: close\r\n"));
	ask("GET /things/1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	CU_ASSERT(!fixture.exchange->close && says("\r\nConnection: keep-alive\r\n"));
	fixture.server->draining = true;
	ask("GET /things/1" HOST "\r\n");
	CU_ASSERT(fixture.exchange->close && says("\r\nConnection: close\r\n"));
	fixture.server->draining = false;
	tear_down();
}

TEST(exchange, refuses_paths_and_methods)
{
	set_up();
	CU_ASSERT_EQUAL(ask("GET /nowhere" HOST "\r\n"), 404);
	CU_ASSERT(says("\r\nContent-Type: application/problem+json\r\n"));
	CU_ASSERT(says(
		"{\"type\":\"about:blank\",\"title\":\"Not Found\",\"status\":404,\"code\":\"not_found\",\"detail\":"));
	CU_ASSERT(says("\"request_id\":\""));
	CU_ASSERT_EQUAL(ask("PATCH /things/1" HOST "\r\n"), 405);
	CU_ASSERT(says("\r\nAllow: GET, HEAD, PUT, DELETE\r\n"));
	CU_ASSERT_EQUAL(ask("OPTIONS /things" HOST "\r\n"), 405);
	CU_ASSERT_EQUAL(ask("OPTIONS *" HOST "\r\n"), 405);
	CU_ASSERT_EQUAL(ask("GET /things/%2f" HOST "\r\n"), 400);
	CU_ASSERT_EQUAL(ask("BREW /things" HOST "\r\n"), 501);
	tear_down();
}

TEST(exchange, binds_the_query_string)
{
	set_up();
	CU_ASSERT_EQUAL(ask("GET /things" HOST "\r\n"), 200);
	CU_ASSERT(says("{\"items\":[{\"title\":\"one\"},{\"title\":\"two\"}]}"));
	CU_ASSERT(says("\r\nCache-Control: max-age=60\r\n") && does_not_say("no-store"));
	CU_ASSERT_EQUAL(ask("GET /things?limit=1" HOST "\r\n"), 200);
	CU_ASSERT(says("{\"items\":[{\"title\":\"one\"}]}"));
	CU_ASSERT_EQUAL(ask("GET /things?limit=x&other=1" HOST "\r\n"), 400);
	CU_ASSERT(says("\"errors\":[{\"parameter\":\"limit\","));
	CU_ASSERT(says("{\"parameter\":\"other\",\"code\":\"unknown\""));
	tear_down();
}

#define POST "POST /things" HOST
#define JSON "Content-Type: application/json\r\n"

TEST(exchange, binds_the_body)
{
	set_up();
	CU_ASSERT_EQUAL(ask(POST JSON "Content-Length: 15\r\n\r\n{\"title\":\"two\"}"), 201);
	CU_ASSERT(says("\r\n\r\n{\"title\":\"two\"}"));
	CU_ASSERT_EQUAL(ask(POST JSON "Content-Length: 3\r\n\r\n{x}"), 400);
	CU_ASSERT(says("\"code\":\"malformed_json\""));
	CU_ASSERT_EQUAL(ask(POST JSON "Content-Length: 18\r\n\r\n{\"title\":\"eleven\"}"), 422);
	CU_ASSERT(says("\"errors\":[{\"pointer\":\"/title\",\"code\":\"too_long\""));
	CU_ASSERT_EQUAL(ask(POST JSON "Content-Length: 2\r\n\r\n{}"), 422);
	CU_ASSERT(says("\"code\":\"missing\""));
	tear_down();
}

TEST(exchange, refuses_bodies_before_reading_them)
{
	set_up();
	CU_ASSERT_EQUAL(ask(POST "\r\n"), 400);
	CU_ASSERT_EQUAL(ask(POST "Content-Length: 2\r\n\r\n{}"), 415);
	CU_ASSERT(!fixture.exchange->close && fixture.exchange->body_unread);
	CU_ASSERT_EQUAL(ask(POST "Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}"), 415);
	CU_ASSERT_EQUAL(ask(POST JSON "Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}"), 415);
	CU_ASSERT(says("\r\nAccept-Encoding: identity\r\n"));
	CU_ASSERT_EQUAL(ask(POST JSON "Content-Length: 65\r\n\r\n"), 413);
	CU_ASSERT(fixture.exchange->close);
	CU_ASSERT_EQUAL(ask("DELETE /things/1" HOST JSON "Content-Length: 2\r\n\r\n{}"), 415);
	CU_ASSERT_EQUAL(ask("DELETE /things/1" HOST "Content-Length: 0\r\n\r\n"), 204);
	tear_down();
}

TEST(exchange, closes_rather_than_skip_a_body_that_may_not_come)
{
	set_up();
	CU_ASSERT_EQUAL(ask("POST /nowhere" HOST "Content-Length: 65536\r\n\r\n"), 404);
	CU_ASSERT(!fixture.exchange->close);
	CU_ASSERT_EQUAL(ask("POST /nowhere" HOST "Transfer-Encoding: chunked\r\n\r\n"), 404);
	CU_ASSERT(!fixture.exchange->close);
	CU_ASSERT_EQUAL(ask("POST /nowhere" HOST "Content-Length: 65537\r\n\r\n"), 404);
	CU_ASSERT(fixture.exchange->close && says("Connection: close"));
	CU_ASSERT_EQUAL(ask("POST /nowhere" HOST "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"), 404);
	CU_ASSERT(fixture.exchange->close);
	tear_down();
}

TEST(exchange, challenges_those_who_are_not_signed_in)
{
	set_up();
	CU_ASSERT_EQUAL(ask("GET /own" HOST "\r\n"), 401);
	CU_ASSERT(says("\r\nWWW-Authenticate: Bearer\r\n"));
	CU_ASSERT_EQUAL(ask("GET /guarded" HOST "\r\n"), 401);
	CU_ASSERT(says("\r\nWWW-Authenticate: Bearer\r\n"));
	CU_ASSERT_EQUAL(ask("GET /own" HOST "Authorization: Basic eA==\r\n\r\n"), 401);
	CU_ASSERT_EQUAL(ask("GET /own" HOST "Authorization: Bearer a\r\nAuthorization: Bearer a\r\n\r\n"), 401);
	/* No keys have been loaded: that is our trouble, not the client's. */
	CU_ASSERT_EQUAL(ask("GET /own" HOST "Authorization: Bearer a.b.c\r\n\r\n"), 503);
	CU_ASSERT(says("\r\nRetry-After: 1\r\n"));
	tear_down();
}

TEST(exchange, compares_scopes_name_by_name)
{
	struct prong_ctx ctx = { .principal.scope = "administrator admin.x a:b" };

	CU_ASSERT(prong_has_scope(&ctx, "a:b") && prong_has_scope(&ctx, "admin.x"));
	CU_ASSERT(!prong_has_scope(&ctx, "admin"));
	CU_ASSERT(!prong_has_scope(&ctx, "") && !prong_has_scope(&ctx, "admin.x a:b"));
	ctx.principal.scope = "admin";
	CU_ASSERT(prong_has_scope(&ctx, "admin") && !prong_has_scope(&ctx, "adm") && !prong_has_scope(&ctx, "ADMIN"));
	ctx.principal.scope = "";
	CU_ASSERT(!prong_has_scope(&ctx, "") && !prong_has_scope(&ctx, "admin"));
	ctx.principal.scope = NULL;
	CU_ASSERT(!prong_has_scope(&ctx, "") && !prong_has_scope(&ctx, "admin"));
}

TEST(exchange, answers_what_a_handler_returns)
{
	set_up();
	CU_ASSERT_EQUAL(ask("GET /fail" HOST "\r\n"), 409);
	CU_ASSERT(says("\"code\":\"taken\",\"detail\":\"It is \\\"taken\\\".\""));
	CU_ASSERT(says("no-store") && does_not_say("max-age") && does_not_say("wrong"));
	CU_ASSERT_EQUAL(ask("GET /unavailable" HOST "\r\n"), 503);
	CU_ASSERT(says("\r\nRetry-After: 2\r\n"));
	CU_ASSERT_EQUAL(ask("PUT /things/no-uuid" HOST "\r\n"), 404);
	CU_ASSERT_EQUAL(ask("PUT /things/0190a4d6-0000-7000-8000-000000000000" HOST "\r\n"), 500); /* no reply */
	CU_ASSERT(says("\"code\":\"internal\""));
	tear_down();
}

TEST(exchange, serves_probes_when_no_more_handlers_may_run)
{
	set_up();
	fixture.server->n_requests = (size_t)fixture.settings.max_requests;
	CU_ASSERT_EQUAL(ask("GET /things/1" HOST "\r\n"), 503);
	CU_ASSERT(says("\r\nRetry-After: 1\r\n"));
	CU_ASSERT_EQUAL(ask("GET /health/live" HOST "\r\n"), 200);
	CU_ASSERT(says("{\"status\":\"ok\"}"));
	fixture.server->n_requests = 0;
	tear_down();
}

TEST(reply, formats_dates_as_http_does)
{
	char text[HTTP_DATE_SIZE];

	http_date_format(784111777, text);
	CU_ASSERT_STRING_EQUAL(text, "Sun, 06 Nov 1994 08:49:37 GMT");
	http_date_format(0, text);
	CU_ASSERT_STRING_EQUAL(text, "Thu, 01 Jan 1970 00:00:00 GMT");
	http_date_format(4102444799, text);
	CU_ASSERT_STRING_EQUAL(text, "Thu, 31 Dec 2099 23:59:59 GMT");
}

TEST(reply, names_statuses)
{
	CU_ASSERT_STRING_EQUAL(status_reason(422), "Unprocessable Content");
	CU_ASSERT_STRING_EQUAL(status_reason(299), "Unknown");
	CU_ASSERT_STRING_EQUAL(status_code(404), "not_found");
	CU_ASSERT_STRING_EQUAL(status_code(999), "error");
}
