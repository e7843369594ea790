#include "common/security/password.h"

#include <sodium.h>
#include <stdio.h>
#include <sys/mman.h>

#include "common/basics.h"
#include "common/log.h"
#include "common/security/permit.h"
#include "common/thread_pool.h"

#define WAIT PRONG_SECONDS(1)

/* What a stored hash may ask of us: Argon2 would do whatever the string says. */
#define MAX_MEMORY_KIB (1024 * 1024)
#define MAX_PASSES 10
#define MIN_SALT 8
#define MIN_OUTPUT 16

struct password_hasher {
	struct thread_pool *threads;
	struct password_options options;
	int permits_fd;
	char dummy[PASSWORD_HASH_SIZE]; /* of no password */
};

int password_permits_open(void)
{
	int fd = memfd_create("prong-permits", MFD_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* A well-formed hash with random output: to verify it costs what a real one costs, and it matches nothing. */
static void make_dummy(struct password_hasher *hasher)
{
	unsigned char salt[16], output[32];
	char salt_text[32], output_text[64];

	randombytes_buf(salt, sizeof(salt));
	randombytes_buf(output, sizeof(output));
	sodium_bin2base64(salt_text, sizeof(salt_text), salt, sizeof(salt), sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
	sodium_bin2base64(output_text, sizeof(output_text), output, sizeof(output),
			  sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
	snprintf(hasher->dummy, sizeof(hasher->dummy), "$argon2id$v=19$m=%zu,t=%zu,p=1$%s$%s",
		 hasher->options.memory_kib, hasher->options.passes, salt_text, output_text);
}

struct password_hasher *password_hasher_new(struct thread_pool *threads, const struct password_options *options,
					    int permits_fd)
{
	struct password_hasher *hasher = allocate(sizeof(*hasher));

	check(options->permits > 0 && permits_fd >= 0);
	check(options->passes > 0 && options->passes <= MAX_PASSES && options->memory_kib <= MAX_MEMORY_KIB);
	hasher->threads = threads;
	hasher->options = *options;
	hasher->permits_fd = permits_fd;
	make_dummy(hasher);
	return hasher;
}

struct password_hasher *password_hasher_free(struct password_hasher *hasher)
{
	free(hasher);
	return NULL;
}

/* ---- on the thread pool ---- */

struct hashing {
	struct password_hasher *hasher;
	int64_t deadline; /* of the wait for a thread and a permit together */
	const char *password;
	const char *verify; /* NULL: hash instead */
	char *ret_hash;
};

static int hash(const struct hashing *hashing)
{
	const struct password_options *options = &hashing->hasher->options;

	_Static_assert(PASSWORD_HASH_SIZE >= crypto_pwhash_STRBYTES, "libsodium writes that much");
	if (crypto_pwhash_str_alg(hashing->ret_hash, hashing->password, strlen(hashing->password), options->passes,
				  options->memory_kib * 1024, crypto_pwhash_ALG_ARGON2ID13) == 0)
		return 0;
	/* The only failure left is memory. It is short now, not for ever: as if there were no permit. */
	return -EAGAIN;
}

static int verify(const struct hashing *hashing)
{
	errno = 0;
	if (crypto_pwhash_str_verify(hashing->verify, hashing->password, strlen(hashing->password)) == 0)
		return 0;
	return errno == EINVAL ? -EACCES : -EAGAIN;
}

static int run(void *argument)
{
	const struct hashing *hashing = argument;
	const struct password_hasher *hasher = hashing->hasher;
	_cleanup_(closep) int permit = permit_take(hasher->permits_fd, hasher->options.permits, hashing->deadline);

	if (permit < 0)
		return permit;
	return hashing->verify ? verify(hashing) : hash(hashing);
}

static int run_on_thread(struct hashing *hashing)
{
	int r;

	hashing->deadline = monotonic_us() + WAIT;
	r = thread_pool_run(hashing->hasher->threads, run, hashing);
	if (r < 0 && r != -EAGAIN && r != -EACCES && r != -ETIMEDOUT && r != -ECANCELED) {
		log_error("cannot hash passwords: no permit from /proc/self/fd: %s", strerror(-r));
		return -EIO;
	}
	return r;
}

int password_hash(struct password_hasher *hasher, const char *password, char ret_hash[PASSWORD_HASH_SIZE])
{
	char made[PASSWORD_HASH_SIZE] = "";
	struct hashing hashing = { .hasher = hasher, .password = password, .ret_hash = made };
	int r;

	r = run_on_thread(&hashing);
	if (r < 0)
		return r;
	memcpy(ret_hash, made, sizeof(made));
	return 0;
}

/* ---- stored hashes ---- */

struct parameters {
	size_t memory_kib, passes;
};

/* A decimal number without sign or leading zeros, followed by `end`. */
static bool parse_number(const char **text, char end, size_t max, size_t *ret_number)
{
	const char *at = *text;
	size_t number = 0;

	if (*at < '1' || *at > '9')
		return false;
	for (; *at >= '0' && *at <= '9'; at++) {
		number = number * 10 + (size_t)(*at - '0');
		if (number > max)
			return false;
	}
	if (*at != end)
		return false;
	*text = at + 1;
	*ret_number = number;
	return true;
}

static bool parse_literal(const char **text, const char *literal)
{
	size_t length = strlen(literal);

	if (strncmp(*text, literal, length) != 0)
		return false;
	*text += length;
	return true;
}

#define BASE64 "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

static bool parse_base64(const char **text, char end, size_t min_size)
{
	unsigned char bytes[PASSWORD_HASH_SIZE];
	const char *stop = strchrnul(*text, end);
	size_t size;

	if (*stop != end || *text + strspn(*text, BASE64) != stop)
		return false;
	if (sodium_base642bin(bytes, sizeof(bytes), *text, (size_t)(stop - *text), NULL, &size, NULL,
			      sodium_base64_VARIANT_ORIGINAL_NO_PADDING) != 0 ||
	    size < min_size)
		return false;
	*text = stop + 1;
	return true;
}

/* The PHC string that libsodium will read again, with one lane and within our bounds. */
static int parse_hash(const char *text, struct parameters *ret_parameters)
{
	struct parameters parameters;

	if (strnlen(text, PASSWORD_HASH_SIZE) == PASSWORD_HASH_SIZE)
		return -EINVAL;
	if (!parse_literal(&text, "$argon2id$v=19$m=") ||
	    !parse_number(&text, ',', MAX_MEMORY_KIB, &parameters.memory_kib) || parameters.memory_kib < 8 ||
	    !parse_literal(&text, "t=") || !parse_number(&text, ',', MAX_PASSES, &parameters.passes) ||
	    !parse_literal(&text, "p=1$") || !parse_base64(&text, '$', MIN_SALT) ||
	    !parse_base64(&text, '\0', MIN_OUTPUT))
		return -EINVAL;
	*ret_parameters = parameters;
	return 0;
}

int password_verify(struct password_hasher *hasher, const char *password, const char *hash_text, bool *ret_rehash)
{
	struct hashing hashing = { .hasher = hasher, .password = password, .verify = hash_text };
	struct parameters parameters;
	int r;

	if (!hash_text)
		hashing.verify = hasher->dummy;
	r = parse_hash(hashing.verify, &parameters);
	if (r < 0)
		return r;
	r = run_on_thread(&hashing);
	if (r < 0)
		return r;
	if (!hash_text)
		return -EACCES;
	if (ret_rehash)
		*ret_rehash = parameters.memory_kib != hasher->options.memory_kib ||
			      parameters.passes != hasher->options.passes;
	return 0;
}
