/*
 * The module's mails: each is a durable job, enqueued in the transaction of what it tells of. The job carries no
 * secret: it makes the one-time secret itself, just before the mail goes out, so none stands in a queue. It looks up
 * the account itself too, so that a handler that asks for a mail does the same work whether there is such an account.
 *
 * Links lead to ACCOUNT_URL/verify, /reset-password and /change-email with `#token=…`: a fragment is sent to no server
 * and stands in no log. Those pages POST the token. Never is a link made from a request's Host.
 */
#ifndef MAILS_H
#define MAILS_H

#include <prong/prong.h>

enum account_mail {
	MAIL_VERIFY,	     /* to the account: prove the address */
	MAIL_ADDRESS_IN_USE, /* somebody signed up with an address that has an account (SIGN_UP=private) */
	MAIL_RESET,	     /* to an address that may have an account; without one, nothing is sent */
	MAIL_PASSWORD_CHANGED,
	MAIL_CHANGE_EMAIL,   /* to the new address: prove it; where it has an account already, says so instead */
	MAIL_EMAIL_CHANGING, /* to the present address: somebody asked for another */
	MAIL_EMAIL_CHANGED,  /* to the old address */
	MAIL_NEW_DEVICE,
	MAIL_DELETION, /* it will be deleted, and signing in keeps it; or with `address`, it has been */
	MAIL_DISABLED,
	MAIL_API_KEY_CREATED,
};

/*
 * Enqueues it. `account_id` all zero: look the account up by `address`. `address`: the mail's recipient where it is not
 * the account's stored address; NULL: that. `about`: what the text shows, such as the device; NULL: nothing. A command
 * without REDIS_URL has no queues, and enqueues nothing. Suspends; errors as prong_enqueue() of a durable job.
 */
int account_mail(struct prong_ctx *ctx, enum account_mail mail, prong_uuid account_id, const char *address,
		 const char *about);

/* The job that sends it. Nothing is sent, and the job is done, where what it would tell has become untrue meanwhile. */
extern const struct prong_job account_mail_job;

#endif
