#include "common/security/password.h"

#include <sodium.h>
#include <stdio.h>

#include "common/basics.h"
#include "common/log.h"
#include "common/security/permit.h"
#include "common/security/phc.h"
#include "common/thread_pool.h"

#define WAIT PRONG_SECONDS(1)
#define MAX_WAITING 256 /* for a thread, in one process */

/* A hash from elsewhere is computed for whoever names its account, until that has signed in: about a second at most. */
#define FOREIGN_MEMORY_KIB ((size_t)256 * 1024)
#define FOREIGN_WORK_KIB ((size_t)1024 * 1024)

struct password_hasher {
	struct thread_pool *threads;
	struct password_options options;
	struct peppers *peppers;
	struct permits *permits;
	char dummy[PHC_SIZE]; /* of no password */
};

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

struct password_hasher *password_hasher_new(struct loop *loop, const struct password_options *options, int permits_fd)
{
	struct password_hasher *hasher = allocate(sizeof(*hasher));

	check(options->permits > 0 && permits_fd >= 0);
	check(options->passes > 0 && options->passes <= PHC_MAX_PASSES && options->memory_kib <= PHC_MAX_MEMORY_KIB);
	hasher->threads = thread_pool_new(loop, options->permits, MAX_WAITING);
	hasher->options = *options;
	hasher->peppers = peppers_new(options->peppers);
	hasher->permits = permits_new(permits_fd, options->permits);
	make_dummy(hasher);
	return hasher;
}

struct password_hasher *password_hasher_free(struct password_hasher *hasher)
{
	if (!hasher)
		return NULL;
	thread_pool_free(hasher->threads);
	permits_free(hasher->permits);
	peppers_free(hasher->peppers);
	free(hasher);
	return NULL;
}

/* ---- on a thread ---- */

struct hashing {
	struct password_hasher *hasher;
	int64_t deadline; /* of the wait for a thread and a permit together */
	const char *password;
	const char *verify; /* a PHC string; NULL: hash instead */
	char *ret_phc;
};

static int hash(const struct hashing *hashing)
{
	const struct password_options *options = &hashing->hasher->options;

	_Static_assert(PHC_SIZE >= crypto_pwhash_STRBYTES, "libsodium writes that much");
	if (crypto_pwhash_str_alg(hashing->ret_phc, hashing->password, strlen(hashing->password), options->passes,
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
	struct permits *permits = hashing->hasher->permits;
	int permit = permit_take(permits, hashing->deadline), r;

	if (permit < 0)
		return permit;
	r = hashing->verify ? verify(hashing) : hash(hashing);
	permit_release(permits, permit);
	return r;
}

static int run_on_thread(struct hashing *hashing)
{
	int r;

	hashing->deadline = monotonic_us() + WAIT;
	r = thread_pool_run(hashing->hasher->threads, run, hashing, hashing->deadline);
	if (r == -ETIMEDOUT && monotonic_us() >= hashing->deadline)
		return -EAGAIN;
	if (r < 0 && r != -EAGAIN && r != -EACCES && r != -ETIMEDOUT && r != -ECANCELED) {
		log_error("cannot hash passwords: no permit from /proc/self/fd: %s", strerror(-r));
		return -EIO;
	}
	return r;
}

int password_hash(struct password_hasher *hasher, prong_uuid account_id, const char *password,
		  char ret_hash[PASSWORD_HASH_SIZE])
{
	char phc[PHC_SIZE] = "";
	struct hashing hashing = { .hasher = hasher, .password = password, .ret_phc = phc };
	int r;

	r = run_on_thread(&hashing);
	if (r < 0)
		return r;
	pepper_seal(hasher->peppers, account_id, phc, ret_hash);
	return 0;
}

/* ---- stored hashes ---- */

static void report_unusable(prong_uuid account_id, const char *reason)
{
	char id[PRONG_UUID_TEXT_SIZE];

	log_error("the password hash of account %s is unusable: %s", prong_uuid_format(account_id, id), reason);
}

static int open_stored(const struct password_hasher *hasher, prong_uuid account_id, const char *text,
		       char ret_phc[PHC_SIZE], bool *ret_current)
{
	_cleanup_(freep) char *failure = NULL;
	const char *reason;
	struct phc phc;
	bool sealed_so;

	if (pepper_open(hasher->peppers, account_id, text, ret_phc, &sealed_so, &failure) < 0) {
		report_unusable(account_id, failure);
		return -EINVAL;
	}
	if (phc_parse(ret_phc, &phc, &reason) < 0) {
		report_unusable(account_id, reason);
		return -EINVAL;
	}
	*ret_current =
		sealed_so && phc.memory_kib == hasher->options.memory_kib && phc.passes == hasher->options.passes;
	return 0;
}

int password_verify(struct password_hasher *hasher, prong_uuid account_id, const char *password, const char *hash_text,
		    bool *ret_rehash)
{
	char phc[PHC_SIZE];
	struct hashing hashing = { .hasher = hasher, .password = password, .verify = phc };
	bool current = true;
	int r;

	if (!hash_text)
		hashing.verify = hasher->dummy;
	else if (open_stored(hasher, account_id, hash_text, phc, &current) < 0)
		return -EINVAL;
	r = run_on_thread(&hashing);
	if (r < 0)
		return r;
	if (!hash_text)
		return -EACCES;
	if (ret_rehash)
		*ret_rehash = !current;
	return 0;
}

int password_hash_check(const char *text, size_t *ret_memory_kib, const char **ret_reason)
{
	struct phc phc;
	int r = phc_parse(text, &phc, ret_reason);

	if (r < 0)
		return r;
	if (phc.memory_kib > FOREIGN_MEMORY_KIB || phc.memory_kib * phc.passes > FOREIGN_WORK_KIB) {
		*ret_reason = "it costs more than m=262144 (KiB), or than 1 GiB in all its passes: anybody could have "
			      "the server do that";
		return -EINVAL;
	}
	if (ret_memory_kib)
		*ret_memory_kib = phc.memory_kib;
	return 0;
}

void password_seal(struct password_hasher *hasher, prong_uuid account_id, const char *phc,
		   char ret_hash[PASSWORD_HASH_SIZE])
{
	pepper_seal(hasher->peppers, account_id, phc, ret_hash);
}
