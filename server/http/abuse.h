/*
 * What keeps guessing and flooding away from every way in: rate limits by account and by source, and soft lockout. A
 * source is an IPv4 address or an IPv6 /64. Lockout is soft and of the pair: after 5 wrong secrets a source waits
 * longer and longer for that account, while its owner, elsewhere, does not notice. Over all sources an account takes
 * 100 wrong secrets in any hour; then sources from which it has signed in within 30 days go on, others wait. abuse.c
 * has the table of all limits. RATE_LIMITS=off takes them away.
 */
#ifndef ABUSE_H
#define ABUSE_H

#include <prong/prong.h>

enum way_in {
	WAY_SIGN_UP,
	WAY_SIGN_IN,
	WAY_REFRESH,
	WAY_PROOF,    /* a one-time secret is presented */
	WAY_MAIL,     /* a mail is asked for */
	WAY_KEY,      /* an API key that has to be looked up */
	WAY_PASSWORD, /* of a signed-in account, to change something */
	WAY_CHANGE,   /* a signed-in account has something kept or gathered */
	WAYS_IN,
};

/*
 * Before anything is hashed or looked up. `account`: the normalised address, or the id as text; NULL: none is named. 0;
 * else 429 rate_limited with Retry-After is recorded. Answers alike whether there is such an account. Suspends. While
 * Redis is away each process limits by itself; -EHOSTDOWN (503) of a sign-in then, for guesses at passwords are counted
 * over all hosts or not made. That one is charged to its source's flood limit alone.
 *
 * What was let through counts as wrong from here on, so that many at once are no more than one after the other, until
 * abuse_settle() says that it was not.
 */
int abuse_check(struct prong_ctx *ctx, enum way_in way, const char *account);

/* What a try has shown. */
enum verdict {
	VERDICT_UNKNOWN, /* something of ours failed */
	VERDICT_WRONG,
	VERDICT_RIGHT,
};

/* That of the function that looked: -ENOENT and -EACCES are wrong, 0 and more right. */
enum verdict verdict_of(int result);

/* After abuse_check(), once it is known. Suspends; errors are logged only. */
void abuse_settle(struct prong_ctx *ctx, enum way_in way, const char *account, enum verdict verdict);

/*
 * Whoever has the account has proven it in another way: what was wrong before counts no more, for this source and for
 * the account as a whole. Suspends; errors are logged only.
 */
void abuse_forgive(struct prong_ctx *ctx, enum way_in way, const char *account);

/* Defines the metrics of ways in, before the master forks. */
void abuse_metrics_define(void);

#endif
