/* A process's cache of API keys, and where they are looked up. */
#include <prong/database.h>
#include <sodium.h>

#include "common/context.h"
#include "common/postgres/postgres.h"
#include "common/security/api_key.h"
#include "common/security/revocations.h"

#define LIFETIME PRONG_MINUTES(1)

/* By its hash a key has a few places; the one that ends first makes room. So the memory is bounded. */
#define SETS 1024
#define WAYS 4

/* Never the key itself: what is in memory may end in a core dump. */
struct entry {
	unsigned char hash[API_KEY_HASH_SIZE];
	int64_t until; /* monotonic µs */
	struct principal principal;
	char scope[];
};

struct api_keys {
	struct entry *sets[SETS][WAYS];
};

struct api_keys *api_keys_new(void)
{
	return allocate(sizeof(struct api_keys));
}

struct api_keys *api_keys_free(struct api_keys *keys)
{
	for (size_t i = 0; keys && i < SETS; i++)
		for (size_t way = 0; way < WAYS; way++)
			free(keys->sets[i][way]);
	free(keys);
	return NULL;
}

static struct entry **set_of(struct api_keys *keys, const unsigned char hash[API_KEY_HASH_SIZE])
{
	return keys->sets[(hash[0] << 8 | hash[1]) % SETS];
}

static void drop(struct entry **place)
{
	free(*place);
	*place = NULL;
}

static bool is_over(const struct entry *entry)
{
	return monotonic_us() >= entry->until || (int64_t)time(NULL) >= entry->principal.expires_at;
}

/* What the key is looked up as. */
struct known_key {
	prong_uuid id, account_id;
	int32_t epoch;
	const char *scope;
	prong_opt_time expires_at;
	bool is_use_due; /* to be noted */
};

/* clang-format off */
PRONG_SCHEMA(known_key,
	PRONG_FIELD(known_key, id),
	PRONG_FIELD(known_key, account_id),
	PRONG_FIELD(known_key, epoch),
	PRONG_FIELD(known_key, scope),
	PRONG_FIELD(known_key, expires_at),
	PRONG_FIELD(known_key, is_use_due));
/* clang-format on */

static struct principal principal_of(const struct known_key *known)
{
	return (struct principal){
		.account_id = known->account_id,
		.api_key_id = known->id,
		.epoch = known->epoch,
		.scope = known->scope,
		.expires_at = known->expires_at.set ? known->expires_at.value.us / PRONG_SECONDS(1) : INT64_MAX,
	};
}

static void keep(struct api_keys *keys, const unsigned char hash[API_KEY_HASH_SIZE], const struct principal *principal)
{
	size_t scope_size = strlen(principal->scope) + 1;
	struct entry *entry = allocate(sizeof(*entry) + scope_size);
	struct entry **set = set_of(keys, hash), **place = set;

	for (size_t way = 0; way < WAYS; way++) {
		if (!set[way] || sodium_memcmp(set[way]->hash, hash, API_KEY_HASH_SIZE) == 0) {
			place = &set[way];
			break;
		}
		if (set[way]->until < (*place)->until)
			place = &set[way];
	}
	drop(place);
	memcpy(entry->hash, hash, API_KEY_HASH_SIZE);
	memcpy(entry->scope, principal->scope, scope_size);
	entry->until = monotonic_us() + LIFETIME;
	entry->principal = *principal;
	entry->principal.scope = entry->scope;
	*place = entry;
}

/* Where the key stands, still good or not; NULL: nowhere. */
static struct entry **place_of(struct api_keys *keys, const unsigned char hash[API_KEY_HASH_SIZE])
{
	struct entry **set = set_of(keys, hash);

	for (size_t way = 0; way < WAYS; way++)
		if (set[way] && sodium_memcmp(set[way]->hash, hash, API_KEY_HASH_SIZE) == 0)
			return &set[way];
	return NULL;
}

int api_keys_find(struct api_keys *keys, struct prong_ctx *ctx, const char *text, size_t size,
		  struct principal *ret_principal)
{
	unsigned char hash[API_KEY_HASH_SIZE];
	struct entry **place;

	if (!api_key_is_valid(text, size))
		return -ENOENT;
	api_key_hash(text, hash);
	place = place_of(keys, hash);
	if (!place || is_over(*place) || revocations_cover(ctx->runtime->revocations, &(*place)->principal))
		return -ENOENT;
	*ret_principal = (*place)->principal;
	ret_principal->scope = arena_strdup(&ctx->arena, (*place)->scope);
	return 0;
}

bool api_keys_knew(struct api_keys *keys, const char *text, size_t size)
{
	unsigned char hash[API_KEY_HASH_SIZE];

	if (!api_key_is_valid(text, size))
		return false;
	api_key_hash(text, hash);
	return place_of(keys, hash);
}

static void forget(struct api_keys *keys, const unsigned char hash[API_KEY_HASH_SIZE])
{
	struct entry **place = place_of(keys, hash);

	if (place)
		drop(place);
}

static int look_up(struct prong_ctx *ctx, const unsigned char hash[API_KEY_HASH_SIZE], struct known_key **ret_known)
{
	char hex[API_KEY_HASH_SIZE * 2 + 1];

	sodium_bin2hex(hex, sizeof(hex), hash, API_KEY_HASH_SIZE);
	return prong_query_one(
		ctx, known_key, ret_known,
		"SELECT k.id, k.account_id, a.epoch, k.expires_at,"
		" array_to_string(ARRAY(SELECT s FROM unnest(k.scopes) AS s WHERE s = ANY (a.scopes)), ' ') AS scope,"
		" coalesce(k.last_used_at < now() - interval '1 minute', true) AS is_use_due"
		" FROM prong_api_keys AS k JOIN prong_accounts AS a ON a.id = k.account_id"
		" WHERE k.hash = decode($1, 'hex') AND k.revoked_at IS NULL"
		" AND (k.expires_at IS NULL OR k.expires_at > now())"
		" AND a.disabled_at IS NULL AND a.delete_after IS NULL",
		hex);
}

static void note_use(struct prong_ctx *ctx, prong_uuid id)
{
	postgres_send(ctx->runtime->postgres,
		      "UPDATE prong_api_keys SET last_used_at = now() WHERE id = $1"
		      " AND coalesce(last_used_at < now() - interval '1 minute', true)",
		      PRONG_PARAMETERS(id));
}

/*
 * What was revoked while the key was looked up may have been revoked just after: then it is looked up once more, and
 * an account's new epoch is known.
 */
static int look_up_twice(struct prong_ctx *ctx, const unsigned char hash[API_KEY_HASH_SIZE], bool *ret_use_due,
			 struct principal *ret_principal)
{
	for (int tries = 0; tries < 2; tries++) {
		struct principal principal;
		struct known_key *known;
		int r = look_up(ctx, hash, &known);

		if (r < 0)
			return r == -ENOENT ? -EACCES : r;
		principal = principal_of(known);
		if (revocations_cover(ctx->runtime->revocations, &principal))
			continue;
		*ret_use_due = known->is_use_due;
		*ret_principal = principal;
		return 0;
	}
	return -EACCES;
}

int api_keys_verify(struct api_keys *keys, struct prong_ctx *ctx, const char *text, size_t size,
		    struct principal *ret_principal)
{
	unsigned char hash[API_KEY_HASH_SIZE];
	struct principal principal;
	bool is_use_due;
	int r;

	if (!api_key_is_valid(text, size))
		return -EACCES;
	api_key_hash(text, hash);
	r = look_up_twice(ctx, hash, &is_use_due, &principal);
	if (r == -EACCES)
		forget(keys, hash);
	if (r < 0)
		return r;
	keep(keys, hash, &principal);
	if (is_use_due)
		note_use(ctx, principal.api_key_id);
	*ret_principal = principal;
	return 0;
}
