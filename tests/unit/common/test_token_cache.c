#include "common/security/token_cache.h"

#include <stdio.h>

#include "tests/unit/test.h"

#define NOW 1800000000

static struct fixture {
	struct token_cache *cache;
	struct arena arena;
	struct principal found;
} fixture;

static void set_up(void)
{
	fixture.cache = token_cache_new();
	arena_init(&fixture.arena);
}

static void tear_down(void)
{
	fixture.cache = token_cache_free(fixture.cache);
	arena_reset(&fixture.arena);
}

static void add(const char *token, uint64_t generation, struct principal principal)
{
	token_cache_add(fixture.cache, token, strlen(token), generation, NOW, &principal);
}

static bool find_at(const char *token, uint64_t generation, int64_t now)
{
	return token_cache_find(fixture.cache, token, strlen(token), generation, now, &fixture.arena, &fixture.found);
}

static bool find(const char *token)
{
	return find_at(token, 1, NOW);
}

TEST(token_cache, gives_what_was_added)
{
	const struct principal principal = {
		.account_id = { { 1 } },
		.session_id = { { 2 } },
		.epoch = 3,
		.scope = "admin a:b",
		.issuer = "https://issuer.example",
		.subject = "ada",
		.claims = "{\"tenant\":\"acme\"}",
		.authenticated_at = NOW - 5,
		.expires_at = NOW + 600,
	};

	set_up();
	CU_ASSERT(!find("token"));
	add("token", 1, principal);
	add("plain", 1, (struct principal){ .account_id = { { 9 } }, .scope = "", .expires_at = NOW + 600 });
	CU_ASSERT_FATAL(find("token"));
	CU_ASSERT(memcmp(&fixture.found.account_id, &principal.account_id, 16) == 0);
	CU_ASSERT(memcmp(&fixture.found.session_id, &principal.session_id, 16) == 0);
	CU_ASSERT_EQUAL(fixture.found.epoch, 3);
	CU_ASSERT_STRING_EQUAL(fixture.found.scope, principal.scope);
	CU_ASSERT_STRING_EQUAL(fixture.found.issuer, principal.issuer);
	CU_ASSERT_STRING_EQUAL(fixture.found.subject, principal.subject);
	CU_ASSERT_STRING_EQUAL(fixture.found.claims, principal.claims);
	CU_ASSERT_EQUAL(fixture.found.authenticated_at, NOW - 5);
	CU_ASSERT_EQUAL(fixture.found.expires_at, NOW + 600);

	CU_ASSERT_FATAL(find("plain"));
	CU_ASSERT_STRING_EQUAL(fixture.found.scope, "");
	CU_ASSERT(!fixture.found.issuer && !fixture.found.subject && !fixture.found.claims);

	CU_ASSERT(!find("Token") && !find("token ") && !find("toke") && !find(""));
	tear_down();
}

/* The texts that were found outlive the entry. */
TEST(token_cache, texts_belong_to_whoever_found_them)
{
	const char *scope;

	set_up();
	add("token", 1, (struct principal){ .scope = "one", .expires_at = NOW + 600 });
	CU_ASSERT_FATAL(find("token"));
	scope = fixture.found.scope;
	add("token", 1, (struct principal){ .scope = "two", .expires_at = NOW + 600 });
	CU_ASSERT_STRING_EQUAL(scope, "one");
	CU_ASSERT(find("token"));
	CU_ASSERT_STRING_EQUAL(fixture.found.scope, "two");
	tear_down();
}

TEST(token_cache, forgets_the_expired_and_those_of_other_keys)
{
	set_up();
	add("token", 1, (struct principal){ .scope = "", .expires_at = NOW + 600 });
	CU_ASSERT(find_at("token", 1, NOW + 599));
	CU_ASSERT(!find_at("token", 1, NOW + 600));
	CU_ASSERT(!find_at("token", 1, NOW + 601));
	CU_ASSERT(!find_at("token", 2, NOW));
	CU_ASSERT(!find_at("token", 0, NOW));
	tear_down();
}

/* However many tokens there are: memory is bounded, and the newest is there. */
TEST(token_cache, makes_room)
{
	size_t known = 0;
	char token[32];

	set_up();
	for (int i = 0; i < 3 * TOKEN_CACHE_ENTRIES; i++) {
		snprintf(token, sizeof(token), "token %d", i);
		add(token, 1, (struct principal){ .scope = "s", .epoch = i, .expires_at = NOW + 600 + i });
		CU_ASSERT(find(token) && fixture.found.epoch == i);
	}
	for (int i = 0; i < 3 * TOKEN_CACHE_ENTRIES; i++) {
		snprintf(token, sizeof(token), "token %d", i);
		known += find(token);
	}
	CU_ASSERT(known > TOKEN_CACHE_ENTRIES / 2 && known <= TOKEN_CACHE_ENTRIES);
	tear_down();
}

TEST(token_cache, bounds_its_texts)
{
	const size_t size = 4000;
	_cleanup_(freep) char *claims = allocate(size + 1);
	size_t known = 0;
	char token[32];

	set_up();
	memset(claims, ' ', size);
	for (int i = 0; i < TOKEN_CACHE_ENTRIES; i++) {
		snprintf(token, sizeof(token), "token %d", i);
		add(token, 1, (struct principal){ .scope = "", .claims = claims, .expires_at = NOW + 600 });
	}
	for (int i = 0; i < TOKEN_CACHE_ENTRIES; i++) {
		snprintf(token, sizeof(token), "token %d", i);
		known += find(token);
	}
	CU_ASSERT(known > 0 && known <= TOKEN_CACHE_TEXTS / size);

	/* Under other keys the old ones make room as they are come upon. */
	for (int i = 0; i < TOKEN_CACHE_ENTRIES; i++) {
		snprintf(token, sizeof(token), "other %d", i);
		add(token, 2, (struct principal){ .scope = "", .expires_at = NOW + 600 });
		CU_ASSERT(find_at(token, 2, NOW));
	}
	tear_down();
}
