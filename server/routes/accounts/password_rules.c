#include "server/routes/accounts/password_rules.h"

#include "common/basics.h"
#include "common/context.h"
#include "common/security/password.h"
#include "server/routes/accounts/password_strength.h"

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

	add_word(ctx, known, text, strlen(text));
	if (strchr(text, '@'))
		add_word(ctx, known, text, strcspn(text, "@"));
	for (const char *at = text; *at; at += strspn(at, separators)) {
		size_t length = strcspn(at, separators);

		add_word(ctx, known, at, length);
		at += length;
	}
}

/* ---- on a thread ---- */

struct estimate {
	const char *password;
	const char *const *words;
	int enough, score;
	const char *weakness;
};

static int run(void *argument)
{
	struct estimate *estimate = argument;

	estimate->score = password_strength(estimate->password, estimate->words, estimate->enough, &estimate->weakness);
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
	struct estimate estimate = {
		.password = password,
		.words = known->words,
		.enough = (int)ctx->runtime->settings->password_strength,
	};
	size_t size = strlen(password);
	int r;

	if (size < PASSWORD_MIN_SIZE)
		return refuse(ret_code, ret_reason, "too_short",
			      prong_format(ctx, "A password has at least %d bytes.", PASSWORD_MIN_SIZE));
	if (size > PASSWORD_MAX_SIZE)
		return refuse(ret_code, ret_reason, "too_long",
			      prong_format(ctx, "A password has at most %d bytes.", PASSWORD_MAX_SIZE));
	if (estimate.enough == 0)
		return 0;

	for (; *words; words++)
		add_words(ctx, known, *words);
	add_words(ctx, known, ctx->runtime->registry->app->name);
	r = prong_compute(ctx, run, &estimate);
	if (r < 0)
		return r;
	if (estimate.score >= estimate.enough)
		return 0;
	return refuse(
		ret_code, ret_reason, "weak_password",
		prong_format(ctx, "This password is easy to guess: %s. Use a few unrelated words.", estimate.weakness));
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
