#include "server/routes/accounts/deletion.h"

#include "common/basics.h"
#include "common/security/revocations.h"
#include "server/routes/accounts/audit.h"
#include "server/routes/accounts/mails.h"

#define PAGE 100

struct holders {
	const char *tables; /* NULL: none */
};

PRONG_SCHEMA(holders, PRONG_FIELD(holders, tables));

/* The application's, who wrote the reference, are to hear where to look. */
static void log_held(struct prong_ctx *ctx, prong_uuid account_id)
{
	struct holders *holders;
	char id[PRONG_UUID_TEXT_SIZE];
	int r;

	prong_rollback(ctx);
	r = prong_query_one(ctx, holders, &holders,
			    "SELECT string_agg(DISTINCT conrelid::regclass::text, ', ') AS tables FROM pg_constraint"
			    " WHERE confrelid = 'prong_accounts'::regclass AND contype = 'f'"
			    " AND confdeltype IN ('a', 'r')");
	prong_log(ctx, PRONG_LOG_ERROR,
		  "account %s cannot be deleted, because other rows reference it (tables that may: %s): delete those,"
		  " or let them reference it with ON DELETE CASCADE",
		  prong_uuid_format(account_id, id), r == 0 && holders->tables ? holders->tables : "not known");
}

struct deleted {
	const char *email;
	bool proven;
};

PRONG_SCHEMA(deleted, PRONG_FIELD(deleted, email), PRONG_FIELD(deleted, proven));

/* What goes with it in the same transaction. */
static int finish(struct prong_ctx *ctx, prong_uuid account_id, const char *actor, const struct deleted *deleted)
{
	int r;

	r = revocations_add(ctx, account_id, REVOKE_ALL);
	if (r >= 0 && deleted->proven)
		r = account_mail(ctx, MAIL_DELETION, account_id, deleted->email, NULL);
	if (r >= 0)
		r = audit(ctx, &(struct audit_event){ account_id, .actor = actor, .action = "account.delete",
						      .result = AUDIT_OK });
	return r < 0 ? r : prong_commit(ctx);
}

/* `due`: only if its time has come, for its owner may have kept it meanwhile. */
static int delete_account(struct prong_ctx *ctx, prong_uuid account_id, const char *actor, bool due)
{
	struct deleted *deleted;
	int r;

	r = prong_begin(ctx);
	if (r >= 0)
		r = prong_query_one(ctx, deleted, &deleted,
				    "DELETE FROM prong_accounts WHERE id = $1 AND (NOT $2 OR delete_after <= now())"
				    " RETURNING email, email_verified_at IS NOT NULL AS proven",
				    account_id, due);
	if (r >= 0)
		r = finish(ctx, account_id, actor, deleted);
	if (r == -EINVAL)
		log_held(ctx, account_id);
	prong_rollback(ctx);
	return r;
}

int account_delete(struct prong_ctx *ctx, prong_uuid account_id, const char *actor)
{
	return delete_account(ctx, account_id, actor, false);
}

/* ---- housekeeping ---- */

struct due {
	prong_uuid id;
	prong_time delete_after;
};

PRONG_SCHEMA(due, PRONG_FIELD(due, id), PRONG_FIELD(due, delete_after));

/* One that is held is for people, and waits for the next hour; log_held() has said so. */
static int delete_due(struct prong_ctx *ctx, prong_uuid account_id)
{
	char id[PRONG_UUID_TEXT_SIZE];
	int r;

	r = delete_account(ctx, account_id, AUDIT_SYSTEM, true);
	if (r >= 0 || r == -ENOENT || r == -EINVAL)
		return 0;
	prong_log(ctx, PRONG_LOG_ERROR, "account %s was not deleted: %s", prong_uuid_format(account_id, id),
		  strerror(-r));
	return r;
}

/* The accounts that come after `last`. Returns how many, or a negative errno. */
static int delete_page(struct prong_ctx *ctx, struct due *last, int *ret_failure)
{
	struct due *page;
	size_t count;
	int r;

	r = prong_query(ctx, due, &page, &count,
			"SELECT id, delete_after FROM prong_accounts WHERE delete_after <= now()"
			" AND (delete_after, id) > ($1, $2) ORDER BY delete_after, id LIMIT $3",
			last->delete_after, last->id, PAGE);
	for (size_t i = 0; r >= 0 && i < count; i++) {
		int deleted = delete_due(ctx, page[i].id);

		*last = page[i];
		if (deleted < 0)
			*ret_failure = deleted;
		if (deleted == -ECANCELED || deleted == -EHOSTDOWN)
			return deleted;
	}
	return r < 0 ? r : (int)count;
}

int accounts_purge(struct prong_ctx *ctx)
{
	struct due last = { 0 };
	int r, failure = 0;

	do
		r = delete_page(ctx, &last, &failure);
	while (r == PAGE);
	return r < 0 ? r : failure;
}
