#include "common/security/revocations.h"
#include "server/routes/accounts/accounts.h"
#include "server/routes/accounts/api_keys.h"
#include "server/routes/accounts/audit.h"

#define PURGE_BATCH 1000

struct gone_key {
	prong_uuid id;
	const char *name;
};
PRONG_SCHEMA(gone_key, PRONG_FIELD(gone_key, id), PRONG_FIELD(gone_key, name));

static int revoke(struct prong_ctx *ctx, prong_uuid id)
{
	struct gone_key *gone;
	int r;

	r = prong_query_one(ctx, gone_key, &gone,
			    "UPDATE prong_api_keys SET revoked_at = now()"
			    " WHERE id = $1 AND account_id = $2 AND revoked_at IS NULL RETURNING id, name",
			    id, prong_account_id(ctx));
	if (r < 0)
		return r;
	r = revocations_add(ctx, id, REVOKE_ALL);
	if (r < 0)
		return r;
	return audit(ctx, &(struct audit_event){
				  .account_id = prong_account_id(ctx),
				  .action = "api_key.delete",
				  .result = AUDIT_OK,
				  .detail = prong_to_json(ctx, gone_key, gone),
			  });
}

int delete_api_key(struct prong_ctx *ctx)
{
	prong_uuid id;
	int r;

	r = account_need_session(ctx);
	if (r < 0)
		return r;
	r = prong_path_uuid(ctx, "id", &id);
	if (r < 0)
		return r;
	r = prong_begin(ctx);
	if (r < 0)
		return r;
	r = revoke(ctx, id);
	if (r < 0)
		return r;
	r = prong_commit(ctx);
	if (r < 0)
		return r;
	return prong_reply_empty(ctx, 204);
}

int api_keys_purge(struct prong_ctx *ctx)
{
	int r;

	do
		r = prong_exec(ctx,
			       "DELETE FROM prong_api_keys WHERE id IN (SELECT id FROM prong_api_keys"
			       " WHERE revoked_at < now() - interval '30 days' LIMIT $1)",
			       PURGE_BATCH);
	while (r == PURGE_BATCH);
	return r < 0 ? r : 0;
}
