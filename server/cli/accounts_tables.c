/* What belongs to an account, as tables. */
#include "common/postgres/postgres.h"
#include "server/cli/accounts.h"

struct shown_session {
	prong_uuid id;
	const char *device, *address;
	bool is_cookie;
	prong_time created_at, used_at, expires_at;
};

struct shown_key {
	prong_uuid id;
	const char *name, *hint, *scope;
	prong_json scopes;
	prong_time created_at;
	prong_opt_time expires_at, last_used_at;
};

struct shown_event {
	prong_time at;
	prong_opt_uuid account_id;
	const char *email; /* now; NULL: there is no such account any more */
	const char *actor, *action, *result, *address, *device;
	prong_json detail;
};

/* clang-format off */
PRONG_SCHEMA(shown_session,
	PRONG_FIELD(shown_session, id),
	PRONG_FIELD(shown_session, device),
	PRONG_FIELD(shown_session, address),
	PRONG_FIELD(shown_session, is_cookie),
	PRONG_FIELD(shown_session, created_at),
	PRONG_FIELD(shown_session, used_at),
	PRONG_FIELD(shown_session, expires_at));

PRONG_SCHEMA(shown_key,
	PRONG_FIELD(shown_key, id),
	PRONG_FIELD(shown_key, name),
	PRONG_FIELD(shown_key, hint),
	PRONG_FIELD(shown_key, scope),
	PRONG_FIELD(shown_key, scopes),
	PRONG_FIELD(shown_key, created_at),
	PRONG_FIELD(shown_key, expires_at),
	PRONG_FIELD(shown_key, last_used_at));

PRONG_SCHEMA(shown_event,
	PRONG_FIELD(shown_event, at),
	PRONG_FIELD(shown_event, account_id),
	PRONG_FIELD(shown_event, email),
	PRONG_FIELD(shown_event, actor),
	PRONG_FIELD(shown_event, action),
	PRONG_FIELD(shown_event, result),
	PRONG_FIELD(shown_event, address),
	PRONG_FIELD(shown_event, device),
	PRONG_FIELD(shown_event, detail));
/* clang-format on */

static void add_id(struct table *table, prong_opt_uuid id)
{
	char text[PRONG_UUID_TEXT_SIZE];

	table_add(table, id.set ? prong_uuid_format(id.value, text) : NULL);
}

int accounts_sessions_table(struct prong_ctx *ctx, prong_uuid account_id, struct table **ret_table)
{
	struct shown_session *sessions;
	struct table *table;
	size_t count;
	int r;

	r = prong_query(ctx, shown_session, &sessions, &count,
			"SELECT id, device, address, is_cookie, created_at, used_at, expires_at FROM prong_sessions"
			" WHERE account_id = $1 AND revoked_at IS NULL AND expires_at > now()"
			" AND used_at > now() - $2::float8 * interval '1 microsecond' ORDER BY used_at DESC, id",
			account_id, ctx->runtime->settings->session_idle);
	if (r < 0)
		return r;
	table = table_new((const char *const[]){ "id", "device", "address", "cookie", "created_at", "used_at",
						 "expires_at", NULL });
	for (size_t i = 0; i < count; i++) {
		add_id(table, (prong_opt_uuid){ true, sessions[i].id });
		table_add(table, sessions[i].device);
		table_add(table, sessions[i].address);
		table_add_bool(table, sessions[i].is_cookie);
		table_add_time(table, sessions[i].created_at);
		table_add_time(table, sessions[i].used_at);
		table_add_time(table, sessions[i].expires_at);
	}
	*ret_table = table;
	return 0;
}

int accounts_keys_table(struct prong_ctx *ctx, prong_uuid account_id, bool json, struct table **ret_table)
{
	struct shown_key *keys;
	struct table *table;
	size_t count;
	int r;

	r = prong_query(ctx, shown_key, &keys, &count,
			"SELECT id, name, hint, array_to_string(scopes, ' ') AS scope, to_jsonb(scopes) AS scopes,"
			" created_at, expires_at, last_used_at FROM prong_api_keys"
			" WHERE account_id = $1 AND revoked_at IS NULL ORDER BY id DESC",
			account_id);
	if (r < 0)
		return r;
	table = table_new((const char *const[]){ "id", "name", "hint", "scopes", "created_at", "expires_at",
						 "last_used_at", NULL });
	for (size_t i = 0; i < count; i++) {
		add_id(table, (prong_opt_uuid){ true, keys[i].id });
		table_add(table, keys[i].name);
		table_add(table, keys[i].hint);
		if (json)
			table_add_json(table, keys[i].scopes.text);
		else
			table_add(table, keys[i].scope);
		table_add_time(table, keys[i].created_at);
		table_add_time(table, keys[i].expires_at.value);
		table_add_time(table, keys[i].last_used_at.value);
	}
	*ret_table = table;
	return 0;
}

/* People know accounts by their addresses. */
static void add_account(struct table *table, const struct shown_event *event, bool json)
{
	if (json || !event->email)
		add_id(table, event->account_id);
	if (json || event->email)
		table_add(table, event->email);
}

static void add_actor(struct table *table, const struct shown_event *event, bool json)
{
	char id[PRONG_UUID_TEXT_SIZE];
	bool itself =
		event->account_id.set && string_equal(event->actor, prong_uuid_format(event->account_id.value, id));

	table_add(table, itself && !json ? "itself" : event->actor);
}

static void add_event(struct table *table, const struct shown_event *event, bool json)
{
	table_add_time(table, event->at);
	add_account(table, event, json);
	add_actor(table, event, json);
	table_add(table, event->action);
	table_add(table, event->result);
	table_add(table, event->address);
	if (json)
		table_add(table, event->device);
	table_add_json(table, event->detail.text);
}

int accounts_audit_table(struct prong_ctx *ctx, prong_opt_uuid account_id, int64_t limit, bool json,
			 struct table **ret_table)
{
	struct shown_event *events;
	struct table *table;
	size_t count;
	int r;

	r = prong_query(ctx, shown_event, &events, &count,
			"SELECT e.at, e.account_id, a.email, e.actor, e.action, e.result, e.address, e.device, e.detail"
			" FROM prong_audit AS e LEFT JOIN prong_accounts AS a ON a.id = e.account_id"
			" WHERE $1::uuid IS NULL OR e.account_id = $1 ORDER BY e.id DESC LIMIT $2",
			account_id, limit);
	if (r < 0)
		return r;
	table = table_new(json ? (const char *const[]){ "at", "account_id", "email", "actor", "action", "result",
							"address", "device", "detail", NULL }
			       : (const char *const[]){ "at", "account", "actor", "action", "result", "address",
							"detail", NULL });
	for (size_t i = 0; i < count; i++)
		add_event(table, &events[i], json);
	*ret_table = table;
	return 0;
}
