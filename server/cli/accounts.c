#include "server/routes/accounts/accounts.h"
#include "common/context.h"
#include "common/postgres/postgres.h"
#include "common/scope.h"
#include "server/cli/cli.h"

#define PATIENCE PRONG_SECONDS(30)
#define DEFAULT_LIMIT 50
#define MAX_LIMIT 100000

/* An account as it is shown. */
struct shown_account {
	prong_uuid id;
	const char *email;
	const char *scope; /* for people: names with a space between */
	prong_json scopes;
	prong_time created_at;
};

/* clang-format off */
PRONG_SCHEMA(shown_account,
	PRONG_FIELD(shown_account, id),
	PRONG_FIELD(shown_account, email),
	PRONG_FIELD(shown_account, scope),
	PRONG_FIELD(shown_account, scopes),
	PRONG_FIELD(shown_account, created_at));
/* clang-format on */

#define SHOWN "id, email, created_at, array_to_string(scopes, ' ') AS scope, to_jsonb(scopes) AS scopes"

/* One call of the command. */
struct asked {
	struct invocation *invocation;
	const char *email;	/* as given */
	char known[EMAIL_SIZE]; /* as compared */
	const char *scope;	/* NULL: of `ls`, any */
	int64_t limit;
	bool json;
};

static void add_row(struct table *table, const struct shown_account *account, bool json)
{
	char id[PRONG_UUID_TEXT_SIZE], time[PRONG_TIME_TEXT_SIZE];

	table_add(table, prong_uuid_format(account->id, id));
	table_add(table, account->email);
	if (json)
		table_add_json(table, account->scopes.text);
	else
		table_add(table, account->scope);
	table_add(table, prong_time_format(account->created_at, time));
}

static int list(struct prong_ctx *ctx, void *argument)
{
	const struct asked *asked = argument;
	_cleanup_(table_freep) struct table *table =
		table_new((const char *const[]){ "id", "email", "scopes", "created_at", NULL });
	struct shown_account *accounts = NULL;
	size_t count = 0;
	int r;

	r = prong_query(ctx, shown_account, &accounts, &count,
			"SELECT " SHOWN " FROM prong_accounts WHERE $1::text IS NULL OR $1 = ANY (scopes)"
			" ORDER BY id DESC LIMIT $2",
			asked->scope, asked->limit);
	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++)
		add_row(table, &accounts[i], asked->json);
	return table_print(table, asked->json, "No accounts.");
}

static int change(struct prong_ctx *ctx, const struct asked *asked, const char *sql)
{
	struct shown_account *account;
	int r = prong_query_one(ctx, shown_account, &account, sql, asked->known, asked->scope);

	if (r == -ENOENT)
		return command_error(asked->invocation, STATUS_FAILURE, "there is no account %s", asked->email);
	if (r == -EINVAL)
		return command_error(asked->invocation, STATUS_FAILURE, "%s has too many scopes already", asked->email);
	if (r < 0)
		return r;
	printf("%s has %s%s\n", account->email, *account->scope ? "the scopes " : "no scopes", account->scope);
	return output_end(asked->invocation);
}

static int give_scope(struct prong_ctx *ctx, void *argument)
{
	return change(ctx, argument,
		      "UPDATE prong_accounts SET scopes = array_append(array_remove(scopes, $2::text), $2::text),"
		      " updated_at = now() WHERE email_normalised = $1 RETURNING " SHOWN);
}

static int take_scope(struct prong_ctx *ctx, void *argument)
{
	return change(ctx, argument,
		      "UPDATE prong_accounts SET scopes = array_remove(scopes, $2::text), updated_at = now()"
		      " WHERE email_normalised = $1 RETURNING " SHOWN);
}

/* Runs a verb, which returns an exit status or a negative errno. */
static int run_verb(struct asked *asked, int (*verb)(struct prong_ctx *ctx, void *argument))
{
	struct invocation *invocation = asked->invocation;
	struct runtime *runtime;
	const char *reason;
	int r = invocation_need(invocation, NEEDS_REGISTRY | NEEDS_DATABASE);

	if (r)
		return r;
	if (!registry_module(invocation->registry, ACCOUNTS_MODULE))
		return command_error(invocation, STATUS_CONFIGURATION,
				     "this application has no accounts: its .modules do not list prong_accounts");
	runtime = runtime_new(invocation->settings, invocation->registry, NULL, "accounts", -1, RUNTIME_POSTGRES);
	r = context_run(runtime, PATIENCE, verb, asked);
	reason = postgres_last_error(runtime->postgres);
	if (r == -EHOSTDOWN || r == -ETIMEDOUT)
		r = command_error(invocation, STATUS_UNAVAILABLE, "DATABASE_URL: PostgreSQL cannot be reached: %s",
				  *reason ? reason : "no answer");
	else if (r < 0)
		r = command_error(invocation, STATUS_FAILURE,
				  "the accounts cannot be read or changed: %s; is anything pending in `%s migrate "
				  "status`?",
				  strerror(-r), invocation->program);
	runtime_free(runtime);
	return r;
}

static int check_scope(const struct asked *asked)
{
	if (!asked->scope || scope_is_valid(asked->scope))
		return STATUS_OK;
	return usage_error(asked->invocation, "'%s' is no scope: a name is " SCOPE_RULE, asked->scope);
}

static int run_list(struct asked *asked)
{
	if (asked->invocation->argc > 1)
		return usage_error(asked->invocation, "ls takes no argument but options");
	return check_scope(asked) ? STATUS_USAGE : run_verb(asked, list);
}

static int run_change(struct asked *asked, int (*verb)(struct prong_ctx *ctx, void *argument))
{
	struct invocation *invocation = asked->invocation;

	if (asked->scope || asked->json || asked->limit != DEFAULT_LIMIT)
		return usage_error(invocation, "the options are for ls");
	if (invocation->argc != 3)
		return usage_error(invocation, "name the account and the scope: %s EMAIL admin", invocation->argv[0]);
	asked->email = invocation->argv[1];
	asked->scope = invocation->argv[2];
	if (email_normalise(asked->email, asked->known) < 0)
		return usage_error(invocation, "'%s' is no address of an account", asked->email);
	return check_scope(asked) ? STATUS_USAGE : run_verb(asked, verb);
}

static int run(struct invocation *invocation)
{
	struct asked asked = { .invocation = invocation, .limit = DEFAULT_LIMIT };
	const char *limit = NULL, *verb;
	const struct command_option options[] = {
		{ "scope", .value = &asked.scope },
		{ "limit", .value = &limit },
		{ "json", .flag = &asked.json },
		{},
	};

	if (options_parse(invocation, options, 3) < 0)
		return STATUS_USAGE;
	if (limit && option_integer(invocation, "limit", limit, 1, MAX_LIMIT, &asked.limit) < 0)
		return STATUS_USAGE;
	if (invocation->argc == 0)
		return usage_error(invocation, "say what to do: ls, grant or revoke");
	verb = invocation->argv[0];
	if (string_equal(verb, "ls"))
		return run_list(&asked);
	if (string_equal(verb, "grant"))
		return run_change(&asked, give_scope);
	if (string_equal(verb, "revoke"))
		return run_change(&asked, take_scope);
	return usage_error(invocation, "there is no accounts %s; there are ls, grant and revoke", verb);
}

const struct command command_accounts = {
	.name = "accounts",
	.usage = "ls [--scope SCOPE] [--limit N] [--json] | grant EMAIL SCOPE | revoke EMAIL SCOPE",
	.summary = "List accounts; say who is an admin",
	.help = "  ls                  the newest first\n"
		"    --scope SCOPE     only those that have it\n"
		"    --limit N         at most that many, 50 by default\n"
		"    --json            as a JSON array of objects\n"
		"  grant EMAIL SCOPE   give an account a scope\n"
		"  revoke EMAIL SCOPE  take it away\n"
		"\n"
		"The scope `admin` opens the routes under /v1/admin and those with .access = PRONG_ADMIN; others mean\n"
		"what the application makes of them (prong_has_scope()). A new account has none. An access token "
		"keeps the\n"
		"scopes that its account had at sign-in until it ends, at most 10 minutes later.\n",
	.run = run,
};
