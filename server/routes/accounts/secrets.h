/*
 * One-time secrets: 32 random bytes in base64url that go out by mail and prove, when they come back, that the mail was
 * read. At rest they are SHA-256 and one purpose; a single UPDATE uses them up, so of many at once one succeeds.
 */
#ifndef SECRETS_H
#define SECRETS_H

#include <prong/prong.h>

#define SECRET_TEXT_SIZE 44 /* with its NUL */

enum secret_purpose {
	SECRET_VERIFY,	     /* the address belongs to the account: 24 hours */
	SECRET_RESET,	     /* a new password: 30 minutes */
	SECRET_CHANGE_EMAIL, /* the new address, where one of the next stands beside it: 24 hours */
	SECRET_EMAIL_ASKED,  /* goes out to nobody: the account has asked for the address last: 24 hours */
};

/*
 * Makes one; `address` (may be NULL) is kept with it. Of SECRET_EMAIL_ASKED an account has one: those before go, and
 * the transaction has locked the account's row. Suspends; errors as prong_exec(), among them -EINVAL where the account
 * has gone.
 */
int secret_make(struct prong_ctx *ctx, enum secret_purpose purpose, prong_uuid account_id, const char *address,
		char ret_text[SECRET_TEXT_SIZE]);

/* Whose one is, without using it up: what is costly can come before secret_use(), which decides. Likewise. */
int secret_find(struct prong_ctx *ctx, enum secret_purpose purpose, const char *text, prong_uuid *ret_account_id);

/*
 * Uses one up, in the context's transaction where there is one, and voids the account's others: of its purpose, or all
 * where it changes what they rest on (SECRET_RESET, SECRET_CHANGE_EMAIL). It locks the account's row first. 0 and whose
 * it is; -ENOENT: wrong, used, expired, or of another purpose. `ret_address`: as given to secret_make(), in the
 * context's arena. Suspends.
 */
int secret_use(struct prong_ctx *ctx, enum secret_purpose purpose, const char *text, prong_uuid *ret_account_id,
	       const char **ret_address);

/* Whether the account has such a one for the address that is good: 1 or 0. Suspends; errors as prong_query_one(). */
int secret_stands(struct prong_ctx *ctx, enum secret_purpose purpose, prong_uuid account_id, const char *address);

/* The answer to a secret that is not good: 422 token_refused, whatever is wrong with it. */
int secret_refuse(struct prong_ctx *ctx);

/*
 * Voids all of the account's: its password or address changes. The transaction has locked the account's row before, so
 * that none is made meanwhile that this does not see, and all lock in one order. Suspends; errors as prong_exec().
 */
int secrets_void(struct prong_ctx *ctx, prong_uuid account_id);

/* Housekeeping: deletes those that were over a week ago. Suspends; errors as prong_exec(). */
int secrets_purge(struct prong_ctx *ctx);

#endif
