#include "server/routes/accounts/audit.h"

#include "common/basics.h"
#include "common/context.h"
#include "server/http/client.h"

#define BATCH 1000 /* rows of one statement */

static const char *actor_of(struct prong_ctx *ctx, const struct audit_event *event)
{
	char id[PRONG_UUID_TEXT_SIZE];

	if (event->actor)
		return event->actor;
	if (!ctx->signed_in && uuid_is_zero(event->account_id))
		return AUDIT_NOBODY;
	return prong_strdup(ctx, prong_uuid_format(ctx->signed_in ? ctx->principal.account_id : event->account_id, id));
}

int audit(struct prong_ctx *ctx, const struct audit_event *event)
{
	prong_opt_uuid account = { !uuid_is_zero(event->account_id), event->account_id };
	int r;

	r = prong_exec(ctx,
		       "INSERT INTO prong_audit"
		       " (id, account_id, actor, action, result, address, device, request_id, detail)"
		       " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
		       prong_uuid_make(), account, actor_of(ctx, event), event->action, event->result,
		       prong_client_address(ctx), client_device(ctx), *ctx->request_id ? ctx->request_id : NULL,
		       event->detail);
	return r < 0 ? r : 0;
}

int audit_purge(struct prong_ctx *ctx)
{
	int r, deleted = 0;

	do {
		r = prong_exec(ctx,
			       "DELETE FROM prong_audit WHERE id IN (SELECT id FROM prong_audit"
			       " WHERE at < now() - $1::bigint * interval '1 microsecond'"
			       " ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED)",
			       ctx->runtime->settings->audit_age, BATCH);
		if (r < 0)
			return r;
		deleted += r;
	} while (r == BATCH);
	return deleted;
}
