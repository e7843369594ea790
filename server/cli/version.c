#include "server/cli/cli.h"

static int run(struct invocation *invocation)
{
	const struct prong_app *app = invocation->app;
	bool json = false;
	_cleanup_(table_freep) struct table *table = NULL;

	if (options_parse(invocation, (struct command_option[]){ { "json", .flag = &json }, {} }, 0) < 0)
		return STATUS_USAGE;
	if (!json) {
		printf("%s %s (Prong %s)\n", app->name, app->version, PRONG_LIBRARY_VERSION);
		return output_end(invocation);
	}
	table = table_new((const char *const[]){ "name", "version", "prong", NULL });
	table_add(table, app->name);
	table_add(table, app->version);
	table_add(table, PRONG_LIBRARY_VERSION);
	return table_print(table, true, "");
}

const struct command command_version = {
	.name = "version",
	.usage = "[--json]",
	.summary = "Print the application's version and Prong's",
	.help = "  --json  as a JSON array of one object\n",
	.run = run,
};
