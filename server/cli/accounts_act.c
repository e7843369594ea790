/* Lets an account in no more, lets it in again, and deletes it. */
#include "common/security/revocations.h"
#include "server/cli/accounts.h"
#include "server/routes/accounts/mails.h"
#include "server/routes/accounts/sessions.h"

struct reason_detail {
	const char *reason;
};
PRONG_SCHEMA(reason_detail, PRONG_FIELD(reason_detail, reason));

struct gone_detail {
	const char *email;
};
PRONG_SCHEMA(gone_detail, PRONG_FIELD(gone_detail, email));

struct possessions {
	int64_t sessions, keys;
};
PRONG_SCHEMA(possessions, PRONG_FIELD(possessions, sessions), PRONG_FIELD(possessions, keys));

static const char *plural(int64_t count)
{
	return count == 1 ? "" : "s";
}

/* ---- disable, enable ---- */

/* Tells its owner, once; without Redis' URL a command has no queues. */
static int tell(struct prong_ctx *ctx, const struct account_change *change)
{
	if (change->account->disabled_at.set || !ctx->runtime->jobs)
		return 0;
	return account_mail(ctx, MAIL_DISABLED, change->account->id, NULL, NULL);
}

/*
 * Its sessions end, and a new epoch voids their access tokens and has its API keys looked up again, which finds it
 * disabled. Nothing else is revoked, so that it can be enabled while others still remember.
 */
static int disable(struct prong_ctx *ctx, struct account_change *change)
{
	prong_uuid id = change->account->id;
	int sessions, r;

	r = prong_exec(ctx,
		       "UPDATE prong_accounts SET disabled_at = coalesce(disabled_at, now()), updated_at = now()"
		       " WHERE id = $1",
		       id);
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

static int refuse_to_delete(struct prong_ctx *ctx, const struct account_change *change)
{
	struct possessions *had;
	int r;

	r = prong_query_one(ctx, possessions, &had,
			    "SELECT (SELECT count(*) FROM prong_sessions WHERE account_id = $1) AS sessions,"
			    " (SELECT count(*) FROM prong_api_keys WHERE account_id = $1) AS keys",
			    change->account->id);
	if (r < 0)
		return r;
	return command_error(change->invocation, STATUS_USAGE,
			     "this would delete %s for ever, with %lld session%s, %lld API key%s and what the "
			     "application keeps of it; give --yes to do it",
			     change->account->email, (long long)had->sessions, plural(had->sessions),
			     (long long)had->keys, plural(had->keys));
}

static int delete_account(struct prong_ctx *ctx, struct account_change *change)
{
	prong_uuid id = change->account->id;
	int r;

	if (!change->sure)
		return refuse_to_delete(ctx, change);
	r = revocations_add(ctx, id, REVOKE_ALL);
	if (r == 0)
		r = accounts_note(ctx, id, "account.delete",
				  prong_to_json(ctx, gone_detail, &(struct gone_detail){ change->account->email }));
	if (r < 0)
		return r;
	r = prong_exec(ctx, "DELETE FROM prong_accounts WHERE id = $1", id);
	if (r == -EINVAL)
		return command_error(change->invocation, STATUS_FAILURE,
				     "%s cannot be deleted: rows of the application refer to it, and their foreign key "
				     "has no ON DELETE CASCADE",
				     change->account->email);
	if (r < 0)
		return r;
	change->account->state = "deleted";
	change->gone = change->revokes = true;
	change->done = prong_format(ctx, "%s is deleted", change->account->email);
	return 0;
}

/* ---- the verbs ---- */

static int run(struct account_change *change, const struct command_option *options)
{
	struct invocation *invocation = change->invocation;
	int status = options_parse(invocation, options, 2) < 0 ? STATUS_USAGE : STATUS_OK;

	if (!status && invocation->argc < 2)
		status = usage_error(invocation, "name the account: accounts %s EMAIL", invocation->argv[0]);
	if (!status)
		status = accounts_read_name(invocation, invocation->argv[1], &change->name);
	return status ? status : accounts_change(change);
}

int accounts_disable(struct invocation *invocation)
{
	struct account_change change = { .invocation = invocation, .apply = disable };

	return run(&change, (const struct command_option[]){
				    { "reason", .value = &change.reason }, { "json", .flag = &change.json }, {} });
}

int accounts_enable(struct invocation *invocation)
{
	struct account_change change = { .invocation = invocation, .apply = enable };

	return run(&change, (const struct command_option[]){ { "json", .flag = &change.json }, {} });
}

int accounts_delete(struct invocation *invocation)
{
	struct account_change change = { .invocation = invocation, .apply = delete_account };

	return run(&change, (const struct command_option[]){
				    { "yes", .flag = &change.sure }, { "json", .flag = &change.json }, {} });
}
