#include "server/cli/cli.h"

static int refuse_verb(const struct invocation *invocation, const struct verb *verbs)
{
	struct buffer known = { 0 };
	int status;

	for (const struct verb *verb = verbs; verb->name; verb++)
		buffer_add_format(&known, "%s%s", known.size == 0 ? "" : verb[1].name ? ", " : " and ", verb->name);
	if (invocation->argc == 0)
		status = usage_error(invocation, "what is to be done is missing; there are %s", buffer_text(&known));
	else if (invocation->argv[0][0] == '-')
		status = usage_error(invocation, "unknown option '%s': say first what is to be done; there are %s",
				     invocation->argv[0], buffer_text(&known));
	else
		status = usage_error(invocation, "there is no %s %s; there are %s", invocation->command->name,
				     invocation->argv[0], buffer_text(&known));
	buffer_free(&known);
	return status;
}

int verb_run(struct invocation *invocation, const struct verb *verbs)
{
	for (const struct verb *verb = verbs; verb->name && invocation->argc; verb++)
		if (string_equal(invocation->argv[0], verb->name))
			return verb->run(invocation);
	return refuse_verb(invocation, verbs);
}
