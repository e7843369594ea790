#include "server/routes/accounts/signing_keys.h"

#include "common/context.h"
#include "common/security/feed.h"
#include "common/security/jwks.h"
#include "common/security/key_rotation.h"
#include "server/routes/accounts/audit.h"

int get_jwks(struct prong_ctx *ctx)
{
	_cleanup_(buffer_free) struct buffer set = { 0 };
	const struct signing_key *keys;
	size_t count;

	keys = keyring_all(ctx->runtime->keyring, &count);
	if (!keys)
		return -EHOSTDOWN; /* not loaded yet */
	jwks_add(&set, keys, count);
	prong_set_header(ctx, "Cache-Control",
			 prong_format(ctx, "public, max-age=%lld", (long long)(JWKS_MAX_AGE / PRONG_SECONDS(1))));
	return prong_reply_bytes(ctx, 200, "application/jwk-set+json", set.data, set.size);
}

/* ---- changes ---- */

static int note(struct prong_ctx *ctx, const char *actor, const char *action, const char *id)
{
	return audit(ctx, &(struct audit_event){
				  .actor = actor,
				  .action = action,
				  .result = AUDIT_OK,
				  .detail = { prong_format(ctx, "{\"kid\":\"%s\"}", id) },
			  });
}

static bool tell(struct prong_ctx *ctx, const char *id)
{
	return feed_publish(ctx, KEYRING_EVENT, id) >= 0;
}

/* In a transaction. */
static int rotate(struct prong_ctx *ctx, prong_duration age, prong_duration lead, const char *actor,
		  const char **ret_id)
{
	const struct settings *settings = ctx->runtime->settings;
	enum algorithm algorithm = (enum algorithm)settings->signing_algorithm;
	struct keyring *keyring = keyring_new(settings->secret, algorithm);
	int r = keys_rotate(ctx, keyring, algorithm, age, lead, ret_id), added;

	keyring_free(keyring);
	if (r <= 0)
		return r;
	added = note(ctx, actor, "key.rotate", *ret_id);
	return added < 0 ? added : r;
}

static int end(struct prong_ctx *ctx, int result)
{
	int r;

	if (result < 0) {
		prong_rollback(ctx);
		return result;
	}
	r = prong_commit(ctx);
	return r < 0 ? r : result;
}

int signing_keys_rotate(struct prong_ctx *ctx, prong_duration age, prong_duration lead, const char *actor,
			const char **ret_id, bool *ret_told)
{
	int r = prong_begin(ctx);

	if (r < 0)
		return r;
	r = end(ctx, rotate(ctx, age, lead, actor, ret_id));
	if (r > 0)
		*ret_told = tell(ctx, *ret_id);
	return r;
}

int signing_keys_retire(struct prong_ctx *ctx, const char *id, const char *actor, bool *ret_told)
{
	int r = prong_begin(ctx);

	if (r < 0)
		return r;
	r = keys_retire(ctx, id);
	if (r == 0)
		r = note(ctx, actor, "key.retire", id);
	r = end(ctx, r);
	if (r == 0)
		*ret_told = tell(ctx, id);
	return r;
}

/* ---- by schedule ---- */

static int rotate_keys(struct prong_ctx *ctx)
{
	const struct settings *settings = ctx->runtime->settings;
	const char *id;
	bool told;
	int r = 0;

	if (!settings->secret)
		return prong_fail_for_good(ctx, "no_secret", "PRONG_SECRET is not set: signing keys need it.");
	if (settings->key_rotation)
		r = signing_keys_rotate(ctx, settings->key_rotation, KEY_SCHEDULED_LEAD, AUDIT_SYSTEM, &id, &told);
	if (r == -EBADMSG)
		return prong_fail_for_good(ctx, "wrong_secret", "The signing keys do not open with this PRONG_SECRET.");
	if (r < 0)
		return r;
	r = keys_forget(ctx, settings->token_lifetime);
	return r < 0 ? r : 0;
}

const struct prong_job rotate_keys_job = {
	.name = "rotate_keys",
	.run = rotate_keys,
	.max_attempts = 5,
};

const struct prong_schedule rotate_keys_schedule = {
	.name = "rotate_keys",
	.job = &rotate_keys_job,
	.every = PRONG_HOURS(1),
	.misfire = PRONG_MISFIRE_ONCE,
};
