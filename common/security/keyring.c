#include "common/security/keyring.h"

#include <prong/database.h>
#include <sodium.h>

#include "common/context.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/security/feed.h"

#define NONCE_SIZE crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define SEALED_SIZE (NONCE_SIZE + SIGNING_SECRET_SIZE + crypto_aead_xchacha20poly1305_ietf_ABYTES)
#define HEX_SIZE(size) ((size)*2 + 1)

#define INTERVAL_ALONE PRONG_SECONDS(1) /* without the feed */
#define LOOK_PAUSE PRONG_SECONDS(1)

struct keyring {
	unsigned char *sealing_key; /* locked memory, as `keys` */
	enum algorithm first_algorithm;
	struct signing_key *keys; /* by active_at */
	int64_t *active_at;	  /* monotonic µs, of each */
	size_t count;
	uint64_t generation;
	uint64_t loads, loaded; /* begun, and the latest of them whose keys these are */
	int64_t looked_at;

	struct coroutine *waiter; /* in keyring_wait() */
	bool stale, has_feed;
	bool failed; /* the last load */
};

/* Locked where the limit on locked memory allows it; the guard pages and the wiping are always there. */
static void *locked_alloc(size_t count, size_t size)
{
	void *memory = sodium_allocarray(count, size);

	if (!memory)
		panic("out of memory: %zu × %zu locked bytes", count, size);
	return memory;
}

static void locked_freep(void *memory)
{
	sodium_free(*(void **)memory);
}

static struct signing_key *close_keys(struct signing_key *keys, size_t count)
{
	for (size_t i = 0; i < count; i++)
		signing_key_close(&keys[i]);
	sodium_free(keys);
	return NULL;
}

struct keyring *keyring_new(const char *master_secret, enum algorithm algorithm)
{
	_cleanup_(locked_freep) unsigned char *master = locked_alloc(1, crypto_kdf_KEYBYTES);
	struct keyring *keyring = allocate(sizeof(*keyring));

	_Static_assert(crypto_kdf_CONTEXTBYTES == sizeof("signkeys") - 1, "the context's length is fixed");
	keyring->first_algorithm = algorithm;
	keyring->looked_at = INT64_MIN;
	keyring->sealing_key = locked_alloc(1, crypto_aead_xchacha20poly1305_ietf_KEYBYTES);
	crypto_generichash(master, crypto_kdf_KEYBYTES, (const unsigned char *)master_secret, strlen(master_secret),
			   NULL, 0);
	crypto_kdf_derive_from_key(keyring->sealing_key, crypto_aead_xchacha20poly1305_ietf_KEYBYTES, 1, "signkeys",
				   master);
	return keyring;
}

struct keyring *keyring_free(struct keyring *keyring)
{
	if (!keyring)
		return NULL;
	check(!keyring->waiter);
	close_keys(keyring->keys, keyring->count);
	free(keyring->active_at);
	sodium_free(keyring->sealing_key);
	free(keyring);
	return NULL;
}

/* ---- sealing: the secret, bound to its purpose and its key's id, which in turn depends on the algorithm ---- */

static const char *sealing_context(struct prong_ctx *ctx, const char *id)
{
	return prong_format(ctx, "prong signing key %s", id);
}

const char *keyring_seal(const struct keyring *keyring, struct prong_ctx *ctx, const struct signing_key *key)
{
	const char *context = sealing_context(ctx, key->id);
	char *text = prong_alloc(ctx, HEX_SIZE(SEALED_SIZE));
	unsigned char sealed[SEALED_SIZE];

	randombytes_buf(sealed, NONCE_SIZE);
	crypto_aead_xchacha20poly1305_ietf_encrypt(sealed + NONCE_SIZE, NULL, key->secret_key, SIGNING_SECRET_SIZE,
						   (const unsigned char *)context, strlen(context), NULL, sealed,
						   keyring->sealing_key);
	return sodium_bin2hex(text, HEX_SIZE(SEALED_SIZE), sealed, sizeof(sealed));
}

struct stored_key {
	const char *id;
	const char *algorithm;
	const char *public_key; /* hexadecimal, as the next */
	const char *sealed_secret;
	int64_t active_in; /* µs; negative: since */
};

/* clang-format off */
PRONG_SCHEMA(stored_key,
	PRONG_FIELD(stored_key, id),
	PRONG_FIELD(stored_key, algorithm),
	PRONG_FIELD(stored_key, public_key),
	PRONG_FIELD(stored_key, sealed_secret, .secret = true),
	PRONG_FIELD(stored_key, active_in));
/* clang-format on */

static bool agrees(const struct signing_key *key, const struct stored_key *row)
{
	char public_key[HEX_SIZE(sizeof(key->public_key))];

	sodium_bin2hex(public_key, sizeof(public_key), key->public_key, key->public_size);
	return string_equal(public_key, row->public_key) && string_equal(key->id, row->id);
}

/* The public key and the id are derived anew: what the row says of them must agree with the secret it holds. */
static int open_row(const struct keyring *keyring, struct prong_ctx *ctx, const struct stored_key *row,
		    struct signing_key *ret_key)
{
	const char *context = sealing_context(ctx, row->id);
	unsigned char sealed[SEALED_SIZE], secret[SIGNING_SECRET_SIZE];
	enum algorithm algorithm;
	size_t size;
	int r;

	if (algorithm_from_name(row->algorithm, &algorithm) < 0 ||
	    sodium_hex2bin(sealed, sizeof(sealed), row->sealed_secret, strlen(row->sealed_secret), NULL, &size, NULL) !=
		    0 ||
	    size != sizeof(sealed))
		return -EBADMSG;
	r = crypto_aead_xchacha20poly1305_ietf_decrypt(secret, NULL, NULL, sealed + NONCE_SIZE,
						       sizeof(sealed) - NONCE_SIZE, (const unsigned char *)context,
						       strlen(context), sealed, keyring->sealing_key);
	if (r == 0)
		r = signing_key_open(algorithm, secret, sizeof(secret), ret_key);
	sodium_memzero(secret, sizeof(secret));
	return r == 0 && agrees(ret_key, row) ? 0 : -EBADMSG;
}

/* ---- loading ---- */

static int select_rows(struct prong_ctx *ctx, struct stored_key **ret_rows, size_t *ret_count)
{
	return prong_query(ctx, stored_key, ret_rows, ret_count,
			   "SELECT id, algorithm, encode(public_key, 'hex') AS public_key,"
			   " encode(sealed_secret, 'hex') AS sealed_secret,"
			   " (extract(epoch FROM active_from - now()) * 1000000)::bigint AS active_in"
			   " FROM prong_signing_keys ORDER BY active_from, id");
}

/* Of many processes that find no key, one inserts its own; that what it follows is unique turns the others away. */
static int insert_first(struct keyring *keyring, struct prong_ctx *ctx)
{
	_cleanup_(locked_freep) struct signing_key *key = locked_alloc(1, sizeof(*key));
	char public_key[HEX_SIZE(sizeof(key->public_key))];
	int r;

	signing_key_generate(keyring->first_algorithm, key);
	sodium_bin2hex(public_key, sizeof(public_key), key->public_key, key->public_size);
	r = prong_exec(ctx,
		       "INSERT INTO prong_signing_keys (id, algorithm, public_key, sealed_secret, follows, active_from)"
		       " VALUES ($1, $2, decode($3, 'hex'), decode($4, 'hex'), '', now()) ON CONFLICT DO NOTHING",
		       key->id, algorithm_name(key->algorithm), public_key, keyring_seal(keyring, ctx, key));
	if (r > 0)
		log_info("made the signing key %s (%s)", key->id, algorithm_name(key->algorithm));
	signing_key_close(key);
	return r;
}

static bool has_key(const struct signing_key *keys, size_t count, const char *id)
{
	for (size_t i = 0; i < count; i++)
		if (string_equal(keys[i].id, id))
			return true;
	return false;
}

static void replace(struct keyring *keyring, struct signing_key *keys, int64_t *active_at, size_t count)
{
	bool lost = false;

	for (size_t i = 0; i < keyring->count && !lost; i++)
		lost = !has_key(keys, count, keyring->keys[i].id);
	keyring->generation += lost;
	close_keys(keyring->keys, keyring->count);
	free(keyring->active_at);
	keyring->keys = keys;
	keyring->active_at = active_at;
	keyring->count = count;
}

static int open_rows(struct keyring *keyring, struct prong_ctx *ctx, const struct stored_key *rows, size_t count)
{
	struct signing_key *keys = locked_alloc(count, sizeof(*keys));
	int64_t *active_at = allocate_array(count, sizeof(*active_at)), now = monotonic_us();
	int r;

	memset(keys, 0, count * sizeof(*keys));
	for (size_t i = 0; i < count; i++) {
		r = open_row(keyring, ctx, &rows[i], &keys[i]);
		if (r < 0) {
			log_error("the signing key %s does not open with this PRONG_SECRET", rows[i].id);
			close_keys(keys, count);
			free(active_at);
			return r;
		}
		active_at[i] = now + rows[i].active_in;
	}
	replace(keyring, keys, active_at, count);
	return 0;
}

static int load(struct keyring *keyring, struct prong_ctx *ctx)
{
	uint64_t turn = ++keyring->loads;
	struct stored_key *rows;
	size_t count;
	int r;

	r = select_rows(ctx, &rows, &count);
	if (r < 0)
		return r;
	if (!count) {
		r = insert_first(keyring, ctx);
		if (r < 0)
			return r;
		r = select_rows(ctx, &rows, &count);
		if (r < 0)
			return r;
	}
	if (!count) /* somebody has deleted it in between */
		return -EAGAIN;
	/* Another load that began later has ended before: what it found is newer. */
	if (turn < keyring->loaded)
		return 0;
	r = open_rows(keyring, ctx, rows, count);
	if (r == 0)
		keyring->loaded = turn;
	return r;
}

int keyring_load(struct keyring *keyring, struct prong_ctx *ctx)
{
	int r = load(keyring, ctx);

	keyring->failed = r < 0 && r != -EBADMSG; /* which trying soon does not mend */
	return r;
}

int keyring_look(struct keyring *keyring, struct prong_ctx *ctx)
{
	int64_t now = monotonic_us();

	if (now < keyring->looked_at + LOOK_PAUSE)
		return -EAGAIN;
	keyring->looked_at = now;
	return keyring_load(keyring, ctx);
}

/* ---- what it holds ---- */

const struct signing_key *keyring_current(const struct keyring *keyring)
{
	int64_t now = monotonic_us();
	size_t current = 0;

	for (size_t i = 0; i < keyring->count; i++)
		if (keyring->active_at[i] <= now)
			current = i;
	return keyring->count ? &keyring->keys[current] : NULL;
}

const struct signing_key *keyring_all(const struct keyring *keyring, size_t *ret_count)
{
	*ret_count = keyring->count;
	return keyring->keys;
}

uint64_t keyring_generation(const struct keyring *keyring)
{
	return keyring->generation;
}

/* ---- keeping up ---- */

static void wake(struct keyring *keyring)
{
	keyring->stale = true;
	if (keyring->waiter)
		coroutine_wake(keyring->waiter, 0);
}

static void on_event(void *argument, const char *kind, const char *text)
{
	(void)text;
	if (string_equal(kind, KEYRING_EVENT))
		wake(argument);
}

static void on_gap(void *argument, bool connected)
{
	struct keyring *keyring = argument;

	keyring->has_feed = connected;
	wake(keyring);
}

void keyring_listen(struct keyring *keyring, struct feed *feed)
{
	feed_listen(feed, &(struct feed_listener){ .event = on_event, .gap = on_gap, .argument = keyring });
}

int keyring_wait(struct keyring *keyring)
{
	prong_duration interval = keyring->has_feed && !keyring->failed ? KEYRING_INTERVAL : INTERVAL_ALONE;
	int r = 0;

	if (!keyring->stale) {
		check(!keyring->waiter);
		keyring->waiter = coroutine_current();
		r = coroutine_sleep_until(monotonic_us() + interval);
		keyring->waiter = NULL;
	}
	keyring->stale = false;
	return r;
}
