#include "server/routes/accounts/password_rules.h"

#include <math.h>
#include <stdio.h>
#include <zxcvbn.h>

#include "common/basics.h"
#include "common/context.h"
#include "common/security/password.h"

/*
 * What is looked at: the cost grows with the length, and whoever needs more bytes than these to be strong repeats
 * himself.
 */
#define LOOKED_AT 100

#define MIN_WORD 3 /* bytes: a shorter one would be found in any password */
#define MAX_WORDS 128

/* The words that an attacker who knows the account tries first; zxcvbn ranks them in this order. */
struct known_words {
	const char *words[MAX_WORDS + 1];
	size_t count;
};

static void add_word(struct prong_ctx *ctx, struct known_words *known, const char *start, size_t size)
{
	if (size >= MIN_WORD && known->count < MAX_WORDS)
		known->words[known->count++] = prong_format(ctx, "%.*s", (int)size, start);
}

/* The text as a whole, and what stands between its punctuation: of an address the local part, its parts, the domain's.
 */
static void add_words(struct prong_ctx *ctx, struct known_words *known, const char *text)
{
	static const char separators[] = " .@_-+,";
	size_t size = strlen(text), local = strcspn(text, "@");

	add_word(ctx, known, text, size);
	if (local < size)
		add_word(ctx, known, text, local);
	for (const char *at = text; *at; at += strspn(at, separators)) {
		size_t length = strcspn(at, separators);

		if (length < size && length != local)
			add_word(ctx, known, at, length);
		at += length;
	}
}

/* ---- on a thread ---- */

struct estimate {
	char password[LOOKED_AT + 1];
	const char **words;
	int score;	    /* as zxcvbn counts: 0 … 4 */
	const char *reason; /* what makes it easy to guess */
};

static int score(double guesses)
{
	static const double least[] = { 1e3, 1e6, 1e8, 1e10 };
	int score = 0;

	while (score < 4 && guesses >= least[score])
		score++;
	return score;
}

static const char *describe(int type)
{
	if (type & MULTIPLE_MATCH)
		return "it repeats itself";
	switch (type) {
	case DICTIONARY_MATCH:
		return "there is a common word or password in it";
	case DICT_LEET_MATCH:
		return "there is a common word or password in it, with characters that look alike";
	case USER_MATCH:
	case USER_LEET_MATCH:
		return "it contains your address, your name or that of the application";
	case REPEATS_MATCH:
		return "it repeats a character";
	case SEQUENCE_MATCH:
		return "there is a sequence in it, such as abc or 123";
	case SPATIAL_MATCH:
		return "it is a pattern on the keyboard";
	case DATE_MATCH:
	case YEAR_MATCH:
		return "there is a date in it";
	default:
		return "it is too short for its kinds of characters";
	}
}

/* The part that most of the password is. */
static int main_type(const ZxcMatch_t *parts)
{
	int longest = 0, type = BRUTE_MATCH;

	for (const ZxcMatch_t *part = parts; part; part = part->Next)
		if (part->Type != BRUTE_MATCH && part->Length > longest) {
			longest = part->Length;
			type = (int)part->Type;
		}
	return type;
}

static int run(void *argument)
{
	struct estimate *estimate = argument;
	ZxcMatch_t *parts = NULL;

	estimate->score = score(exp2(ZxcvbnMatch(estimate->password, estimate->words, &parts)));
	estimate->reason = describe(main_type(parts));
	ZxcvbnFreeInfo(parts);
	return 0;
}

/* ---- the rules ---- */

static int refuse(const char **ret_code, const char **ret_reason, const char *code, const char *reason)
{
	*ret_code = code;
	*ret_reason = reason;
	return -EINVAL;
}

int password_check(struct prong_ctx *ctx, const char *password, const char *const words[], const char **ret_code,
		   const char **ret_reason)
{
	struct known_words *known = prong_alloc(ctx, sizeof(*known));
	struct estimate estimate = { .words = known->words };
	size_t size = strlen(password);
	int r;

	if (size < PASSWORD_MIN_SIZE)
		return refuse(ret_code, ret_reason, "too_short",
			      prong_format(ctx, "A password has at least %d bytes.", PASSWORD_MIN_SIZE));
	if (size > PASSWORD_MAX_SIZE)
		return refuse(ret_code, ret_reason, "too_long",
			      prong_format(ctx, "A password has at most %d bytes.", PASSWORD_MAX_SIZE));
	if (ctx->runtime->settings->password_strength == 0)
		return 0;

	for (; *words; words++)
		add_words(ctx, known, *words);
	add_words(ctx, known, ctx->runtime->registry->app->name);
	snprintf(estimate.password, sizeof(estimate.password), "%s", password);
	r = prong_compute(ctx, run, &estimate);
	explicit_bzero(estimate.password, sizeof(estimate.password));
	if (r < 0)
		return r;
	if (estimate.score >= ctx->runtime->settings->password_strength)
		return 0;
	return refuse(
		ret_code, ret_reason, "weak_password",
		prong_format(ctx, "This password is easy to guess: %s. Use a few unrelated words.", estimate.reason));
}

int password_accept(struct prong_ctx *ctx, const char *pointer, const char *password, const char *const words[])
{
	const char *code, *reason;
	int r;

	r = password_check(ctx, password, words, &code, &reason);
	if (r == -EINVAL)
		return prong_fail_field(ctx, pointer, code, "%s", reason);
	return r;
}
