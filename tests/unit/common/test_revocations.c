#include "common/security/revocations.h"

#include "common/context.h"
#include "common/redis/redis.h"
#include "common/security/feed.h"
#include "tests/unit/common/postgres_fixture.h"
#include "tests/unit/common/redis_server.h"
#include "tests/unit/test.h"

#define MIGRATION "migrations/accounts/0006_refresh.up.sql"

static const struct prong_app app = { .name = "revocations test" };
static const struct registry registry = { .app = &app };
static const char *const no_options[] = { NULL };

/* A process that verifies, with the table in PostgreSQL and a Redis of its own. */
struct verifier {
	struct fixture fixture;
	struct settings settings;
	struct redis_server *server;
	struct revocations *revocations;
};

static void make_table(void)
{
	_cleanup_(freep) char *migration = NULL, *sql = NULL;
	char *table;
	size_t size;

	CU_ASSERT_EQUAL_FATAL(file_read(MIGRATION, 65536, &migration, &size), 0);
	table = strstr(migration, "CREATE TABLE prong_revocations");
	CU_ASSERT_PTR_NOT_NULL_FATAL(table);
	sql = format_text("DROP TABLE IF EXISTS prong_revocations; %s", table);
	free(fixture_sql(sql));
}

/* `listens` false: what its own process revokes is all it can know, besides PostgreSQL. */
static void verifier_open(struct verifier *verifier)
{
	*verifier = (struct verifier){ .server = redis_server_new(no_options) };
	fixture_open(&verifier->fixture, 2, 2, PRONG_SECONDS(5));
	make_table();
	verifier->settings.redis_url = redis_server_url(verifier->server);
	verifier->fixture.runtime.settings = &verifier->settings;
	verifier->fixture.runtime.registry = &registry;
	verifier->fixture.runtime.redis =
		redis_new(verifier->fixture.runtime.loop, verifier->settings.redis_url, "revocations test");
	verifier->fixture.runtime.feed = feed_new(&verifier->fixture.runtime);
	verifier->revocations = revocations_new(&verifier->fixture.runtime, verifier->fixture.runtime.feed);
}

static void verifier_close(struct verifier *verifier)
{
	feed_free(verifier->fixture.runtime.feed);
	revocations_free(verifier->revocations);
	redis_free(verifier->fixture.runtime.redis);
	fixture_close(&verifier->fixture);
	redis_server_free(verifier->server);
}

static bool covers_session(const struct revocations *revocations, prong_uuid session)
{
	return revocations_cover(revocations,
				 &(struct principal){ .account_id = prong_uuid_make(), .session_id = session });
}

static bool covers_account(const struct revocations *revocations, prong_uuid account, int32_t epoch)
{
	return revocations_cover(
		revocations,
		&(struct principal){ .account_id = account, .session_id = prong_uuid_make(), .epoch = epoch });
}

static bool covers_api_key(const struct revocations *revocations, prong_uuid key)
{
	return revocations_cover(revocations,
				 &(struct principal){ .account_id = prong_uuid_make(), .api_key_id = key });
}

static int load(struct prong_ctx *ctx, void *argument)
{
	return revocations_load(argument, ctx);
}

static void insert(prong_uuid subject, const char *epoch, const char *age)
{
	char id[PRONG_UUID_TEXT_SIZE];
	_cleanup_(freep) char *sql = format_text("INSERT INTO prong_revocations (subject, epoch, revoked_at)"
						 " VALUES ('%s', %s, now() - interval '%s')",
						 prong_uuid_format(subject, id), epoch, age);

	free(fixture_sql(sql));
}

TEST(revocations, cover_sessions_keys_and_earlier_epochs)
{
	prong_uuid session = prong_uuid_make(), account = prong_uuid_make(), key = prong_uuid_make();
	struct verifier verifier;

	verifier_open(&verifier);
	CU_ASSERT_FALSE(covers_session(verifier.revocations, session));
	insert(session, "NULL", "0");
	insert(account, "7", "0");
	insert(key, "NULL", "0");
	CU_ASSERT_EQUAL(fixture_run(&verifier.fixture, load, verifier.revocations), 0);
	CU_ASSERT(covers_session(verifier.revocations, session));
	CU_ASSERT(covers_api_key(verifier.revocations, key));
	CU_ASSERT(covers_account(verifier.revocations, account, 0));
	CU_ASSERT(covers_account(verifier.revocations, account, 6));
	CU_ASSERT_FALSE(covers_account(verifier.revocations, account, 7));
	CU_ASSERT_FALSE(covers_account(verifier.revocations, account, 8));
	CU_ASSERT_FALSE(covers_session(verifier.revocations, prong_uuid_make()));
	CU_ASSERT_FALSE(revocations_cover(verifier.revocations, &(struct principal){ 0 }));
	CU_ASSERT_FALSE(covers_session(NULL, session));

	/* An earlier epoch that is read later takes nothing back. */
	insert(account, "3", "0");
	CU_ASSERT_EQUAL(fixture_run(&verifier.fixture, load, verifier.revocations), 0);
	CU_ASSERT(covers_account(verifier.revocations, account, 6));
	insert(account, "NULL", "0");
	CU_ASSERT_EQUAL(fixture_run(&verifier.fixture, load, verifier.revocations), 0);
	CU_ASSERT(covers_account(verifier.revocations, account, 1000));
	verifier_close(&verifier);
}

TEST(revocations, are_read_back_to_the_longest_life_of_a_token)
{
	prong_uuid old = prong_uuid_make(), older = prong_uuid_make(), late = prong_uuid_make();
	struct verifier verifier;

	verifier_open(&verifier);
	insert(old, "NULL", "59 minutes");
	insert(older, "NULL", "65 minutes");
	CU_ASSERT_EQUAL(fixture_run(&verifier.fixture, load, verifier.revocations), 0);
	CU_ASSERT(covers_session(verifier.revocations, old));
	CU_ASSERT_FALSE(covers_session(verifier.revocations, older));
	/* Written before the look, by a transaction that was committed after it. */
	insert(late, "NULL", "110 seconds");
	CU_ASSERT_EQUAL(fixture_run(&verifier.fixture, load, verifier.revocations), 0);
	CU_ASSERT(covers_session(verifier.revocations, late));
	verifier_close(&verifier);
}

TEST(revocations, holds_many)
{
	struct verifier verifier;
	prong_uuid *sessions = allocate_array(5000, sizeof(*sessions));

	verifier_open(&verifier);
	free(fixture_sql("INSERT INTO prong_revocations (subject) SELECT gen_random_uuid()"
			 " FROM generate_series(1, 20000)"));
	for (size_t i = 0; i < 50; i++) {
		sessions[i] = prong_uuid_make();
		insert(sessions[i], "NULL", "0");
	}
	CU_ASSERT_EQUAL(fixture_run(&verifier.fixture, load, verifier.revocations), 0);
	for (size_t i = 0; i < 50; i++)
		CU_ASSERT(covers_session(verifier.revocations, sessions[i]));
	for (size_t i = 0; i < 1000; i++)
		CU_ASSERT_FALSE(covers_session(verifier.revocations, prong_uuid_make()));
	free(sessions);
	verifier_close(&verifier);
}

/* ---- revoking ---- */

struct revoking {
	struct verifier *verifier;
	prong_uuid subject;
	bool commit;
};

static int revoke_now(struct prong_ctx *ctx, void *argument)
{
	const struct revoking *revoking = argument;

	return revocations_add(ctx, revoking->subject, REVOKE_ALL);
}

static int revoke_in_transaction(struct prong_ctx *ctx, void *argument)
{
	const struct revoking *revoking = argument;
	int r = prong_begin(ctx);

	if (r == 0)
		r = revocations_add(ctx, revoking->subject, REVOKE_ALL);
	CU_ASSERT_FALSE(covers_session(ctx->runtime->revocations, revoking->subject));
	if (r < 0)
		return r;
	if (revoking->commit)
		return prong_commit(ctx);
	prong_rollback(ctx);
	return 0;
}

static char *events(const struct verifier *verifier)
{
	return redis_server_ask(
		verifier->server, "EVAL %s 0",
		"local all = {} for _, entry in ipairs(redis.call('XRANGE', 'prong:{security}', '-', '+'))"
		" do table.insert(all, table.concat(entry[2], ' ')) end return table.concat(all, '|')");
}

TEST(revocations, are_known_here_and_published_once_committed)
{
	struct verifier verifier;
	struct revoking revoking = { .verifier = &verifier };
	char id[PRONG_UUID_TEXT_SIZE];

	verifier_open(&verifier);
	verifier.fixture.runtime.revocations = verifier.revocations;
	for (int i = 0; i < 3; i++) {
		_cleanup_(freep) char *published = NULL, *expected = NULL;
		bool known = i != 1;

		free(redis_server_ask(verifier.server, "DEL prong:{security}"));
		revoking.subject = prong_uuid_make();
		revoking.commit = known;
		CU_ASSERT_EQUAL(fixture_run(&verifier.fixture, i == 0 ? revoke_now : revoke_in_transaction, &revoking),
				0);
		CU_ASSERT_EQUAL(covers_session(verifier.revocations, revoking.subject), known);
		published = events(&verifier);
		expected = format_text("revoked %s 2147483647", prong_uuid_format(revoking.subject, id));
		CU_ASSERT_STRING_EQUAL(published, known ? expected : "");
	}
	verifier.fixture.runtime.revocations = NULL;
	verifier_close(&verifier);
}

static int wait_until_told(struct prong_ctx *ctx, void *argument)
{
	for (;;) {
		_cleanup_(freep) char *told = events(argument);
		int r;

		(void)ctx;
		if (string_equal(told, "missed "))
			return 0;
		r = coroutine_sleep_until(monotonic_us() + PRONG_MILLISECONDS(10));
		if (r < 0)
			return r;
	}
}

/* The server ends during COMMIT, here by itself: nobody can tell whether the row is there, so all must look. */
TEST(revocations, that_may_have_been_committed_are_looked_for)
{
	struct verifier verifier;
	struct revoking revoking = { .verifier = &verifier, .subject = prong_uuid_make(), .commit = true };

	verifier_open(&verifier);
	free(fixture_sql("CREATE OR REPLACE FUNCTION end_oneself() RETURNS trigger LANGUAGE plpgsql AS"
			 " $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;"
			 "CREATE CONSTRAINT TRIGGER ended AFTER INSERT ON prong_revocations"
			 " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION end_oneself()"));
	verifier.fixture.runtime.revocations = verifier.revocations;
	CU_ASSERT_EQUAL(fixture_run(&verifier.fixture, revoke_in_transaction, &revoking), -EHOSTDOWN);
	CU_ASSERT_FALSE(covers_session(verifier.revocations, revoking.subject));
	CU_ASSERT_EQUAL(fixture_run(&verifier.fixture, wait_until_told, &verifier), 0);
	verifier.fixture.runtime.revocations = NULL;
	verifier_close(&verifier);
}

#define MANY 250

static int revoke_many(struct prong_ctx *ctx, void *argument)
{
	return revocations_add_all(ctx, argument, MANY);
}

static int wait_until_covered(struct prong_ctx *ctx, void *argument)
{
	const struct revoking *revoking = argument;

	(void)ctx;
	while (!covers_session(revoking->verifier->revocations, revoking->subject)) {
		int r = coroutine_sleep_until(monotonic_us() + PRONG_MILLISECONDS(1));

		if (r < 0)
			return r;
	}
	return 0;
}

TEST(revocations, come_by_the_feed)
{
	static prong_uuid sessions[MANY];
	struct verifier verifier;
	struct revoking revoking = { .verifier = &verifier, .subject = prong_uuid_make() };

	verifier_open(&verifier);
	for (size_t i = 0; i < MANY; i++)
		sessions[i] = prong_uuid_make();
	CU_ASSERT_EQUAL(fixture_run(&verifier.fixture, revoke_now, &revoking), 0);
	CU_ASSERT_EQUAL(fixture_run(&verifier.fixture, wait_until_covered, &revoking), 0);
	CU_ASSERT_EQUAL(fixture_run(&verifier.fixture, revoke_many, sessions), 0);
	/* So it can only be the feed. */
	free(fixture_sql("TRUNCATE prong_revocations"));
	for (size_t i = 0; i < MANY; i++) {
		revoking.subject = sessions[i];
		CU_ASSERT_EQUAL(fixture_run(&verifier.fixture, wait_until_covered, &revoking), 0);
	}
	verifier_close(&verifier);
}

TEST(revocations, passes_over_what_is_malformed)
{
	static const char *const wrong[] = {
		"",
		"x",
		"0190a5d4-0000-7000-8000-000000000001",
		"0190a5d4-0000-7000-8000-000000000001 ",
		"0190a5d4-0000-7000-8000-000000000001 0",
		"0190a5d4-0000-7000-8000-000000000001 -1",
		"0190a5d4-0000-7000-8000-000000000001 99999999999999999999",
		"0190a5d4-0000-7000-8000-000000000001 2147483648",
		"0190a5d4-0000-7000-8000-00000000000g 1",
		",",
	};
	struct verifier verifier;
	struct revoking revoking = { .verifier = &verifier, .subject = prong_uuid_make() };
	prong_uuid session;

	verifier_open(&verifier);
	CU_ASSERT_EQUAL(fixture_run(&verifier.fixture, revoke_now, &revoking), 0);
	CU_ASSERT_EQUAL(fixture_run(&verifier.fixture, wait_until_covered, &revoking), 0);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		free(redis_server_ask(verifier.server, "XADD prong:{security} * revoked %s", wrong[i]));
	free(redis_server_ask(verifier.server, "XADD prong:{security} * other %s", "x"));
	revoking.subject = prong_uuid_make();
	CU_ASSERT_EQUAL(fixture_run(&verifier.fixture, revoke_now, &revoking), 0);
	CU_ASSERT_EQUAL(fixture_run(&verifier.fixture, wait_until_covered, &revoking), 0);
	CU_ASSERT_EQUAL(prong_uuid_parse("0190a5d4-0000-7000-8000-000000000001", &session), 0);
	CU_ASSERT_FALSE(covers_session(verifier.revocations, session));
	verifier_close(&verifier);
}

/* Nobody publishes it, and the feed is away. */
TEST(revocations, come_from_postgresql_without_redis)
{
	struct verifier verifier;
	struct revoking revoking = { .verifier = &verifier, .subject = prong_uuid_make() };

	verifier_open(&verifier);
	redis_server_kill(verifier.server);
	insert(revoking.subject, "NULL", "0");
	CU_ASSERT_EQUAL(fixture_run(&verifier.fixture, wait_until_covered, &revoking), 0);
	revoking.subject = prong_uuid_make();
	CU_ASSERT_EQUAL(fixture_run(&verifier.fixture, revoke_now, &revoking), 0);
	CU_ASSERT_EQUAL(fixture_run(&verifier.fixture, wait_until_covered, &revoking), 0);
	verifier_close(&verifier);
}

static int purge(struct prong_ctx *ctx, void *argument)
{
	(void)argument;
	return revocations_purge(ctx);
}

TEST(revocations, are_purged_when_no_token_can_need_them)
{
	struct verifier verifier;
	prong_uuid young = prong_uuid_make();

	verifier_open(&verifier);
	insert(prong_uuid_make(), "NULL", "3 hours");
	insert(prong_uuid_make(), "3", "3 hours");
	insert(young, "NULL", "1 hour");
	CU_ASSERT(fixture_run(&verifier.fixture, purge, NULL) >= 0);
	CU_ASSERT_EQUAL(fixture_run(&verifier.fixture, load, verifier.revocations), 0);
	CU_ASSERT(covers_session(verifier.revocations, young));
	_cleanup_(freep) char *left = fixture_sql("SELECT count(*) FROM prong_revocations");
	CU_ASSERT_STRING_EQUAL(left, "1");
	verifier_close(&verifier);
}
