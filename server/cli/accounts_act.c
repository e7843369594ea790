/* Lets an account in no more, lets it in again, and deletes it. */
#include "server/cli/accounts.h"
#include "server/routes/accounts/audit.h"
#include "server/routes/accounts/deletion.h"
#include "server/routes/accounts/mails.h"
#include "server/routes/accounts/secrets.h"
#include "server/routes/accounts/sessions.h"

struct reason_detail {
	const char *reason;
};
PRONG_SCHEMA(reason_detail, PRONG_FIELD(reason_detail, reason));

struct possessions {
	int64_t sessions, keys;
};
PRONG_SCHEMA(possessions, PRONG_FIELD(possessions, sessions), PRONG_FIELD(possessions, keys));

static const char *plural(int64_t count)
{
	return count == 1 ? "" : "s";
}

/* ---- disable, enable ---- */

/* Tells its owner, once. */
static int tell(struct prong_ctx *ctx, const struct account_change *change)
{
	if (change->account->disabled_at.set)
		return 0;
	return account_mail(ctx, MAIL_DISABLED, change->account->id, NULL, NULL);
}

/*
 * Its sessions end, what was mailed to it is void, and a new epoch voids their access tokens and has its API keys
 * looked up again, which finds it disabled. Nothing else is revoked, so that it can be enabled while others still
 * remember.
 */
static int disable(struct prong_ctx *ctx, struct account_change *change)
{
	prong_uuid id = change->account->id;
	int sessions, r;

	r = prong_exec(ctx,
		       "UPDATE prong_accounts SET disabled_at = coalesce(disabled_at, now()), updated_at = now()"
		       " WHERE id = $1",
		       id);
	if (r >= 0)
		r = secrets_void(ctx, id);
	if (r < 0)
		return r;
	sessions = sessions_end_all(ctx, id, (prong_uuid){ 0 }, "disabled");
	if (sessions < 0)
		return sessions;
	r = account_renew_epoch(ctx, id);
	if (r == 0)
		r = tell(ctx, change);
	if (r < 0)
		return r;
	change->revokes = true;
	change->done = prong_format(ctx, "%s %s disabled; %d session%s ended", change->account->email,
				    change->account->disabled_at.set ? "was" : "is", sessions, plural(sessions));
	return accounts_note(ctx, id, "account.disable",
			     prong_to_json(ctx, reason_detail, &(struct reason_detail){ change->reason }));
}

static int enable(struct prong_ctx *ctx, struct account_change *change)
{
	const struct shown_account *account = change->account;
	int r;

	change->done = prong_format(ctx, "%s %s", account->email,
				    account->disabled_at.set ? "may sign in again" : "is not disabled");
	if (!account->disabled_at.set)
		return 0;
	r = prong_exec(ctx, "UPDATE prong_accounts SET disabled_at = NULL, updated_at = now() WHERE id = $1",
		       account->id);
	return r < 0 ? r : accounts_note(ctx, account->id, "account.enable", (prong_json){ 0 });
}

/* ---- delete ---- */

struct deleting {
	struct invocation *invocation;
	struct account_name name;
	bool sure, json;
};

static int refuse_to_delete(struct prong_ctx *ctx, const struct deleting *deleting, const struct shown_account *account)
{
	struct possessions *had;
	int r;

	r = prong_query_one(
		ctx, possessions, &had,
		"SELECT (SELECT count(*) FROM prong_sessions WHERE account_id = $1 AND revoked_at IS NULL) AS sessions,"
		" (SELECT count(*) FROM prong_api_keys WHERE account_id = $1 AND revoked_at IS NULL) AS keys",
		account->id);
	if (r < 0)
		return r;
	return command_error(deleting->invocation, STATUS_USAGE,
			     "this would delete %s for ever, with %lld session%s, %lld API key%s and what the "
			     "application keeps of it; give --yes to do it",
			     account->email, (long long)had->sessions, plural(had->sessions), (long long)had->keys,
			     plural(had->keys));
}

static int print_deleted(const struct deleting *deleting, struct shown_account *account)
{
	struct sheet sheet = { .json = true };

	if (!deleting->json) {
		printf("%s is deleted\n", account->email);
		return output_end(deleting->invocation);
	}
	account->state = "deleted";
	accounts_add_account(&sheet, account);
	return sheet_print(&sheet, deleting->invocation);
}

static int delete_one(struct prong_ctx *ctx, void *argument)
{
	const struct deleting *deleting = argument;
	struct shown_account *account;
	int r;

	r = accounts_find(ctx, &deleting->name, false, &account);
	if (r == 0 && !deleting->sure)
		return refuse_to_delete(ctx, deleting, account);
	if (r == 0)
		r = account_delete(ctx, account->id, AUDIT_COMMAND_LINE);
	if (r == -ENOENT)
		return accounts_unknown(deleting->invocation, &deleting->name);
	if (r == -EINVAL)
		return command_error(deleting->invocation, STATUS_FAILURE,
				     "%s is not deleted: rows of the application hold it", account->email);
	if (r < 0)
		return r;
	accounts_warn_late(ctx, deleting->invocation);
	return print_deleted(deleting, account);
}

/* ---- the verbs ---- */

static int read_arguments(struct invocation *invocation, const struct command_option *options,
			  struct account_name *ret_name)
{
	if (options_parse(invocation, options, 2) < 0)
		return STATUS_USAGE;
	if (invocation->argc < 2)
		return usage_error(invocation, "name the account: accounts %s EMAIL", invocation->argv[0]);
	return accounts_read_name(invocation, invocation->argv[1], ret_name);
}

int accounts_disable(struct invocation *invocation)
{
	struct account_change change = { .invocation = invocation, .apply = disable };
	const struct command_option options[] = {
		{ "reason", .value = &change.reason },
		{ "json", .flag = &change.json },
		{},
	};
	int status = read_arguments(invocation, options, &change.name);

	return status ? status : accounts_change(&change);
}

int accounts_enable(struct invocation *invocation)
{
	struct account_change change = { .invocation = invocation, .apply = enable };
	const struct command_option options[] = { { "json", .flag = &change.json }, {} };
	int status = read_arguments(invocation, options, &change.name);

	return status ? status : accounts_change(&change);
}

int accounts_delete(struct invocation *invocation)
{
	struct deleting deleting = { .invocation = invocation };
	const struct command_option options[] = {
		{ "yes", .flag = &deleting.sure },
		{ "json", .flag = &deleting.json },
		{},
	};
	int status = read_arguments(invocation, options, &deleting.name);

	return status ? status : accounts_perform(invocation, ACCOUNTS_TELL, delete_one, &deleting);
}
