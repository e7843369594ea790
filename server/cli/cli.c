#include "server/cli/cli.h"

#include <fcntl.h>
#include <locale.h>
#include <signal.h>

#include "common/log.h"
#include "server/cli/dev.h"
#include "server/supervisor/composition.h"

static const struct command *const commands[] = {
	&command_dev,  &command_serve,	&command_work,	    &command_migrate, &command_accounts, &command_keys,
	&command_jobs, &command_queues, &command_schedules, &command_config,  &command_routes,	 &command_version,
};

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (string_equal(commands[i]->name, name))
			return commands[i];
	return NULL;
}

/* ---- messages ---- */

__attribute__((format(printf, 2, 0))) static void say(const struct invocation *invocation, const char *format,
						      va_list arguments)
{
	_cleanup_(freep) char *text = vformat_text(format, arguments);

	fprintf(stderr, "%s: %s\n", invocation->program, text);
}

int usage_error(const struct invocation *invocation, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say(invocation, format, arguments);
	va_end(arguments);
	if (invocation->command)
		fprintf(stderr, "Try `%s %s --help`.\n", invocation->program, invocation->command->name);
	else
		fprintf(stderr, "Try `%s --help`.\n", invocation->program);
	return STATUS_USAGE;
}

int command_error(const struct invocation *invocation, int status, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say(invocation, format, arguments);
	va_end(arguments);
	return status;
}

int command_mistakes(const struct invocation *invocation, int status, struct buffer *mistakes)
{
	const char *line = buffer_text(mistakes);

	while (*line) {
		size_t size = strcspn(line, "\n");

		fprintf(stderr, "%s: %.*s\n", invocation->program, (int)size, line);
		line += size + (line[size] == '\n');
	}
	return status;
}

int output_end(const struct invocation *invocation)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return STATUS_OK;
	return command_error(invocation, STATUS_FAILURE, "standard output cannot be written: %s", strerror(errno));
}

/* ---- help ---- */

static void write_commands(const struct invocation *invocation, FILE *out)
{
	fprintf(out, "Usage: %s COMMAND [ARGUMENTS]\n\n", invocation->program);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(out, "  %-9s  %s\n", commands[i]->name, commands[i]->summary);
	fprintf(out, "\n`%s COMMAND --help` says more.\n", invocation->program);
}

static int write_help(const struct invocation *invocation)
{
	const struct command *command = invocation->command;

	printf("Usage: %s %s%s%s\n\n%s.\n", invocation->program, command->name, *command->usage ? " " : "",
	       command->usage, command->summary);
	if (*command->help)
		printf("\n%s", command->help);
	return output_end(invocation);
}

static bool wants_help(const struct invocation *invocation)
{
	for (int i = 0; i < invocation->argc && !string_equal(invocation->argv[i], "--"); i++)
		if (string_equal(invocation->argv[i], "--help") || string_equal(invocation->argv[i], "-h"))
			return true;
	return false;
}

/* ---- needs ---- */

static int need_registry(struct invocation *invocation, struct buffer *mistakes)
{
	if (invocation->registry)
		return 0;
	return registry_new(invocation->app, invocation->composition->builtin, &invocation->registry, mistakes);
}

static int need_settings(struct invocation *invocation, struct buffer *mistakes)
{
	if (invocation->settings)
		return 0;
	return settings_read(dev_is_running() ? DEV_ENVIRONMENT : NULL, &invocation->settings, mistakes);
}

static void need_value(const struct invocation *invocation, const char *name, const char *value, const char *example,
		       struct buffer *mistakes)
{
	if (!value)
		buffer_add_format(mistakes,
				  "%s is not set: set it (%s), or run `%s dev`, which starts what it needs itself\n",
				  name, example, invocation->program);
}

static void need_services(const struct invocation *invocation, unsigned needs, struct buffer *mistakes)
{
	const struct settings *settings = invocation->settings;

	if ((needs & NEEDS_DATABASE) == NEEDS_DATABASE)
		need_value(invocation, "DATABASE_URL", settings->database_url,
			   "postgresql://user:password@host/database", mistakes);
	if ((needs & NEEDS_REDIS) == NEEDS_REDIS)
		need_value(invocation, "REDIS_URL", settings->redis_url, "redis://host:6379", mistakes);
	if ((needs & NEEDS_SECRET) == NEEDS_SECRET && invocation->registry &&
	    registry_module(invocation->registry, ACCOUNTS_MODULE))
		need_value(invocation, "PRONG_SECRET", settings->secret, "`openssl rand -hex 32` makes one", mistakes);
}

int invocation_need(struct invocation *invocation, unsigned needs)
{
	struct buffer mistakes = { 0 };
	int status = STATUS_OK;

	if (needs & NEEDS_REGISTRY)
		need_registry(invocation, &mistakes);
	if (needs & NEEDS_SETTINGS && need_settings(invocation, &mistakes) == 0)
		need_services(invocation, needs, &mistakes);
	if (mistakes.size)
		status = command_mistakes(invocation, STATUS_CONFIGURATION, &mistakes);
	else if (invocation->settings)
		log_open(invocation->app->name, invocation->command->name,
			 (enum prong_log_level)invocation->settings->log_level,
			 settings_log_json(invocation->settings));
	buffer_free(&mistakes);
	return status;
}

/* ---- running ---- */

/* An application may have called setlocale(): numbers in JSON, SQL and logs have a point all the same. */
static void settle_locale(void)
{
	locale_t here = duplocale(LC_GLOBAL_LOCALE), settled;

	settled = here ? newlocale(LC_NUMERIC_MASK, "C", here) : (locale_t)0;
	if (!settled)
		panic("no locale for numbers");
	uselocale(settled);
}

/* Where standard streams are closed, the next descriptors opened would be taken for them. */
static void settle_streams(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int cli_run(int argc, char *argv[], const struct prong_app *app, const struct composition *composition)
{
	const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
	struct invocation invocation = {
		.program = slash      ? slash + 1
			   : argc > 0 ? argv[0]
				      : app->name,
		.app = app,
		.composition = composition,
	};
	int status;

	settle_streams();
	settle_locale();
	signal(SIGPIPE, SIG_IGN);
	if (argc < 2) {
		write_commands(&invocation, stderr);
		return STATUS_USAGE;
	}
	if (string_equal(argv[1], "--help") || string_equal(argv[1], "-h") || string_equal(argv[1], "help")) {
		write_commands(&invocation, stdout);
		return output_end(&invocation);
	}
	invocation.command = find_command(string_equal(argv[1], "--version") ? "version" : argv[1]);
	if (!invocation.command)
		return usage_error(&invocation, argv[1][0] == '-' ? "unknown option '%s'" : "unknown command '%s'",
				   argv[1]);

	invocation.argc = argc - 2;
	invocation.argv = argv + 2;
	status = wants_help(&invocation) ? write_help(&invocation) : invocation.command->run(&invocation);
	registry_free(invocation.registry);
	settings_free(invocation.settings);
	return status;
}
