#include "server/cli/accounts.h"

#include "common/postgres/postgres.h"
#include "common/redis/redis.h"
#include "common/scope.h"
#include "common/security/permit.h"

#define PATIENCE PRONG_HOURS(12) /* each statement has its own; an import takes many */

/* ---- names ---- */

int accounts_read_name(const struct invocation *invocation, const char *text, struct account_name *ret_name)
{
	struct account_name name = { .text = text };

	name.id.set = prong_uuid_parse(text, &name.id.value) == 0;
	if (!name.id.set && (!strchr(text, '@') || email_normalise(text, name.email) < 0))
		return usage_error(invocation, "'%s' is no address and no id of an account", text);
	*ret_name = name;
	return STATUS_OK;
}

int accounts_check_scope(const struct invocation *invocation, const char *scope)
{
	if (!scope || scope_is_valid(scope))
		return STATUS_OK;
	return usage_error(invocation, "'%s' is no scope: a name is " SCOPE_RULE, scope);
}

int accounts_find(struct prong_ctx *ctx, const struct account_name *name, bool locked,
		  struct shown_account **ret_account)
{
	const char *email = name->id.set ? NULL : name->email;

	if (locked)
		return prong_query_one(ctx, shown_account, ret_account,
				       "SELECT " SHOWN_ACCOUNT " FROM prong_accounts"
				       " WHERE id = $1 OR email_normalised = $2 FOR NO KEY UPDATE",
				       name->id, email);
	return prong_query_one(ctx, shown_account, ret_account,
			       "SELECT " SHOWN_ACCOUNT " FROM prong_accounts WHERE id = $1 OR email_normalised = $2",
			       name->id, email);
}

int accounts_unknown(const struct invocation *invocation, const struct account_name *name)
{
	return command_error(invocation, STATUS_FAILURE, "there is no account %s", name->text);
}

/* ---- running ---- */

int accounts_need(struct invocation *invocation, unsigned further)
{
	int status = invocation_need(invocation, NEEDS_REGISTRY | NEEDS_DATABASE | further);

	if (!status && !registry_module(invocation->registry, ACCOUNTS_MODULE))
		status = command_error(invocation, STATUS_CONFIGURATION,
				       "this application has no accounts: its .modules do not list prong_accounts");
	return status;
}

static int explain(const struct invocation *invocation, const struct runtime *runtime, int r)
{
	const char *reason = postgres_last_error(runtime->postgres);

	if (r == -EAGAIN)
		return command_error(invocation, STATUS_TRY_AGAIN, "somebody else changes the same: try again");
	if (r == -EHOSTDOWN || r == -ETIMEDOUT)
		return command_error(invocation, STATUS_UNAVAILABLE, "DATABASE_URL: PostgreSQL cannot be reached: %s",
				     *reason ? reason : "no answer");
	return command_error(invocation, STATUS_FAILURE,
			     "the accounts cannot be read or changed: %s; is anything pending in `%s migrate status`?",
			     strerror(-r), invocation->program);
}

int accounts_perform(struct invocation *invocation, unsigned needs, int (*work)(struct prong_ctx *ctx, void *argument),
		     void *argument)
{
	_cleanup_(closep) int permits = -1;
	unsigned parts = RUNTIME_POSTGRES;
	struct runtime *runtime;
	int r = accounts_need(invocation, 0);

	if (r)
		return r;
	if (needs & ACCOUNTS_TELL && invocation->settings->redis_url)
		parts |= RUNTIME_REDIS | RUNTIME_BRIEF;
	if (needs & ACCOUNTS_HASH) {
		permits = permits_open();
		if (permits < 0)
			return command_error(invocation, STATUS_FAILURE, "no memory file for permits: %s",
					     strerror(-permits));
		parts |= RUNTIME_PASSWORDS;
	}
	runtime = runtime_new(invocation->settings, invocation->registry, NULL, "accounts", permits, parts);
	r = context_run(runtime, PATIENCE, work, argument);
	if (r < 0)
		r = explain(invocation, runtime, r);
	runtime_free(runtime);
	return r;
}

void accounts_warn_late(struct prong_ctx *ctx, const struct invocation *invocation)
{
	const struct redis *redis = ctx->runtime->redis;

	if (redis && redis_connected(redis))
		return;
	command_error(invocation, STATUS_OK, "%s: servers that run notice within ten seconds",
		      redis ? "Redis of REDIS_URL cannot be reached" : "REDIS_URL is not set");
}

/* ---- the command ---- */

static int run(struct invocation *invocation)
{
	static const struct verb verbs[] = {
		{ "ls", accounts_ls },		 { "show", accounts_show },
		{ "create", accounts_create },	 { "import", accounts_import },
		{ "disable", accounts_disable }, { "enable", accounts_enable },
		{ "delete", accounts_delete },	 { "grant", accounts_grant },
		{ "revoke", accounts_revoke },	 { "sessions", accounts_sessions },
		{ "audit", accounts_audit },	 {},
	};

	return verb_run(invocation, verbs);
}

const struct command command_accounts = {
	.name = "accounts",
	.usage = "ls | show | create | import | disable | enable | delete | grant | revoke | sessions | audit …",
	.summary = "Look at accounts, make and change them, end their sessions, say who is an admin",
	.help = "  ls                       the newest first\n"
		"    --scope SCOPE          only those that have it\n"
		"    --disabled             only those that are disabled\n"
		"    --limit N              at most that many, 50 by default\n"
		"  show ACCOUNT             all that is known: sessions, API keys, the last lines of its audit log\n"
		"  create EMAIL             an account; asks for its password, or reads a line of standard input\n"
		"    --name NAME            of its owner\n"
		"    --verified             the address is known to be theirs\n"
		"    --scope SCOPE          several with commas between\n"
		"    --password-hash        read an Argon2id hash ($argon2id$…) instead of a password\n"
		"  import                   accounts from standard input, a JSON object a line: email, password_hash\n"
		"                           (Argon2id), name, email_verified, scopes\n"
		"  disable ACCOUNT          end its sessions and let nobody in, API keys neither\n"
		"    --reason TEXT          for the audit log\n"
		"  enable ACCOUNT           let it in again; its API keys work, its sessions stay ended\n"
		"  delete ACCOUNT --yes     at once and for ever; without --yes, say what that would be\n"
		"  grant ACCOUNT SCOPE      give an account a scope\n"
		"  revoke ACCOUNT SCOPE     take it away\n"
		"  revoke ACCOUNT --session ID\n"
		"  revoke ACCOUNT --sessions  end one session, or all\n"
		"  sessions ACCOUNT         those that live\n"
		"  audit [ACCOUNT]          the audit log, its last line first\n"
		"    --limit N              at most that many, 50 by default\n"
		"  --json                   for all: as JSON\n"
		"\n"
		"ACCOUNT is an address or an id. The scope `admin` opens the routes under /v1/admin and those with\n"
		".access = PRONG_ADMIN; others mean what the application makes of them (.scope, prong_has_scope()). A\n"
		"change of scopes, a disabled account or an ended session is known to all servers at once: access "
		"tokens\n"
		"from before are void. Every change leaves a line in the audit log.\n"
		"\n"
		"Examples:\n"
		"  accounts create ada@example.com --verified --scope admin\n"
		"  accounts import < accounts.jsonl\n"
		"  accounts revoke ada@example.com --sessions\n"
		"  accounts ls --disabled --json\n",
	.run = run,
};
