#include "server/cli/cli.h"

static void add_member(struct buffer *out, const char *name, const char *value)
{
	buffer_add_format(out, "%s\"%s\": ", out->size ? ", " : "{", name);
	buffer_add_json_string(out, value, strlen(value));
}

static int run(struct invocation *invocation)
{
	const struct prong_app *app = invocation->app;
	struct buffer out = { 0 };
	bool json = false;

	if (options_parse(invocation, (struct command_option[]){ { "json", .flag = &json }, {} }, 0) < 0)
		return STATUS_USAGE;
	if (json) {
		add_member(&out, "name", app->name);
		add_member(&out, "version", app->version);
		add_member(&out, "prong", PRONG_LIBRARY_VERSION);
		buffer_add_char(&out, '}');
	} else {
		buffer_add_format(&out, "%s %s (Prong %s)", app->name, app->version, PRONG_LIBRARY_VERSION);
	}
	puts(buffer_text(&out));
	buffer_free(&out);
	return output_end(invocation);
}

const struct command command_version = {
	.name = "version",
	.usage = "[--json]",
	.summary = "Print the application's version and Prong's",
	.help = "  --json  as a JSON object\n",
	.run = run,
};
