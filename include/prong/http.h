/*
 * Routes, requests and replies.
 *
 * Before a handler runs, the request has been parsed (RFC 9112), matched, its token verified where the route asks for
 * one, and its body and query string parsed, validated and bound to their records. Whatever was wrong has been answered
 * as application/problem+json (RFC 9457): 400 malformed, 401 no or bad token or no recent sign-in where the
 * route asks for one, 403 without its scope or sent by another site with a browser's cookie, 404, 405 with Allow, 413,
 * 415, 422 with every wrong field and its JSON pointer (RFC 6901).
 */
#ifndef PRONG_HTTP_H
#define PRONG_HTTP_H

#include <prong/context.h>
#include <prong/schema.h>

#pragma GCC visibility push(default)

enum prong_method {
	PRONG_GET = 1, /* HEAD is answered by the GET route */
	PRONG_POST,
	PRONG_PUT,
	PRONG_PATCH,
	PRONG_DELETE,
};

/*
 * Who may use a route. In an application with accounts each route says so, or it does not start: what was forgotten is
 * never open to all. In one without, 0 is PRONG_PUBLIC.
 */
enum prong_access {
	PRONG_PUBLIC = 1,
	PRONG_SIGNED_IN, /* a valid access token or API key, or 401 */
	PRONG_ADMIN,	 /* likewise, of an account that has the scope "admin", or 403 */
};

/* A route list ends with an empty entry. */
struct prong_route {
	enum prong_method method;
	const char *path; /* "/v1/notes/{id}": segments are literal or one {name}; a literal one wins */
	prong_handler *handler;
	const struct prong_schema *body;  /* JSON body, required; NULL: the route takes none and refuses one with 415 */
	const struct prong_schema *query; /* query string: scalars only; unknown and repeated names: 400 */
	const struct prong_schema *reply;
	enum prong_access access;
	const char *scope; /* one that the token must have besides, "notes:write"; else 403. Not with PRONG_PUBLIC */
	bool recent;	   /* signed in within RECENT_SIGN_IN, or 401 recent_sign_in_required; no API keys */
	size_t max_body;   /* bytes; 0: the setting MAX_BODY */
	prong_duration timeout; /* from the whole request to its reply, then 504; 0: the setting REQUEST_TIMEOUT */
	const char *summary;	/* one line for `routes` */
};

/* The bound body or query string: `const struct note *in = prong_body(ctx, note);`. Lives as long as the request. */
#define prong_body(ctx, type) ((const struct type *)prong_body_of((ctx), &type##_schema))
#define prong_query_string(ctx, type) ((const struct type *)prong_query_string_of((ctx), &type##_schema))

/* The text of the path's {name}, percent-decoded. */
const char *prong_path(const struct prong_ctx *ctx, const char *name);

/* The path's {name} as a UUID; otherwise -ENOENT, which answers 404: there is no such thing. */
int prong_path_uuid(struct prong_ctx *ctx, const char *name, prong_uuid *ret_uuid);

/*
 * The client's address as text, "203.0.113.7" or "2001:db8::7"; of a request that came through TRUSTED_PROXIES, what
 * they say in X-Forwarded-For; "unix" of a client on a Unix socket. NULL in a job. Lives as long as the request.
 */
const char *prong_client_address(const struct prong_ctx *ctx);

/* A request header's value by case-insensitive name, or NULL. */
const char *prong_header(const struct prong_ctx *ctx, const char *name);

/*
 * Adds a header to the reply that is made next. Both are copied. A value with control characters, which would end the
 * header, leaves it out and is logged. Content-Type, Date, X-Request-Id and what frames the reply are the library's:
 * such a name aborts. Cache-Control is no-store unless set; failures are never cacheable.
 */
void prong_set_header(struct prong_ctx *ctx, const char *name, const char *value);

/*
 * Replies with one record as JSON. Returns 0. Write-only fields are left out. A reply is sent once the handler returns:
 * a second one replaces it, and so does the failure where the handler returns a negative value.
 */
#define prong_reply(ctx, status, type, record) \
	prong_reply_record((ctx), (status), &type##_schema, (const struct type *){ (record) })

/* Replies with {"items":[…]}. `records` is an array of structs, as prong_query() gives. */
#define prong_reply_list(ctx, status, type, records, count) \
	prong_reply_records((ctx), (status), &type##_schema, (const struct type *){ (records) }, (count))

/* Replies without content, e.g. 204. */
int prong_reply_empty(struct prong_ctx *ctx, int status);

/* Replies with bytes of any type; they are copied. A type with control characters is application/octet-stream. */
int prong_reply_bytes(struct prong_ctx *ctx, int status, const char *content_type, const void *data, size_t size);

/* What the macros above stand on. */
const void *prong_body_of(const struct prong_ctx *ctx, const struct prong_schema *schema);
const void *prong_query_string_of(const struct prong_ctx *ctx, const struct prong_schema *schema);
int prong_reply_record(struct prong_ctx *ctx, int status, const struct prong_schema *schema, const void *record);
int prong_reply_records(struct prong_ctx *ctx, int status, const struct prong_schema *schema, const void *records,
			size_t count);

#pragma GCC visibility pop

#endif
