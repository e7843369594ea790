/*
 * Care of the own account: its records, handlers, and what they share. Whatever changes the account and ends what
 * rested on it (secrets, sessions, keys), with the mail and the line of the audit log about it, is one transaction.
 */
#ifndef OWN_ACCOUNT_H
#define OWN_ACCOUNT_H

#include "server/routes/accounts/accounts.h"

struct own_account {
	prong_uuid id;
	const char *email;
	const char *name; /* NULL: none given */
	bool email_verified;
	prong_time created_at;
	PRONG_ARRAY(const char *) scopes;
	prong_opt_time delete_after;
};

#define OWN_ACCOUNT_COLUMNS ACCOUNT_COLUMNS ", to_json(scopes) AS scopes, delete_after"

struct account_update {
	const char *name; /* NULL: it shall have none */
};

struct password_change {
	const char *current_password, *password;
};

struct password_reset {
	const char *token, *password;
};

struct deletion {
	prong_time delete_after;
};

struct account_export {
	prong_time exported_at;
	prong_json account, sessions, api_keys, audit;
};

/* clang-format off */
PRONG_SCHEMA(own_account,
	PRONG_FIELD(own_account, id, .read_only = true),
	PRONG_FIELD(own_account, email, .read_only = true),
	PRONG_FIELD(own_account, name, .read_only = true),
	PRONG_FIELD(own_account, email_verified, .read_only = true),
	PRONG_FIELD(own_account, created_at, .read_only = true),
	PRONG_FIELD_ARRAY(own_account, scopes, .required = true, .read_only = true),
	PRONG_FIELD(own_account, delete_after, .read_only = true));

PRONG_SCHEMA(account_update,
	PRONG_FIELD(account_update, name, .required = true, .nullable = true, .max_length = NAME_MAX_LENGTH));

/* Of passwords the limits are bytes: their handlers check them. */
PRONG_SCHEMA(password_change,
	PRONG_FIELD(password_change, current_password, .required = true, .write_only = true, .secret = true),
	PRONG_FIELD(password_change, password, .required = true, .write_only = true, .secret = true));

PRONG_SCHEMA(password_reset,
	PRONG_FIELD(password_reset, token, .required = true, .write_only = true, .secret = true),
	PRONG_FIELD(password_reset, password, .required = true, .write_only = true, .secret = true));

PRONG_SCHEMA(deletion,
	PRONG_FIELD(deletion, delete_after, .read_only = true));

PRONG_SCHEMA(account_export,
	PRONG_FIELD(account_export, exported_at),
	PRONG_FIELD(account_export, account),
	PRONG_FIELD(account_export, sessions),
	PRONG_FIELD(account_export, api_keys),
	PRONG_FIELD(account_export, audit));
/* clang-format on */

prong_handler get_own_account;	      /* GET /v1/account */
prong_handler update_own_account;     /* PATCH /v1/account */
prong_handler change_password;	      /* PUT /v1/account/password */
prong_handler request_password_reset; /* POST /v1/password-resets */
prong_handler confirm_password_reset; /* POST /v1/password-resets/confirm */
prong_handler request_email_change;   /* POST /v1/account/email */
prong_handler confirm_email_change;   /* POST /v1/account/email/confirm */
prong_handler delete_own_account;     /* DELETE /v1/account */
prong_handler export_own_account;     /* GET /v1/account/export */

/*
 * Begins the transaction of a request by a session (account_need_session()): it locks the account's row, then asks
 * whether the session still lives, for it may have ended since the request came. Whoever ends more than one session of
 * an account, or voids its secrets, locks that row first too: the later of two sees all that the earlier has done. 0;
 * else 401 invalid_token is recorded. Suspends; errors as prong_exec().
 */
int account_begin(struct prong_ctx *ctx);

/* The answer to a token whose account or session is no more: 401 invalid_token. */
int account_gone(struct prong_ctx *ctx);

/*
 * A mail to the address was read: it is proven, in the context's transaction. The first proof revokes the API keys
 * there are: whoever had the account before may have been another, and is not to stay in by a key that they made.
 * -ENOENT: the account has gone, or has another address by now. Suspends; errors as prong_exec().
 */
int account_prove_address(struct prong_ctx *ctx, prong_uuid account_id, const char *address);

/*
 * What follows a new password, in the transaction that sets it: all sessions but `except` end, a mail tells of it, and
 * the audit log has a line with `action`. Suspends; errors as prong_exec().
 */
int password_changed(struct prong_ctx *ctx, prong_uuid account_id, prong_uuid except, const char *action);

#endif
