#include "common/security/keyring.h"

#include <prong/database.h>
#include <sodium.h>

#include "common/context.h"
#include "common/log.h"

#define SEED_SIZE crypto_sign_SEEDBYTES
#define NONCE_SIZE crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define SEALED_SIZE (NONCE_SIZE + SEED_SIZE + crypto_aead_xchacha20poly1305_ietf_ABYTES)
#define HEX_SIZE(size) ((size)*2 + 1)

struct keyring {
	unsigned char *sealing_key; /* locked memory, as `keys` */
	struct signing_key *keys;
	size_t count, current;
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

struct keyring *keyring_new(const char *master_secret)
{
	_cleanup_(locked_freep) unsigned char *master = locked_alloc(1, crypto_kdf_KEYBYTES);
	struct keyring *keyring = allocate(sizeof(*keyring));

	_Static_assert(crypto_kdf_CONTEXTBYTES == sizeof("signkeys") - 1, "the context's length is fixed");
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
	sodium_free(keyring->keys);
	sodium_free(keyring->sealing_key);
	free(keyring);
	return NULL;
}

/* ---- sealing: the secret's seed, bound to its purpose and its key's id ---- */

static const char *sealing_context(struct prong_ctx *ctx, const char *id)
{
	return prong_format(ctx, "prong signing key %s", id);
}

static const char *seal(const struct keyring *keyring, struct prong_ctx *ctx, const struct signing_key *key)
{
	const char *context = sealing_context(ctx, key->id);
	char *text = prong_alloc(ctx, HEX_SIZE(SEALED_SIZE));
	unsigned char sealed[SEALED_SIZE], seed[SEED_SIZE];

	crypto_sign_ed25519_sk_to_seed(seed, key->secret_key);
	randombytes_buf(sealed, NONCE_SIZE);
	crypto_aead_xchacha20poly1305_ietf_encrypt(sealed + NONCE_SIZE, NULL, seed, sizeof(seed),
						   (const unsigned char *)context, strlen(context), NULL, sealed,
						   keyring->sealing_key);
	sodium_memzero(seed, sizeof(seed));
	return sodium_bin2hex(text, HEX_SIZE(SEALED_SIZE), sealed, sizeof(sealed));
}

static bool from_hex(const char *text, unsigned char *out, size_t size)
{
	size_t read;

	return sodium_hex2bin(out, size, text, strlen(text), NULL, &read, NULL) == 0 && read == size;
}

struct key_row {
	const char *id;
	const char *public_key; /* hexadecimal, as the next */
	const char *sealed_secret;
	bool is_current;
};

/* clang-format off */
PRONG_SCHEMA(key_row,
	PRONG_FIELD(key_row, id),
	PRONG_FIELD(key_row, public_key),
	PRONG_FIELD(key_row, sealed_secret, .secret = true),
	PRONG_FIELD(key_row, is_current));
/* clang-format on */

/* The public key and the id are derived anew: what the row says of them must agree with the secret it holds. */
static int open_row(const struct keyring *keyring, struct prong_ctx *ctx, const struct key_row *row,
		    struct signing_key *ret_key)
{
	const char *context = sealing_context(ctx, row->id);
	unsigned char sealed[SEALED_SIZE], seed[SEED_SIZE], public_key[sizeof(ret_key->public_key)];
	int r;

	if (!from_hex(row->sealed_secret, sealed, sizeof(sealed)) ||
	    !from_hex(row->public_key, public_key, sizeof(public_key)))
		return -EBADMSG;
	r = crypto_aead_xchacha20poly1305_ietf_decrypt(seed, NULL, NULL, sealed + NONCE_SIZE,
						       sizeof(sealed) - NONCE_SIZE, (const unsigned char *)context,
						       strlen(context), sealed, keyring->sealing_key);
	if (r != 0)
		return -EBADMSG;
	crypto_sign_seed_keypair(ret_key->public_key, ret_key->secret_key, seed);
	sodium_memzero(seed, sizeof(seed));
	signing_key_name(ret_key);
	if (memcmp(ret_key->public_key, public_key, sizeof(public_key)) != 0 || !string_equal(ret_key->id, row->id))
		return -EBADMSG;
	return 0;
}

/* ---- rows ---- */

static int select_rows(struct prong_ctx *ctx, struct key_row **ret_rows, size_t *ret_count)
{
	return prong_query(ctx, key_row, ret_rows, ret_count,
			   "SELECT id, encode(public_key, 'hex') AS public_key,"
			   " encode(sealed_secret, 'hex') AS sealed_secret, is_current"
			   " FROM prong_signing_keys ORDER BY created_at, id");
}

/* Of many processes that find no key, one inserts its own; the unique index on the current key turns the others away.
 */
static int insert_first(struct keyring *keyring, struct prong_ctx *ctx)
{
	_cleanup_(locked_freep) struct signing_key *key = locked_alloc(1, sizeof(*key));
	char public_key[HEX_SIZE(sizeof(key->public_key))];
	int r;

	signing_key_generate(key);
	sodium_bin2hex(public_key, sizeof(public_key), key->public_key, sizeof(key->public_key));
	r = prong_exec(ctx,
		       "INSERT INTO prong_signing_keys (id, algorithm, public_key, sealed_secret, is_current)"
		       " VALUES ($1, 'EdDSA', decode($2, 'hex'), decode($3, 'hex'), true) ON CONFLICT DO NOTHING",
		       key->id, public_key, seal(keyring, ctx, key));
	if (r > 0)
		log_info("made the signing key %s", key->id);
	return r;
}

static int open_rows(struct keyring *keyring, struct prong_ctx *ctx, const struct key_row *rows, size_t count)
{
	_cleanup_(locked_freep) struct signing_key *keys = locked_alloc(count, sizeof(*keys));
	struct signing_key *replaced = keyring->keys;
	size_t current = 0;
	int r;

	for (size_t i = 0; i < count; i++) {
		r = open_row(keyring, ctx, &rows[i], &keys[i]);
		if (r < 0) {
			log_error("the signing key %s does not open with this PRONG_SECRET", rows[i].id);
			return r;
		}
		if (rows[i].is_current)
			current = i;
	}
	keyring->keys = keys;
	keyring->count = count;
	keyring->current = current;
	keys = replaced;
	return 0;
}

static bool has_current(const struct key_row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (rows[i].is_current)
			return true;
	return false;
}

int keyring_load(struct keyring *keyring, struct prong_ctx *ctx)
{
	struct key_row *rows;
	size_t count;
	int r;

	r = select_rows(ctx, &rows, &count);
	if (r < 0)
		return r;
	if (!has_current(rows, count)) {
		r = insert_first(keyring, ctx);
		if (r < 0)
			return r;
		r = select_rows(ctx, &rows, &count);
		if (r < 0)
			return r;
	}
	/* It can only be missing again if somebody retired it in between. */
	if (!has_current(rows, count))
		return -EAGAIN;
	return open_rows(keyring, ctx, rows, count);
}

const struct signing_key *keyring_current(const struct keyring *keyring)
{
	return keyring->count ? &keyring->keys[keyring->current] : NULL;
}

const struct signing_key *keyring_all(const struct keyring *keyring, size_t *ret_count)
{
	*ret_count = keyring->count;
	return keyring->keys;
}
