/* What a new password must be. */
#ifndef PASSWORD_RULES_H
#define PASSWORD_RULES_H

#include <prong/prong.h>

/*
 * Whether a password may be an account's: 8 to 1024 bytes, and strong enough for PASSWORD_STRENGTH as zxcvbn counts,
 * knowing the account's own words (`words` ends with NULL: its address, its name; the application's name is known). 0;
 * else 422 is recorded for the member at `pointer` (too_short, too_long, weak_password), with a reason that says what
 * to do, and nothing of the password itself. Suspends: it is computed on a thread.
 */
int password_accept(struct prong_ctx *ctx, const char *pointer, const char *password, const char *const words[]);

/*
 * As above for who has no context's reply to fail, such as a command: 0, -EINVAL with the code and the reason in the
 * context's arena, or another error.
 */
int password_check(struct prong_ctx *ctx, const char *password, const char *const words[], const char **ret_code,
		   const char **ret_reason);

#endif
