#include "server/http/abuse.h"

#include <stdio.h>

#include "common/basics.h"
#include "common/context.h"
#include "common/limits/rate_limit.h"
#include "common/metrics.h"
#include "common/settings.h"
#include "server/http/client.h"

#define MAX_KNOWN_ADDRESSES 1000

/* Whose a limit is. */
enum whose { OF_SOURCE, OF_ACCOUNT, OF_PAIR };

/* What becomes of what a limit took when the secret turns out to be right. */
enum after { KEEP, GIVE_BACK, EMPTY };

struct rule {
	enum way_in way;
	const char *name;
	enum whose whose;
	struct prong_rate rate; /* so many at once, then one each per/count: GCRA (rate_limit.h) */
	enum after after;
};

/* clang-format off */
/*
 * The ladder: wrong secrets of one source for one account. 5 at once, then one each 15 s, after 10 one a minute, after
 * 20 one each 5 min, after 40 one each half hour: at most 88 in the first day, far below the 100 in a row after which
 * NIST SP 800-63B §5.2.2 wants the account closed. Whoever knows the password is let in at the next try, and starts
 * anew.
 */
#define LADDER(way, name)                                                   \
	{ way, name "_pair_1", OF_PAIR, { 5, PRONG_SECONDS(75) }, EMPTY },  \
	{ way, name "_pair_2", OF_PAIR, { 10, PRONG_MINUTES(10) }, EMPTY }, \
	{ way, name "_pair_3", OF_PAIR, { 20, PRONG_MINUTES(100) }, EMPTY }, \
	{ way, name "_pair_4", OF_PAIR, { 40, PRONG_HOURS(20) }, EMPTY }

/* 50 at once and 50 an hour are at most 100 wrong secrets in any hour, as OWASP ASVS 4 §2.2.1 has it. */
#define ACCOUNT(way, name) { way, name "_account", OF_ACCOUNT, { 50, PRONG_HOURS(1) }, GIVE_BACK }

/*
 * Sources are wide, because behind one address there may be an office or a town: what counts for them is how many of
 * their tries are wrong, and what their tries cost us.
 */
static const struct rule rules[] = {
	/* An office of thousands in the morning; of the hashing, 300 are about two seconds of one processor. */
	{ WAY_SIGN_IN, "sign_in_source", OF_SOURCE, { 300, PRONG_MINUTES(5) }, KEEP },
	/* One password tried at many accounts: wrong ones only, of which 300 people mistype one each an hour. */
	{ WAY_SIGN_IN, "sign_in_source_wrong", OF_SOURCE, { 300, PRONG_HOURS(1) }, GIVE_BACK },
	LADDER(WAY_SIGN_IN, "sign_in"),
	ACCOUNT(WAY_SIGN_IN, "sign_in"),

	/* People look for a password that is strong enough; an account itself costs a mail, see WAY_MAIL. */
	{ WAY_SIGN_UP, "sign_up_source", OF_SOURCE, { 300, PRONG_HOURS(1) }, KEEP },

	/* Cheap, and not to be guessed (256 bits): only against floods. Thousands of people refresh each ten minutes. */
	{ WAY_REFRESH, "refresh_source", OF_SOURCE, { 3000, PRONG_MINUTES(5) }, KEEP },

	/* Not to be guessed either; wrong ones are old links, clicked again. */
	{ WAY_PROOF, "proof_source", OF_SOURCE, { 300, PRONG_MINUTES(5) }, KEEP },
	{ WAY_PROOF, "proof_source_wrong", OF_SOURCE, { 100, PRONG_HOURS(1) }, GIVE_BACK },

	/*
	 * To an address that nobody has proven: a nuisance where somebody else asks for it, and spam in our name. 5 to
	 * one address at once and 10 a day; a hundred from a source, as when a school signs up. Anybody can use up what
	 * an address has: sources from which its account signs in have as much of their own.
	 */
	{ WAY_MAIL, "mail_source", OF_SOURCE, { 100, PRONG_HOURS(1) }, KEEP },
	{ WAY_MAIL, "mail_pair", OF_PAIR, { 5, PRONG_HOURS(1) }, KEEP },
	{ WAY_MAIL, "mail_pair_day", OF_PAIR, { 10, PRONG_DAYS(1) }, KEEP },
	{ WAY_MAIL, "mail_account", OF_ACCOUNT, { 5, PRONG_HOURS(1) }, KEEP },
	{ WAY_MAIL, "mail_account_day", OF_ACCOUNT, { 10, PRONG_DAYS(1) }, KEEP },

	/* API keys that are not in a process's cache: a query each. */
	{ WAY_KEY, "key_source_wrong", OF_SOURCE, { 100, PRONG_HOURS(1) }, GIVE_BACK },

	/* Whoever has stolen a session guesses the password to keep it. */
	{ WAY_PASSWORD, "password_source", OF_SOURCE, { 300, PRONG_MINUTES(5) }, KEEP },
	LADDER(WAY_PASSWORD, "password"),
	ACCOUNT(WAY_PASSWORD, "password"),

	/* What each leaves behind is kept for long: a line in the audit log, a key and its revocation, a mail. */
	{ WAY_CHANGE, "change_account", OF_ACCOUNT, { 100, PRONG_HOURS(1) }, KEEP },
};
/* clang-format on */

/* ---- metrics ---- */

enum result { PASSED, FAILED, LIMITED, RESULTS };

static metric_id results[WAYS_IN][RESULTS];

void abuse_metrics_define(void)
{
	static const char *const ways[WAYS_IN] = { "sign_up", "sign_in", "refresh",  "proof",
						   "mail",    "key",	 "password", "change" };
	static const char *const names[RESULTS] = { "passed", "failed", "limited" };

	for (size_t way = 0; way < WAYS_IN; way++)
		for (size_t result = 0; result < RESULTS; result++) {
			_cleanup_(freep) char *labels =
				format_text("way=\"%s\",result=\"%s\"", ways[way], names[result]);

			results[way][result] = metric_define(METRIC_COUNTER, "prong_ways_in_total", labels,
							     "Tries to get in, or to prove something.");
		}
}

static void count(enum way_in way, enum result result)
{
	metric_add(results[way][result], 1);
}

/* ---- the limits of one try ---- */

struct attempt {
	size_t count;
	struct rate_limit limits[RATE_LIMITS_MAX];
	enum after after[RATE_LIMITS_MAX];
	enum whose whose[RATE_LIMITS_MAX];
	char source[ADDRESS_SOURCE_SIZE];
};

static void add(struct attempt *attempt, const struct rule *rule, const char *key)
{
	check(attempt->count < RATE_LIMITS_MAX);
	attempt->whose[attempt->count] = rule->whose;
	attempt->after[attempt->count] = rule->after;
	attempt->limits[attempt->count++] = (struct rate_limit){ rule->name, key, rule->rate };
}

static void attempt_init(struct attempt *attempt, struct prong_ctx *ctx, enum way_in way, const char *account)
{
	const char *pair;

	attempt->count = 0;
	client_source(ctx, attempt->source);
	pair = account ? prong_format(ctx, "%s %s", attempt->source, account) : NULL;
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		const char *keys[] = { [OF_SOURCE] = attempt->source, [OF_ACCOUNT] = account, [OF_PAIR] = pair };

		if (rules[i].way == way && keys[rules[i].whose])
			add(attempt, &rules[i], keys[rules[i].whose]);
	}
}

/* Its limits for which this holds after a right secret. Returns how many. */
static size_t select_limits(const struct attempt *attempt, enum after after,
			    struct rate_limit ret_limits[RATE_LIMITS_MAX])
{
	size_t count = 0;

	for (size_t i = 0; i < attempt->count; i++)
		if (attempt->after[i] == after)
			ret_limits[count++] = attempt->limits[i];
	return count;
}

/* ---- known sources ---- */

struct known_address {
	const char *address;
};

/* clang-format off */
PRONG_SCHEMA(known_address,
	PRONG_FIELD(known_address, address));
/* clang-format on */

/* Whether the account has lately signed in from there. 1, 0, or as prong_query(). */
static int is_known_source(struct prong_ctx *ctx, const char *account)
{
	struct known_address *known;
	size_t n_known;
	int r;

	/* What the owner has ended, or a stolen token has, speaks against its address. */
	r = prong_query(ctx, known_address, &known, &n_known,
			"SELECT s.address FROM prong_sessions s JOIN prong_accounts a ON a.id = s.account_id"
			" WHERE a.email_normalised = $1 AND s.address IS NOT NULL"
			" AND s.used_at > now() - interval '30 days'"
			" AND (s.revoked_at IS NULL OR s.revoked_for = 'signed_out')"
			" GROUP BY s.address ORDER BY max(s.used_at) DESC LIMIT $2",
			account, MAX_KNOWN_ADDRESSES);
	for (size_t i = 0; r == 0 && i < n_known; i++)
		if (client_is_from(ctx, known[i].address))
			return 1;
	return r;
}

/* ---- the calls ---- */

static bool is_on(const struct prong_ctx *ctx)
{
	return ctx->runtime->settings->rate_limits == RATE_LIMITS_ON;
}

static int refuse(struct prong_ctx *ctx, enum way_in way, const struct rate_limit *limit, prong_duration wait)
{
	int64_t seconds = (wait + PRONG_SECONDS(1) - 1) / PRONG_SECONDS(1);
	_cleanup_(freep) char *text = duration_format(PRONG_SECONDS(seconds));
	int r;

	count(way, LIMITED);
	prong_log(ctx, PRONG_LOG_INFO, "refused by the limit %s%s", limit->name,
		  client_is_forwarded_in_vain(ctx)
			  ? "; X-Forwarded-For is not believed of this peer: is it a proxy, name it in TRUSTED_PROXIES"
			  : "");
	r = prong_fail(ctx, 429, "rate_limited", "There were too many tries. Try again in %s.", text);
	ctx->problem.retry_after = (int)seconds;
	return r;
}

/* Whether sources from which the account has signed in go on where its own limits, which others use up, end. */
static bool is_for_known(const struct attempt *attempt, enum way_in way, size_t which)
{
	return attempt->whose[which] == OF_ACCOUNT && (way == WAY_SIGN_IN || way == WAY_MAIL);
}

/* Those are charged too, so that abuse_settle() gives back what was taken. */
static int take_as_known(struct prong_ctx *ctx, struct attempt *attempt, prong_duration *ret_wait, size_t *ret_which)
{
	struct rate_limit exempt[RATE_LIMITS_MAX];
	size_t n_exempt = 0;
	int r;

	for (size_t i = 0; i < attempt->count; i++) {
		if (attempt->whose[i] != OF_ACCOUNT)
			continue;
		exempt[n_exempt++] = attempt->limits[i];
		attempt->limits[i].rate.count = 0;
	}
	r = rate_limit_take(ctx, attempt->limits, attempt->count, ret_wait, ret_which);
	if (r == 0)
		rate_limit_charge(ctx, exempt, n_exempt);
	return r;
}

int abuse_check(struct prong_ctx *ctx, enum way_in way, const char *account)
{
	prong_duration wait;
	struct attempt attempt;
	size_t which;
	int r;

	if (!is_on(ctx))
		return 0;
	attempt_init(&attempt, ctx, way, account);
	r = rate_limit_take(ctx, attempt.limits, attempt.count, &wait, &which);
	if (r == -EDQUOT && is_for_known(&attempt, way, which)) {
		r = is_known_source(ctx, account);
		if (r < 0)
			return r;
		if (r == 0)
			return refuse(ctx, way, &attempt.limits[which], wait);
		r = take_as_known(ctx, &attempt, &wait, &which);
	}
	if (r == -EDQUOT)
		return refuse(ctx, way, &attempt.limits[which], wait);
	if (r < 0 || way != WAY_SIGN_IN || !rate_limits_are_local(ctx->runtime->rate_limits))
		return r;
	/* No secret is looked at, so none is wrong; how many of these come from a source still counts. */
	abuse_settle(ctx, way, account, VERDICT_UNKNOWN);
	return -EHOSTDOWN;
}

enum verdict verdict_of(int result)
{
	if (result >= 0)
		return VERDICT_RIGHT;
	return result == -ENOENT || result == -EACCES ? VERDICT_WRONG : VERDICT_UNKNOWN;
}

void abuse_settle(struct prong_ctx *ctx, enum way_in way, const char *account, enum verdict verdict)
{
	struct rate_limit limits[RATE_LIMITS_MAX];
	struct attempt attempt;

	if (verdict != VERDICT_UNKNOWN)
		count(way, verdict == VERDICT_RIGHT ? PASSED : FAILED);
	if (verdict == VERDICT_WRONG || !is_on(ctx))
		return;
	attempt_init(&attempt, ctx, way, account);
	if (verdict == VERDICT_RIGHT)
		rate_limit_reset(ctx, limits, select_limits(&attempt, EMPTY, limits));
	else
		rate_limit_give(ctx, limits, select_limits(&attempt, EMPTY, limits));
	rate_limit_give(ctx, limits, select_limits(&attempt, GIVE_BACK, limits));
}

void abuse_forgive(struct prong_ctx *ctx, enum way_in way, const char *account)
{
	struct rate_limit limits[RATE_LIMITS_MAX];
	size_t n_limits;
	struct attempt attempt;

	if (!is_on(ctx))
		return;
	attempt_init(&attempt, ctx, way, account);
	n_limits = select_limits(&attempt, EMPTY, limits);
	for (size_t i = 0; i < attempt.count; i++)
		if (attempt.whose[i] == OF_ACCOUNT)
			limits[n_limits++] = attempt.limits[i];
	rate_limit_reset(ctx, limits, n_limits);
}
