/* Gives scopes, takes them away, and ends sessions. */
#include "common/scope.h"
#include "server/cli/accounts.h"
#include "server/routes/accounts/sessions.h"

struct scope_detail {
	const char *scope;
};
PRONG_SCHEMA(scope_detail, PRONG_FIELD(scope_detail, scope));

struct session_detail {
	prong_opt_uuid session_id;
	prong_opt_int32 count;
};
PRONG_SCHEMA(session_detail, PRONG_FIELD(session_detail, session_id), PRONG_FIELD(session_detail, count));

/* ---- scopes ---- */

/* Access tokens say what scopes their account had: a new epoch voids those from before. */
static int change_scopes(struct prong_ctx *ctx, struct account_change *change, const char *action, const char *sql)
{
	prong_uuid id = change->account->id;
	struct shown_account *account;
	int r;

	r = prong_query_one(ctx, shown_account, &account, sql, id, change->scope);
	if (r == -EINVAL)
		return command_error(change->invocation, STATUS_FAILURE, "%s has too many scopes already",
				     change->account->email);
	if (r < 0)
		return r;
	change->done = prong_format(ctx, "%s has %s%s", account->email, *account->scope ? "the scopes " : "no scopes",
				    account->scope);
	if (string_equal(account->scope, change->account->scope))
		return 0;
	change->revokes = true;
	r = account_renew_epoch(ctx, id);
	if (r < 0)
		return r;
	return accounts_note(ctx, id, action,
			     prong_to_json(ctx, scope_detail, &(struct scope_detail){ change->scope }));
}

/* A session never rises in privilege (ASVS 7.2.4): who copied a credential before has nothing of what comes now. */
static int grant(struct prong_ctx *ctx, struct account_change *change)
{
	int r = change_scopes(ctx, change, "scope.grant",
			      "UPDATE prong_accounts SET updated_at = now(), scopes ="
			      " CASE WHEN $2::text = ANY (scopes) THEN scopes ELSE array_append(scopes, $2::text) END"
			      " WHERE id = $1 RETURNING " SHOWN_ACCOUNT);

	if (r != 0 || !change->revokes)
		return r;
	r = sessions_end_all(ctx, change->account->id, (prong_uuid){ 0 }, "privilege");
	return r < 0 ? r : 0;
}

static int take(struct prong_ctx *ctx, struct account_change *change)
{
	return change_scopes(ctx, change, "scope.revoke",
			     "UPDATE prong_accounts SET updated_at = now(), scopes = array_remove(scopes, $2::text)"
			     " WHERE id = $1 RETURNING " SHOWN_ACCOUNT);
}

/* ---- sessions ---- */

static int revoke_session(struct prong_ctx *ctx, struct account_change *change)
{
	struct session_detail detail = { .session_id = change->session };
	char id[PRONG_UUID_TEXT_SIZE];
	int r;

	r = session_end(ctx, change->account->id, change->session.value, "revoked");
	if (r == -ENOENT)
		return command_error(change->invocation, STATUS_FAILURE, "%s has no session %s", change->account->email,
				     prong_uuid_format(change->session.value, id));
	if (r < 0)
		return r;
	change->revokes = true;
	change->done = prong_format(ctx, "The session of %s has ended", change->account->email);
	return accounts_note(ctx, change->account->id, "session.revoke", prong_to_json(ctx, session_detail, &detail));
}

static int revoke_sessions(struct prong_ctx *ctx, struct account_change *change)
{
	struct session_detail detail = { .count.set = true };
	int r = sessions_end_all(ctx, change->account->id, (prong_uuid){ 0 }, "revoked");

	if (r < 0)
		return r;
	detail.count.value = r;
	change->revokes = r > 0;
	change->done = prong_format(ctx, "%d session%s of %s ended", r, r == 1 ? "" : "s", change->account->email);
	return accounts_note(ctx, change->account->id, "session.revoke", prong_to_json(ctx, session_detail, &detail));
}

/* ---- the verbs ---- */

int accounts_grant(struct invocation *invocation)
{
	struct account_change change = { .invocation = invocation, .apply = grant };
	const struct command_option options[] = { { "json", .flag = &change.json }, {} };

	if (options_parse(invocation, options, 3) < 0)
		return STATUS_USAGE;
	if (invocation->argc < 3)
		return usage_error(invocation, "name the account and the scope: accounts grant EMAIL admin");
	change.scope = invocation->argv[2];
	if (accounts_read_name(invocation, invocation->argv[1], &change.name) ||
	    accounts_check_scope(invocation, change.scope))
		return STATUS_USAGE;
	return accounts_change(&change);
}

static int choose(struct account_change *change, const char *session)
{
	struct invocation *invocation = change->invocation;
	int ways = (invocation->argc > 2) + (session != NULL) + change->sessions;

	if (invocation->argc < 2 || ways != 1)
		return usage_error(
			invocation,
			"name the account and what to take: accounts revoke EMAIL admin, or --session ID, or "
			"--sessions");
	if (session && prong_uuid_parse(session, &change->session.value) < 0)
		return usage_error(invocation, "'%s' is no id of a session", session);
	change->session.set = session;
	change->scope = invocation->argc > 2 ? invocation->argv[2] : NULL;
	change->apply = session ? revoke_session : change->sessions ? revoke_sessions : take;
	return accounts_check_scope(invocation, change->scope);
}

int accounts_revoke(struct invocation *invocation)
{
	struct account_change change = { .invocation = invocation };
	const char *session = NULL;
	const struct command_option options[] = {
		{ "session", .value = &session },
		{ "sessions", .flag = &change.sessions },
		{ "json", .flag = &change.json },
		{},
	};

	if (options_parse(invocation, options, 3) < 0 || choose(&change, session) ||
	    accounts_read_name(invocation, invocation->argv[1], &change.name))
		return STATUS_USAGE;
	return accounts_change(&change);
}
