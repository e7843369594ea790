#include "server/cli/accounts.h"

#define SHOWN_EVENTS 10
#define DEFAULT_LIMIT 50
#define MAX_LIMIT 100000

struct showing {
	struct invocation *invocation;
	struct account_name name; /* of `audit`, .text NULL: all */
	int64_t limit;
	bool json;
};

static void add_opt_time(struct sheet *sheet, const char *name, prong_opt_time time)
{
	sheet_add_time(sheet, name, time.set ? time.value : (prong_time){ 0 });
}

void accounts_add_account(struct sheet *sheet, const struct shown_account *account)
{
	char id[PRONG_UUID_TEXT_SIZE];

	sheet_add_text(sheet, "id", prong_uuid_format(account->id, id));
	sheet_add_text(sheet, "email", account->email);
	sheet_add_text(sheet, "name", account->name);
	if (sheet->json)
		sheet_add_json(sheet, "scopes", account->scopes.text);
	else
		sheet_add_text(sheet, "scopes", account->scope);
	sheet_add_text(sheet, "state", account->state);
	sheet_add_time(sheet, "created_at", account->created_at);
	add_opt_time(sheet, "email_verified_at", account->email_verified_at);
	add_opt_time(sheet, "password_changed_at", account->password_changed_at);
	add_opt_time(sheet, "disabled_at", account->disabled_at);
	add_opt_time(sheet, "delete_after", account->delete_after);
}

/* Below the account, as a member of it or with a heading of its own. */
static void add_table(struct sheet *sheet, const char *name, const char *heading, const struct table *table)
{
	struct buffer text = { 0 };

	if (sheet->json) {
		table_write(table, true, NULL, &text);
		text.size--; /* the end of its last line */
		sheet_add_json(sheet, name, buffer_text(&text));
	} else {
		buffer_add_format(&sheet->out, "\n%s:\n", heading);
		table_write(table, false, "None.", &sheet->out);
	}
	buffer_free(&text);
}

static int show(struct prong_ctx *ctx, void *argument)
{
	const struct showing *showing = argument;
	_cleanup_(table_freep) struct table *sessions = NULL, *keys = NULL, *events = NULL;
	struct sheet sheet = { .json = showing->json, .width = 19 };
	struct shown_account *account;
	int r;

	r = accounts_find(ctx, &showing->name, false, &account);
	if (r == -ENOENT)
		return accounts_unknown(showing->invocation, &showing->name);
	if (r == 0)
		r = accounts_sessions_table(ctx, account->id, &sessions);
	if (r == 0)
		r = accounts_keys_table(ctx, account->id, showing->json, &keys);
	if (r == 0)
		r = accounts_audit_table(ctx, (prong_opt_uuid){ true, account->id }, SHOWN_EVENTS, showing->json,
					 &events);
	if (r < 0)
		return r;
	accounts_add_account(&sheet, account);
	add_table(&sheet, "sessions", "Sessions", sessions);
	add_table(&sheet, "api_keys", "API keys", keys);
	add_table(&sheet, "audit", "The last of the audit log", events);
	return sheet_print(&sheet, showing->invocation);
}

static int show_sessions(struct prong_ctx *ctx, void *argument)
{
	const struct showing *showing = argument;
	_cleanup_(table_freep) struct table *table = NULL;
	struct shown_account *account;
	int r;

	r = accounts_find(ctx, &showing->name, false, &account);
	if (r == -ENOENT)
		return accounts_unknown(showing->invocation, &showing->name);
	if (r == 0)
		r = accounts_sessions_table(ctx, account->id, &table);
	return r < 0 ? r : table_print(table, showing->json, "No sessions.");
}

/* By its id also what an account did that is gone. */
static int show_events(struct prong_ctx *ctx, void *argument)
{
	const struct showing *showing = argument;
	_cleanup_(table_freep) struct table *table = NULL;
	prong_opt_uuid id = showing->name.id;
	struct shown_account *account;
	int r;

	if (showing->name.text && !id.set) {
		r = accounts_find(ctx, &showing->name, false, &account);
		if (r < 0)
			return r == -ENOENT ? accounts_unknown(showing->invocation, &showing->name) : r;
		id = (prong_opt_uuid){ true, account->id };
	}
	r = accounts_audit_table(ctx, id, showing->limit, showing->json, &table);
	return r < 0 ? r : table_print(table, showing->json, "Nothing.");
}

static int run_named(struct invocation *invocation, int (*work)(struct prong_ctx *ctx, void *argument))
{
	struct showing showing = { .invocation = invocation };
	const struct command_option options[] = { { "json", .flag = &showing.json }, {} };
	int status = options_parse(invocation, options, 2) < 0 ? STATUS_USAGE : STATUS_OK;

	if (!status && invocation->argc < 2)
		status = usage_error(invocation, "name the account: accounts %s EMAIL", invocation->argv[0]);
	if (!status)
		status = accounts_read_name(invocation, invocation->argv[1], &showing.name);
	return status ? status : accounts_perform(invocation, 0, work, &showing);
}

int accounts_show(struct invocation *invocation)
{
	return run_named(invocation, show);
}

int accounts_sessions(struct invocation *invocation)
{
	return run_named(invocation, show_sessions);
}

int accounts_audit(struct invocation *invocation)
{
	struct showing showing = { .invocation = invocation, .limit = DEFAULT_LIMIT };
	const char *limit = NULL;
	const struct command_option options[] = {
		{ "limit", .value = &limit },
		{ "json", .flag = &showing.json },
		{},
	};
	int status = options_parse(invocation, options, 2) < 0 ? STATUS_USAGE : STATUS_OK;

	if (!status && limit && option_integer(invocation, "limit", limit, 1, MAX_LIMIT, &showing.limit) < 0)
		status = STATUS_USAGE;
	if (!status && invocation->argc > 1)
		status = accounts_read_name(invocation, invocation->argv[1], &showing.name);
	return status ? status : accounts_perform(invocation, 0, show_events, &showing);
}
