#include "common/security/key_rotation.h"

#include <prong/database.h>
#include <sodium.h>

#include "common/log.h"

/* For tokens made in the last moment, on a host whose clock is behind. */
#define MARGIN PRONG_MINUTES(5)

/* clang-format off */
PRONG_SCHEMA(listed_key,
	PRONG_FIELD(listed_key, kid),
	PRONG_FIELD(listed_key, algorithm),
	PRONG_FIELD(listed_key, state),
	PRONG_FIELD(listed_key, created_at),
	PRONG_FIELD(listed_key, signs_from),
	PRONG_FIELD(listed_key, signs_to));
/* clang-format on */

int keys_list(struct prong_ctx *ctx, struct listed_key **ret_keys, size_t *ret_count)
{
	return prong_query(ctx, listed_key, ret_keys, ret_count,
			   "SELECT id AS kid, algorithm, created_at, active_from AS signs_from, signs_to,"
			   " CASE WHEN signs_to <= now() THEN 'previous' WHEN active_from <= now() THEN 'current'"
			   " ELSE 'next' END AS state"
			   " FROM (SELECT *, lead(active_from) OVER (ORDER BY active_from, id) AS signs_to"
			   " FROM prong_signing_keys) AS keys ORDER BY active_from, id");
}

static int insert_next(struct prong_ctx *ctx, const struct keyring *keyring, const struct signing_key *key,
		       prong_duration age, prong_duration lead)
{
	char public_key[sizeof(key->public_key) * 2 + 1];

	sodium_bin2hex(public_key, sizeof(public_key), key->public_key, key->public_size);
	/* Of those who see the same newest key, one can follow it. */
	return prong_exec(ctx,
			  "INSERT INTO prong_signing_keys"
			  " (id, algorithm, public_key, sealed_secret, follows, active_from)"
			  " SELECT $1, $2, decode($3, 'hex'), decode($4, 'hex'), id,"
			  " clock_timestamp() + $6::bigint * interval '1 microsecond'"
			  " FROM (SELECT id, active_from FROM prong_signing_keys"
			  " ORDER BY active_from DESC, id DESC LIMIT 1) AS newest"
			  " WHERE active_from <= now() AND active_from + $5::bigint * interval '1 microsecond'"
			  " <= now() + $6::bigint * interval '1 microsecond'"
			  " ON CONFLICT DO NOTHING",
			  key->id, algorithm_name(key->algorithm), public_key, keyring_seal(keyring, ctx, key), age,
			  lead);
}

int keys_rotate(struct prong_ctx *ctx, struct keyring *keyring, enum algorithm algorithm, prong_duration age,
		prong_duration lead, const char **ret_id)
{
	struct signing_key key;
	int r = keyring_load(keyring, ctx);

	if (r < 0)
		return r;
	signing_key_generate(algorithm, &key);
	r = insert_next(ctx, keyring, &key, age, lead);
	if (r > 0) {
		log_info("made the signing key %s (%s), which follows", key.id, algorithm_name(algorithm));
		*ret_id = prong_strdup(ctx, key.id);
	}
	signing_key_close(&key);
	return r;
}

int keys_retire(struct prong_ctx *ctx, const char *id)
{
	int r;

	/* Of two commands, one sees what the other has left. */
	r = prong_exec(ctx, "LOCK TABLE prong_signing_keys IN SHARE ROW EXCLUSIVE MODE");
	if (r < 0)
		return r;
	r = prong_exec(ctx,
		       "DELETE FROM prong_signing_keys WHERE id = $1 AND id <> coalesce("
		       "(SELECT id FROM prong_signing_keys WHERE active_from <= clock_timestamp()"
		       " ORDER BY active_from DESC, id DESC LIMIT 1), '')",
		       id);
	if (r != 0)
		return r < 0 ? r : 0;
	r = prong_exec(ctx, "SELECT 1 FROM prong_signing_keys WHERE id = $1", id);
	return r < 0 ? r : r == 0 ? -ENOENT : -EBUSY;
}

int keys_forget(struct prong_ctx *ctx, prong_duration token_lifetime)
{
	return prong_exec(ctx,
			  "DELETE FROM prong_signing_keys WHERE id IN (SELECT id FROM"
			  " (SELECT id, lead(active_from) OVER (ORDER BY active_from, id) AS signs_to"
			  " FROM prong_signing_keys) AS keys"
			  " WHERE signs_to + $1::bigint * interval '1 microsecond' < now())",
			  token_lifetime + MARGIN);
}
