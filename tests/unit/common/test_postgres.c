/* Statements: values in and out, errors, many at once. */
#include "common/jobs/job_queue.h"
#include "tests/unit/common/postgres_fixture.h"
#include "tests/unit/test.h"

enum colour { RED, GREEN };

struct part {
	int32_t number;
};
PRONG_SCHEMA(part, PRONG_FIELD(part, number));

struct everything {
	bool truth;
	int32_t small;
	int64_t large;
	double real;
	const char *text;
	prong_uuid id;
	prong_time at;
	prong_json json;
	enum colour colour;
	prong_opt_int32 none;
	const char *no_text;
	prong_opt_time some_time;
	struct part *part;
	PRONG_ARRAY(int64_t) numbers;
};
PRONG_SCHEMA(everything, PRONG_FIELD(everything, truth), PRONG_FIELD(everything, small), PRONG_FIELD(everything, large),
	     PRONG_FIELD(everything, real), PRONG_FIELD(everything, text), PRONG_FIELD(everything, id),
	     PRONG_FIELD(everything, at), PRONG_FIELD(everything, json),
	     PRONG_FIELD(everything, colour, .values = PRONG_VALUES("red", "green")), PRONG_FIELD(everything, none),
	     PRONG_FIELD(everything, no_text), PRONG_FIELD(everything, some_time),
	     PRONG_FIELD_OBJECT(everything, part, part), PRONG_FIELD_ARRAY(everything, numbers));

struct number {
	int64_t n;
};
PRONG_SCHEMA(number, PRONG_FIELD(number, n));

static int types(struct prong_ctx *ctx, void *argument)
{
	prong_uuid id = prong_uuid_make();
	prong_time at = { .us = 1700000000123456 };
	prong_json json = { "{\"a\": [1, null]}" };
	prong_opt_int32 none = { 0 };
	struct everything *row = NULL;
	int r;

	(void)argument;
	r = prong_query_one(
		ctx, everything, &row,
		"SELECT 1 AS ignored, $9::int4 AS none, $10::text AS no_text, $1::bool AS truth, $2::int4 AS small, "
		"$3::int8 AS large, $4::float8 AS real, $5::text AS text, $6::uuid AS id, $7::timestamptz AS at, "
		"$8::jsonb AS json, $11::text AS colour, $7::timestamptz AS some_time, "
		"json_build_object('number', 7) AS part, '[1,2,3]'::jsonb AS numbers",
		true, -7, INT64_MIN, 0.1, "Zoë's \"text\"", id, at, json, none, (const char *)NULL, "green");
	CU_ASSERT_EQUAL_FATAL(r, 0);
	CU_ASSERT_TRUE(row->truth);
	CU_ASSERT_EQUAL(row->small, -7);
	CU_ASSERT_EQUAL(row->large, INT64_MIN);
	CU_ASSERT_EQUAL(row->real, 0.1);
	CU_ASSERT_STRING_EQUAL(row->text, "Zoë's \"text\"");
	CU_ASSERT_TRUE(prong_uuid_equal(row->id, id));
	CU_ASSERT_EQUAL(row->at.us, at.us);
	CU_ASSERT_STRING_EQUAL(row->json.text, "{\"a\":[1,null]}");
	CU_ASSERT_EQUAL(row->colour, GREEN);
	CU_ASSERT_FALSE(row->none.set);
	CU_ASSERT_PTR_NULL(row->no_text);
	CU_ASSERT_TRUE(row->some_time.set && row->some_time.value.us == at.us);
	CU_ASSERT_EQUAL(row->part->number, 7);
	CU_ASSERT_EQUAL_FATAL(row->numbers.count, 3);
	CU_ASSERT_EQUAL(row->numbers.items[2], 3);
	return 0;
}

static int optional_parameters(struct prong_ctx *ctx, void *argument)
{
	prong_opt_int32 five = { .set = true, .value = 5 };
	prong_opt_time before = { .set = true, .value = { .us = -1 } };
	prong_opt_double huge = { .set = true, .value = -1e300 };
	struct everything *row = NULL;
	int r;

	(void)argument;
	r = prong_query_one(ctx, everything, &row,
			    "SELECT $1::int4 AS none, $2::timestamptz AS some_time, $3::float8 AS real, "
			    "$4::numeric::text AS text",
			    five, before, huge, 0.1);
	CU_ASSERT_EQUAL_FATAL(r, 0);
	CU_ASSERT_TRUE(row->none.set && row->none.value == 5);
	CU_ASSERT_EQUAL(row->some_time.value.us, -1);
	CU_ASSERT_EQUAL(row->real, -1e300);
	CU_ASSERT_STRING_EQUAL(row->text, "0.1");
	return 0;
}

TEST(postgres, parameters_and_columns_have_their_types)
{
	struct fixture fixture;

	fixture_open(&fixture, 1, 1, PRONG_SECONDS(5));
	CU_ASSERT_EQUAL(fixture_run(&fixture, types, NULL), 0);
	/* Once more by the prepared statement. */
	CU_ASSERT_EQUAL(fixture_run(&fixture, types, NULL), 0);
	CU_ASSERT_EQUAL(fixture_run(&fixture, types, NULL), 0);
	CU_ASSERT_EQUAL(fixture_run(&fixture, optional_parameters, NULL), 0);
	fixture_close(&fixture);
}

struct secret {
	const char *word;
	enum colour colour;
	struct part *part;
	PRONG_ARRAY(const char *) tags;
	prong_opt_int32 rating;
};
PRONG_SCHEMA(secret, PRONG_FIELD(secret, word, .write_only = true),
	     PRONG_FIELD(secret, colour, .values = PRONG_VALUES("red", "green")),
	     PRONG_FIELD_OBJECT(secret, part, part), PRONG_FIELD_ARRAY(secret, tags), PRONG_FIELD(secret, rating));

static int whole_records(struct prong_ctx *ctx, void *argument)
{
	const char *tags[] = { "a", "quoted \"b\"" };
	struct part part = { .number = 7 };
	struct secret in = { "x", GREEN, &part, { 2, tags }, { 0 } }, *out = NULL;
	int r;

	(void)argument;
	CU_ASSERT_EQUAL(prong_exec(ctx, "CREATE TEMPORARY TABLE secrets "
					"(word text, colour text, part jsonb, tags jsonb, rating int)"),
			0);
	r = prong_query_one(ctx, secret, &out,
			    "INSERT INTO secrets SELECT * FROM jsonb_populate_record(NULL::secrets, $1) RETURNING *",
			    prong_to_json(ctx, secret, &in));
	CU_ASSERT_EQUAL_FATAL(r, 0);
	CU_ASSERT_STRING_EQUAL(out->word, "x");
	CU_ASSERT_EQUAL(out->colour, GREEN);
	CU_ASSERT_EQUAL(out->part->number, 7);
	CU_ASSERT_EQUAL_FATAL(out->tags.count, 2);
	CU_ASSERT_STRING_EQUAL(out->tags.items[1], tags[1]);
	CU_ASSERT_FALSE(out->rating.set);
	return 0;
}

TEST(postgres, takes_whole_records_as_json)
{
	struct fixture fixture;

	fixture_open(&fixture, 1, 1, PRONG_SECONDS(5));
	CU_ASSERT_EQUAL(fixture_run(&fixture, whole_records, NULL), 0);
	fixture_close(&fixture);
}

static int rows(struct prong_ctx *ctx, void *argument)
{
	struct number *one = (struct number *)argument, *all = NULL;
	struct postgres_result *result = NULL;
	size_t count = 99;
	int r;

	CU_ASSERT_EQUAL(prong_exec(ctx, "CREATE TEMPORARY TABLE IF NOT EXISTS counted (n int8)"), 0);
	CU_ASSERT_EQUAL(prong_exec(ctx, "INSERT INTO counted SELECT generate_series(1, $1::int8)", 1000), 1000);
	CU_ASSERT_EQUAL(prong_query(ctx, number, &all, &count, "SELECT * FROM counted ORDER BY n"), 0);
	CU_ASSERT_EQUAL_FATAL(count, 1000);
	CU_ASSERT_EQUAL(all[999].n, 1000);
	CU_ASSERT_EQUAL(prong_query(ctx, number, &all, &count, "SELECT n FROM counted WHERE n < $1", 0), 0);
	CU_ASSERT_EQUAL(count, 0);
	CU_ASSERT_EQUAL(prong_query_one(ctx, number, &one, "SELECT n FROM counted WHERE n = $1", 0), -ENOENT);
	CU_ASSERT_PTR_EQUAL(one, argument);
	CU_ASSERT_EQUAL(prong_exec(ctx, "DELETE FROM counted WHERE n > 10"), 990);
	CU_ASSERT_EQUAL(prong_exec(ctx, "SELECT * FROM counted"), 10);
	CU_ASSERT_EQUAL(prong_exec(ctx, "DROP TABLE counted"), 0);
	r = postgres_run(ctx, "SELECT 1, NULL, 'x' UNION ALL SELECT 2, 'y', 'z' ORDER BY 1", PRONG_PARAMETERS(),
			 &result);
	CU_ASSERT_EQUAL_FATAL(r, 0);
	CU_ASSERT_EQUAL(postgres_result_rows(result), 2);
	CU_ASSERT_PTR_NULL(postgres_result_text(result, 0, 1));
	CU_ASSERT_STRING_EQUAL(postgres_result_text(result, 1, 2), "z");
	postgres_result_free(result);
	return 0;
}

TEST(postgres, counts_and_reads_rows)
{
	struct number untouched = { 0 };
	struct fixture fixture;

	fixture_open(&fixture, 1, 1, PRONG_SECONDS(5));
	CU_ASSERT_EQUAL(fixture_run(&fixture, rows, &untouched), 0);
	fixture_close(&fixture);
}

static int errors(struct prong_ctx *ctx, void *argument)
{
	struct number *row = NULL;

	(void)argument;
	CU_ASSERT_EQUAL(prong_exec(ctx, "DROP TABLE IF EXISTS errors"), 0);
	CU_ASSERT_EQUAL(prong_exec(ctx, "CREATE TABLE errors (n int4 PRIMARY KEY CHECK (n > 0), "
					"m int4 NOT NULL REFERENCES errors DEFERRABLE)"),
			0);
	CU_ASSERT_EQUAL(prong_exec(ctx, "INSERT INTO errors VALUES (1, 1)"), 1);
	CU_ASSERT_EQUAL(prong_exec(ctx, "INSERT INTO errors VALUES (1, 1)"), -EEXIST);
	CU_ASSERT_EQUAL(prong_exec(ctx, "INSERT INTO errors VALUES (-1, 1)"), -EINVAL);
	CU_ASSERT_EQUAL(prong_exec(ctx, "INSERT INTO errors VALUES (2, NULL)"), -EINVAL);
	CU_ASSERT_EQUAL(prong_exec(ctx, "INSERT INTO errors VALUES (2, 3)"), -EINVAL);
	CU_ASSERT_EQUAL(prong_exec(ctx, "INSERT INTO errors VALUES ($1, 1)", "not a number"), -EINVAL);
	CU_ASSERT_EQUAL(prong_exec(ctx, "INSERT INTO errors VALUES ($1, 1)", INT64_MAX), -EINVAL);
	CU_ASSERT_EQUAL(prong_exec(ctx, "SELECT $1::text", "\xff"), -EINVAL);
	CU_ASSERT_EQUAL(prong_exec(ctx, "SELECT 1 / $1::int4", 0), -EINVAL);
	/* Of a valid type, but more than an index or a tsvector holds. */
	CU_ASSERT_EQUAL(prong_exec(ctx, "SELECT to_tsvector(string_agg(md5(i::text), ' '))"
					" FROM generate_series(1, 50000) AS i"),
			-EINVAL);
	CU_ASSERT_EQUAL(prong_exec(ctx, "SELEC 1"), -EIO);
	CU_ASSERT_EQUAL(prong_exec(ctx, "SELECT 1; SELECT 2"), -EIO);
	CU_ASSERT_EQUAL(prong_exec(ctx, "SELECT * FROM no_such_table"), -EIO);
	/* PostgreSQL 18 says this of a row that ON DELETE RESTRICT holds, those before it 23503. */
	CU_ASSERT_EQUAL(prong_exec(ctx, "DO $$ BEGIN RAISE SQLSTATE '23001'; END $$"), -EINVAL);
	CU_ASSERT_EQUAL(prong_exec(ctx, "DO $$ BEGIN RAISE SQLSTATE '40001'; END $$"), -EAGAIN);
	CU_ASSERT_EQUAL(prong_exec(ctx, "DO $$ BEGIN RAISE SQLSTATE '40P01'; END $$"), -EAGAIN);
	/* NULL has no place in an int64_t. */
	CU_ASSERT_EQUAL(prong_query_one(ctx, number, &row, "SELECT NULL::int8 AS n"), -EIO);
	CU_ASSERT_EQUAL(prong_query_one(ctx, number, &row, "SELECT 'x' AS n"), -EIO);
	CU_ASSERT_PTR_NULL(row);
	CU_ASSERT_EQUAL(prong_exec(ctx, "COPY errors TO STDOUT"), -EIO);
	CU_ASSERT_EQUAL(prong_exec(ctx, "SELECT 1"), 1);
	CU_ASSERT_EQUAL(prong_exec(ctx, ""), 0);
	CU_ASSERT_EQUAL(prong_exec(ctx, "DROP TABLE errors"), 0);
	return 0;
}

TEST(postgres, errors_have_their_meanings)
{
	struct fixture fixture;

	fixture_open(&fixture, 1, 1, PRONG_SECONDS(5));
	CU_ASSERT_EQUAL(fixture_run(&fixture, errors, NULL), 0);
	fixture_close(&fixture);
}

static int session_control(struct prong_ctx *ctx, void *argument)
{
	static const char *const refused[] = { "BEGIN",	      " /* a */ begin; ",     "COMMIT",	  "-- x\nROLLBACK",
					       "SET x.y = 1", "SET SESSION x.y TO 1", "LISTEN a", "DISCARD ALL" };

	(void)argument;
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		CU_ASSERT_EQUAL(prong_exec(ctx, refused[i]), -EIO);
	CU_ASSERT_EQUAL(prong_begin(ctx), 0);
	CU_ASSERT_EQUAL(prong_exec(ctx, "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"), 0);
	CU_ASSERT_EQUAL(prong_exec(ctx, "SET LOCAL x.y = 1"), 0);
	CU_ASSERT_EQUAL(prong_exec(ctx, "COMMIT"), -EIO);
	return 0;
}

TEST(postgres, refuses_to_change_a_shared_session)
{
	struct fixture fixture;

	fixture_open(&fixture, 1, 1, PRONG_SECONDS(5));
	CU_ASSERT_EQUAL(fixture_run(&fixture, session_control, NULL), 0);
	fixture_close(&fixture);
}

static int good_or_bad(struct prong_ctx *ctx, void *argument)
{
	int64_t i = (intptr_t)argument;
	struct number *row;
	int r;

	for (int round = 0; round < 20; round++) {
		if (i % 3 == 1 && prong_exec(ctx, "SELECT 1 / ($1::int8 - $1)", i) != -EINVAL)
			return -EIO;
		if (i % 3 == 2 && prong_exec(ctx, "SELECT no_such_column") != -EIO)
			return -EIO;
		r = prong_query_one(ctx, number, &row, "SELECT $1::int8 + $2 AS n", i, round);
		if (r < 0)
			return r;
		if (row->n != i + round)
			return -EBADMSG;
	}
	return 0;
}

static void run_many(size_t shared)
{
	struct fixture fixture;
	int results[200];

	fixture_open(&fixture, shared, 1, PRONG_SECONDS(5));
	for (size_t i = 0; i < ARRAY_SIZE(results); i++)
		fixture_start(&fixture, good_or_bad, (void *)(intptr_t)i, &results[i]);
	fixture_wait(&fixture);
	for (size_t i = 0; i < ARRAY_SIZE(results); i++)
		CU_ASSERT_EQUAL(results[i], 0);
	fixture_close(&fixture);
}

TEST(postgres, errors_stay_apart_in_one_pipeline)
{
	run_many(1);
}

TEST(postgres, many_coroutines_share_few_connections)
{
	run_many(4);
}

static int read_transaction(struct prong_ctx *ctx, void *argument)
{
	int64_t *transactions = argument;
	struct number *row;

	for (int round = 0; round < 8; round++) {
		int r = prong_query_one(ctx, number, &row, "SELECT pg_current_xact_id()::text::int8 AS n");

		if (r < 0)
			return r;
		transactions[round] = row->n;
	}
	return 0;
}

TEST(postgres, selects_of_one_turn_share_a_sync)
{
	int64_t transactions[12][8], *all = &transactions[0][0];
	struct fixture fixture;
	int results[12];
	bool shared = false;

	fixture_open(&fixture, 1, 1, PRONG_SECONDS(5));
	for (size_t i = 0; i < ARRAY_SIZE(results); i++)
		fixture_start(&fixture, read_transaction, transactions[i], &results[i]);
	fixture_wait(&fixture);
	for (size_t i = 0; i < ARRAY_SIZE(results); i++)
		CU_ASSERT_EQUAL_FATAL(results[i], 0);
	for (size_t i = 0; i < 12 * 8; i++)
		for (size_t k = 0; k < i; k++)
			shared = shared || all[i] == all[k];
	CU_ASSERT_TRUE(shared);
	fixture_close(&fixture);
}

static int note_unless_seven(struct prong_ctx *ctx, void *argument)
{
	int64_t i = (intptr_t)argument;
	int r;

	for (int round = 0; round < 10; round++) {
		r = prong_exec(ctx, "SELECT note_unless_seven($1, $2)", i, round);
		if (r != (i == 7 ? -EINVAL : 1))
			return -EBADMSG;
	}
	return 0;
}

TEST(postgres, effects_next_to_a_failing_select_happen_once)
{
	struct fixture fixture;
	char *count;
	int results[16];

	free(fixture_sql("CREATE TABLE noted (i bigint, round bigint)"));
	free(fixture_sql("CREATE FUNCTION note_unless_seven(i bigint, round bigint) RETURNS bigint LANGUAGE plpgsql AS "
			 "$$ BEGIN INSERT INTO noted VALUES (i, round); RETURN 1 / (i - 7); END $$"));
	fixture_open(&fixture, 1, 1, PRONG_SECONDS(5));
	for (size_t i = 0; i < ARRAY_SIZE(results); i++)
		fixture_start(&fixture, note_unless_seven, (void *)(intptr_t)i, &results[i]);
	fixture_wait(&fixture);
	for (size_t i = 0; i < ARRAY_SIZE(results); i++)
		CU_ASSERT_EQUAL(results[i], 0);
	count = fixture_sql("SELECT count(*) || ' ' || count(DISTINCT (i, round)) FROM noted");
	CU_ASSERT_STRING_EQUAL(count, "150 150");
	free(count);
	fixture_close(&fixture);
	free(fixture_sql("DROP FUNCTION note_unless_seven; DROP TABLE noted"));
}

static int sleep_and_give_up(struct prong_ctx *ctx, void *argument)
{
	(void)argument;
	coroutine_set_deadline(coroutine_current(), monotonic_us() + PRONG_MILLISECONDS(200));
	return prong_exec(ctx, "SELECT pg_sleep(300)");
}

static int read_beside(struct prong_ctx *ctx, void *argument)
{
	struct number *row;
	int r;

	(void)argument;
	for (int i = 0; i < 50; i++) {
		r = prong_query_one(ctx, number, &row, "SELECT 5 AS n");
		if (r < 0)
			return r;
	}
	return (int)row->n;
}

TEST(postgres, what_was_given_up_holds_up_nobody)
{
	struct fixture fixture;
	int sleepers[5], readers[5];

	fixture_open(&fixture, 1, 1, PRONG_SECONDS(300));
	for (size_t i = 0; i < ARRAY_SIZE(sleepers); i++) {
		fixture_start(&fixture, sleep_and_give_up, NULL, &sleepers[i]);
		fixture_start(&fixture, read_beside, NULL, &readers[i]);
	}
	fixture_wait(&fixture);
	for (size_t i = 0; i < ARRAY_SIZE(sleepers); i++) {
		CU_ASSERT_EQUAL(sleepers[i], -ETIMEDOUT);
		CU_ASSERT_EQUAL(readers[i], 5);
	}
	fixture_close(&fixture);
}

static int twice(struct prong_ctx *ctx, void *argument)
{
	fixture_function *function = *(fixture_function **)argument;

	function(ctx, NULL);
	return function(ctx, NULL);
}

TEST(postgres, what_was_given_up_holds_up_nobody_in_its_group)
{
	fixture_function *functions[] = { read_beside, sleep_and_give_up };
	struct fixture fixture;
	int reader, sleeper;

	fixture_open(&fixture, 1, 1, PRONG_SECONDS(300));
	for (size_t i = 0; i < ARRAY_SIZE(functions); i++)
		fixture_run(&fixture, twice, &functions[i]);
	/* Both prepared by now, they are sent in one turn, the sleeper behind the reader. */
	fixture_start(&fixture, read_beside, NULL, &reader);
	fixture_start(&fixture, sleep_and_give_up, NULL, &sleeper);
	fixture_wait(&fixture);
	CU_ASSERT_EQUAL(reader, 5);
	CU_ASSERT_EQUAL(sleeper, -ETIMEDOUT);
	fixture_close(&fixture);
}

static int read_its_transaction(struct prong_ctx *ctx, void *argument)
{
	struct number *row;
	int r;

	ctx->delivery = argument;
	r = prong_query_one(ctx, number, &row, "SELECT txid_current() AS n");
	return r < 0 ? r : (int)row->n;
}

/* Whether the second of two like this shares its transaction with the first. */
static bool share_a_group(struct delivery *delivery)
{
	struct fixture fixture;
	int one, other;

	fixture_open(&fixture, 1, 1, PRONG_SECONDS(30));
	fixture_start(&fixture, read_its_transaction, delivery, &one); /* from now on it is prepared */
	fixture_wait(&fixture);
	fixture_start(&fixture, read_its_transaction, delivery, &one);
	fixture_start(&fixture, read_its_transaction, delivery, &other);
	fixture_wait(&fixture);
	fixture_close(&fixture);
	CU_ASSERT(one > 0 && other > 0);
	return one == other;
}

TEST(postgres, groups_are_for_requests_and_not_for_jobs)
{
	struct delivery delivery = { .name = "report" };

	CU_ASSERT(share_a_group(NULL));
	CU_ASSERT(!share_a_group(&delivery));
}

static int large_values(struct prong_ctx *ctx, void *argument)
{
	size_t size = 3 << 20;
	char *text = prong_alloc(ctx, size + 1);
	struct everything *row;
	int r;

	(void)argument;
	memset(text, 'a', size);
	r = prong_query_one(ctx, everything, &row, "SELECT $1::text AS text", text);
	if (r < 0)
		return r;
	return string_equal(row->text, text) ? 0 : -EBADMSG;
}

TEST(postgres, large_values_go_both_ways)
{
	struct fixture fixture;
	int results[6];

	fixture_open(&fixture, 1, 1, PRONG_SECONDS(30));
	for (size_t i = 0; i < ARRAY_SIZE(results); i++)
		fixture_start(&fixture, large_values, NULL, &results[i]);
	fixture_wait(&fixture);
	for (size_t i = 0; i < ARRAY_SIZE(results); i++)
		CU_ASSERT_EQUAL(results[i], 0);
	fixture_close(&fixture);
}

static int distinct_texts(struct prong_ctx *ctx, void *argument)
{
	(void)argument;
	for (int i = 0; i < 1200; i++)
		if (prong_exec(ctx, prong_format(ctx, "SELECT %d", i % 600)) != 1)
			return -EIO;
	return 0;
}

static int count_prepared(struct prong_ctx *ctx, void *argument)
{
	struct number *row;
	int r = prong_query_one(ctx, number, &row, "SELECT count(*) AS n FROM pg_prepared_statements");

	*(int64_t *)argument = r < 0 ? r : row->n;
	return r;
}

TEST(postgres, keeps_a_bounded_number_of_prepared_statements)
{
	struct fixture fixture;
	int64_t count = 0;

	fixture_open(&fixture, 1, 1, PRONG_SECONDS(5));
	CU_ASSERT_EQUAL(fixture_run(&fixture, distinct_texts, NULL), 0);
	CU_ASSERT_EQUAL(fixture_run(&fixture, count_prepared, &count), 0);
	CU_ASSERT(count > 256 && count <= 512);
	fixture_close(&fixture);
}

struct wide {
	int64_t a;
	const char *b;
};
PRONG_SCHEMA(wide, PRONG_FIELD(wide, a), PRONG_FIELD(wide, b));

static int read_all_columns(struct prong_ctx *ctx, struct wide **ret_row)
{
	return prong_query_one(ctx, wide, ret_row, "SELECT * FROM changing");
}

static int plan_change(struct prong_ctx *ctx, void *argument)
{
	struct wide *row = NULL;

	(void)argument;
	CU_ASSERT_EQUAL(prong_exec(ctx, "DROP TABLE IF EXISTS changing"), 0);
	CU_ASSERT_EQUAL(prong_exec(ctx, "CREATE TABLE changing AS SELECT 1::int8 AS a"), 1);
	for (int i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(read_all_columns(ctx, &row), 0);
	CU_ASSERT_EQUAL(prong_exec(ctx, "ALTER TABLE changing ADD COLUMN b text DEFAULT 'new'"), 0);
	CU_ASSERT_EQUAL(read_all_columns(ctx, &row), 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(row->b);
	CU_ASSERT_STRING_EQUAL(row->b, "new");
	/* In a transaction it cannot be sent again: what went before it is lost. */
	CU_ASSERT_EQUAL(prong_begin(ctx), 0);
	CU_ASSERT_EQUAL(read_all_columns(ctx, &row), 0);
	CU_ASSERT_EQUAL(prong_commit(ctx), 0);
	CU_ASSERT_EQUAL(prong_exec(ctx, "ALTER TABLE changing RENAME COLUMN b TO c"), 0);
	CU_ASSERT_EQUAL(prong_begin(ctx), 0);
	CU_ASSERT_EQUAL(read_all_columns(ctx, &row), -EAGAIN);
	prong_rollback(ctx);
	CU_ASSERT_EQUAL(prong_begin(ctx), 0);
	CU_ASSERT_EQUAL(read_all_columns(ctx, &row), 0);
	CU_ASSERT_PTR_NULL(row->b);
	CU_ASSERT_EQUAL(prong_commit(ctx), 0);
	/* The server forgets them all. */
	CU_ASSERT_EQUAL(prong_exec(ctx, "DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$"), 0);
	CU_ASSERT_EQUAL(read_all_columns(ctx, &row), 0);
	CU_ASSERT_EQUAL(prong_exec(ctx, "DROP TABLE changing"), 0);
	return 0;
}

TEST(postgres, prepares_again_when_plans_no_longer_fit)
{
	struct fixture fixture;

	fixture_open(&fixture, 1, 1, PRONG_SECONDS(5));
	CU_ASSERT_EQUAL(fixture_run(&fixture, plan_change, NULL), 0);
	fixture_close(&fixture);
}

static int session_settings(struct prong_ctx *ctx, void *argument)
{
	struct wide *row;
	int r = prong_query_one(ctx, wide, &row,
				"SELECT concat_ws(' ', current_setting('DateStyle'), current_setting('TimeZone'), "
				"current_setting('statement_timeout'), current_setting('application_name')) AS b");

	(void)argument;
	if (r == 0)
		CU_ASSERT_STRING_EQUAL(row->b, "ISO, MDY UTC 5s prong test");
	return r;
}

TEST(postgres, sessions_do_not_depend_on_the_servers_settings)
{
	struct fixture fixture;

	free(fixture_sql("ALTER ROLE CURRENT_USER SET DateStyle = 'German'"));
	free(fixture_sql("ALTER ROLE CURRENT_USER SET TimeZone = 'Asia/Tokyo'"));
	fixture_open(&fixture, 1, 1, PRONG_SECONDS(5));
	CU_ASSERT_EQUAL(fixture_run(&fixture, types, NULL), 0);
	CU_ASSERT_EQUAL(fixture_run(&fixture, session_settings, NULL), 0);
	fixture_close(&fixture);
	free(fixture_sql("ALTER ROLE CURRENT_USER RESET ALL"));
}

TEST(postgres, checks_urls_without_telling_passwords)
{
	static const char *const wrong[] = { "postgresql://u:geheim@host:1:2/x",
					     "u:geheim@host",
					     "postgres//u:geheim@h",
					     "postgresql://u:geheim@[::1/x",
					     "postgresql://u:geheim@h/x?nonsense=geheim",
					     "postgresql://u:geheim@h:99999/x",
					     "postgresql://u:%zzgeheim@h/x",
					     "postgresql://u:not@geheim@h/x",
					     "postgresql://u:geheim@h/x?sslmode=geheim",
					     "host=h password=geheim oops",
					     "password=not geheim" };
	char *reason = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		CU_ASSERT_EQUAL(postgres_check_url(wrong[i], &reason), -EINVAL);
		CU_ASSERT_PTR_NOT_NULL_FATAL(reason);
		CU_ASSERT_PTR_NULL(strstr(reason, "geheim"));
		CU_ASSERT(strlen(reason) > 10);
		free(reason);
		reason = NULL;
	}
	CU_ASSERT_EQUAL(postgres_check_url("postgresql://u:geheim@h:5432,i:/x?sslmode=require", &reason), 0);
	CU_ASSERT_EQUAL(postgres_check_url("host=/tmp dbname=x", &reason), 0);
	CU_ASSERT_EQUAL(postgres_check_url("host=h,@abstract dbname=x", &reason), 0);
	CU_ASSERT_PTR_NULL(reason);
}
