#include "server/cli/accounts.h"

#define DEFAULT_LIMIT 50
#define MAX_LIMIT 100000

struct listing {
	const char *scope; /* NULL: any */
	int64_t limit;
	bool disabled, json;
};

static void add_row(struct table *table, const struct shown_account *account, bool json)
{
	char id[PRONG_UUID_TEXT_SIZE];

	table_add(table, prong_uuid_format(account->id, id));
	table_add(table, account->email);
	table_add(table, account->name);
	if (json)
		table_add_json(table, account->scopes.text);
	else
		table_add(table, account->scope);
	table_add(table, account->state);
	table_add_bool(table, account->email_verified_at.set);
	table_add_time(table, account->created_at);
}

static int list(struct prong_ctx *ctx, void *argument)
{
	const struct listing *listing = argument;
	_cleanup_(table_freep) struct table *table = table_new(
		(const char *const[]){ "id", "email", "name", "scopes", "state", "verified", "created_at", NULL });
	struct shown_account *accounts;
	size_t count;
	int r;

	r = prong_query(ctx, shown_account, &accounts, &count,
			"SELECT " SHOWN_ACCOUNT " FROM prong_accounts"
			" WHERE ($1::text IS NULL OR $1 = ANY (scopes)) AND (NOT $2 OR disabled_at IS NOT NULL)"
			" ORDER BY id DESC LIMIT $3",
			listing->scope, listing->disabled, listing->limit);
	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++)
		add_row(table, &accounts[i], listing->json);
	return table_print(table, listing->json, "No accounts.");
}

int accounts_ls(struct invocation *invocation)
{
	struct listing listing = { .limit = DEFAULT_LIMIT };
	const char *limit = NULL;
	const struct command_option options[] = {
		{ "scope", .value = &listing.scope },
		{ "limit", .value = &limit },
		{ "disabled", .flag = &listing.disabled },
		{ "json", .flag = &listing.json },
		{},
	};

	if (options_parse(invocation, options, 1) < 0 || accounts_check_scope(invocation, listing.scope))
		return STATUS_USAGE;
	if (limit && option_integer(invocation, "limit", limit, 1, MAX_LIMIT, &listing.limit) < 0)
		return STATUS_USAGE;
	return accounts_perform(invocation, 0, list, &listing);
}
