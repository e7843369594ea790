/* Accounts from elsewhere, a JSON object a line. */
#include <stdio.h>

#include "common/loop.h"
#include "common/postgres/postgres.h"
#include "common/schema/schema.h"
#include "common/scope.h"
#include "common/security/password.h"
#include "server/cli/accounts.h"

#define BATCH 500
#define MAX_LINE 65536
#define MAX_SCOPES_SIZE 1024 /* of all with a comma between, as the table has it */

struct imported {
	const char *email;
	const char *password_hash;
	const char *name;
	bool email_verified;
	PRONG_ARRAY(const char *) scopes;
};

/* clang-format off */
PRONG_SCHEMA(imported,
	PRONG_FIELD(imported, email, .required = true, .max_length = 254, .format = PRONG_EMAIL),
	PRONG_FIELD(imported, password_hash, .required = true, .secret = true),
	PRONG_FIELD(imported, name, .nullable = true, .max_length = NAME_MAX_LENGTH),
	PRONG_FIELD(imported, email_verified),
	PRONG_FIELD_ARRAY(imported, scopes, .max_length = SCOPE_MAX_LENGTH));
/* clang-format on */

struct import {
	struct invocation *invocation;
	char *line; /* getline()'s */
	size_t capacity;
	bool json, ended;
	int64_t number; /* of the last line read */
	int64_t imported, existing, bad;
	int64_t costly; /* of those imported: their hashes take more memory than the ones made here */
	size_t most_kib;
};

/* Good lines that go in together; in the arena of their context. */
struct batch {
	struct prong_ctx ctx;
	struct good {
		int64_t number;
		const struct imported *account;
		char email[EMAIL_SIZE]; /* as compared */
		size_t memory_kib;	/* of its hash */
		bool exists;
	} lines[BATCH];
	size_t count;
};

/* ---- lines ---- */

static void refuse(struct import *import, const char *what, const char *why)
{
	import->bad++;
	command_error(import->invocation, STATUS_FAILURE, "line %lld: %s%s%s", (long long)import->number, what,
		      *what ? ": " : "", why);
}

static bool check_scopes(struct import *import, const struct imported *account)
{
	size_t size = 0;

	for (size_t i = 0; i < account->scopes.count; i++) {
		if (!scope_is_valid(account->scopes.items[i])) {
			refuse(import, "/scopes", "a name is " SCOPE_RULE);
			return false;
		}
		size += strlen(account->scopes.items[i]) + 1;
	}
	if (size > MAX_SCOPES_SIZE)
		refuse(import, "/scopes", "these are too many");
	return size <= MAX_SCOPES_SIZE;
}

/* False: it was refused. */
static bool read_account(struct import *import, struct prong_ctx *ctx, size_t size, struct good *good)
{
	const char *detail;
	struct schema_errors errors = { 0 };
	void *record;
	int r;

	r = schema_bind_json(&imported_schema, SCHEMA_TYPED, import->line, size, &ctx->arena, &record, &detail,
			     &errors);
	if (r < 0) {
		refuse(import, r == -EINVAL ? errors.items[0].pointer : "",
		       r == -EINVAL ? errors.items[0].detail : detail);
		return false;
	}
	*good = (struct good){ .number = import->number, .account = record };
	if (email_normalise(good->account->email, good->email) < 0) {
		refuse(import, "/email", "Only addresses of ASCII characters are taken.");
		return false;
	}
	if (good->account->name && name_check(good->account->name, &detail) < 0) {
		refuse(import, "/name", detail);
		return false;
	}
	if (password_hash_check(good->account->password_hash, &good->memory_kib, &detail) < 0) {
		refuse(import, "/password_hash", detail);
		return false;
	}
	return check_scopes(import, good->account);
}

static bool is_blank(const char *line)
{
	return line[strspn(line, " \t\r\n")] == '\0';
}

/* Reads until the batch is full or the input ends. Blocks: nothing else runs here. */
static void fill(struct import *import, struct batch *batch)
{
	while (batch->count < BATCH && !import->ended) {
		ssize_t size = getline(&import->line, &import->capacity, stdin);

		if (size < 0) {
			import->ended = true;
			break;
		}
		import->number++;
		if (is_blank(import->line) && strlen(import->line) == (size_t)size)
			continue;
		if (size > MAX_LINE)
			refuse(import, "", "It is longer than any account.");
		else if (read_account(import, &batch->ctx, (size_t)size, &batch->lines[batch->count]))
			batch->count++;
	}
}

/* ---- rows ---- */

static int insert(struct prong_ctx *ctx, struct good *good)
{
	const struct imported *account = good->account;
	char hash[PASSWORD_HASH_SIZE];
	prong_uuid id = prong_uuid_make();
	int r;

	password_seal(ctx->runtime->password_hasher, id, account->password_hash, hash);
	r = prong_exec(ctx,
		       "INSERT INTO prong_accounts"
		       " (id, email, email_normalised, password_hash, name, scopes, email_verified_at)"
		       " VALUES ($1, $2, $3, $4, $5, ARRAY(SELECT DISTINCT unnest($6::text[]) ORDER BY 1),"
		       " CASE WHEN $7 THEN now() END) ON CONFLICT (email_normalised) DO NOTHING",
		       id, account->email, good->email, hash, account->name,
		       postgres_array(ctx, account->scopes.items, account->scopes.count), account->email_verified);
	good->exists = r == 0;
	return r <= 0 ? r : accounts_note(ctx, id, "account.import", (prong_json){ 0 });
}

static int insert_all(struct batch *batch)
{
	struct prong_ctx *ctx = &batch->ctx;
	int r = batch->count ? prong_begin(ctx) : 0;

	for (size_t i = 0; i < batch->count && r == 0; i++)
		r = insert(ctx, &batch->lines[i]);
	return r == 0 && batch->count ? prong_commit(ctx) : r;
}

static void count_imported(struct import *import, const struct good *good)
{
	import->imported++;
	if (good->memory_kib <= (size_t)import->invocation->settings->password_memory)
		return;
	import->costly++;
	if (good->memory_kib > import->most_kib)
		import->most_kib = good->memory_kib;
}

static void count(struct import *import, const struct batch *batch)
{
	for (size_t i = 0; i < batch->count; i++) {
		const struct good *good = &batch->lines[i];

		if (!good->exists) {
			count_imported(import, good);
			continue;
		}
		import->existing++;
		command_error(import->invocation, STATUS_OK, "line %lld: there is an account %s already",
			      (long long)good->number, good->account->email);
	}
}

static int print_summary(const struct import *import)
{
	printf(import->json ? "{\"imported\": %lld, \"existing\": %lld, \"bad\": %lld"
			    : "Imported: %lld; there already: %lld; bad: %lld",
	       (long long)import->imported, (long long)import->existing, (long long)import->bad);
	if (import->json)
		printf(", \"costly\": %lld}", (long long)import->costly);
	printf("\n");
	if (import->costly)
		command_error(import->invocation, STATUS_OK,
			      "%lld of the hashes take more memory than PASSWORD_MEMORY, up to %zu KiB, until their"
			      " owners sign in",
			      (long long)import->costly, import->most_kib);
	return output_end(import->invocation);
}

/* A context of its own for each batch: what millions of lines need would not go before the end. */
static int import_batch(struct prong_ctx *ctx, struct import *import)
{
	struct batch *batch = allocate(sizeof(*batch));
	int r;

	context_init(&batch->ctx, ctx->runtime);
	fill(import, batch);
	r = insert_all(batch);
	if (r == 0)
		count(import, batch);
	else if (batch->count)
		command_error(import->invocation, STATUS_FAILURE, "lines %lld to %lld: none of these is imported",
			      (long long)batch->lines[0].number, (long long)import->number);
	context_end(&batch->ctx);
	free(batch);
	return r;
}

static int import_all(struct prong_ctx *ctx, void *argument)
{
	struct import *import = argument;
	int r = 0, status;

	while (r == 0 && !import->ended)
		r = import_batch(ctx, import);
	status = print_summary(import);
	if (r < 0)
		return r;
	if (ferror(stdin))
		return command_error(import->invocation, STATUS_FAILURE, "standard input cannot be read");
	return import->bad ? STATUS_FAILURE : status;
}

int accounts_import(struct invocation *invocation)
{
	struct import import = { .invocation = invocation };
	const struct command_option options[] = { { "json", .flag = &import.json }, {} };
	int status;

	if (options_parse(invocation, options, 1) < 0)
		return STATUS_USAGE;
	if (isatty(STDIN_FILENO))
		return usage_error(invocation, "give the accounts on standard input, a JSON object a line");
	status = accounts_perform(invocation, ACCOUNTS_HASH, import_all, &import);
	free(import.line);
	return status;
}
