#include "server/cli/cli.h"

static int run(struct invocation *invocation)
{
	_cleanup_(table_freep) struct table *table =
		table_new((const char *const[]){ "name", "value", "source", "summary", NULL });
	_cleanup_(freep) struct setting_value *values = NULL;
	bool json = false;
	size_t count;
	int status;

	if (options_parse(invocation, (struct command_option[]){ { "json", .flag = &json }, {} }, 0) < 0)
		return STATUS_USAGE;
	status = invocation_need(invocation, NEEDS_SETTINGS);
	if (status)
		return status;

	count = settings_list(invocation->settings, &values);
	for (size_t i = 0; i < count; i++) {
		table_add(table, values[i].name);
		table_add(table, *values[i].value ? values[i].value : NULL);
		table_add(table, values[i].source);
		table_add(table, values[i].summary);
	}
	return table_print(table, json, "");
}

const struct command command_config = {
	.name = "config",
	.usage = "[--json]",
	.summary = "Check and show the settings, each with its source",
	.help = "Settings come from the environment, from the file that NAME_FILE names (for secrets), from .env in "
		"the\n"
		"working directory, or are defaults. Secrets are never shown.\n"
		"\n"
		"  --json  as a JSON array of objects\n",
	.run = run,
};
