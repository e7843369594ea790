#include "common/security/issuers.h"

#include <curl/curl.h>

#include "common/log.h"
#include "common/loop.h"
#include "common/security/issuer_fetch.h"
#include "common/security/issuer_token.h"
#include "common/thread_pool.h"

#define MAX_ISSUERS 16
#define MAX_THREADS 4
#define MAX_TEXT 1024 /* of a part of the setting */

/*
 * Of those who wait for an issuer's keys at once. Anybody can send a token that names a key which is not known: while
 * the issuer does not answer, such requests shall not be all that the process has room for.
 */
#define MAX_WAITERS 64

const struct issuers_times issuers_times = { PRONG_MINUTES(10), PRONG_SECONDS(30), PRONG_HOURS(24) };

struct waiter {
	struct coroutine *coroutine;
	struct waiter *next;
};

struct issuer {
	struct issuers *all;
	char *name, *audience, *url;
	struct jwk *keys;
	size_t n_keys;
	struct buffer text;	      /* of the keys, to see whether they have changed */
	int64_t fetched_at, tried_at; /* monotonic µs; INT64_MIN: never */
	bool failed;		      /* the last try */
	struct coroutine *fetcher;    /* NULL once it has ended */
	bool sleeping;		      /* the fetcher does, and can be woken */
	struct waiter *waiters;	      /* for the try that is under way */
	int n_waiters;
};

struct issuers {
	struct loop *loop;
	struct thread_pool *threads;
	struct issuers_times times;
	struct issuer items[MAX_ISSUERS];
	size_t count;
	uint64_t generation;
	atomic_bool stopping;
};

/* ---- the setting ---- */

#define SPACES " \t"

/* Takes the next text, which ends with white space or `end`; NULL: there is none. */
static const char *next_word(const char **at, const char *end, size_t *ret_size)
{
	const char *word;

	while (*at < end && strchr(SPACES, **at))
		(*at)++;
	word = *at;
	while (*at < end && !strchr(SPACES, **at))
		(*at)++;
	*ret_size = (size_t)(*at - word);
	return *ret_size ? word : NULL;
}

static char *copy_of(const char *word, size_t size)
{
	return format_text("%.*s", (int)size, word);
}

/* One entry; its three texts are malloc'ed. NULL, or what is wrong with it. */
static const char *read_entry(const char *at, const char *end, struct issuer *ret_issuer)
{
	char **const parts[] = { &ret_issuer->name, &ret_issuer->audience, &ret_issuer->url };
	size_t size;

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		const char *word = next_word(&at, end, &size);

		if (!word)
			return "it is ISSUER AUDIENCE JWKS_URL, with a comma between two of them, as in "
			       "https://id.example.com my-api https://id.example.com/jwks.json";
		if (size > MAX_TEXT)
			return "it is longer than 1024 bytes";
		*parts[i] = copy_of(word, size);
	}
	if (next_word(&at, end, &size))
		return "there is more than ISSUER AUDIENCE JWKS_URL: put a comma between two issuers";
	return issuer_url_check(ret_issuer->url);
}

static void clear(struct issuer *issuer)
{
	free(issuer->name);
	free(issuer->audience);
	free(issuer->url);
	buffer_free(&issuer->text);
	jwks_free(issuer->keys, issuer->n_keys);
}

static struct issuer *find_issuer(struct issuers *issuers, const char *name)
{
	for (size_t i = 0; i < issuers->count; i++)
		if (string_equal(issuers->items[i].name, name))
			return &issuers->items[i];
	return NULL;
}

/* NULL, or what is wrong; what was read before stays in `issuers`. */
static const char *read_entries(struct issuers *issuers, const char *text)
{
	for (const char *at = text, *end;; at = end + 1) {
		struct issuer *issuer = &issuers->items[issuers->count];
		const char *reason;

		end = strchrnul(at, ',');
		if (issuers->count == MAX_ISSUERS)
			return "there are more than 16";
		reason = read_entry(at, end, issuer);
		if (!reason && find_issuer(issuers, issuer->name))
			reason = "an issuer is there twice";
		if (reason) {
			clear(issuer);
			*issuer = (struct issuer){ 0 };
			return reason;
		}
		issuers->count++;
		if (!*end)
			return NULL;
	}
}

int issuers_check(const char *text, char **ret_reason)
{
	struct issuers *issuers = allocate(sizeof(*issuers));
	const char *reason = read_entries(issuers, text);

	if (reason)
		*ret_reason = issuers->count
				      ? format_text("after '%s', %s", issuers->items[issuers->count - 1].name, reason)
				      : duplicate(reason);
	issuers_free(issuers);
	return reason ? -EINVAL : 0;
}

/* ---- fetching ---- */

static void take_keys(struct issuer *issuer, const struct buffer *text)
{
	struct arena arena;
	const char *detail;
	struct jwk *keys;
	size_t n_keys;

	arena_init(&arena);
	if (jwks_read(text->data ? text->data : "", text->size, &arena, &keys, &n_keys, &detail) < 0) {
		log_warning("the keys of %s at %s cannot be read: %s", issuer->name, issuer->url, detail);
		issuer->failed = true;
	} else {
		jwks_free(issuer->keys, issuer->n_keys);
		issuer->keys = keys;
		issuer->n_keys = n_keys;
		issuer->fetched_at = monotonic_us();
		issuer->all->generation++;
		if (n_keys)
			log_info("keys of %s: %zu", issuer->name, n_keys);
		else
			log_warning("none of the keys of %s at %s serves to verify tokens", issuer->name, issuer->url);
	}
	arena_reset(&arena);
}

static void fetch(struct issuer *issuer)
{
	struct issuer_fetch fetch = { .url = issuer->url, .stopping = &issuer->all->stopping };
	bool failed = issuer->failed;
	int r;

	issuer->tried_at = monotonic_us();
	issuer->failed = false;
	r = thread_pool_run(issuer->all->threads, issuer_fetch, &fetch, INT64_MAX);
	if (r < 0) {
		issuer->failed = true;
		if (!failed && !atomic_load(&issuer->all->stopping))
			log_warning("the keys of %s cannot be fetched from %s: %s", issuer->name, issuer->url,
				    fetch.error[0] ? fetch.error : strerror(-r));
	} else if (issuer->fetched_at != INT64_MIN && issuer->text.size == fetch.body.size &&
		   memcmp(issuer->text.data, fetch.body.data, fetch.body.size) == 0)
		issuer->fetched_at = monotonic_us();
	else {
		take_keys(issuer, &fetch.body);
		buffer_free(&issuer->text);
		if (!issuer->failed) {
			issuer->text = fetch.body;
			return;
		}
	}
	buffer_free(&fetch.body);
}

static void forget_old(struct issuer *issuer)
{
	if (!issuer->keys || monotonic_us() - issuer->fetched_at < issuer->all->times.keep)
		return;
	log_error("the keys of %s could not be fetched for so long that they serve no more", issuer->name);
	issuer->keys = jwks_free(issuer->keys, issuer->n_keys);
	issuer->n_keys = 0;
	issuer->fetched_at = INT64_MIN;
	issuer->all->generation++;
}

static void wake_waiters(struct issuer *issuer)
{
	for (struct waiter *waiter = issuer->waiters; waiter; waiter = waiter->next)
		coroutine_wake(waiter->coroutine, 0);
	issuer->waiters = NULL;
}

static void run_fetcher(void *argument)
{
	struct issuer *issuer = argument;
	const struct issuers_times *times = &issuer->all->times;
	int r = 0;

	while (r == 0 && !coroutine_cancelled(issuer->fetcher)) {
		fetch(issuer);
		forget_old(issuer);
		wake_waiters(issuer);
		issuer->sleeping = true;
		r = coroutine_sleep_until(issuer->tried_at + (issuer->failed ? times->pause : times->refresh));
		issuer->sleeping = false;
	}
	issuer->fetcher = NULL;
}

struct issuers *issuers_new(struct loop *loop, const char *text, const struct issuers_times *times)
{
	struct issuers *issuers;

	if (!text)
		return NULL;
	check(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
	issuers = allocate(sizeof(*issuers));
	issuers->loop = loop;
	issuers->times = *times;
	check(!read_entries(issuers, text));
	issuers->threads = thread_pool_new(loop, MAX_THREADS, MAX_ISSUERS);
	for (size_t i = 0; i < issuers->count; i++) {
		struct issuer *issuer = &issuers->items[i];

		issuer->all = issuers;
		issuer->fetched_at = issuer->tried_at = INT64_MIN;
		if (coroutine_start(loop, run_fetcher, issuer, &issuer->fetcher) < 0)
			panic("no coroutine to fetch the keys of %s", issuer->name);
	}
	return issuers;
}

struct issuers *issuers_free(struct issuers *issuers)
{
	if (!issuers)
		return NULL;
	atomic_store(&issuers->stopping, true);
	for (size_t i = 0; i < issuers->count; i++)
		if (issuers->items[i].fetcher)
			coroutine_finish(issuers->loop, &issuers->items[i].fetcher);
	if (issuers->threads)
		thread_pool_free(issuers->threads);
	for (size_t i = 0; i < issuers->count; i++)
		clear(&issuers->items[i]);
	free(issuers);
	return NULL;
}

uint64_t issuers_generation(const struct issuers *issuers)
{
	return issuers->generation;
}

/* ---- tokens ---- */

static bool is_fetching(const struct issuer *issuer)
{
	return issuer->fetcher && !issuer->sleeping;
}

/* Whether keys that are not here may be here soon. */
static bool may_learn(const struct issuer *issuer)
{
	return is_fetching(issuer) ||
	       (issuer->fetcher && monotonic_us() - issuer->tried_at >= issuer->all->times.pause);
}

static const struct jwk *find_key(const struct issuer *issuer, const struct issuer_token *token)
{
	for (size_t i = 0; i < issuer->n_keys; i++)
		if (issuer->keys[i].key.algorithm == token->algorithm && string_equal(issuer->keys[i].kid, token->kid))
			return &issuer->keys[i];
	return NULL;
}

static int verify(struct issuer *issuer, const struct issuer_token *token, struct arena *arena, int64_t now,
		  struct principal *ret_principal, const char **ret_reason)
{
	const struct jwk *key = find_key(issuer, token);

	if (!key && may_learn(issuer))
		return -EAGAIN;
	if (!key) {
		*ret_reason = issuer->n_keys ? "unknown kid" : "the issuer's keys are not known";
		return issuer->n_keys ? -EACCES : -EHOSTDOWN;
	}
	*ret_reason = issuer_token_check(token, key, issuer->audience, now, arena, ret_principal);
	return *ret_reason ? -EACCES : 0;
}

static int find(struct issuers *issuers, struct arena *arena, const char *text, size_t size, int64_t now,
		struct principal *ret_principal, const char **ret_reason, struct issuer **ret_issuer)
{
	struct issuer_token token;
	struct issuer *issuer;
	const char *reason;
	int r;

	reason = issuer_token_read(&token, arena, text, size);
	issuer = token.issuer ? find_issuer(issuers, token.issuer) : NULL;
	if (!issuer || reason) {
		*ret_reason = issuer ? reason : "of no trusted issuer";
		r = issuer ? -EACCES : -ENOENT;
	} else
		r = verify(issuer, &token, arena, now, ret_principal, ret_reason);
	issuer_token_end(&token);
	*ret_issuer = issuer;
	return r;
}

int issuers_find(struct issuers *issuers, struct arena *arena, const char *token, size_t size, int64_t now,
		 struct principal *ret_principal, const char **ret_reason)
{
	struct issuer *issuer;

	if (!issuers) {
		*ret_reason = "of no trusted issuer";
		return -ENOENT;
	}
	return find(issuers, arena, token, size, now, ret_principal, ret_reason, &issuer);
}

/* Waits for the end of the fetch that is under way, or that begins. */
static int wait_for_keys(struct issuer *issuer)
{
	struct waiter waiter = { coroutine_current(), issuer->waiters }, **link;
	int r;

	if (issuer->n_waiters >= MAX_WAITERS)
		return -EHOSTDOWN;
	issuer->n_waiters++;
	issuer->waiters = &waiter;
	if (issuer->sleeping)
		coroutine_wake(issuer->fetcher, 0);
	r = coroutine_wait(INT64_MAX);
	for (link = &issuer->waiters; *link; link = &(*link)->next)
		if (*link == &waiter) {
			*link = waiter.next;
			break;
		}
	issuer->n_waiters--;
	return r;
}

int issuers_verify(struct issuers *issuers, struct arena *arena, const char *token, size_t size, int64_t now,
		   struct principal *ret_principal, const char **ret_reason)
{
	struct issuer *issuer;
	int r;

	if (!issuers)
		return issuers_find(issuers, arena, token, size, now, ret_principal, ret_reason);
	r = find(issuers, arena, token, size, now, ret_principal, ret_reason, &issuer);
	if (r != -EAGAIN)
		return r;
	r = wait_for_keys(issuer);
	if (r < 0) {
		*ret_reason = "the issuer's keys are not fetched yet";
		return r;
	}
	r = find(issuers, arena, token, size, now, ret_principal, ret_reason, &issuer);
	if (r != -EAGAIN)
		return r;
	/* The issuer is asked again by somebody else already; this token has waited once. */
	*ret_reason = "unknown kid";
	return issuer->n_keys ? -EACCES : -EHOSTDOWN;
}
