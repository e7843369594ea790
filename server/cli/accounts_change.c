#include "server/cli/accounts.h"

#include "server/routes/accounts/audit.h"

int accounts_note(struct prong_ctx *ctx, prong_uuid account_id, const char *action, prong_json detail)
{
	return audit(ctx, &(struct audit_event){
				  .account_id = account_id,
				  .actor = AUDIT_COMMAND_LINE,
				  .action = action,
				  .result = AUDIT_OK,
				  .detail = detail,
			  });
}

static int apply(struct prong_ctx *ctx, struct account_change *change)
{
	int r;

	r = prong_begin(ctx);
	if (r < 0)
		return r;
	r = accounts_find(ctx, &change->name, true, &change->account);
	if (r < 0)
		return r == -ENOENT ? accounts_unknown(change->invocation, &change->name) : r;
	r = change->apply(ctx, change);
	if (r)
		return r;
	r = accounts_find(ctx, &change->name, false, &change->account);
	return r < 0 ? r : prong_commit(ctx);
}

static int run(struct prong_ctx *ctx, void *argument)
{
	struct account_change *change = argument;
	struct sheet sheet = { .json = true };
	int r = apply(ctx, change);

	if (r)
		return r;
	if (change->revokes)
		accounts_warn_late(ctx, change->invocation);
	if (change->json) {
		accounts_add_account(&sheet, change->account);
		return sheet_print(&sheet, change->invocation);
	}
	printf("%s\n", change->done);
	return output_end(change->invocation);
}

int accounts_change(struct account_change *change)
{
	return accounts_perform(change->invocation, ACCOUNTS_TELL, run, change);
}
