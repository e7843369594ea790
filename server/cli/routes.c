#include "server/cli/cli.h"

static const char *const methods[] = {
	[PRONG_GET] = "GET",	 [PRONG_POST] = "POST",	    [PRONG_PUT] = "PUT",
	[PRONG_PATCH] = "PATCH", [PRONG_DELETE] = "DELETE",
};

static const char *const accesses[] = {
	"public", /* of an application without accounts */
	[PRONG_PUBLIC] = "public",
	[PRONG_SIGNED_IN] = "signed in",
	[PRONG_ADMIN] = "admin",
};

/* As "signed in, notes:write, recent". */
static void add_access(struct table *table, const struct prong_route *route)
{
	_cleanup_(freep) char *text = format_text("%s%s%s%s", accesses[route->access], route->scope ? ", " : "",
						  route->scope ? route->scope : "", route->recent ? ", recent" : "");

	table_add(table, text);
}

static int run(struct invocation *invocation)
{
	_cleanup_(table_freep) struct table *table =
		table_new((const char *const[]){ "method", "path", "access", "body", "reply", "summary", NULL });
	bool json = false;
	int status;

	if (options_parse(invocation, (struct command_option[]){ { "json", .flag = &json }, {} }, 0) < 0)
		return STATUS_USAGE;
	status = invocation_need(invocation, NEEDS_REGISTRY);
	if (status)
		return status;

	for (size_t i = 0; i < invocation->registry->n_routes; i++) {
		const struct prong_route *route = invocation->registry->routes[i];

		table_add(table, methods[route->method]);
		table_add(table, route->path);
		add_access(table, route);
		table_add(table, route->body ? route->body->name : NULL);
		table_add(table, route->reply ? route->reply->name : NULL);
		table_add(table, route->summary);
	}
	return table_print(table, json, "There are no routes.");
}

const struct command command_routes = {
	.name = "routes",
	.usage = "[--json]",
	.summary = "List the routes, those of modules first",
	.help = "  --json  as a JSON array of objects\n",
	.run = run,
};
