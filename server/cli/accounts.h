/* What the verbs of the command `accounts` share: naming an account, and running with what that needs. */
#ifndef CLI_ACCOUNTS_H
#define CLI_ACCOUNTS_H

#include "common/context.h"
#include "server/cli/cli.h"
#include "server/routes/accounts/accounts.h"

/* An account as it is shown. */
struct shown_account {
	prong_uuid id;
	const char *email;
	const char *name;
	const char *scope; /* for people: names with a space between */
	prong_json scopes;
	const char *state; /* active, disabled, deleting */
	prong_time created_at;
	prong_opt_time email_verified_at, password_changed_at, disabled_at, delete_after;
};

/* clang-format off */
PRONG_SCHEMA(shown_account,
	PRONG_FIELD(shown_account, id),
	PRONG_FIELD(shown_account, email),
	PRONG_FIELD(shown_account, name),
	PRONG_FIELD(shown_account, scope),
	PRONG_FIELD(shown_account, scopes),
	PRONG_FIELD(shown_account, state),
	PRONG_FIELD(shown_account, created_at),
	PRONG_FIELD(shown_account, email_verified_at),
	PRONG_FIELD(shown_account, password_changed_at),
	PRONG_FIELD(shown_account, disabled_at),
	PRONG_FIELD(shown_account, delete_after));
/* clang-format on */

#define SHOWN_ACCOUNT                                                                                      \
	"id, email, name, array_to_string(scopes, ' ') AS scope, to_jsonb(scopes) AS scopes,"              \
	" CASE WHEN disabled_at IS NOT NULL THEN 'disabled' WHEN delete_after IS NOT NULL THEN 'deleting'" \
	" ELSE 'active' END AS state,"                                                                     \
	" created_at, email_verified_at, password_changed_at, disabled_at, delete_after"

/* How an account is named: its address or its id. */
struct account_name {
	const char *text;	/* as given */
	prong_opt_uuid id;	/* where it is one */
	char email[EMAIL_SIZE]; /* else, as compared */
};

/* STATUS_OK; or STATUS_USAGE, having said that it is neither. */
int accounts_read_name(const struct invocation *invocation, const char *text, struct account_name *ret_name);

/* Likewise that it is no scope; NULL is left alone. */
int accounts_check_scope(const struct invocation *invocation, const char *scope);

/*
 * The account of that name; `locked` until the context's transaction ends. Suspends; -ENOENT, errors as
 * prong_query_one().
 */
int accounts_find(struct prong_ctx *ctx, const struct account_name *name, bool locked,
		  struct shown_account **ret_account);

/* STATUS_FAILURE, having said that there is no such account. */
int accounts_unknown(const struct invocation *invocation, const struct account_name *name);

enum accounts_needs {
	ACCOUNTS_TELL = 1, /* Redis, where REDIS_URL is set: servers hear of revocations */
	ACCOUNTS_HASH = 2, /* the password hasher */
};

/*
 * Also for the command `keys`: STATUS_OK, or the status to return having said what is missing: settings, PostgreSQL's
 * URL, the module, or `further` of invocation_need().
 */
int accounts_need(struct invocation *invocation, unsigned further);

/*
 * Runs `work` on a coroutine with PostgreSQL and what `needs` says. It returns an exit status, having said what is
 * wrong, or a negative errno, which is explained here.
 */
int accounts_perform(struct invocation *invocation, unsigned needs, int (*work)(struct prong_ctx *ctx, void *argument),
		     void *argument);

/* Says on standard error so where servers that run do not hear at once of what was revoked. */
void accounts_warn_late(struct prong_ctx *ctx, const struct invocation *invocation);

/* An account's members, as `show` and, with --json, every change print them. */
void accounts_add_account(struct sheet *sheet, const struct shown_account *account);

/*
 * Its live sessions, its API keys, the last lines of the audit log (`account_id` not set: of all), as tables. Suspend;
 * errors as prong_query(). The caller frees the table.
 */
int accounts_sessions_table(struct prong_ctx *ctx, prong_uuid account_id, struct table **ret_table);
int accounts_keys_table(struct prong_ctx *ctx, prong_uuid account_id, bool json, struct table **ret_table);
int accounts_audit_table(struct prong_ctx *ctx, prong_opt_uuid account_id, int64_t limit, bool json,
			 struct table **ret_table);

/* One change of one account, in a transaction that holds its row. */
struct account_change {
	struct invocation *invocation;
	struct account_name name;
	const char *scope, *reason;
	prong_opt_uuid session;
	bool sessions, json;

	/* STATUS_OK; another status, having said why: then nothing is changed; or a negative errno. */
	int (*apply)(struct prong_ctx *ctx, struct account_change *change);

	struct shown_account *account; /* as it was, for apply() */
	const char *done;	       /* a sentence of what apply() did */
	bool revokes;		       /* apply() has revoked something: servers must hear of it */
};

int accounts_change(struct account_change *change);

/* The line of the audit log that belongs to it. `detail`: .text NULL is none. Suspends; errors as prong_exec(). */
int accounts_note(struct prong_ctx *ctx, prong_uuid account_id, const char *action, prong_json detail);

#define SECRET_LINE_SIZE 4097 /* longer than any password that is taken */

/*
 * A secret, `what` as in "password", from the terminal without echo, and twice where `repeat`; where standard input is
 * no terminal, its first line. STATUS_OK, or STATUS_FAILURE having said what is wrong. The caller wipes it.
 */
int accounts_read_secret(const struct invocation *invocation, const char *what, bool repeat,
			 char ret_secret[SECRET_LINE_SIZE]);

int accounts_ls(struct invocation *invocation);
int accounts_show(struct invocation *invocation);
int accounts_sessions(struct invocation *invocation); /* accounts_show.c, as the next */
int accounts_audit(struct invocation *invocation);
int accounts_create(struct invocation *invocation);
int accounts_import(struct invocation *invocation);
int accounts_disable(struct invocation *invocation); /* accounts_act.c, as the next two */
int accounts_enable(struct invocation *invocation);
int accounts_delete(struct invocation *invocation);
int accounts_grant(struct invocation *invocation); /* accounts_revoke.c, as the next */
int accounts_revoke(struct invocation *invocation);

#endif
