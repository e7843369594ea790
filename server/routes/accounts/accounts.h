/*
 * The accounts module: sign-up, sign-in and sessions, and what all of its handlers share. Routes, jobs, schedules and
 * migrations are listed in accounts.c, as an application's are; a handler has a file, its records stand here or in
 * own_account.h, api_keys.h and audit.h. Beyond the public API it takes the runtime's security parts (password hasher,
 * keyring, revocations, feed), rate limits, settings, and of HTTP the client and the cookies.
 */
#ifndef ACCOUNTS_H
#define ACCOUNTS_H

#include <prong/prong.h>

#define NAME_MAX_LENGTH 200 /* code points */

struct account {
	prong_uuid id;
	const char *email;
	const char *name; /* NULL: none given */
	bool email_verified;
	prong_time created_at;
};

/* What an account is read by, from prong_accounts. */
#define ACCOUNT_COLUMNS "id, email, name, email_verified_at IS NOT NULL AS email_verified, created_at"

struct credentials {
	const char *email;
	const char *password; /* used exactly as received */
	bool cookie;	      /* the tokens come as cookies, for a browser */
};

struct sign_up {
	const char *email;
	const char *password;
	const char *name; /* may be NULL */
};

struct mail_address {
	const char *email;
};

/* A one-time secret that came by mail. */
struct proof {
	const char *token;
};

/* An answer that says nothing of whether there is such an account: what follows is told by mail. */
struct notice {
	const char *status;
};

__attribute__((unused)) static const struct notice notice_check_mail = { "check_mail" };

/* What a client is answered; NULL: not in this answer. */
struct session {
	const char *access_token; /* NULL where the tokens are in cookies, as the next and refresh_token */
	const char *token_type;
	int32_t expires_in; /* seconds, of the access token */
	const char *refresh_token;
	int32_t refresh_expires_in; /* seconds, where it is not used before */
	const char *csrf_token;	    /* with cookies only */
	prong_uuid session_id;
	struct account *account;
};

struct refresh_request {
	const char *refresh_token; /* NULL: it is in the cookie */
};

/* A session as its account sees it. */
struct listed_session {
	prong_uuid id;
	const char *device;  /* User-Agent, shortened; NULL: it said nothing */
	const char *address; /* of the client, at sign-in or the last refresh; NULL: not known */
	bool is_cookie;
	bool is_current; /* the one that asks */
	prong_time created_at;
	prong_time used_at;    /* at sign-in or the last refresh */
	prong_time expires_at; /* however it is used */
};

enum sessions_except { EXCEPT_NONE, EXCEPT_CURRENT };

struct which_sessions {
	enum sessions_except except;
};

struct count {
	int32_t count;
};

/* clang-format off */
PRONG_SCHEMA(account,
	PRONG_FIELD(account, id, .read_only = true),
	PRONG_FIELD(account, email, .required = true, .max_length = 254, .format = PRONG_EMAIL),
	PRONG_FIELD(account, name, .max_length = NAME_MAX_LENGTH),
	PRONG_FIELD(account, email_verified, .read_only = true),
	PRONG_FIELD(account, created_at, .read_only = true));

/* The password's limits are bytes, not code points: its handlers check them. */
PRONG_SCHEMA(credentials,
	PRONG_FIELD(credentials, email, .required = true, .max_length = 254, .format = PRONG_EMAIL),
	PRONG_FIELD(credentials, password, .required = true, .write_only = true, .secret = true),
	PRONG_FIELD(credentials, cookie));

PRONG_SCHEMA(sign_up,
	PRONG_FIELD(sign_up, email, .required = true, .max_length = 254, .format = PRONG_EMAIL),
	PRONG_FIELD(sign_up, password, .required = true, .write_only = true, .secret = true),
	PRONG_FIELD(sign_up, name, .max_length = NAME_MAX_LENGTH));

PRONG_SCHEMA(mail_address,
	PRONG_FIELD(mail_address, email, .required = true, .max_length = 254, .format = PRONG_EMAIL));

PRONG_SCHEMA(proof,
	PRONG_FIELD(proof, token, .required = true, .write_only = true, .secret = true));

PRONG_SCHEMA(notice,
	PRONG_FIELD(notice, status, .read_only = true));

PRONG_SCHEMA(session,
	PRONG_FIELD(session, access_token, .read_only = true, .secret = true),
	PRONG_FIELD(session, token_type, .read_only = true),
	PRONG_FIELD(session, expires_in, .read_only = true),
	PRONG_FIELD(session, refresh_token, .read_only = true, .secret = true),
	PRONG_FIELD(session, refresh_expires_in, .read_only = true),
	PRONG_FIELD(session, csrf_token, .read_only = true, .secret = true),
	PRONG_FIELD(session, session_id, .read_only = true),
	PRONG_FIELD_OBJECT(session, account, account, .read_only = true));

PRONG_SCHEMA(refresh_request,
	PRONG_FIELD(refresh_request, refresh_token, .write_only = true, .secret = true));

PRONG_SCHEMA(listed_session,
	PRONG_FIELD(listed_session, id),
	PRONG_FIELD(listed_session, device),
	PRONG_FIELD(listed_session, address),
	PRONG_FIELD(listed_session, is_cookie),
	PRONG_FIELD(listed_session, is_current),
	PRONG_FIELD(listed_session, created_at),
	PRONG_FIELD(listed_session, used_at),
	PRONG_FIELD(listed_session, expires_at));

PRONG_SCHEMA(which_sessions,
	PRONG_FIELD(which_sessions, except, .values = PRONG_VALUES("none", "current")));

PRONG_SCHEMA(count,
	PRONG_FIELD(count, count));
/* clang-format on */

prong_handler create_account;	/* POST /v1/accounts */
prong_handler verify_account;	/* POST /v1/accounts/verify */
prong_handler ask_verification; /* POST /v1/accounts/verification */
prong_handler create_session;	/* POST /v1/sessions */
prong_handler refresh_session;	/* POST /v1/sessions/refresh */
prong_handler list_sessions;	/* GET /v1/sessions */
prong_handler end_own_session;	/* DELETE /v1/sessions/current */
prong_handler end_session;	/* DELETE /v1/sessions/{id} */
prong_handler end_sessions;	/* DELETE /v1/sessions */

#define EMAIL_SIZE 255 /* RFC 5321's 254 with the NUL */

/*
 * The form in which addresses are compared: ASCII letters in lower case, nothing else changed (no dots or +tags taken
 * out: that is the mail host's business). -EINVAL for more than ASCII, whose look-alikes would need more care, and for
 * what is too long or not printable. The address's form is the schema's to check.
 */
int email_normalise(const char *email, char ret_normalised[EMAIL_SIZE]);

/*
 * Whether a person's name can be shown: not blank, no control characters, none that are invisible or change directions.
 * 0, or -EINVAL and a sentence (a constant). Its length is the schema's to check.
 */
int name_check(const char *name, const char **ret_reason);

/*
 * Care of the account is for its sessions: 0 where the request comes with one. Else 403 session_required is recorded:
 * an API key, or another issuer's token.
 */
int account_need_session(struct prong_ctx *ctx);

/* As above, and the account has not changed too much lately: else 429 is recorded (WAY_CHANGE of abuse.h). Suspends. */
int account_may_change(struct prong_ctx *ctx);

#endif
