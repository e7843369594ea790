/* The application that the bench measures: a small JSON reply, and one row of PostgreSQL by its key. */
#include <prong/prong.h>

struct greeting {
	const char *message;
};

PRONG_SCHEMA(greeting, PRONG_FIELD(greeting, message));

static int get_json(struct prong_ctx *ctx)
{
	return prong_reply(ctx, 200, greeting, &(struct greeting){ .message = "hello" });
}

struct row {
	int32_t id;
	const char *title;
	const char *body;
};

PRONG_SCHEMA(row, PRONG_FIELD(row, id), PRONG_FIELD(row, title), PRONG_FIELD(row, body));

static int get_row(struct prong_ctx *ctx)
{
	struct row *row;
	int r;

	r = prong_query_one(ctx, row, &row, "SELECT id, title, body FROM bench WHERE id = $1", prong_path(ctx, "id"));
	if (r < 0)
		return r;
	return prong_reply(ctx, 200, row, row);
}

static const struct prong_route routes[] = {
	{ PRONG_GET, "/json", get_json, .reply = &greeting_schema, .summary = "A small JSON reply" },
	{ PRONG_GET, "/row/{id}", get_row, .reply = &row_schema, .summary = "One row by its key" },
	{},
};

int main(int argc, char *argv[])
{
	return prong_main(argc, argv, &(struct prong_app){ .name = "bench", .version = "1", .routes = routes });
}
