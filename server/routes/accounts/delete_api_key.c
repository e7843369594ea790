#include "common/security/revocations.h"
#include "server/routes/accounts/api_keys.h"
#include "server/routes/accounts/audit.h"
#include "server/routes/accounts/own_account.h"

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
	r = account_begin(ctx);
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

struct gone_id {
	prong_uuid id;
};
PRONG_SCHEMA(gone_id, PRONG_FIELD(gone_id, id));

int api_keys_revoke_all(struct prong_ctx *ctx, prong_uuid account_id)
{
	prong_uuid *ids;
	struct gone_id *gone;
	size_t count;
	int r;

	r = prong_query(ctx, gone_id, &gone, &count,
			"UPDATE prong_api_keys SET revoked_at = now() WHERE account_id = $1 AND revoked_at IS NULL"
			" RETURNING id",
			account_id);
	if (r < 0 || count == 0)
		return r;
	ids = prong_alloc(ctx, count * sizeof(*ids));
	for (size_t i = 0; i < count; i++)
		ids[i] = gone[i].id;
	r = revocations_add_all(ctx, ids, count);
	if (r < 0)
		return r;
	return audit(ctx, &(struct audit_event){
				  .account_id = account_id,
				  .action = "api_key.delete_all",
				  .result = AUDIT_OK,
				  .detail = { prong_format(ctx, "{\"count\":%zu}", count) },
			  });
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
