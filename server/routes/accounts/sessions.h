/*
 * Sessions: what a sign-in starts. A session is a family of refresh tokens, of which one is current (RFC 9700 §4.14).
 *
 * A refresh token is 32 random bytes behind the session's id and its number, with a MAC over all of them that tells an
 * old token of ours from a guess; only the SHA-256 of the current one and the one before is kept. Using the current one
 * makes its successor. Using the one before within REFRESH_GRACE gives the same successor again: it is made of the old
 * token, a salt in the row, and a key derived from PRONG_SECRET. Any older one ends the session: somebody has a copy.
 */
#ifndef SESSIONS_H
#define SESSIONS_H

#include "server/routes/accounts/accounts.h"

/* What a session's tokens need of its account. */
struct session_owner {
	struct account account;
	const char *scope; /* names with a space between */
	int32_t epoch;
};

/*
 * So many sessions of an account are live: more than people have devices, few enough to be ended in one statement. Else
 * who has its password could pile up more than its owner can shut out.
 */
#define SESSIONS_MAX 100
#define SESSIONS_ENDED_MAX 300 /* kept beside them, those used last, because every sign-in reads them */

/*
 * Starts a session for an account whose password was just proven, with its tokens in the record; session_reply() makes
 * the answer, after the commit. In the context's transaction, which has locked the account's row (FOR NO KEY UPDATE):
 * where there are SESSIONS_MAX already the one refreshed longest ago ends ("evicted"), with a line of the audit log.
 * Suspends. 0; -ENOENT: the account has gone, or is disabled; -EHOSTDOWN: no signing key yet; what the application's
 * `.claims` failed with; else as prong_exec().
 */
int session_start(struct prong_ctx *ctx, const struct session_owner *owner, bool cookie, struct session **ret_session);

/* A session that stands in the database, and the refresh token to give out. */
struct session_grant {
	prong_uuid session_id;
	int64_t authenticated_at;  /* seconds since the epoch */
	prong_duration rest;	   /* until its end, however it is used */
	const char *refresh_token; /* text */
};

/* Makes the record of a session with a new access token. Suspends where the application has `.claims`. As above. */
int session_issue(struct prong_ctx *ctx, const struct session_owner *owner, const struct session_grant *grant,
		  struct session **ret_session);

/* Replies with the session: its tokens in the record, or in `__Host-` cookies. Returns 0. */
int session_reply(struct prong_ctx *ctx, int status, const struct session *session, bool cookie);

/*
 * Ends sessions; their access tokens are void at once (revocations.h). `reason` is kept in the row: "signed_out",
 * "revoked", "password_changed", "reused", "disabled", "deleted", "privilege". Suspends; 0 (-ENOENT: there is none, or
 * it has ended), or the number of sessions; errors as prong_exec().
 *
 * session_end(): in the context's transaction, or in one of its own. sessions_end_all(): in the context's transaction,
 * which has locked the account's row (FOR NO KEY UPDATE), as account_begin() does. A sign-in may be under way
 * meanwhile: whoever changes what it depends on (the password, disabled_at) does so first, in the same transaction, and
 * no session is missed. Where an account has more than SESSIONS_MAX, from before there was a limit, the others are
 * deleted and a new epoch voids the access tokens, the excepted session's too, which refreshes.
 */
int session_end(struct prong_ctx *ctx, prong_uuid account_id, prong_uuid session_id, const char *reason);
int sessions_end_all(struct prong_ctx *ctx, prong_uuid account_id, prong_uuid except, const char *reason);

/* As session_end(), of one that signs out, with its line in the audit log; in the context's transaction. */
int session_sign_out(struct prong_ctx *ctx, prong_uuid account_id, prong_uuid session_id);

/*
 * A new epoch for the account: all its access tokens so far are void, while its sessions live on and get new ones by
 * refreshing. For a change of scopes, or of what its tokens say. Suspends; -ENOENT, errors as prong_exec().
 */
int account_renew_epoch(struct prong_ctx *ctx, prong_uuid account_id);

/* Takes the session's cookies from the client. */
void session_clear_cookies(struct prong_ctx *ctx);

/*
 * Deletes sessions that ended, or ran out, 30 days ago: until then, or until SESSIONS_ENDED_MAX came after them, they
 * tell of devices that are known. Suspends; 0, errors as prong_exec().
 */
#define SESSIONS_KEPT PRONG_DAYS(30)
int sessions_purge(struct prong_ctx *ctx);

#endif
