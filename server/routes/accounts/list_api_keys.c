#include "server/routes/accounts/accounts.h"
#include "server/routes/accounts/api_keys.h"

int list_api_keys(struct prong_ctx *ctx)
{
	struct api_key *keys;
	size_t count;
	int r;

	r = account_need_session(ctx);
	if (r < 0)
		return r;
	r = prong_query(ctx, api_key, &keys, &count,
			"SELECT " API_KEY_COLUMNS " FROM prong_api_keys WHERE account_id = $1 AND revoked_at IS NULL"
			" ORDER BY id DESC",
			prong_account_id(ctx));
	if (r < 0)
		return r;
	return prong_reply_list(ctx, 200, api_key, keys, count);
}
