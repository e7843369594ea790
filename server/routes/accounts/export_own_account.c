#include "server/routes/accounts/audit.h"
#include "server/routes/accounts/own_account.h"

/* What it holds at most, the latest first: some megabytes. */
#define MAX_SESSIONS 1000
#define MAX_API_KEYS 1000
#define MAX_AUDIT_LINES 10000

/* One statement, so that its parts fit each other. Hashes are in none of them. */
static const char gather[] =
	"SELECT now() AS exported_at, json_build_object('id', id, 'email', email, 'name', name, 'email_verified_at',"
	" email_verified_at, 'scopes', scopes, 'created_at', created_at, 'updated_at', updated_at,"
	" 'password_changed_at', password_changed_at) AS account,"

	" (SELECT coalesce(json_agg(r), '[]') FROM (SELECT id, created_at, authenticated_at, used_at, expires_at,"
	" revoked_at, revoked_for, is_cookie, device, address FROM prong_sessions WHERE account_id = $1"
	" ORDER BY created_at DESC LIMIT $2) r) AS sessions,"

	" (SELECT coalesce(json_agg(r), '[]') FROM (SELECT id, name, hint, scopes, created_at, expires_at,"
	" last_used_at, revoked_at FROM prong_api_keys WHERE account_id = $1"
	" ORDER BY created_at DESC LIMIT $3) r) AS api_keys,"

	" (SELECT coalesce(json_agg(r), '[]') FROM (SELECT at, actor, action, result, address, device, request_id,"
	" detail FROM prong_audit WHERE account_id = $1 ORDER BY id DESC LIMIT $4) r) AS audit"

	" FROM prong_accounts WHERE id = $1";

/* What is noted as exported has been gathered. */
static int export(struct prong_ctx *ctx, struct account_export **ret_export)
{
	prong_uuid id = prong_account_id(ctx);
	int r;

	r = account_begin(ctx);
	if (r >= 0)
		r = audit(ctx, &(struct audit_event){ id, .action = "account.export", .result = AUDIT_OK });
	if (r >= 0)
		r = prong_query_one(ctx, account_export, ret_export, gather, id, MAX_SESSIONS, MAX_API_KEYS,
				    MAX_AUDIT_LINES);
	return r < 0 ? r : prong_commit(ctx);
}

int export_own_account(struct prong_ctx *ctx)
{
	struct account_export *exported;
	int r;

	r = account_may_change(ctx);
	if (r >= 0)
		r = export(ctx, &exported);
	if (r < 0)
		return r;
	prong_set_header(ctx, "Content-Disposition", "attachment; filename=\"account.json\"");
	return prong_reply(ctx, 200, account_export, exported);
}
