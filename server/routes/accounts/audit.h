/* The audit log: rows of prong_audit, which is only added to. */
#ifndef AUDIT_H
#define AUDIT_H

#include <prong/prong.h>

#define AUDIT_OK "ok"

/* Actors that are no accounts. */
#define AUDIT_COMMAND_LINE "command line"
#define AUDIT_SYSTEM "system"
#define AUDIT_NOBODY "nobody" /* not signed in, and of no account */

struct audit_event {
	prong_uuid account_id; /* whom it is about; all zero: no such account */
	const char *actor;     /* NULL: the signed-in account, else `account_id`, else AUDIT_NOBODY */
	const char *action;    /* "sign_in", "password.change" … a noun, a point, a verb */
	const char *result;    /* AUDIT_OK, or the code of the refusal */
	prong_json detail;     /* no secrets, no passwords; .text NULL: none */
};

/*
 * Adds an event, in the context's transaction where there is one: an action and its line are committed together. Takes
 * address, device and request id from the context. Suspends; errors as prong_exec().
 */
int audit(struct prong_ctx *ctx, const struct audit_event *event);

#endif
