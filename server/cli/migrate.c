#include "common/postgres/migrate.h"
#include "common/context.h"
#include "common/postgres/postgres.h"
#include "server/cli/cli.h"

/* A migration may build an index for hours. */
#define PATIENCE PRONG_HOURS(24)

/* One run of `up`, `down` or `status`. */
struct migrating {
	struct invocation *invocation;
	struct migrations migrations;
	struct buffer mistakes;
	const char *sequence;
	size_t steps, done;
	bool json;
};

static void show_applied(const struct migration *migration, void *argument)
{
	struct migrating *migrating = argument;

	migrating->done++;
	printf("applied %s/%04d_%s\n", migration->sequence, migration->number, migration->name);
	fflush(stdout);
}

static void show_undone(const struct migration *migration, void *argument)
{
	struct migrating *migrating = argument;

	migrating->done++;
	printf("undone  %s/%04d_%s\n", migration->sequence, migration->number, migration->name);
	fflush(stdout);
}

static int up(struct prong_ctx *ctx, struct migrating *migrating)
{
	int r = migrations_up(ctx, &migrating->migrations, show_applied, migrating, &migrating->mistakes);

	if (r == 0 && migrating->done == 0)
		printf("nothing to apply\n");
	return r;
}

static int down(struct prong_ctx *ctx, struct migrating *migrating)
{
	int r = migrations_down(ctx, &migrating->migrations, migrating->sequence, migrating->steps, show_undone,
				migrating, &migrating->mistakes);

	if (r == 0 && migrating->done == 0)
		printf("nothing to undo\n");
	return r;
}

static int status(struct prong_ctx *ctx, struct migrating *migrating)
{
	_cleanup_(table_freep) struct table *table = table_new(
		(const char *const[]){ "sequence", "number", "name", "applied_at", "changed", "can_undo", NULL });
	int r = migrations_status(ctx, &migrating->migrations, &migrating->mistakes);

	if (r < 0)
		return r;
	for (size_t i = 0; i < migrating->migrations.count; i++) {
		const struct migration *migration = &migrating->migrations.items[i];

		table_add(table, migration->sequence);
		table_add_integer(table, migration->number);
		table_add(table, migration->name);
		table_add(table, migration->applied_at);
		table_add_bool(table, migration->changed);
		table_add_bool(table, migration->down != NULL);
	}
	if (table_print(table, migrating->json, "There are no migrations.") != STATUS_OK)
		return -EIO;
	return migrating->mistakes.size ? -EINVAL : 0;
}

struct migrate_verb {
	const char *name;
	int (*run)(struct prong_ctx *ctx, struct migrating *migrating);
};

/* The exit status for what a verb returned, after having said why. */
static int finish(struct migrating *migrating, const struct postgres *postgres, int r)
{
	const struct invocation *invocation = migrating->invocation;
	const char *reason = postgres_last_error(postgres);
	int result = r == -EAGAIN ? STATUS_TRY_AGAIN : STATUS_FAILURE;

	if (r == 0)
		return output_end(invocation);
	if (migrating->mistakes.size)
		return command_mistakes(invocation, result, &migrating->mistakes);
	if (r == -EHOSTDOWN)
		return command_error(invocation, STATUS_UNAVAILABLE, "DATABASE_URL: PostgreSQL cannot be reached: %s",
				     *reason ? reason : "the connection was lost");
	if (r == -EBUSY)
		return command_error(invocation, STATUS_TRY_AGAIN,
				     "another `migrate` is at work on this database, for more than a minute. Try again "
				     "when it has ended");
	return command_error(invocation, result, "the migrations could not be run: %s", strerror(-r));
}

struct coroutine_arguments {
	const struct migrate_verb *verb;
	struct migrating *migrating;
};

static int load_and_run(struct prong_ctx *ctx, void *argument)
{
	const struct coroutine_arguments *arguments = argument;
	struct migrating *migrating = arguments->migrating;
	int r = migrations_load(ctx->runtime->registry, ctx->runtime->settings->migrations_dir, &ctx->arena,
				&migrating->migrations, &migrating->mistakes);

	return r < 0 ? r : arguments->verb->run(ctx, migrating);
}

static int run_verb(struct migrating *migrating, const struct migrate_verb *verb)
{
	struct invocation *invocation = migrating->invocation;
	struct coroutine_arguments arguments = { verb, migrating };
	struct runtime *runtime;
	int r = invocation_need(invocation, NEEDS_REGISTRY | NEEDS_DATABASE);

	if (r)
		return r;
	runtime = runtime_new(invocation->settings, invocation->registry, NULL, "migrate", -1, RUNTIME_POSTGRES);
	r = context_run(runtime, PATIENCE, load_and_run, &arguments);
	r = finish(migrating, runtime->postgres, r);
	runtime_free(runtime);
	buffer_free(&migrating->mistakes);
	return r;
}

static int make_files(struct invocation *invocation, const char *name)
{
	_cleanup_(freep) char *up_file = NULL, *down_file = NULL;
	struct buffer mistakes = { 0 };
	int r = invocation_need(invocation, NEEDS_SETTINGS);

	if (r)
		return r;
	if (migrations_new_files(invocation->settings->migrations_dir, name, &up_file, &down_file, &mistakes) < 0) {
		r = command_mistakes(invocation, STATUS_FAILURE, &mistakes);
		buffer_free(&mistakes);
		return r;
	}
	printf("%s\n%s\n", up_file, down_file);
	return output_end(invocation);
}

static int run(struct invocation *invocation)
{
	static const struct migrate_verb verbs[] = { { "up", up }, { "down", down }, { "status", status } };
	struct migrating migrating = { .invocation = invocation, .sequence = "app", .steps = 1 };
	const char *steps_text = NULL, *module = NULL, *verb;
	int64_t steps;

	if (options_parse(invocation,
			  (struct command_option[]){ { "json", .flag = &migrating.json },
						     { "steps", .value = &steps_text },
						     { "module", .value = &module },
						     {} },
			  2) < 0)
		return STATUS_USAGE;
	if (invocation->argc == 0)
		return usage_error(invocation, "say what to do: up, down, status or new");
	verb = invocation->argv[0];
	if ((steps_text || module) && !string_equal(verb, "down"))
		return usage_error(invocation, "--steps and --module are for `down`");
	if (migrating.json && !string_equal(verb, "status"))
		return usage_error(invocation, "--json is for `status`");
	if (string_equal(verb, "new"))
		return invocation->argc == 2 ? make_files(invocation, invocation->argv[1])
					     : usage_error(invocation, "name it: new NAME, such as add_notes");
	if (invocation->argc > 1)
		return usage_error(invocation, "what is \"%s\"?", invocation->argv[1]);
	if (steps_text) {
		if (option_integer(invocation, "steps", steps_text, 1, 9999, &steps) < 0)
			return STATUS_USAGE;
		migrating.steps = (size_t)steps;
	}
	if (module)
		migrating.sequence = module;
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (string_equal(verb, verbs[i].name))
			return run_verb(&migrating, &verbs[i]);
	return usage_error(invocation, "\"%s\" is none of up, down, status, new", verb);
}

const struct command command_migrate = {
	.name = "migrate",
	.usage = "up | down [--steps N] [--module NAME] | status [--json] | new NAME",
	.summary = "Change the database's tables, or show which changes are applied",
	.help = "  up             apply all that are pending: the modules' first, then those of the folder "
		"MIGRATIONS_DIR\n"
		"  down           undo the last one of the application\n"
		"    --steps N    the last N\n"
		"    --module M   of the module M instead\n"
		"  status         list all; exit status 1 where `up` would refuse\n"
		"    --json       as a JSON array of objects\n"
		"  new NAME       make the files of the next one: plain SQL, for you to write\n"
		"\n"
		"Each runs in one transaction with its entry in the table prong_migrations. A file whose first line "
		"is\n"
		"`-- prong: no-transaction` runs statement by statement, for what cannot be in one.\n",
	.run = run,
};
