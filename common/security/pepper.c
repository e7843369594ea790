#include "common/security/pepper.h"

#include <sodium.h>
#include <stdio.h>

#include "common/basics.h"

#define PREFIX "$pepper$v="
#define MIN_KEY_SIZE 32
#define MAX_VERSION 65535
#define NONCE_SIZE crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG_SIZE crypto_aead_xchacha20poly1305_ietf_ABYTES
#define MAX_SEALED (NONCE_SIZE + PHC_SIZE - 1 + TAG_SIZE)
#define BASE64 sodium_base64_VARIANT_ORIGINAL_NO_PADDING

_Static_assert(sizeof(PREFIX "65535$") + (MAX_SEALED * 4 + 2) / 3 <= PEPPER_SEALED_SIZE, "the longest one fits");

struct pepper {
	unsigned version;
	unsigned char key[crypto_aead_xchacha20poly1305_ietf_KEYBYTES];
};

struct peppers {
	struct pepper *peppers; /* in the order of their versions, in locked memory */
	size_t count;
};

/* ---- the setting ---- */

/* A version as it stands in text: a number from 1 without sign or leading zeros; returns what follows it, or NULL. */
static const char *parse_version(const char *text, char end, unsigned *ret_version)
{
	unsigned version = 0;

	if (*text < '1' || *text > '9')
		return NULL;
	for (; *text >= '0' && *text <= '9'; text++) {
		version = version * 10 + (unsigned)(*text - '0');
		if (version > MAX_VERSION)
			return NULL;
	}
	if (*text != end)
		return NULL;
	*ret_version = version;
	return text + 1;
}

/* The next VERSION:KEY at `*text`, which moves behind it. */
static int parse_entry(const char **text, unsigned *ret_version, const char **ret_key, size_t *ret_size,
		       const char **ret_reason)
{
	const char *key = parse_version(*text, ':', ret_version);

	if (!key) {
		*ret_reason = "each is VERSION:KEY with a version from 1 to 65535, as in 1:KEY; commas stand between";
		return -EINVAL;
	}
	*ret_key = key;
	*ret_size = strcspn(key, ",");
	if (*ret_size < MIN_KEY_SIZE) {
		*ret_reason = "a key is shorter than 32 bytes: make one with `openssl rand -hex 32`";
		return -EINVAL;
	}
	*text = key + *ret_size;
	if (**text == ',')
		(*text)++;
	else
		*text = NULL;
	return 0;
}

static size_t count_entries(const char *text)
{
	size_t count = 1;

	for (; *text; text++)
		count += *text == ',';
	return count;
}

int peppers_check(const char *text, char **ret_reason)
{
	_cleanup_(freep) unsigned *seen = allocate_array(count_entries(text), sizeof(*seen));
	const char *key, *reason;
	size_t count = 0, size;

	while (text) {
		if (parse_entry(&text, &seen[count], &key, &size, &reason) < 0) {
			*ret_reason = duplicate(reason);
			return -EINVAL;
		}
		for (size_t i = 0; i < count; i++)
			if (seen[i] == seen[count]) {
				*ret_reason = format_text("version %u stands there twice", seen[i]);
				return -EINVAL;
			}
		count++;
	}
	return 0;
}

static void derive_key(const char *secret, size_t size, unsigned char *ret_key)
{
	static const char purpose[] = "prong password pepper";

	crypto_generichash(ret_key, crypto_aead_xchacha20poly1305_ietf_KEYBYTES, (const unsigned char *)secret, size,
			   (const unsigned char *)purpose, sizeof(purpose) - 1);
}

static int by_version(const void *a, const void *b)
{
	const struct pepper *left = a, *right = b;

	return left->version < right->version ? -1 : left->version > right->version;
}

struct peppers *peppers_new(const char *text)
{
	struct peppers *peppers = allocate(sizeof(*peppers));
	const char *secret, *reason;
	size_t size;

	if (!text)
		return peppers;
	peppers->peppers = sodium_allocarray(count_entries(text), sizeof(*peppers->peppers));
	if (!peppers->peppers)
		panic("out of memory: locked bytes for peppers");
	while (text) {
		struct pepper *pepper = &peppers->peppers[peppers->count++];

		check(parse_entry(&text, &pepper->version, &secret, &size, &reason) == 0);
		derive_key(secret, size, pepper->key);
	}
	qsort(peppers->peppers, peppers->count, sizeof(*peppers->peppers), by_version);
	return peppers;
}

struct peppers *peppers_free(struct peppers *peppers)
{
	if (!peppers)
		return NULL;
	sodium_free(peppers->peppers);
	free(peppers);
	return NULL;
}

/* ---- sealing ---- */

/* What a sealed hash is bound to: in another account's row, or with another version written before it, none opens. */
struct binding {
	char text[64 + PRONG_UUID_TEXT_SIZE];
	size_t size;
};

static struct binding bind(unsigned version, prong_uuid account_id)
{
	struct binding binding;
	char id[PRONG_UUID_TEXT_SIZE];

	binding.size = (size_t)snprintf(binding.text, sizeof(binding.text), "prong password hash %u %s", version,
					prong_uuid_format(account_id, id));
	return binding;
}

void pepper_seal(const struct peppers *peppers, prong_uuid account_id, const char *phc,
		 char ret_text[PEPPER_SEALED_SIZE])
{
	unsigned char sealed[MAX_SEALED];
	const struct pepper *pepper;
	struct binding binding;
	size_t size = strlen(phc), prefix;

	check(size < PHC_SIZE);
	if (!peppers->count) {
		memcpy(ret_text, phc, size + 1);
		return;
	}
	pepper = &peppers->peppers[peppers->count - 1];
	binding = bind(pepper->version, account_id);
	randombytes_buf(sealed, NONCE_SIZE);
	crypto_aead_xchacha20poly1305_ietf_encrypt(sealed + NONCE_SIZE, NULL, (const unsigned char *)phc, size,
						   (const unsigned char *)binding.text, binding.size, NULL, sealed,
						   pepper->key);
	prefix = (size_t)snprintf(ret_text, PEPPER_SEALED_SIZE, PREFIX "%u$", pepper->version);
	sodium_bin2base64(ret_text + prefix, PEPPER_SEALED_SIZE - prefix, sealed, NONCE_SIZE + size + TAG_SIZE, BASE64);
}

static const struct pepper *find(const struct peppers *peppers, unsigned version)
{
	for (size_t i = 0; i < peppers->count; i++)
		if (peppers->peppers[i].version == version)
			return &peppers->peppers[i];
	return NULL;
}

static int fail(char **ret_reason, char *reason)
{
	*ret_reason = reason;
	return -EINVAL;
}

static int open_sealed(const struct pepper *pepper, prong_uuid account_id, const char *text, char ret_phc[PHC_SIZE],
		       char **ret_reason)
{
	struct binding binding = bind(pepper->version, account_id);
	unsigned char sealed[MAX_SEALED];
	char phc[PHC_SIZE] = "";
	size_t size;

	if (sodium_base642bin(sealed, sizeof(sealed), text, strlen(text), NULL, &size, NULL, BASE64) != 0 ||
	    size < NONCE_SIZE + TAG_SIZE)
		return fail(ret_reason, format_text("what is sealed under pepper %u is not whole", pepper->version));
	if (crypto_aead_xchacha20poly1305_ietf_decrypt((unsigned char *)phc, NULL, NULL, sealed + NONCE_SIZE,
						       size - NONCE_SIZE, (const unsigned char *)binding.text,
						       binding.size, sealed, pepper->key) != 0)
		return fail(ret_reason,
			    format_text("pepper %u does not open it: its key is another one than when the hash was "
					"sealed, or the hash is another account's",
					pepper->version));
	memcpy(ret_phc, phc, sizeof(phc));
	return 0;
}

int pepper_open(const struct peppers *peppers, prong_uuid account_id, const char *text, char ret_phc[PHC_SIZE],
		bool *ret_current, char **ret_reason)
{
	const struct pepper *pepper;
	const char *sealed;
	unsigned version;
	int r;

	if (strncmp(text, PREFIX, strlen(PREFIX)) != 0) {
		if (strnlen(text, PHC_SIZE) == PHC_SIZE)
			return fail(ret_reason, duplicate("it is longer than 127 bytes"));
		strcpy(ret_phc, text);
		*ret_current = peppers->count == 0;
		return 0;
	}
	sealed = parse_version(text + strlen(PREFIX), '$', &version);
	if (!sealed)
		return fail(ret_reason, duplicate("its pepper's version is not a number"));
	pepper = find(peppers, version);
	if (!pepper)
		return fail(ret_reason, format_text("it is sealed under pepper %u, which PASSWORD_PEPPERS does not "
						    "have",
						    version));
	r = open_sealed(pepper, account_id, sealed, ret_phc, ret_reason);
	if (r < 0)
		return r;
	*ret_current = pepper == &peppers->peppers[peppers->count - 1];
	return 0;
}
