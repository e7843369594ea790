#include "server/cli/cli.h"

static const struct command_option *find_option(const struct command_option *options, const char *name, size_t size)
{
	for (; options && options->name; options++)
		if (strlen(options->name) == size && strncmp(options->name, name, size) == 0)
			return options;
	return NULL;
}

/* Takes the option at argv[*i], and its value. */
static int take_option(struct invocation *invocation, const struct command_option *options, int *i)
{
	const char *text = invocation->argv[*i];
	size_t size = strcspn(text, "=");
	const struct command_option *option =
		strncmp(text, "--", 2) == 0 ? find_option(options, text + 2, size - 2) : NULL;

	if (!option) {
		usage_error(invocation, "unknown option '%.*s'", (int)size, text);
		return -EINVAL;
	}
	if (option->flag) {
		if (text[size]) {
			usage_error(invocation, "--%s takes no value", option->name);
			return -EINVAL;
		}
		*option->flag = true;
		return 0;
	}
	if (!text[size] && *i + 1 >= invocation->argc) {
		usage_error(invocation, "--%s needs a value", option->name);
		return -EINVAL;
	}
	*option->value = text[size] ? text + size + 1 : invocation->argv[++*i];
	return 0;
}

int options_parse(struct invocation *invocation, const struct command_option *options, int max_arguments)
{
	bool ended = false;
	int kept = 0;

	for (int i = 0; i < invocation->argc; i++) {
		char *text = invocation->argv[i];

		if (!ended && string_equal(text, "--")) {
			ended = true;
			continue;
		}
		if (!ended && text[0] == '-' && text[1]) {
			if (take_option(invocation, options, &i) < 0)
				return -EINVAL;
			continue;
		}
		if (kept == max_arguments) {
			usage_error(invocation, "'%s' is one argument too many", text);
			return -EINVAL;
		}
		invocation->argv[kept++] = text;
	}
	invocation->argc = kept;
	return 0;
}

int option_integer(const struct invocation *invocation, const char *name, const char *text, int64_t low, int64_t high,
		   int64_t *ret_value)
{
	const char *digits = text + (low < 0 && *text == '-');
	bool number = *digits && strspn(digits, "0123456789") == strlen(digits);
	long long value;

	errno = 0;
	value = number ? strtoll(text, NULL, 10) : 0;
	if (!number || errno || value < low || value > high) {
		usage_error(invocation, "%s: '%s' is not a whole number from %lld to %lld", name, text, (long long)low,
			    (long long)high);
		return -EINVAL;
	}
	*ret_value = value;
	return 0;
}
