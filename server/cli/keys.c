#include "common/context.h"
#include "common/postgres/postgres.h"
#include "common/security/key_rotation.h"
#include "server/cli/accounts.h"
#include "server/routes/accounts/audit.h"
#include "server/routes/accounts/signing_keys.h"

#define PATIENCE PRONG_SECONDS(30)

/* One call of the command. */
struct asked {
	struct invocation *invocation;
	const char *kid;
	bool json;
};

static const char *say_told(bool told)
{
	return told ? "" : "; Redis did not take the word, so http processes notice within ten seconds";
}

/* ---- ls ---- */

static int list(struct prong_ctx *ctx, void *argument)
{
	const struct asked *asked = argument;
	_cleanup_(table_freep) struct table *table = table_new(
		(const char *const[]){ "kid", "algorithm", "state", "created_at", "signs_from", "signs_to", NULL });
	struct listed_key *keys;
	size_t count;
	int r = keys_list(ctx, &keys, &count);

	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++) {
		table_add(table, keys[i].kid);
		table_add(table, keys[i].algorithm);
		table_add(table, keys[i].state);
		table_add_time(table, keys[i].created_at);
		table_add_time(table, keys[i].signs_from);
		table_add_time(table, keys[i].signs_to.set ? keys[i].signs_to.value : (prong_time){ 0 });
	}
	return table_print(table, asked->json, "No keys: the first start makes one.");
}

/* ---- rotate ---- */

static int print_new(const struct asked *asked, const struct listed_key *key, bool told)
{
	char time[PRONG_TIME_TEXT_SIZE];

	prong_time_format(key->signs_from, time);
	if (asked->json)
		printf("{\"kid\": \"%s\", \"algorithm\": \"%s\", \"signs_from\": \"%s\", \"told\": %s}\n", key->kid,
		       key->algorithm, time, told ? "true" : "false");
	else
		printf("%s (%s) signs from %s%s\n", key->kid, key->algorithm, time, say_told(told));
	return output_end(asked->invocation);
}

static int rotate(struct prong_ctx *ctx, void *argument)
{
	const struct asked *asked = argument;
	struct listed_key *keys;
	const char *kid = NULL;
	bool told = false;
	size_t count;
	int made, r;

	made = signing_keys_rotate(ctx, 0, KEY_LEAD, AUDIT_COMMAND_LINE, &kid, &told);
	if (made < 0)
		return made;
	r = keys_list(ctx, &keys, &count);
	if (r < 0)
		return r;
	for (size_t i = 0; made && i < count; i++)
		if (string_equal(keys[i].kid, kid))
			return print_new(asked, &keys[i], told);
	return command_error(asked->invocation, STATUS_TRY_AGAIN,
			     "the next key is there already and takes over soon: see `%s keys ls`",
			     asked->invocation->program);
}

/* ---- retire ---- */

static int retire(struct prong_ctx *ctx, void *argument)
{
	const struct asked *asked = argument;
	const struct invocation *invocation = asked->invocation;
	bool told = false;
	int r = signing_keys_retire(ctx, asked->kid, AUDIT_COMMAND_LINE, &told);

	if (r == -EINVAL) /* no text that PostgreSQL takes */
		return command_error(invocation, STATUS_FAILURE, "there is no such key: `%s keys ls` shows them",
				     invocation->program);
	if (r == -ENOENT)
		return command_error(invocation, STATUS_FAILURE, "there is no key %s: `%s keys ls` shows them",
				     asked->kid, invocation->program);
	if (r == -EBUSY)
		return command_error(invocation, STATUS_FAILURE,
				     "%s is the key that signs: run `%s keys rotate`, and retire it once the next has "
				     "taken over",
				     asked->kid, invocation->program);
	if (r < 0)
		return r;
	if (asked->json)
		printf("{\"kid\": \"%s\", \"told\": %s}\n", asked->kid, told ? "true" : "false");
	else
		printf("%s is retired, and its tokens are void%s\n", asked->kid, say_told(told));
	return output_end(invocation);
}

/* ---- the command ---- */

static int explain(const struct invocation *invocation, const struct postgres *postgres, int r)
{
	const char *reason = postgres_last_error(postgres);

	if (r == -EHOSTDOWN || r == -ETIMEDOUT)
		return command_error(invocation, STATUS_UNAVAILABLE, "DATABASE_URL: PostgreSQL cannot be reached: %s",
				     *reason ? reason : "the connection was lost");
	if (r == -EBADMSG)
		return command_error(invocation, STATUS_CONFIGURATION,
				     "the signing keys do not open with this PRONG_SECRET: set the one they were made "
				     "with");
	if (r == -EAGAIN)
		return command_error(invocation, STATUS_TRY_AGAIN, "the keys are being changed: try again");
	return command_error(invocation, STATUS_FAILURE,
			     "PostgreSQL refused it; has `%s migrate up` been run for this database?",
			     invocation->program);
}

/* Runs a verb, which returns an exit status or a negative errno. Redis is only told, where there is one. */
static int run_verb(struct asked *asked, unsigned needs, int (*verb)(struct prong_ctx *ctx, void *argument))
{
	struct invocation *invocation = asked->invocation;
	int r = accounts_need(invocation, needs);
	struct runtime *runtime;

	if (r)
		return r;
	runtime = runtime_new(invocation->settings, invocation->registry, NULL, "keys", -1,
			      RUNTIME_POSTGRES | (invocation->settings->redis_url ? RUNTIME_REDIS : 0));
	r = context_run(runtime, PATIENCE, verb, asked);
	if (r < 0)
		r = explain(invocation, runtime->postgres, r);
	runtime_free(runtime);
	return r;
}

static int run_ls(struct invocation *invocation)
{
	struct asked asked = { .invocation = invocation };

	if (options_parse(invocation, (const struct command_option[]){ { "json", .flag = &asked.json }, {} }, 1) < 0)
		return STATUS_USAGE;
	return run_verb(&asked, 0, list);
}

static int run_rotate(struct invocation *invocation)
{
	struct asked asked = { .invocation = invocation };

	if (options_parse(invocation, (const struct command_option[]){ { "json", .flag = &asked.json }, {} }, 1) < 0)
		return STATUS_USAGE;
	return run_verb(&asked, NEEDS_SECRET, rotate);
}

static int run_retire(struct invocation *invocation)
{
	struct asked asked = { .invocation = invocation };

	if (options_parse(invocation, (const struct command_option[]){ { "json", .flag = &asked.json }, {} }, 2) < 0)
		return STATUS_USAGE;
	if (invocation->argc < 2)
		return usage_error(invocation, "name the key: keys retire KID");
	asked.kid = invocation->argv[1];
	return run_verb(&asked, 0, retire);
}

static int run(struct invocation *invocation)
{
	return verb_run(invocation, (const struct verb[]){
					    { "ls", run_ls }, { "rotate", run_rotate }, { "retire", run_retire }, {} });
}

const struct command command_keys = {
	.name = "keys",
	.usage = "ls | rotate | retire KID",
	.summary = "List, replace and retire the keys that sign access tokens",
	.help = "  ls          each key: next (known, does not sign yet), current (signs), previous (verifies what it "
		"signed)\n"
		"  rotate      make the next key, by SIGNING_ALGORITHM; it signs in a minute, once everybody can "
		"know it\n"
		"  retire KID  delete a key that does not sign: its tokens are refused everywhere at once\n"
		"  --json      as JSON\n"
		"\n"
		"A key that was replaced is deleted by itself once no token of it is left. Where one may be known to\n"
		"others: rotate, wait until the next is current, retire the old one.\n",
	.run = run,
};
