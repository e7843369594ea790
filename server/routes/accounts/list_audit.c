#include "common/basics.h"
#include "common/context.h"
#include "server/routes/accounts/accounts.h"
#include "server/routes/accounts/audit.h"

#define DEFAULT_LIMIT 50
#define UUID_VERSION 7

/* Each an index serves, whatever the parameters are: PostgreSQL plans prepared statements once for all of them. */
#define PAGE(whose)                                                                                              \
	"SELECT id, at, account_id, actor, action, result, address, device, request_id, detail FROM prong_audit" \
	" WHERE " whose " AND id < $2 AND ($3::text IS NULL OR action = $3) ORDER BY id DESC LIMIT $4"

/* Whose entries, which, and from where on; what is not set does not narrow it. */
struct page {
	prong_opt_uuid account;
	const char *action;
	prong_opt_uuid before;
	prong_opt_int32 limit;
};

static int reply_page(struct prong_ctx *ctx, const struct page *page)
{
	const char *sql = page->account.set ? PAGE("account_id = $1") : PAGE("$1::uuid IS NULL");
	struct audit_entry *entries;
	prong_uuid before;
	size_t count;
	int r;

	memset(&before, 0xff, sizeof(before));
	if (page->before.set)
		before = page->before.value;
	/* Entries go by their ids, which are in the order of time: no id of another kind stands between them. */
	if (page->before.set && before.bytes[6] >> 4 != UUID_VERSION)
		return prong_fail(ctx, 400, "invalid_query", "before is the id of the last entry that you have.");
	r = prong_query(ctx, audit_entry, &entries, &count, sql, page->account, before, page->action,
			page->limit.set ? page->limit.value : DEFAULT_LIMIT);
	if (r < 0)
		return r;
	return prong_reply_list(ctx, 200, audit_entry, entries, count);
}

int list_own_audit(struct prong_ctx *ctx)
{
	const struct audit_page *in = prong_query_string(ctx, audit_page);
	int r = account_need_session(ctx);

	if (r < 0)
		return r;
	return reply_page(ctx, &(struct page){
				       .account = { true, prong_account_id(ctx) },
				       .before = in->before,
				       .limit = in->limit,
			       });
}

int list_audit(struct prong_ctx *ctx)
{
	const struct audit_filter *in = prong_query_string(ctx, audit_filter);

	return reply_page(ctx, &(struct page){
				       .account = in->account,
				       .action = in->action,
				       .before = in->before,
				       .limit = in->limit,
			       });
}
