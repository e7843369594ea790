/* The application that the integration tests drive: a route for everything that a client can see of the library. */
#include <prong/prong.h>

#include <locale.h>
#include <string.h>

struct part {
	const char *name;
	int32_t count;
};
PRONG_SCHEMA(part, PRONG_FIELD(part, name, .required = true, .max_length = 20), PRONG_FIELD(part, count));

enum colour { COLOUR_RED, COLOUR_GREEN };

struct sample {
	bool flag;
	int32_t small;
	int64_t large;
	double real;
	const char *text;
	const char *email;
	const char *password;
	prong_uuid id;
	prong_time at;
	enum colour colour;
	prong_json extra;
	struct part *part;
	PRONG_ARRAY(const char *) tags;
	PRONG_ARRAY(struct part) parts;
	prong_opt_bool maybe_flag;
	prong_opt_int32 maybe_small;
	prong_opt_int64 maybe_large;
	prong_opt_double maybe_real;
	prong_opt_uuid maybe_id;
	prong_opt_time maybe_at;
};

PRONG_SCHEMA(sample, PRONG_FIELD(sample, flag), PRONG_FIELD(sample, small, .range = PRONG_RANGE(-100, 100)),
	     PRONG_FIELD(sample, large), PRONG_FIELD(sample, real),
	     PRONG_FIELD(sample, text, .required = true, .max_length = 100000),
	     PRONG_FIELD(sample, email, .format = PRONG_EMAIL), PRONG_FIELD(sample, password, .write_only = true),
	     PRONG_FIELD(sample, id), PRONG_FIELD(sample, at),
	     PRONG_FIELD(sample, colour, .values = PRONG_VALUES("red", "green")), PRONG_FIELD(sample, extra),
	     PRONG_FIELD_OBJECT(sample, part, part), PRONG_FIELD_ARRAY(sample, tags, .max_items = 3),
	     PRONG_FIELD_OBJECTS(sample, parts, part), PRONG_FIELD(sample, maybe_flag, .nullable = true),
	     PRONG_FIELD(sample, maybe_small), PRONG_FIELD(sample, maybe_large), PRONG_FIELD(sample, maybe_real),
	     PRONG_FIELD(sample, maybe_id), PRONG_FIELD(sample, maybe_at));

struct pong {
	bool ok;
};
PRONG_SCHEMA(pong, PRONG_FIELD(pong, ok));

struct item {
	const char *id;
};
PRONG_SCHEMA(item, PRONG_FIELD(item, id));

struct hits {
	int64_t count;
};
PRONG_SCHEMA(hits, PRONG_FIELD(hits, count));

struct wait {
	int32_t ms;
};
PRONG_SCHEMA(wait, PRONG_FIELD(wait, ms, .required = true, .range = PRONG_RANGE(0, 60000)));

struct size {
	int32_t bytes;
};
PRONG_SCHEMA(size, PRONG_FIELD(size, bytes, .required = true, .range = PRONG_RANGE(0, 100000000)));

/* How many handlers of this process ran, /v1/hits and /v1/ping aside: with one process, what was executed at all. */
static int64_t executed;

static int ping(struct prong_ctx *ctx)
{
	return prong_reply(ctx, 200, pong, &(struct pong){ .ok = true });
}

static int get_hits(struct prong_ctx *ctx)
{
	return prong_reply(ctx, 200, hits, &(struct hits){ .count = executed });
}

static int hit(struct prong_ctx *ctx)
{
	return prong_reply(ctx, 201, hits, &(struct hits){ .count = ++executed });
}

static int echo(struct prong_ctx *ctx)
{
	executed++;
	return prong_reply(ctx, 200, sample, prong_body(ctx, sample));
}

static int get_item(struct prong_ctx *ctx)
{
	executed++;
	return prong_reply(ctx, 200, item, &(struct item){ .id = prong_path(ctx, "id") });
}

static int delete_item(struct prong_ctx *ctx)
{
	executed++;
	return prong_reply_empty(ctx, 204);
}

static int unchanged(struct prong_ctx *ctx)
{
	executed++;
	prong_set_header(ctx, "ETag", "\"1\"");
	return prong_reply_empty(ctx, 304);
}

static int slow(struct prong_ctx *ctx)
{
	int r;

	executed++;
	r = prong_exec(ctx, "SELECT pg_sleep($1::double precision / 1000)", prong_query_string(ctx, wait)->ms);
	if (r < 0)
		return r;
	return prong_reply(ctx, 200, pong, &(struct pong){ .ok = true });
}

static int large(struct prong_ctx *ctx)
{
	size_t size = (size_t)prong_query_string(ctx, size)->bytes;
	char *bytes = prong_alloc(ctx, size);

	executed++;
	for (size_t i = 0; i < size; i++)
		bytes[i] = (char)('a' + i % 26);
	return prong_reply_bytes(ctx, 200, "text/plain", bytes, size);
}

static int fail(struct prong_ctx *ctx)
{
	executed++;
	return prong_fail(ctx, 409, "taken", "This is taken.");
}

static int broken(struct prong_ctx *ctx)
{
	executed++;
	return prong_exec(ctx, "SELECT secret_of_ours FROM nowhere");
}

struct scopes {
	bool admin, billing;
};
PRONG_SCHEMA(scopes, PRONG_FIELD(scopes, admin), PRONG_FIELD(scopes, billing));

static int get_scopes(struct prong_ctx *ctx)
{
	const struct scopes scopes = {
		.admin = prong_has_scope(ctx, "admin"),
		.billing = prong_has_scope(ctx, "billing"),
	};

	return prong_reply(ctx, 200, scopes, &scopes);
}

/* An account whose name is in braces or brackets has it for claims; one whose name begins with '!' may not sign in. */

struct named {
	const char *name;
};
PRONG_SCHEMA(named, PRONG_FIELD(named, name));

static int add_claims(struct prong_ctx *ctx, prong_uuid account_id, prong_json *ret_claims)
{
	struct named *account;
	int r = prong_query_one(ctx, named, &account, "SELECT name FROM prong_accounts WHERE id = $1", account_id);

	if (r < 0)
		return r;
	if (account->name && *account->name == '!')
		return prong_fail(ctx, 403, "not_today", "Come back tomorrow.");
	if (account->name && *account->name == '?')
		return prong_query_one(ctx, named, &account, "SELECT name FROM prong_accounts WHERE false");
	if (account->name && strchr("{[", *account->name))
		ret_claims->text = account->name;
	return 0;
}

static int get_tenant(struct prong_ctx *ctx)
{
	const char *tenant = prong_claim(ctx, "tenant");

	return prong_reply(ctx, 200, named, &(struct named){ .name = tenant });
}

/* Jobs whose effects are rows of tables that the tests make. */

struct letter {
	const char *recipient;
	const char *pin;
	int32_t ms;
};
PRONG_SCHEMA(letter, PRONG_FIELD(letter, recipient, .required = true, .max_length = 40),
	     PRONG_FIELD(letter, pin, .secret = true), PRONG_FIELD(letter, ms, .range = PRONG_RANGE(0, 60000)));

struct receipt {
	const char *recipient;
	const char *pin;
};
PRONG_SCHEMA(receipt, PRONG_FIELD(receipt, recipient), PRONG_FIELD(receipt, pin, .secret = true));

/* Fails where the table `strikes` has the recipient; else it takes `ms` and leaves a row in `deliveries`. */
static int deliver(struct prong_ctx *ctx)
{
	const struct letter *letter = prong_payload(ctx, letter);
	int r;

	prong_progress(ctx, 1, 2);
	prong_job_log(ctx, "on the way to %s", letter->recipient);
	r = prong_exec(ctx, "SELECT FROM strikes WHERE recipient = $1", letter->recipient);
	if (r > 0)
		return prong_fail(ctx, 500, "strike", "The postmen are on strike.");
	if (r == 0 && letter->ms)
		r = prong_exec(ctx, "SELECT pg_sleep($1::float8 / 1000)", letter->ms);
	if (r >= 0)
		r = prong_exec(ctx, "INSERT INTO deliveries (recipient, trace_id) VALUES ($1, $2)", letter->recipient,
			       prong_trace_id(ctx));
	if (r < 0)
		return r;
	return prong_result(ctx, receipt, &((struct receipt){ letter->recipient, letter->pin }));
}
PRONG_JOB(deliver, .payload = &letter_schema, .result = &receipt_schema, .queue = "letters", .max_attempts = 1);

static int misdeliver(struct prong_ctx *ctx)
{
	return prong_fail(ctx, 500, "lost", "Nobody knows where it is.");
}
PRONG_JOB(misdeliver, .queue = "letters", .max_attempts = 1);

static int send_letter(struct prong_ctx *ctx)
{
	int r = prong_enqueue(ctx, deliver, prong_body(ctx, letter));

	return r < 0 ? r : prong_reply_empty(ctx, 202);
}

static const struct prong_route routes[] = {
	{ PRONG_GET, "/v1/ping", ping, .reply = &pong_schema, .access = PRONG_PUBLIC, .summary = "Answer" },
	{ PRONG_GET, "/v1/hits", get_hits, .reply = &hits_schema, .access = PRONG_PUBLIC,
	  .summary = "Count executed requests" },
	{ PRONG_POST, "/v1/hits", hit, .reply = &hits_schema, .access = PRONG_PUBLIC, .summary = "Be counted" },
	{ PRONG_POST, "/v1/echo", echo, .body = &sample_schema, .reply = &sample_schema, .access = PRONG_PUBLIC,
	  .summary = "Send back" },
	{ PRONG_POST, "/v1/small", echo, .body = &sample_schema, .max_body = 64, .access = PRONG_PUBLIC,
	  .summary = "Take 64 bytes" },
	{ PRONG_GET, "/v1/items/{id}", get_item, .reply = &item_schema, .access = PRONG_PUBLIC,
	  .summary = "Show the id" },
	{ PRONG_DELETE, "/v1/items/{id}", delete_item, .access = PRONG_PUBLIC, .summary = "Answer without content" },
	{ PRONG_GET, "/v1/unchanged", unchanged, .access = PRONG_PUBLIC, .summary = "Answer 304" },
	{ PRONG_GET, "/v1/slow", slow, .query = &wait_schema, .access = PRONG_PUBLIC,
	  .summary = "Sleep in PostgreSQL" },
	{ PRONG_GET, "/v1/late", slow, .query = &wait_schema, .timeout = PRONG_MILLISECONDS(300),
	  .access = PRONG_PUBLIC, .summary = "Time out" },
	{ PRONG_GET, "/v1/large", large, .query = &size_schema, .access = PRONG_PUBLIC, .summary = "Send many bytes" },
	{ PRONG_GET, "/v1/fail", fail, .access = PRONG_PUBLIC, .summary = "Fail as the application says" },
	{ PRONG_GET, "/v1/broken", broken, .access = PRONG_PUBLIC, .summary = "Fail inside" },
	{ PRONG_GET, "/v1/private", ping, .access = PRONG_SIGNED_IN, .summary = "Need a token" },
	{ PRONG_GET, "/v1/scopes", get_scopes, .reply = &scopes_schema, .access = PRONG_SIGNED_IN,
	  .summary = "Which scopes the token has" },
	{ PRONG_GET, "/v1/tenant", get_tenant, .reply = &named_schema, .access = PRONG_SIGNED_IN,
	  .summary = "The token's claim `tenant`" },
	{ PRONG_POST, "/v1/guarded", echo, .body = &sample_schema, .access = PRONG_ADMIN,
	  .summary = "Need the scope admin" },
	{ PRONG_POST, "/v1/letters", send_letter, .body = &letter_schema, .access = PRONG_PUBLIC,
	  .summary = "Enqueue a job" },
	{}
};

int main(int argc, char *argv[])
{
	setlocale(LC_ALL, "");
	return prong_main(argc, argv,
			  &(struct prong_app){ .name = "test_app",
					       .version = "1.2.3",
					       .routes = routes,
					       .jobs = PRONG_JOBS(&deliver_job, &misdeliver_job),
					       .modules = PRONG_MODULES(&prong_accounts),
					       .claims = add_claims });
}
