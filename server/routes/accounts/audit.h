/* The audit log: rows of prong_audit, which is only added to. */
#ifndef AUDIT_H
#define AUDIT_H

#include <prong/prong.h>

#define AUDIT_OK "ok"

/* Actors that are no accounts. */
#define AUDIT_COMMAND_LINE "command line"
#define AUDIT_SYSTEM "system"
#define AUDIT_NOBODY "nobody" /* not signed in: nobody knows who */

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

/* Deletes what is older than AUDIT_AGE, in batches; for housekeeping. Suspends; the number of rows, or as prong_exec().
 */
int audit_purge(struct prong_ctx *ctx);

/* ---- reading it ---- */

struct audit_entry {
	prong_uuid id;
	prong_time at;
	prong_opt_uuid account_id;
	const char *actor;
	const char *action;
	const char *result;
	const char *address;
	const char *device;
	const char *request_id;
	prong_json detail;
};

struct audit_page {
	prong_opt_uuid before;
	prong_opt_int32 limit;
};

struct audit_filter {
	prong_opt_uuid account;
	const char *action;
	prong_opt_uuid before;
	prong_opt_int32 limit;
};

#define AUDIT_MAX_LIMIT 200

/* clang-format off */
PRONG_SCHEMA(audit_entry,
	PRONG_FIELD(audit_entry, id),
	PRONG_FIELD(audit_entry, at),
	PRONG_FIELD(audit_entry, account_id, .summary = "whom it is about; absent: no such account"),
	PRONG_FIELD(audit_entry, actor, .summary = "who did it: an account's id, or command line, system or nobody"),
	PRONG_FIELD(audit_entry, action),
	PRONG_FIELD(audit_entry, result, .summary = "ok, or the code of the refusal"),
	PRONG_FIELD(audit_entry, address),
	PRONG_FIELD(audit_entry, device),
	PRONG_FIELD(audit_entry, request_id),
	PRONG_FIELD(audit_entry, detail));

PRONG_SCHEMA(audit_page,
	PRONG_FIELD(audit_page, before, .summary = "the id of the last entry that you have: those before it"),
	PRONG_FIELD(audit_page, limit, .range = PRONG_RANGE(1, AUDIT_MAX_LIMIT), .summary = "50 where absent"));

PRONG_SCHEMA(audit_filter,
	PRONG_FIELD(audit_filter, account, .summary = "its id; all where absent"),
	PRONG_FIELD(audit_filter, action, .max_length = 100, .summary = "all where absent"),
	PRONG_FIELD(audit_filter, before, .summary = "the id of the last entry that you have: those before it"),
	PRONG_FIELD(audit_filter, limit, .range = PRONG_RANGE(1, AUDIT_MAX_LIMIT), .summary = "50 where absent"));
/* clang-format on */

prong_handler list_own_audit; /* GET /v1/account/audit: the newest first, as the next */
prong_handler list_audit;     /* GET /v1/admin/audit */

#endif
