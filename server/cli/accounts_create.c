#include <sodium.h>

#include "common/postgres/postgres.h"
#include "common/schema/format.h"
#include "common/scope.h"
#include "common/security/password.h"
#include "common/utf8.h"
#include "server/cli/accounts.h"
#include "server/routes/accounts/password_rules.h"

#define MAX_SCOPES 32

struct creating {
	struct invocation *invocation;
	const char *email, *name;
	char known[EMAIL_SIZE]; /* as compared */
	const char *scopes[MAX_SCOPES];
	size_t n_scopes;
	bool verified, hashed, json;
	char secret[SECRET_LINE_SIZE]; /* the password, or where `hashed` its hash */
};

/* ---- what is stored of the password ---- */

static int hash(struct prong_ctx *ctx, const struct creating *creating, prong_uuid id,
		char ret_hash[PASSWORD_HASH_SIZE])
{
	const char *const words[] = { creating->email, creating->name, NULL };
	const char *code, *reason;
	int r;

	if (creating->hashed) {
		if (password_hash_check(creating->secret, NULL, &reason) < 0)
			return command_error(creating->invocation, STATUS_FAILURE, "the hash is not taken: %s", reason);
		password_seal(ctx->runtime->password_hasher, id, creating->secret, ret_hash);
		return 0;
	}
	r = password_check(ctx, creating->secret, words, &code, &reason);
	if (r < 0)
		return r == -EINVAL ? command_error(creating->invocation, STATUS_FAILURE, "%s", reason) : r;
	return password_hash(ctx->runtime->password_hasher, id, creating->secret, ret_hash);
}

/* ---- the row ---- */

static int insert(struct prong_ctx *ctx, const struct creating *creating, prong_uuid id, const char *hash_text,
		  struct shown_account **ret_account)
{
	int r;

	r = prong_begin(ctx);
	if (r < 0)
		return r;
	r = prong_query_one(ctx, shown_account, ret_account,
			    "INSERT INTO prong_accounts"
			    " (id, email, email_normalised, password_hash, name, scopes, email_verified_at)"
			    " VALUES ($1, $2, $3, $4, $5, $6::text[], CASE WHEN $7 THEN now() END)"
			    " RETURNING " SHOWN_ACCOUNT,
			    id, creating->email, creating->known, hash_text, creating->name,
			    postgres_array(ctx, creating->scopes, creating->n_scopes), creating->verified);
	if (r < 0)
		return r;
	r = accounts_note(ctx, id, "account.create", (prong_json){ 0 });
	return r < 0 ? r : prong_commit(ctx);
}

/* Who may sign in only later would otherwise be told that the password is wrong. */
static void warn_unproven(const struct creating *creating)
{
	if (creating->invocation->settings->sign_up == SIGN_UP_PRIVATE && !creating->verified)
		command_error(
			creating->invocation, STATUS_OK,
			"SIGN_UP is private: nobody signs in to %s before the address is proven, by mail, or here by "
			"--verified",
			creating->email);
}

static int create(struct prong_ctx *ctx, void *argument)
{
	const struct creating *creating = argument;
	struct sheet sheet = { .json = true };
	char hash_text[PASSWORD_HASH_SIZE], id_text[PRONG_UUID_TEXT_SIZE];
	prong_uuid id = prong_uuid_make();
	struct shown_account *account;
	int r;

	r = hash(ctx, creating, id, hash_text);
	if (r)
		return r;
	r = insert(ctx, creating, id, hash_text, &account);
	if (r == -EEXIST)
		return command_error(creating->invocation, STATUS_FAILURE, "there is an account %s already",
				     creating->email);
	if (r == -EINVAL)
		return command_error(creating->invocation, STATUS_FAILURE, "these are too many scopes");
	if (r < 0)
		return r;
	warn_unproven(creating);
	if (creating->json) {
		accounts_add_account(&sheet, account);
		return sheet_print(&sheet, creating->invocation);
	}
	printf("%s is created: %s\n", account->email, prong_uuid_format(id, id_text));
	return output_end(creating->invocation);
}

/* ---- the verb ---- */

static int read_email(struct creating *creating, const char *text)
{
	if (!format_is_email(text) || email_normalise(text, creating->known) < 0)
		return usage_error(creating->invocation, "'%s' is no address", text);
	creating->email = text;
	return STATUS_OK;
}

static int check_name(const struct creating *creating)
{
	const char *reason;

	if (utf8_length(creating->name, strlen(creating->name)) > NAME_MAX_LENGTH)
		return usage_error(creating->invocation, "--name: it has more than %d characters", NAME_MAX_LENGTH);
	if (name_check(creating->name, &reason) < 0)
		return usage_error(creating->invocation, "--name: %s", reason);
	return STATUS_OK;
}

static int read_scopes(struct creating *creating, char *list)
{
	char *rest = list;

	for (const char *name = strsep(&rest, ","); name; name = strsep(&rest, ",")) {
		if (creating->n_scopes == MAX_SCOPES)
			return usage_error(creating->invocation, "--scope: these are too many");
		if (accounts_check_scope(creating->invocation, name))
			return STATUS_USAGE;
		creating->scopes[creating->n_scopes++] = name;
	}
	return STATUS_OK;
}

static int read_arguments(struct creating *creating, char *scopes)
{
	struct invocation *invocation = creating->invocation;

	if (invocation->argc < 2)
		return usage_error(invocation, "name the address: accounts create EMAIL");
	if (creating->name && check_name(creating))
		return STATUS_USAGE;
	if (read_email(creating, invocation->argv[1]) || (scopes && read_scopes(creating, scopes)))
		return STATUS_USAGE;
	return accounts_need(invocation, 0);
}

int accounts_create(struct invocation *invocation)
{
	struct creating creating = { .invocation = invocation };
	_cleanup_(freep) char *list = NULL;
	const char *scopes = NULL;
	const struct command_option options[] = {
		{ "name", .value = &creating.name },	    { "scope", .value = &scopes },
		{ "verified", .flag = &creating.verified }, { "password-hash", .flag = &creating.hashed },
		{ "json", .flag = &creating.json },	    {},
	};
	int status;

	if (options_parse(invocation, options, 2) < 0)
		return STATUS_USAGE;
	list = scopes ? duplicate(scopes) : NULL;
	status = read_arguments(&creating, list);
	if (!status)
		status = accounts_read_secret(invocation, creating.hashed ? "password hash" : "password",
					      !creating.hashed, creating.secret);
	if (!status)
		status = accounts_perform(invocation, ACCOUNTS_HASH, create, &creating);
	sodium_memzero(creating.secret, sizeof(creating.secret));
	return status;
}
