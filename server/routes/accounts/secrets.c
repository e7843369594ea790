#include "server/routes/accounts/secrets.h"

#include <sodium.h>

#include "common/basics.h"

#define SECRET_SIZE 32
#define HASH_TEXT_SIZE (crypto_hash_sha256_BYTES * 2 + 1) /* hexadecimal, with its NUL */

#define KEEP PRONG_DAYS(7)
#define BATCH 1000

static const struct {
	const char *name; /* as stored */
	prong_duration lifetime;
	bool voids_all;
	bool one; /* the latest goes in the place of those before */
} purposes[] = {
	[SECRET_VERIFY] = { "verify", PRONG_HOURS(24), false, false },
	[SECRET_RESET] = { "reset", PRONG_MINUTES(30), true, false },
	[SECRET_CHANGE_EMAIL] = { "change_email", PRONG_HOURS(24), true, false },
	[SECRET_EMAIL_ASKED] = { "email_asked", PRONG_HOURS(24), false, true },
};

struct proven {
	prong_uuid account_id;
	const char *address;
};

PRONG_SCHEMA(proven, PRONG_FIELD(proven, account_id), PRONG_FIELD(proven, address));

static void hash(const char *text, char ret_hash[HASH_TEXT_SIZE])
{
	unsigned char bytes[crypto_hash_sha256_BYTES];

	crypto_hash_sha256(bytes, (const unsigned char *)text, strlen(text));
	sodium_bin2hex(ret_hash, HASH_TEXT_SIZE, bytes, sizeof(bytes));
}

int secret_make(struct prong_ctx *ctx, enum secret_purpose purpose, prong_uuid account_id, const char *address,
		char ret_text[SECRET_TEXT_SIZE])
{
	unsigned char bytes[SECRET_SIZE];
	char text[SECRET_TEXT_SIZE], hashed[HASH_TEXT_SIZE];
	int r;

	randombytes_buf(bytes, sizeof(bytes));
	sodium_bin2base64(text, sizeof(text), bytes, sizeof(bytes), sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	hash(text, hashed);
	r = prong_exec(ctx,
		       "WITH earlier AS (DELETE FROM prong_secrets WHERE $6 AND account_id = $3 AND purpose = $2)"
		       " INSERT INTO prong_secrets (hash, purpose, account_id, address, expires_at)"
		       " VALUES (decode($1, 'hex'), $2, $3, $4, now() + $5::bigint * interval '1 microsecond')",
		       hashed, purposes[purpose].name, account_id, address, purposes[purpose].lifetime,
		       purposes[purpose].one);
	if (r < 0)
		return r;
	memcpy(ret_text, text, sizeof(text));
	return 0;
}

int secret_find(struct prong_ctx *ctx, enum secret_purpose purpose, const char *text, prong_uuid *ret_account_id)
{
	char hashed[HASH_TEXT_SIZE];
	struct proven *proven;
	int r;

	hash(text, hashed);
	r = prong_query_one(ctx, proven, &proven,
			    "SELECT account_id, address FROM prong_secrets WHERE hash = decode($1, 'hex')"
			    " AND purpose = $2 AND used_at IS NULL AND expires_at > now()",
			    hashed, purposes[purpose].name);
	if (r < 0)
		return r;
	*ret_account_id = proven->account_id;
	return 0;
}

static int lock_owner(struct prong_ctx *ctx, enum secret_purpose purpose, const char *hashed,
		      struct proven **ret_proven)
{
	return prong_query_one(
		ctx, proven, ret_proven,
		"SELECT account_id, address FROM prong_secrets JOIN prong_accounts a ON a.id = account_id"
		" WHERE hash = decode($1, 'hex') AND purpose = $2 AND used_at IS NULL"
		" AND expires_at > now() FOR NO KEY UPDATE OF a",
		hashed, purposes[purpose].name);
}

/*
 * One statement uses up the one presented and voids the others, and begins once the account is locked: it sees all that
 * was made before. Of two at once, with the same secret or with siblings, the later finds them used, and gets nothing.
 * A mail that was late may have brought one that was made after what it rests on was voided: of a new address, that the
 * account has asked for it.
 */
int secret_use(struct prong_ctx *ctx, enum secret_purpose purpose, const char *text, prong_uuid *ret_account_id,
	       const char **ret_address)
{
	char hashed[HASH_TEXT_SIZE];
	struct proven *proven;
	int r;

	hash(text, hashed);
	r = lock_owner(ctx, purpose, hashed, &proven);
	if (r < 0)
		return r;
	r = prong_query_one(ctx, proven, &proven,
			    "WITH used AS (UPDATE prong_secrets SET used_at = now()"
			    " WHERE account_id = $4 AND (purpose = $2 OR $3) AND used_at IS NULL"
			    " RETURNING hash, purpose, account_id, address)"
			    " SELECT account_id, address FROM used AS own WHERE hash = decode($1, 'hex')"
			    " AND (purpose <> 'change_email' OR EXISTS (SELECT FROM used AS asked"
			    " WHERE asked.purpose = 'email_asked' AND asked.address = own.address))",
			    hashed, purposes[purpose].name, purposes[purpose].voids_all, proven->account_id);
	if (r < 0)
		return r;
	*ret_account_id = proven->account_id;
	*ret_address = proven->address;
	return 0;
}

struct asked {
	int32_t count;
};

PRONG_SCHEMA(asked, PRONG_FIELD(asked, count));

int secret_stands(struct prong_ctx *ctx, enum secret_purpose purpose, prong_uuid account_id, const char *address)
{
	struct asked *asked;
	int r;

	r = prong_query_one(ctx, asked, &asked,
			    "SELECT count(*)::integer FROM prong_secrets WHERE account_id = $1 AND purpose = $2"
			    " AND address = $3 AND used_at IS NULL AND expires_at > now()",
			    account_id, purposes[purpose].name, address);
	return r < 0 ? r : asked->count > 0;
}

int secret_refuse(struct prong_ctx *ctx)
{
	return prong_fail(ctx, 422, "token_refused", "This token is wrong, used already, or too old: ask for another.");
}

int secrets_void(struct prong_ctx *ctx, prong_uuid account_id)
{
	int r = prong_exec(ctx, "UPDATE prong_secrets SET used_at = now() WHERE account_id = $1 AND used_at IS NULL",
			   account_id);

	return r < 0 ? r : 0;
}

int secrets_purge(struct prong_ctx *ctx)
{
	int r;

	do
		r = prong_exec(ctx,
			       "DELETE FROM prong_secrets WHERE hash IN (SELECT hash FROM prong_secrets"
			       " WHERE expires_at < now() - $1::bigint * interval '1 microsecond'"
			       " ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
			       KEEP, BATCH);
	while (r == BATCH);
	return r < 0 ? r : 0;
}
