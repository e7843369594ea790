#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/wait.h>
#ifdef HAVE_ARGON2
#include <argon2.h>
#endif

#include "common/loop.h"
#include "common/security/password.h"
#include "common/security/permit.h"
#include "tests/unit/test.h"

#define RIGHT "correct horse battery"

static const prong_uuid account = { { 7 } };
static const struct password_options small = { .memory_kib = 256, .passes = 1, .permits = 2 };

/* A process's worth of what hashing needs; `body` runs on a coroutine. */
struct bench {
	struct loop *loop;
	struct password_hasher *hasher;
	int permits;
	bool ended;
	void (*body)(struct bench *bench);
};

static void run_body(void *argument)
{
	struct bench *bench = argument;

	bench->body(bench);
	bench->ended = true;
	loop_stop(bench->loop);
}

static void run(int permits, const struct password_options *options, void (*body)(struct bench *bench))
{
	struct bench bench = { .body = body, .permits = permits };

	CU_ASSERT_FATAL(sodium_init() >= 0);
	bench.loop = loop_new(64);
	bench.hasher = password_hasher_new(bench.loop, options, permits);
	CU_ASSERT_EQUAL(coroutine_start(bench.loop, run_body, &bench, NULL), 0);
	if (!bench.ended)
		loop_run(bench.loop);
	password_hasher_free(bench.hasher);
	loop_free(bench.loop);
}

static void run_alone(const struct password_options *options, void (*body)(struct bench *bench))
{
	_cleanup_(closep) int permits = permits_open();

	CU_ASSERT_FATAL(permits >= 0);
	run(permits, options, body);
}

static void hash_and_verify(struct bench *bench)
{
	char hash[PASSWORD_HASH_SIZE], other[PASSWORD_HASH_SIZE];
	bool rehash = true;

	CU_ASSERT_EQUAL(password_hash(bench->hasher, account, RIGHT, hash), 0);
	CU_ASSERT_EQUAL(password_hash(bench->hasher, account, RIGHT, other), 0);
	CU_ASSERT_EQUAL(strncmp(hash, "$argon2id$v=19$m=256,t=1,p=1$", 29), 0);
	CU_ASSERT_STRING_NOT_EQUAL(hash, other);
	CU_ASSERT_EQUAL(password_verify(bench->hasher, account, RIGHT, hash, &rehash), 0);
	CU_ASSERT_FALSE(rehash);
	CU_ASSERT_EQUAL(password_verify(bench->hasher, account, RIGHT " ", hash, NULL), -EACCES);
	CU_ASSERT_EQUAL(password_verify(bench->hasher, account, "", hash, NULL), -EACCES);
}

TEST(password, verifies_what_it_hashed)
{
	run_alone(&small, hash_and_verify);
}

static void take_every_byte(struct bench *bench)
{
	char hash[PASSWORD_HASH_SIZE], longest[PASSWORD_MAX_SIZE + 1];

	memset(longest, 'x', PASSWORD_MAX_SIZE);
	longest[PASSWORD_MAX_SIZE] = '\0';
	CU_ASSERT_EQUAL(password_hash(bench->hasher, account, longest, hash), 0);
	CU_ASSERT_EQUAL(password_verify(bench->hasher, account, longest, hash, NULL), 0);
	longest[PASSWORD_MAX_SIZE - 1] = 'y';
	CU_ASSERT_EQUAL(password_verify(bench->hasher, account, longest, hash, NULL), -EACCES);

	/* Composed and decomposed are different passwords; case and spaces count. */
	CU_ASSERT_EQUAL(password_hash(bench->hasher, account, " P\xc3\xa9re No\xc3\xabl ", hash), 0);
	CU_ASSERT_EQUAL(password_verify(bench->hasher, account, " P\xc3\xa9re No\xc3\xabl ", hash, NULL), 0);
	CU_ASSERT_EQUAL(password_verify(bench->hasher, account, " Pe\xcc\x81re No\xc3\xabl ", hash, NULL), -EACCES);
	CU_ASSERT_EQUAL(password_verify(bench->hasher, account, " p\xc3\xa9re No\xc3\xabl ", hash, NULL), -EACCES);
	CU_ASSERT_EQUAL(password_verify(bench->hasher, account, "P\xc3\xa9re No\xc3\xabl", hash, NULL), -EACCES);
}

TEST(password, counts_every_byte)
{
	run_alone(&small, take_every_byte);
}

static void verify_nobody(struct bench *bench)
{
	bool rehash = true;

	CU_ASSERT_EQUAL(password_verify(bench->hasher, account, RIGHT, NULL, &rehash), -EACCES);
	CU_ASSERT_TRUE(rehash);
	/* Without permits it waits and fails as a real one does: the dummy is hashed, not skipped. */
	struct permits *permits = permits_new(bench->permits, 2);
	int first = permit_take(permits, 0), second = permit_take(permits, 0);
	CU_ASSERT(first >= 0 && second >= 0);
	CU_ASSERT_EQUAL(password_verify(bench->hasher, account, RIGHT, NULL, NULL), -EAGAIN);
	permit_release(permits, first);
	permit_release(permits, second);
	permits_free(permits);
}

TEST(password, hashes_a_dummy_for_nobody)
{
	run_alone(&small, verify_nobody);
}

static void wait_in_vain(struct bench *bench)
{
	struct permits *permits = permits_new(bench->permits, 2);
	int first = permit_take(permits, 0), second = permit_take(permits, 0);
	char hash[PASSWORD_HASH_SIZE] = "untouched";

	CU_ASSERT(first >= 0 && second >= 0);
	CU_ASSERT_EQUAL(password_hash(bench->hasher, account, RIGHT, hash), -EAGAIN);
	CU_ASSERT_STRING_EQUAL(hash, "untouched");
	permit_release(permits, first);
	CU_ASSERT_EQUAL(password_hash(bench->hasher, account, RIGHT, hash), 0);
	permit_release(permits, second);
	permits_free(permits);
}

TEST(password, gives_up_without_a_permit)
{
	run_alone(&small, wait_in_vain);
}

/* Of `password` with salt `somesalt`, by the reference implementation's command line. */
#define REFERENCE "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"

static void verify_from_elsewhere(struct bench *bench)
{
	bool rehash = false;

	CU_ASSERT_EQUAL(password_verify(bench->hasher, account, "password", REFERENCE, &rehash), 0);
	CU_ASSERT_TRUE(rehash);
	CU_ASSERT_EQUAL(password_verify(bench->hasher, account, "Password", REFERENCE, NULL), -EACCES);
}

TEST(password, verifies_hashes_from_elsewhere)
{
	run_alone(&small, verify_from_elsewhere);
}

#define SALT "c29tZXNhbHQ"
#define OUTPUT "CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"

static void refuse_stored(struct bench *bench)
{
	static const char *const wrong[] = {
		"",
		"plain",
		"$2b$12$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234",
		"$argon2i$v=19$m=256,t=1,p=1$" SALT "$" OUTPUT,
		"$argon2d$v=19$m=256,t=1,p=1$" SALT "$" OUTPUT,
		"$argon2id$m=256,t=1,p=1$" SALT "$" OUTPUT,
		"$argon2id$v=16$m=256,t=1,p=1$" SALT "$" OUTPUT,
		"$argon2id$v=19$m=1048577,t=1,p=1$" SALT "$" OUTPUT,
		"$argon2id$v=19$m=4294967296,t=1,p=1$" SALT "$" OUTPUT,
		"$argon2id$v=19$m=18446744073709551872,t=1,p=1$" SALT "$" OUTPUT,
		"$argon2id$v=19$m=7,t=1,p=1$" SALT "$" OUTPUT,
		"$argon2id$v=19$m=0256,t=1,p=1$" SALT "$" OUTPUT,
		"$argon2id$v=19$m=-256,t=1,p=1$" SALT "$" OUTPUT,
		"$argon2id$v=19$m=256,t=0,p=1$" SALT "$" OUTPUT,
		"$argon2id$v=19$m=256,t=11,p=1$" SALT "$" OUTPUT,
		"$argon2id$v=19$m=256,t=1,p=2$" SALT "$" OUTPUT,
		"$argon2id$v=19$m=256,t=1,p=16$" SALT "$" OUTPUT,
		"$argon2id$v=19$t=1,m=256,p=1$" SALT "$" OUTPUT,
		"$argon2id$v=19$m=256,t=1,p=1,data=AAAA$" SALT "$" OUTPUT,
		"$argon2id$v=19$m=256,t=1,p=1$" SALT,
		"$argon2id$v=19$m=256,t=1,p=1$" SALT "$",
		"$argon2id$v=19$m=256,t=1,p=1$$" OUTPUT,
		"$argon2id$v=19$m=256,t=1,p=1$c2hvcnQ$" OUTPUT,
		"$argon2id$v=19$m=256,t=1,p=1$c29tZXNhb\xc3\xa9$" OUTPUT,
		"$argon2id$v=19$m=256,t=1,p=1$" SALT "=$" OUTPUT,
		"$argon2id$v=19$m=256,t=1,p=1$" SALT "$" OUTPUT "=",
		"$argon2id$v=19$m=256,t=1,p=1$" SALT "$" OUTPUT "$",
		"$argon2id$v=19$m=256,t=1,p=1$" SALT "$" OUTPUT OUTPUT OUTPUT OUTPUT,
		" $argon2id$v=19$m=256,t=1,p=1$" SALT "$" OUTPUT,
	};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		CU_ASSERT_EQUAL(password_verify(bench->hasher, account, "password", wrong[i], NULL), -EINVAL);
}

TEST(password, bounds_what_a_stored_hash_may_ask)
{
	run_alone(&small, refuse_stored);
}

#define KEY_1 "the first key; of 32 bytes or more"
#define KEY_2 "the second one: a colon or = is part of it"

static const prong_uuid other_account = { { 8 } };

static void run_with(const char *peppers, void (*body)(struct bench *bench))
{
	struct password_options options = small;

	options.peppers = peppers;
	run_alone(&options, body);
}

#ifdef HAVE_ARGON2
static void agree_with_oracle(struct bench *bench)
{
	static const char *const passwords[] = { RIGHT, "", "p\xc3\xa4ssw\xc3\xb6rd", "12345678" };

	for (size_t i = 0; i < ARRAY_SIZE(passwords); i++) {
		char hash[PASSWORD_HASH_SIZE];
		bool rehash = false;

		CU_ASSERT_EQUAL(password_hash(bench->hasher, account, passwords[i], hash), 0);
		CU_ASSERT_EQUAL(argon2id_verify(hash, passwords[i], strlen(passwords[i])), ARGON2_OK);
		CU_ASSERT_EQUAL(argon2id_verify(hash, "another", 7), ARGON2_VERIFY_MISMATCH);

		CU_ASSERT_EQUAL(argon2id_hash_encoded(3, 512, 1, passwords[i], strlen(passwords[i]), "sixteen bytes ok",
						      16, 32, hash, sizeof(hash)),
				ARGON2_OK);
		CU_ASSERT_EQUAL(password_verify(bench->hasher, account, passwords[i], hash, &rehash), 0);
		CU_ASSERT_TRUE(rehash);
		CU_ASSERT_EQUAL(password_verify(bench->hasher, account, "another", hash, NULL), -EACCES);
	}
}

TEST(password, agrees_with_libargon2)
{
	run_alone(&small, agree_with_oracle);
}

/* What others make: their parameters, salts and outputs. */
static void take_from_oracle(struct bench *bench)
{
	static const struct {
		uint32_t passes, memory_kib;
		size_t salt, output;
	} others[] = { { 1, 8, 8, 16 }, { 2, 19456, 16, 32 }, { 4, 1024, 32, 24 }, { 10, 64, 12, 48 } };
	const char *reason;

	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		char phc[PASSWORD_HASH_SIZE], taken[PASSWORD_HASH_SIZE];

		CU_ASSERT_EQUAL(argon2id_hash_encoded(others[i].passes, others[i].memory_kib, 1, RIGHT, strlen(RIGHT),
						      "a salt of up to thirty-two bytes", others[i].salt,
						      others[i].output, phc, sizeof(phc)),
				ARGON2_OK);
		CU_ASSERT_EQUAL(password_hash_check(phc, NULL, &reason), 0);
		password_seal(bench->hasher, account, phc, taken);
		CU_ASSERT_EQUAL(password_verify(bench->hasher, account, RIGHT, taken, NULL), 0);
		CU_ASSERT_EQUAL(password_verify(bench->hasher, account, "another", taken, NULL), -EACCES);
	}
}

TEST(password, takes_hashes_of_libargon2)
{
	run_alone(&small, take_from_oracle);
	run_with("3:" KEY_1, take_from_oracle);
}
#endif

static char stored[PASSWORD_HASH_SIZE]; /* from one process's life to the next */

static void hash_stored(struct bench *bench)
{
	bool rehash = true;

	CU_ASSERT_EQUAL(password_hash(bench->hasher, account, RIGHT, stored), 0);
	CU_ASSERT_EQUAL(password_verify(bench->hasher, account, RIGHT, stored, &rehash), 0);
	CU_ASSERT_FALSE(rehash);
	CU_ASSERT_EQUAL(password_verify(bench->hasher, account, RIGHT ".", stored, NULL), -EACCES);
}

static void expect_rehash(struct bench *bench)
{
	bool rehash = false;

	CU_ASSERT_EQUAL(password_verify(bench->hasher, account, RIGHT, stored, &rehash), 0);
	CU_ASSERT_TRUE(rehash);
	CU_ASSERT_EQUAL(password_verify(bench->hasher, account, RIGHT ".", stored, NULL), -EACCES);
}

static void expect_unusable(struct bench *bench)
{
	CU_ASSERT_EQUAL(password_verify(bench->hasher, account, RIGHT, stored, NULL), -EINVAL);
}

TEST(password, a_pepper_comes_goes_and_changes)
{
	run_with(NULL, hash_stored);
	CU_ASSERT_EQUAL(strncmp(stored, "$argon2id$", 10), 0);
	run_with("1:" KEY_1, expect_rehash);

	run_with("1:" KEY_1, hash_stored);
	CU_ASSERT_EQUAL(strncmp(stored, "$pepper$v=1$", 12), 0);
	CU_ASSERT_PTR_NULL(strstr(stored, "argon2"));
	run_with("2:" KEY_2 ",1:" KEY_1, expect_rehash);
	run_with("1:" KEY_1 ",2:" KEY_2, expect_rehash);

	run_with("1:" KEY_1 ",10:" KEY_2 ",9:" KEY_1, hash_stored); /* the highest number, wherever it stands */
	CU_ASSERT_EQUAL(strncmp(stored, "$pepper$v=10$", 13), 0);
	run_with("10:" KEY_2, hash_stored);

	run_with(NULL, expect_unusable);
	run_with("1:" KEY_1, expect_unusable);
	run_with("10:" KEY_1, expect_unusable); /* another key under its version */
}

static void bind_to_account(struct bench *bench)
{
	hash_stored(bench);
	CU_ASSERT_EQUAL(password_verify(bench->hasher, other_account, RIGHT, stored, NULL), -EINVAL);
	password_seal(bench->hasher, other_account, REFERENCE, stored);
	CU_ASSERT_EQUAL(strncmp(stored, "$pepper$v=2$", 12), 0);
	CU_ASSERT_EQUAL(password_verify(bench->hasher, other_account, "password", stored, NULL), 0);
	CU_ASSERT_EQUAL(password_verify(bench->hasher, account, "password", stored, NULL), -EINVAL);
}

TEST(password, a_sealed_hash_serves_its_account_only)
{
	run_with("1:" KEY_1 ",2:" KEY_2, bind_to_account);
}

static void change_every_character(struct bench *bench)
{
	hash_stored(bench);
	for (size_t i = 0; stored[i]; i++) {
		char before = stored[i];

		stored[i] = before == 'A' ? 'B' : 'A';
		expect_unusable(bench);
		stored[i] = before;
		if (i > 0) {
			char rest[PASSWORD_HASH_SIZE];

			strcpy(rest, stored + i);
			stored[i] = '\0';
			expect_unusable(bench);
			strcpy(stored + i, rest);
		}
	}
	strcat(stored, "A");
	expect_unusable(bench);
	password_seal(bench->hasher, account, "$argon2id$v=19$m=256,t=99,p=1$" SALT "$" OUTPUT, stored);
	expect_unusable(bench); /* what is within is bounded too */
}

TEST(password, a_changed_sealed_hash_is_unusable)
{
	run_with("65535:" KEY_1, change_every_character);
}

TEST(password, peppers_are_checked)
{
	static const char *const wrong[] = {
		"",
		":",
		KEY_1,
		"1",
		"1:",
		"1:short",
		"0:" KEY_1,
		"01:" KEY_1,
		"-1:" KEY_1,
		"+1:" KEY_1,
		"x:" KEY_1,
		"65536:" KEY_1,
		"99999999999999999999:" KEY_1,
		" 1:" KEY_1,
		"1 :" KEY_1,
		"1:" KEY_1 ",",
		"1:" KEY_1 "," KEY_2,
		",1:" KEY_1,
		"1:" KEY_1 ",,2:" KEY_2,
		"1:" KEY_1 ",1:" KEY_2,
		"2:" KEY_1 ",1:" KEY_1 ",2:" KEY_2,
		"1:0123456789012345678901234567890", /* 31 bytes */
	};
	static const char *const right[] = { "1:" KEY_1, "65535:" KEY_1, "1:" KEY_1 ",2:" KEY_2, "7:" KEY_2 ",3:" KEY_1,
					     "1:01234567890123456789012345678901" };

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		_cleanup_(freep) char *reason = NULL;

		CU_ASSERT_EQUAL(peppers_check(wrong[i], &reason), -EINVAL);
		CU_ASSERT_PTR_NOT_NULL_FATAL(reason);
		CU_ASSERT_PTR_NULL(strstr(reason, "key; of 32"));
	}
	for (size_t i = 0; i < ARRAY_SIZE(right); i++) {
		char *reason = NULL;

		CU_ASSERT_EQUAL(peppers_check(right[i], &reason), 0);
		CU_ASSERT_PTR_NULL(reason);
	}
}

TEST(password, says_why_a_hash_cannot_be_taken)
{
	static const struct {
		const char *text, *about;
	} wrong[] = {
		{ "$2b$12$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234", "$argon2id$" },
		{ "$argon2i$v=19$m=256,t=1,p=1$" SALT "$" OUTPUT, "$argon2id$" },
		{ "argon2$argon2id$v=19$m=102400,t=2,p=8$" SALT "$" OUTPUT, "$argon2id$" },
		{ "$argon2id$v=16$m=256,t=1,p=1$" SALT "$" OUTPUT, "v=19" },
		{ "$argon2id$v=19$m=2097152,t=1,p=1$" SALT "$" OUTPUT, "m=1048576" },
		{ "$argon2id$v=19$m=256,t=11,p=1$" SALT "$" OUTPUT, "t=10" },
		{ "$argon2id$v=19$m=262145,t=1,p=1$" SALT "$" OUTPUT, "m=262144" },
		{ "$argon2id$v=19$m=209716,t=5,p=1$" SALT "$" OUTPUT, "1 GiB in all" },
		{ "$argon2id$v=19$m=65536,t=3,p=4$" SALT "$" OUTPUT, "parallelism" },
		{ "$argon2id$v=19$m=65536,t=3,p=16$" SALT "$" OUTPUT, "parallelism" },
		{ "$argon2id$v=19$m=256,t=1,p=1,keyid=AAAA$" SALT "$" OUTPUT, "alone" },
		{ "$argon2id$v=19$m=256,t=1,p=1$c2hvcnQ$" OUTPUT, "salt" },
		{ "$argon2id$v=19$m=256,t=1,p=1$" SALT "$c2hvcnQ", "output" },
		{ "$argon2id$v=19$m=256,t=1,p=1$" SALT "$" OUTPUT OUTPUT OUTPUT, "127" },
		{ "$pepper$v=1$AAAA", "$argon2id$" }, /* nobody brings a sealed one */
	};
	const char *reason = NULL;
	size_t memory_kib = 0;

	CU_ASSERT_EQUAL(password_hash_check(REFERENCE, &memory_kib, &reason), 0);
	CU_ASSERT_EQUAL(memory_kib, 65536);
	CU_ASSERT_EQUAL(password_hash_check("$argon2id$v=19$m=262144,t=4,p=1$" SALT "$" OUTPUT, NULL, &reason), 0);
	CU_ASSERT_PTR_NULL(reason);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		CU_ASSERT_EQUAL(password_hash_check(wrong[i].text, &memory_kib, &reason), -EINVAL);
		CU_ASSERT_PTR_NOT_NULL(strstr(reason, wrong[i].about));
	}
}

static void hash_for_ever(struct bench *bench)
{
	char hash[PASSWORD_HASH_SIZE];

	while (password_hash(bench->hasher, account, RIGHT, hash) == 0)
		;
	_exit(1);
}

TEST(password, a_killed_process_frees_its_permit)
{
	static const struct password_options slow = { .memory_kib = 65536, .passes = 10, .permits = 1 };
	_cleanup_(closep) int fd = permits_open();
	struct permits *permits = permits_new(fd, 1);
	pid_t child = fork();
	int status, permit;

	CU_ASSERT_FATAL(child >= 0);
	if (child == 0) {
		run(fd, &slow, hash_for_ever);
		_exit(1);
	}
	while ((permit = permit_take(permits, 0)) >= 0) {
		permit_release(permits, permit);
		CU_ASSERT_EQUAL_FATAL(waitpid(child, &status, WNOHANG), 0);
		usleep(1000);
	}
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	CU_ASSERT(WIFSIGNALED(status));
	permit = permit_take(permits, 0);
	CU_ASSERT(permit >= 0);
	permit_release(permits, permit);
	permits_free(permits);
}

struct crowd {
	struct loop *loop;
	struct password_hasher *hashers[2]; /* as of two processes */
	int size, begun, done;
	int right, refused;
};

static void hash_in_crowd(void *argument)
{
	struct crowd *crowd = argument;
	char hash[PASSWORD_HASH_SIZE];
	int r = password_hash(crowd->hashers[crowd->begun++ % 2], account, RIGHT, hash);

	crowd->right += r == 0;
	crowd->refused += r == -EAGAIN;
	if (++crowd->done == crowd->size)
		loop_stop(crowd->loop);
}

static void run_crowd(struct crowd *crowd, const struct password_options *options, int permits)
{
	CU_ASSERT_FATAL(sodium_init() >= 0);
	crowd->loop = loop_new(64);
	for (int i = 0; i < 2; i++)
		crowd->hashers[i] = password_hasher_new(crowd->loop, options, permits);
	for (int i = 0; i < crowd->size; i++)
		CU_ASSERT_EQUAL(coroutine_start(crowd->loop, hash_in_crowd, crowd, NULL), 0);
	loop_run(crowd->loop);
	for (int i = 0; i < 2; i++)
		password_hasher_free(crowd->hashers[i]);
	loop_free(crowd->loop);
}

TEST(password, a_crowd_takes_turns)
{
	_cleanup_(closep) int permits = permits_open();
	struct crowd crowd = { .size = 32 };

	run_crowd(&crowd, &small, permits);
	CU_ASSERT_EQUAL(crowd.right, 32);
}

TEST(password, who_waits_for_a_thread_gives_up_too)
{
	static const struct password_options one = { .memory_kib = 256, .passes = 1, .permits = 1 };
	_cleanup_(closep) int fd = permits_open();
	struct permits *permits = permits_new(fd, 1);
	struct crowd crowd = { .size = 8 };
	int permit = permit_take(permits, 0);

	CU_ASSERT(permit >= 0);
	run_crowd(&crowd, &one, fd);
	CU_ASSERT_EQUAL(crowd.refused, 8);
	permit_release(permits, permit);
	permits_free(permits);
}
