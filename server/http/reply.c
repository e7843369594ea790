#include "server/http/reply.h"

#include <strings.h>

#include "common/schema/schema.h"
#include "server/http/checks.h"
#include "server/http/http_server.h"

struct status {
	const char *line;
	size_t line_size;
	const char *reason, *code;
};

/* clang-format off */
#define STATUS(number, reason_, code_)                          \
	[number] = { .line = "HTTP/1.1 " #number " " reason_ "\r\n", \
		     .line_size = sizeof("HTTP/1.1 " #number " " reason_ "\r\n") - 1, \
		     .reason = reason_, .code = code_ }

static const struct status statuses[600] = {
	STATUS(200, "OK", "ok"),
	STATUS(201, "Created", "created"),
	STATUS(202, "Accepted", "accepted"),
	STATUS(203, "Non-Authoritative Information", "non_authoritative"),
	STATUS(204, "No Content", "no_content"),
	STATUS(205, "Reset Content", "reset_content"),
	STATUS(300, "Multiple Choices", "multiple_choices"),
	STATUS(301, "Moved Permanently", "moved_permanently"),
	STATUS(302, "Found", "found"),
	STATUS(303, "See Other", "see_other"),
	STATUS(304, "Not Modified", "not_modified"),
	STATUS(307, "Temporary Redirect", "temporary_redirect"),
	STATUS(308, "Permanent Redirect", "permanent_redirect"),
	STATUS(400, "Bad Request", "bad_request"),
	STATUS(401, "Unauthorized", "unauthorized"),
	STATUS(402, "Payment Required", "payment_required"),
	STATUS(403, "Forbidden", "forbidden"),
	STATUS(404, "Not Found", "not_found"),
	STATUS(405, "Method Not Allowed", "method_not_allowed"),
	STATUS(406, "Not Acceptable", "not_acceptable"),
	STATUS(408, "Request Timeout", "request_timeout"),
	STATUS(409, "Conflict", "conflict"),
	STATUS(410, "Gone", "gone"),
	STATUS(411, "Length Required", "length_required"),
	STATUS(412, "Precondition Failed", "precondition_failed"),
	STATUS(413, "Content Too Large", "content_too_large"),
	STATUS(414, "URI Too Long", "uri_too_long"),
	STATUS(415, "Unsupported Media Type", "unsupported_media_type"),
	STATUS(416, "Range Not Satisfiable", "range_not_satisfiable"),
	STATUS(417, "Expectation Failed", "expectation_failed"),
	STATUS(421, "Misdirected Request", "misdirected_request"),
	STATUS(422, "Unprocessable Content", "unprocessable_content"),
	STATUS(423, "Locked", "locked"),
	STATUS(424, "Failed Dependency", "failed_dependency"),
	STATUS(425, "Too Early", "too_early"),
	STATUS(426, "Upgrade Required", "upgrade_required"),
	STATUS(428, "Precondition Required", "precondition_required"),
	STATUS(429, "Too Many Requests", "too_many_requests"),
	STATUS(431, "Request Header Fields Too Large", "header_fields_too_large"),
	STATUS(451, "Unavailable For Legal Reasons", "unavailable_for_legal_reasons"),
	STATUS(500, "Internal Server Error", "internal"),
	STATUS(501, "Not Implemented", "not_implemented"),
	STATUS(502, "Bad Gateway", "bad_gateway"),
	STATUS(503, "Service Unavailable", "unavailable"),
	STATUS(504, "Gateway Timeout", "timeout"),
	STATUS(505, "HTTP Version Not Supported", "version_not_supported"),
	STATUS(507, "Insufficient Storage", "insufficient_storage"),
};
/* clang-format on */

const char *status_reason(int status)
{
	const char *reason = status >= 0 && (size_t)status < ARRAY_SIZE(statuses) ? statuses[status].reason : NULL;

	return reason ? reason : "Unknown";
}

const char *status_code(int status)
{
	const char *code = status >= 0 && (size_t)status < ARRAY_SIZE(statuses) ? statuses[status].code : NULL;

	return code ? code : "error";
}

static void put_digits(char *place, int value)
{
	place[0] = (char)('0' + value / 10);
	place[1] = (char)('0' + value % 10);
}

void http_date_format(int64_t seconds, char text[HTTP_DATE_SIZE])
{
	/* strftime() would follow a locale. */
	static const char days[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
					    "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	time_t time = (time_t)seconds;
	struct tm tm;

	if (!gmtime_r(&time, &tm))
		panic("the clock stands at %lld", (long long)seconds);
	memcpy(text, "Day, 00 Mon 0000 00:00:00 GMT", HTTP_DATE_SIZE);
	memcpy(text, days[tm.tm_wday], 3);
	put_digits(text + 5, tm.tm_mday);
	memcpy(text + 8, months[tm.tm_mon], 3);
	put_digits(text + 12, (tm.tm_year + 1900) / 100);
	put_digits(text + 14, (tm.tm_year + 1900) % 100);
	put_digits(text + 17, tm.tm_hour);
	put_digits(text + 20, tm.tm_min);
	put_digits(text + 23, tm.tm_sec);
}

static void write_status_line(struct buffer *out, int status)
{
	if (statuses[status].line)
		buffer_add(out, statuses[status].line, statuses[status].line_size);
	else
		buffer_add_format(out, "HTTP/1.1 %d \r\n", status);
}

static void write_date(struct http_server *server, struct buffer *out)
{
	time_t now = time(NULL);

	if (now != server->date_at) {
		memcpy(server->date, "Date: ", 6);
		http_date_format(now, server->date + 6);
		memcpy(server->date + 6 + HTTP_DATE_SIZE - 1, "\r\n", 2);
		server->date_at = now;
	}
	buffer_add(out, server->date, 6 + HTTP_DATE_SIZE - 1 + 2);
}

static void write_headers(const struct exchange *exchange, struct buffer *out, bool cacheable)
{
	bool says_cache = false, says_type_options = false;

	for (const struct reply_header *header = exchange->headers; header; header = header->next) {
		if (strcasecmp(header->name, "cache-control") == 0) {
			if (!cacheable)
				continue;
			says_cache = true;
		} else if (strcasecmp(header->name, "x-content-type-options") == 0) {
			says_type_options = true;
		}
		buffer_add_string(out, header->name);
		buffer_add_literal(out, ": ");
		buffer_add_string(out, header->value);
		buffer_add_literal(out, "\r\n");
	}
	if (!says_cache)
		buffer_add_literal(out, "Cache-Control: no-store\r\n");
	if (!says_type_options)
		buffer_add_literal(out, "X-Content-Type-Options: nosniff\r\n");
}

/*
 * The whole reply, with `data` as its content (left out for HEAD). `content_type` NULL: no content at all; then 204 and
 * 304 have no Content-Length either. Decides about `exchange->close`.
 */
static void write_reply(struct exchange *exchange, int status, const char *content_type, const void *data, size_t size,
			bool cacheable)
{
	struct buffer *out = &exchange->reply;
	bool bodiless = status == 204 || status == 304;

	check(status >= 200 && status <= 599);
	if (bodiless || !content_type)
		size = 0;
	if (!exchange->head.keep_alive || exchange->server->draining)
		exchange->close = true;
	exchange->status = status;
	exchange->content_size = exchange->head.is_head ? 0 : size;

	out->size = 0;
	buffer_reserve(out, 512 + exchange->content_size);
	write_status_line(out, status);
	write_date(exchange->server, out);
	buffer_add_literal(out, "X-Request-Id: ");
	buffer_add_string(out, exchange->ctx.request_id);
	if (content_type && !bodiless) {
		buffer_add_literal(out, "\r\nContent-Type: ");
		buffer_add_string(out, content_type);
	}
	if (!bodiless) {
		buffer_add_literal(out, "\r\nContent-Length: ");
		buffer_add_integer(out, (int64_t)size);
	}
	buffer_add_literal(out, "\r\n");
	write_headers(exchange, out, cacheable);
	if (exchange->close)
		buffer_add_literal(out, "Connection: close\r\n");
	else if (exchange->head.minor == 0)
		buffer_add_literal(out, "Connection: keep-alive\r\n");
	buffer_add_literal(out, "\r\n");
	buffer_add(out, data, exchange->content_size);
}

void reply_header_add(struct exchange *exchange, const char *name, const char *value)
{
	struct reply_header *header = arena_alloc(&exchange->ctx.arena, sizeof(*header));

	*header = (struct reply_header){ .name = name, .value = value };
	*exchange->last_header = header;
	exchange->last_header = &header->next;
}

static void add_member(struct buffer *out, const char *name, const char *value)
{
	buffer_add_format(out, ",\"%s\":", name);
	buffer_add_json_string(out, value, strlen(value));
}

static void add_errors(struct buffer *out, const struct schema_errors *errors)
{
	buffer_add_literal(out, ",\"errors\":[");
	for (size_t i = 0; i < errors->count; i++) {
		const struct schema_error *error = &errors->items[i];
		/* The empty pointer is the whole document; what does not begin with '/' is a query parameter's name. */
		bool pointer = error->pointer[0] == '\0' || error->pointer[0] == '/';

		buffer_add_string(out, i ? ",{" : "{");
		buffer_add_string(out, pointer ? "\"pointer\":" : "\"parameter\":");
		buffer_add_json_string(out, error->pointer, strlen(error->pointer));
		add_member(out, "code", error->code);
		add_member(out, "detail", error->detail);
		buffer_add_char(out, '}');
	}
	buffer_add_char(out, ']');
}

void reply_problem(struct exchange *exchange, const struct problem *problem)
{
	struct buffer *json = &exchange->server->scratch;
	const char *code = problem->code ? problem->code : status_code(problem->status);

	json->size = 0;
	buffer_add_literal(json, "{\"type\":\"about:blank\"");
	add_member(json, "title", status_reason(problem->status));
	buffer_add_literal(json, ",\"status\":");
	buffer_add_integer(json, problem->status);
	add_member(json, "code", code);
	if (problem->detail)
		add_member(json, "detail", problem->detail);
	add_member(json, "request_id", exchange->ctx.request_id);
	if (problem->errors)
		add_errors(json, problem->errors);
	buffer_add_char(json, '}');

	if (problem->retry_after)
		reply_header_add(exchange, "Retry-After",
				 arena_format(&exchange->ctx.arena, "%d", problem->retry_after));
	write_reply(exchange, problem->status, "application/problem+json", json->data, json->size, false);
}

/* ---- the public functions of include/prong/http.h ---- */

static struct exchange *exchange_of(const struct prong_ctx *ctx)
{
	if (!ctx->exchange)
		panic("this function is for handlers of requests, not for jobs");
	return ctx->exchange;
}

const void *prong_body_of(const struct prong_ctx *ctx, const struct prong_schema *schema)
{
	exchange_of(ctx);
	if (!schema_is(ctx->input_schema, schema))
		panic("prong_body() for %s: the route takes %s", schema->name,
		      ctx->input_schema ? ctx->input_schema->name : "no body");
	return ctx->input;
}

const void *prong_query_string_of(const struct prong_ctx *ctx, const struct prong_schema *schema)
{
	const struct exchange *exchange = exchange_of(ctx);

	if (!schema_is(exchange->match.route->query, schema))
		panic("prong_query_string() for %s: the route's query string is another", schema->name);
	return exchange->query;
}

const char *prong_path(const struct prong_ctx *ctx, const char *name)
{
	const struct route_match *match = &exchange_of(ctx)->match;

	for (size_t i = 0; i < match->n_parameters; i++)
		if (string_equal(match->names[i], name))
			return match->values[i].data;
	panic("prong_path(): the path %s has no {%s}", match->route->path, name);
}

int prong_path_uuid(struct prong_ctx *ctx, const char *name, prong_uuid *ret_uuid)
{
	return prong_uuid_parse(prong_path(ctx, name), ret_uuid) < 0 ? -ENOENT : 0;
}

const char *prong_header(const struct prong_ctx *ctx, const char *name)
{
	struct exchange *exchange = exchange_of(ctx);
	size_t size = strlen(name);

	for (size_t i = 0; i < exchange->head.n_fields; i++) {
		const struct http_field *field = &exchange->head.fields[i];

		if (field->name.size == size && strncasecmp(field->name.data, name, size) == 0)
			return arena_strndup(&exchange->ctx.arena, field->value.data, field->value.size);
	}
	return NULL;
}

void prong_set_header(struct prong_ctx *ctx, const char *name, const char *value)
{
	struct exchange *exchange = exchange_of(ctx);

	if (!header_name_is_settable(name))
		panic("prong_set_header(): \"%s\" is no name of a header that an application may set", name);
	if (!header_value_is_valid(value)) {
		prong_log(ctx, PRONG_LOG_ERROR, "the header %s is left out: its value has control characters", name);
		return;
	}
	reply_header_add(exchange, arena_strdup(&ctx->arena, name), arena_strdup(&ctx->arena, value));
}

int prong_reply_record(struct prong_ctx *ctx, int status, const struct prong_schema *schema, const void *record)
{
	struct exchange *exchange = exchange_of(ctx);
	struct buffer *json = &exchange->server->scratch;

	json->size = 0;
	schema_write_json(schema, SCHEMA_REPLY, record, json);
	write_reply(exchange, status, "application/json", json->data, json->size, true);
	return 0;
}

int prong_reply_records(struct prong_ctx *ctx, int status, const struct prong_schema *schema, const void *records,
			size_t count)
{
	struct exchange *exchange = exchange_of(ctx);
	struct buffer *json = &exchange->server->scratch;

	json->size = 0;
	buffer_add_literal(json, "{\"items\":[");
	for (size_t i = 0; i < count; i++) {
		if (i)
			buffer_add_char(json, ',');
		schema_write_json(schema, SCHEMA_REPLY, (const char *)records + i * schema->size, json);
	}
	buffer_add_literal(json, "]}");
	write_reply(exchange, status, "application/json", json->data, json->size, true);
	return 0;
}

int prong_reply_empty(struct prong_ctx *ctx, int status)
{
	write_reply(exchange_of(ctx), status, NULL, NULL, 0, true);
	return 0;
}

int prong_reply_bytes(struct prong_ctx *ctx, int status, const char *content_type, const void *data, size_t size)
{
	if (!header_value_is_valid(content_type)) {
		prong_log(ctx, PRONG_LOG_ERROR, "a reply's content type has control characters");
		content_type = "application/octet-stream";
	}
	write_reply(exchange_of(ctx), status, content_type, data, size, true);
	return 0;
}
