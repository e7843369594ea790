#include "server/http/exchange.h"

#include "common/log.h"
#include "common/schema/schema.h"
#include "server/http/authenticate.h"
#include "server/http/checks.h"
#include "server/http/connection.h"
#include "server/http/http_metrics.h"
#include "server/http/http_server.h"
#include "server/http/reply.h"
#include "server/routes/routes.h"

#define MAX_SPARE_EXCHANGES 64
#define MAX_KEPT_BUFFER ((size_t)256 * 1024)
#define STATUS_CLIENT_GONE 499 /* nginx's, in the log; nobody is left to receive it */

struct exchange *exchange_take(struct http_server *server, struct http_connection *connection)
{
	struct exchange *exchange = server->spare_exchanges;

	if (exchange) {
		server->spare_exchanges = exchange->next_spare;
		server->n_spare_exchanges--;
	} else {
		exchange = allocate(sizeof(*exchange));
	}
	exchange->server = server;
	exchange->connection = connection;
	exchange->match.route = NULL;
	exchange->head.method_text = (struct http_text){ 0 };
	exchange->head.is_head = false;
	exchange->query = NULL;
	exchange->client = NULL;
	exchange->coroutine = NULL;
	exchange->starting = exchange->abandoned = exchange->body_unread = exchange->close = exchange->deferred = false;
	exchange->started = monotonic_us();
	exchange->headers = NULL;
	exchange->last_header = &exchange->headers;
	exchange->status = 0;
	if (!exchange->reply.capacity)
		buffer_pool_take(&server->buffers, &exchange->reply);
	exchange->reply.size = 0;
	context_init(&exchange->ctx, server->runtime);
	exchange->ctx.exchange = exchange;
	return exchange;
}

void exchange_free(struct exchange *exchange)
{
	context_end(&exchange->ctx);
	buffer_free(&exchange->reply);
	free(exchange);
}

void exchange_give_back(struct exchange *exchange)
{
	struct http_server *server;

	if (!exchange)
		return;
	server = exchange->server;
	check(!exchange->coroutine);
	if (server->n_spare_exchanges == MAX_SPARE_EXCHANGES) {
		exchange_free(exchange);
		return;
	}
	context_end(&exchange->ctx);
	if (exchange->reply.capacity > MAX_KEPT_BUFFER)
		buffer_free(&exchange->reply);
	if (server->scratch.capacity > MAX_KEPT_BUFFER)
		buffer_free(&server->scratch);
	exchange->next_spare = server->spare_exchanges;
	server->spare_exchanges = exchange;
	server->n_spare_exchanges++;
}

/* ---- the log and the metrics ---- */

static enum prong_log_level level_of(int status)
{
	/* 501 and 505 are about what a client sent. */
	if (status < 500 || status == 501 || status == 505)
		return PRONG_LOG_INFO;
	return status == 500 ? PRONG_LOG_ERROR : PRONG_LOG_WARNING;
}

static void copy_text(char *out, size_t size, struct http_text text)
{
	size_t length = text.size < size ? text.size : size - 1;

	if (length)
		memcpy(out, text.data, length);
	out[length] = '\0';
	if (text.size == 0)
		memcpy(out, "-", 2);
}

static void log_request(struct exchange *exchange, int64_t duration, const struct problem *problem, int result)
{
	char method[16], path[256];
	const struct client *client = client_of(exchange);
	struct log_field fields[9] = {
		{ .name = "http.request.method", .text = method },
		{ .name = "url.path", .text = path },
		{ .name = "http.response.status_code", .number = exchange->status },
		{ .name = "event.duration", .number = (double)duration * 1000 }, /* ECS: nanoseconds */
		{ .name = "http.response.body.bytes", .number = (double)exchange->content_size },
	};
	size_t n_fields = 5;

	copy_text(method, sizeof(method), exchange->head.method_text);
	copy_text(path, sizeof(path), exchange->head.path);
	if (client)
		fields[n_fields++] = (struct log_field){ .name = "client.address", .text = client->text };
	if (problem && problem->code)
		fields[n_fields++] = (struct log_field){ .name = "error.code", .text = problem->code };
	if (problem && problem->detail)
		fields[n_fields++] = (struct log_field){ .name = "error.message", .text = problem->detail };
	if (result < 0 && strerrorname_np(-result))
		fields[n_fields++] = (struct log_field){ .name = "error.type", .text = strerrorname_np(-result) };
	log_line(level_of(exchange->status), &(struct log_cause){ exchange->ctx.request_id, exchange->ctx.trace_id },
		 fields, n_fields, "%s %s %d", method, path, exchange->status);
}

/* The reply is whole. `problem` is what was replied with, if it was one, and `result` what the handler returned. */
static void conclude(struct exchange *exchange, const struct problem *problem, int result)
{
	int64_t duration;

	exchange->ended = monotonic_us();
	duration = exchange->ended - exchange->started;
	http_metrics_request(exchange->match.route ? exchange->match.index : HTTP_NO_ROUTE, exchange->status, duration);
	if (log_enabled(level_of(exchange->status)))
		log_request(exchange, duration, problem, result);
}

/* ---- refusals ---- */

/* Whether the connection can go on after a reply that leaves the body unread. */
static bool can_skip_body(const struct exchange *exchange)
{
	const struct http_head *head = &exchange->head;

	if (!exchange->body_unread)
		return true;
	/* Without its 100 the client may send the body or not: where the next request begins is not known. */
	if (head->expect_continue)
		return false;
	return head->framing == HTTP_CHUNKED || head->content_length <= EXCHANGE_MAX_SKIP;
}

static enum exchange_step refuse(struct exchange *exchange, const struct problem *problem)
{
	if (!can_skip_body(exchange))
		exchange->close = true;
	reply_problem(exchange, problem);
	conclude(exchange, problem, 0);
	return EXCHANGE_ANSWERED;
}

static enum exchange_step refuse_with(struct exchange *exchange, int status, const char *code, const char *detail)
{
	return refuse(exchange, &(struct problem){ .status = status, .code = code, .detail = detail });
}

static void identify(struct exchange *exchange, struct http_text id)
{
	char *out = exchange->ctx.request_id;

	if (!request_id_is_valid(id)) {
		trace_id_make(out);
		return;
	}
	memcpy(out, id.data, id.size);
	out[id.size] = '\0';
}

/* Takes part in the client's trace, or begins one: under the request's id where that can be a trace's. */
static void join_trace(struct exchange *exchange)
{
	struct prong_ctx *ctx = &exchange->ctx;
	bool repeated = false;
	struct http_text parent = http_field(&exchange->head, "traceparent", &repeated);

	if (!repeated && trace_parent_read(parent.data, parent.size, ctx->trace_id) == 0)
		return;
	if (trace_id_is_valid(ctx->request_id, strlen(ctx->request_id)))
		memcpy(ctx->trace_id, ctx->request_id, TRACE_ID_SIZE);
	else
		trace_id_make(ctx->trace_id);
}

void exchange_refuse_head(struct exchange *exchange, const struct http_refusal *refusal)
{
	struct http_head *head = &exchange->head;

	head->path = head->query = (struct http_text){ 0 };
	head->n_fields = 0;
	head->framing = HTTP_NO_BODY;
	head->minor = 1;
	head->keep_alive = !refusal->close;
	identify(exchange, (struct http_text){ 0 });
	join_trace(exchange);
	refuse_with(exchange, refusal->status, NULL, refusal->detail);
}

void exchange_refuse_body(struct exchange *exchange, const struct http_refusal *refusal)
{
	exchange->close = true;
	refuse_with(exchange, refusal->status, NULL, refusal->detail);
}

/* ---- what is decided from the head ---- */

static int find_route(struct exchange *exchange)
{
	struct http_text segments[HTTP_MAX_SEGMENTS], path = exchange->head.path;
	size_t count;
	int r;

	if (http_text_is(path, "*")) {
		exchange->match.allow = "GET, HEAD, POST, PUT, PATCH, DELETE";
		return -EOPNOTSUPP;
	}
	r = http_split_path(path, arena_alloc(&exchange->ctx.arena, path.size + 1), segments, &count);
	if (r < 0)
		return r;
	return router_match(exchange->server->router, exchange->head.method, segments, count, &exchange->match);
}

static enum exchange_step refuse_route(struct exchange *exchange, int result)
{
	exchange->match.route = NULL;
	if (result == -ENOENT)
		return refuse_with(exchange, 404, NULL, "There is nothing at this path.");
	if (result != -EOPNOTSUPP)
		return refuse_with(exchange, 400, NULL, "The path is malformed.");
	reply_header_add(exchange, "Allow", exchange->match.allow);
	return refuse_with(exchange, 405, NULL, "This path does not take this method; Allow says which it does.");
}

size_t exchange_max_body(const struct exchange *exchange)
{
	size_t own = exchange->match.route->max_body;

	return own ? own : (size_t)exchange->server->runtime->settings->max_body;
}

/* True when the body, if there is one, may be read; otherwise the exchange is answered. */
static bool accept_body(struct exchange *exchange)
{
	const struct http_head *head = &exchange->head;
	const struct prong_schema *schema = exchange->match.route->body;

	if (head->framing == HTTP_NO_BODY) {
		if (schema)
			refuse_with(exchange, 400, "body_missing", "Send a JSON body.");
		return !schema;
	}
	if (http_field(head, "content-encoding", NULL).data) {
		reply_header_add(exchange, "Accept-Encoding", "identity");
		refuse_with(exchange, 415, NULL, "Send the body without Content-Encoding.");
		return false;
	}
	if (!schema) {
		refuse_with(exchange, 415, NULL, "Send no body: nothing here takes one.");
		return false;
	}
	if (!content_type_is_json(http_field(head, "content-type", NULL))) {
		refuse_with(exchange, 415, NULL, "Send JSON in UTF-8, with Content-Type: application/json.");
		return false;
	}
	if (head->framing == HTTP_LENGTH && head->content_length > exchange_max_body(exchange)) {
		exchange->close = true;
		refuse_with(exchange, 413, NULL, "The body is too large.");
		return false;
	}
	return true;
}

enum exchange_step exchange_begin(struct exchange *exchange)
{
	struct problem problem;
	int r;

	exchange->body_unread = exchange->head.framing != HTTP_NO_BODY;
	identify(exchange, http_field(&exchange->head, "x-request-id", NULL));
	join_trace(exchange);
	r = find_route(exchange);
	if (r < 0)
		return refuse_route(exchange, r);
	r = authenticate(exchange, &problem);
	if (r == -EACCES)
		return refuse(exchange, &problem);
	exchange->deferred = r == -EAGAIN;
	if (!accept_body(exchange))
		return EXCHANGE_ANSWERED;
	if (!exchange->body_unread)
		return exchange_run(exchange, NULL, 0);
	/* A body takes its time, in which whoever sends it may be shut out: it is asked again. */
	exchange->deferred = exchange->deferred || exchange->match.route->access != PRONG_PUBLIC;
	return EXCHANGE_NEEDS_BODY;
}

/* ---- the handler ---- */

static bool bind_query(struct exchange *exchange)
{
	const struct prong_schema *schema = exchange->match.route->query;
	struct http_text query = exchange->head.query;
	struct schema_errors errors;
	void *record;

	if (!schema)
		return true;
	errors.count = 0;
	if (schema_bind_query(schema, query.data ? query.data : "", query.size, &exchange->ctx.arena, &record,
			      &errors) < 0) {
		refuse(exchange, &(struct problem){ .status = 400,
						    .code = "invalid_query",
						    .detail = "The query string is wrong: see errors.",
						    .errors = &errors });
		return false;
	}
	exchange->query = record;
	return true;
}

static bool bind_body(struct exchange *exchange)
{
	struct prong_ctx *ctx = &exchange->ctx;
	const struct prong_schema *schema = exchange->match.route->body;
	struct schema_errors errors;
	const char *detail = NULL;
	void *record;
	int r;

	if (!schema)
		return true;
	errors.count = 0;
	r = schema_bind_json(schema, SCHEMA_BODY, exchange->body.data, exchange->body.size, &ctx->arena, &record,
			     &detail, &errors);
	if (r == -EINVAL) {
		refuse(exchange, &(struct problem){ .status = 422,
						    .code = "invalid_body",
						    .detail = "The body does not fit: see errors.",
						    .errors = &errors });
		return false;
	}
	if (r < 0) {
		refuse_with(exchange, 400, "malformed_json", detail);
		return false;
	}
	ctx->input_schema = schema;
	ctx->input = record;
	return true;
}

static void reply_result(struct exchange *exchange, int result)
{
	static const struct problem silent = { .status = 500,
					       .code = "internal",
					       .detail = "Something went wrong here." };
	struct problem problem;

	if (exchange->abandoned) {
		exchange->status = STATUS_CLIENT_GONE;
		exchange->content_size = 0;
		conclude(exchange, NULL, 0);
	} else if (result < 0) {
		problem = context_problem(&exchange->ctx, result);
		reply_problem(exchange, &problem);
		conclude(exchange, &problem, result);
	} else if (exchange->status == 0) {
		prong_log(&exchange->ctx, PRONG_LOG_ERROR, "the handler of %s returned %d without having replied",
			  exchange->match.route->path, result);
		reply_problem(exchange, &silent);
		conclude(exchange, &silent, 0);
	} else {
		conclude(exchange, NULL, 0);
	}
}

static void count_requests(struct http_server *server, int change)
{
	server->n_requests += (size_t)change;
	http_metrics_active(server->n_requests);
}

/*
 * What waited for the coroutine: only whoever is authenticated learns what is wrong with the request. False: it is
 * answered, or its client has gone.
 */
static bool admit(struct exchange *exchange)
{
	struct problem problem;

	if (!exchange->deferred)
		return true;
	if (authenticate(exchange, &problem) == 0)
		return bind_query(exchange) && bind_body(exchange);
	if (exchange->abandoned)
		reply_result(exchange, -ECANCELED);
	else
		refuse(exchange, &problem);
	return false;
}

static void handle(void *argument)
{
	struct exchange *exchange = argument;
	const struct prong_route *route = exchange->match.route;
	prong_duration timeout = route->timeout ? route->timeout : exchange->server->runtime->settings->request_timeout;

	count_requests(exchange->server, 1);
	coroutine_set_deadline(exchange->coroutine, exchange->started + timeout);
	if (admit(exchange))
		reply_result(exchange, route->handler(&exchange->ctx));
	context_end(&exchange->ctx);
	count_requests(exchange->server, -1);
	exchange->coroutine = NULL;
	if (!exchange->starting)
		http_connection_resume(exchange->connection);
}

enum exchange_step exchange_run(struct exchange *exchange, const char *body, size_t size)
{
	static const struct problem busy = { .status = 503,
					     .code = "busy",
					     .detail = "Too many requests are being handled. Try again.",
					     .retry_after = 1 };
	struct http_server *server = exchange->server;
	size_t max = (size_t)server->runtime->settings->max_requests;
	int r;

	if (exchange->body_unread)
		exchange->started = monotonic_us();
	exchange->body_unread = false;
	exchange->body = (struct http_text){ body ? body : "", size };
	if (!exchange->deferred && (!bind_query(exchange) || !bind_body(exchange)))
		return EXCHANGE_ANSWERED;
	/* Probes are answered however much is going on: a busy process is no dead one. */
	if (server->n_requests >= max && !routes_is_builtin(exchange->match.route))
		return refuse(exchange, &busy);

	exchange->starting = true;
	r = coroutine_start(server->runtime->loop, handle, exchange, &exchange->coroutine);
	exchange->starting = false;
	if (r < 0)
		return refuse(exchange, &busy);
	return exchange->coroutine ? EXCHANGE_RUNNING : EXCHANGE_ANSWERED;
}

void exchange_abandon(struct exchange *exchange)
{
	exchange->abandoned = true;
	if (exchange->coroutine)
		coroutine_cancel(exchange->coroutine);
}
