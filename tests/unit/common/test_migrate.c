#include "common/postgres/migrate.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "common/loop.h"
#include "tests/unit/common/postgres_fixture.h"
#include "tests/unit/common/servers.h"
#include "tests/unit/test.h"

/* ---- a folder of files, and an application with one module ---- */

static char folder[64];

static void make_folder(void)
{
	strcpy(folder, "/tmp/prong-migrations-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
}

static void remove_folder(void)
{
	_cleanup_(freep) char *command = format_text("rm -rf '%s'", folder);

	CU_ASSERT_EQUAL(system(command), 0);
}

static void write_text(const char *name, const char *text)
{
	_cleanup_(freep) char *path = format_text("%s/%s", folder, name);
	FILE *file = fopen(path, "w");

	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	fputs(text, file);
	fclose(file);
}

static const struct prong_migration module_migrations[] = {
	{ 1, "things", "CREATE TABLE module_things (n int4)", "DROP TABLE module_things" },
	{ 2, "more", "CREATE TABLE module_more (n int4)", NULL },
	{},
};
static const struct prong_module module = { .name = "things", .migrations = module_migrations };
static const struct prong_module *modules[] = { &module };
static const struct registry with_module = { .n_modules = 1, .modules = modules };
static const struct registry without_module = { 0 };

/* ---- files ---- */

/* Loads the folder; what was wrong with it, or "" and the count. */
static char *load(const struct registry *registry, size_t *ret_count)
{
	struct migrations migrations = { 0 };
	struct buffer mistakes = { 0 };
	struct arena arena;
	char *text;
	int r;

	arena_init(&arena);
	r = migrations_load(registry, folder, &arena, &migrations, &mistakes);
	CU_ASSERT_EQUAL(r, mistakes.size ? -EINVAL : 0);
	if (ret_count)
		*ret_count = migrations.count;
	text = duplicate(buffer_text(&mistakes));
	arena_reset(&arena);
	buffer_free(&mistakes);
	return text;
}

/* The one mistake that the folder's files must be found to have. */
static void expect_mistake(const char *part)
{
	_cleanup_(freep) char *text = load(&without_module, NULL);

	CU_ASSERT_PTR_NOT_NULL(strstr(text, part));
	CU_ASSERT_PTR_EQUAL(strchr(text, '\n'), text + strlen(text) - 1);
	remove_folder();
	make_folder();
}

TEST(migrate, reads_modules_and_files_in_order)
{
	_cleanup_(freep) char *none = NULL, *some = NULL;
	struct migrations migrations = { 0 };
	struct buffer mistakes = { 0 };
	struct arena arena;
	size_t count = 99;

	make_folder();
	none = load(&without_module, &count);
	CU_ASSERT_STRING_EQUAL(none, "");
	CU_ASSERT_EQUAL(count, 0);
	write_text("0002_b.up.sql", "SELECT 2");
	write_text("0001_a.up.sql", "SELECT 1");
	write_text("0001_a.down.sql", "-- nothing");
	write_text("0002_b.down.sql", "SELECT -2");
	write_text(".hidden", "");
	write_text("README.md", "");
	arena_init(&arena);
	CU_ASSERT_EQUAL_FATAL(migrations_load(&with_module, folder, &arena, &migrations, &mistakes), 0);
	CU_ASSERT_EQUAL_FATAL(migrations.count, 4);
	CU_ASSERT_STRING_EQUAL(migrations.items[0].sequence, "things");
	CU_ASSERT_STRING_EQUAL(migrations.items[0].up_file, "things/0001_things.up.sql");
	CU_ASSERT_PTR_NULL(migrations.items[1].down);
	CU_ASSERT_STRING_EQUAL(migrations.items[2].name, "a");
	CU_ASSERT_STRING_EQUAL(migrations.items[2].sequence, "app");
	CU_ASSERT_PTR_NULL(migrations.items[2].down);
	CU_ASSERT_STRING_EQUAL(migrations.items[3].down, "SELECT -2");
	arena_reset(&arena);
	remove_folder();
	some = load(&with_module, &count);
	CU_ASSERT_STRING_EQUAL(some, "");
	CU_ASSERT_EQUAL(count, 2);
}

TEST(migrate, reports_wrong_files)
{
	make_folder();
	write_text("notes.sql", "SELECT 1");
	expect_mistake("notes.sql: is no migration");
	write_text("0001_Notes.up.sql", "SELECT 1");
	expect_mistake("is no migration");
	write_text("00001_notes.up.sql", "SELECT 1");
	expect_mistake("is no migration");
	write_text("0001_notes.down.sql", "SELECT 1");
	expect_mistake("there is no 0001_notes.up.sql");
	write_text("0002_notes.up.sql", "SELECT 1");
	expect_mistake("expected 0001");
	write_text("0001_a.up.sql", "SELECT 1");
	write_text("0003_c.up.sql", "SELECT 1");
	expect_mistake("0003_c: the number before it is missing: expected 0002");
	write_text("0001_a.up.sql", "SELECT 1");
	write_text("0001_b.up.sql", "SELECT 1");
	expect_mistake("0001_b.up.sql: its number is already that of 0001_a");
	write_text("0001_a.up.sql", "-- to be written\n");
	expect_mistake("holds no statement");
	write_text("0001_a.up.sql", "SELECT '\xff'");
	expect_mistake("no UTF-8");
	write_text("0001_a.up.sql", "SELECT 1;\n-- COMMIT;\nCOMMIT;\nSELECT 2");
	expect_mistake("0001_a.up.sql:3: commit: a migration already runs in a transaction");
	remove_folder();
}

TEST(migrate, makes_new_files)
{
	_cleanup_(freep) char *root = NULL, *up = NULL, *down = NULL, *second = NULL, *other = NULL;
	struct buffer mistakes = { 0 };

	make_folder();
	root = duplicate(folder);
	strcat(folder, "/deep/er");
	CU_ASSERT_EQUAL_FATAL(migrations_new_files(folder, "Add notes", &up, &down, &mistakes), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(up, "/deep/er/0001_add_notes.up.sql"));
	CU_ASSERT_PTR_NOT_NULL(strstr(down, "/deep/er/0001_add_notes.down.sql"));
	CU_ASSERT_EQUAL(access(up, R_OK), 0);
	CU_ASSERT_EQUAL(access(down, R_OK), 0);
	CU_ASSERT_EQUAL_FATAL(migrations_new_files(folder, "more", &second, &other, &mistakes), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(second, "/0002_more.up.sql"));
	CU_ASSERT_EQUAL(mistakes.size, 0);
	CU_ASSERT_EQUAL(migrations_new_files(folder, "../x", &up, &down, &mistakes), -EINVAL);
	CU_ASSERT_EQUAL(migrations_new_files(folder, "", &up, &down, &mistakes), -EINVAL);
	CU_ASSERT(mistakes.size > 0);
	write_text("9999_last.up.sql", "SELECT 1");
	CU_ASSERT_EQUAL(migrations_new_files(folder, "x", &up, &down, &mistakes), -EINVAL);
	buffer_free(&mistakes);
	strcpy(folder, root);
	remove_folder();
}

/* ---- the database ---- */

/* One command, as `migrate` runs it. */
struct run {
	const struct registry *registry;
	const char *down; /* sequence; NULL: up */
	size_t steps;
	bool status;
	struct buffer mistakes;
	size_t done, applied, changed;
};

static void count_done(const struct migration *migration, void *argument)
{
	struct run *run = argument;

	(void)migration;
	run->done++;
}

static int migrate(struct prong_ctx *ctx, void *argument)
{
	struct run *run = argument;
	struct migrations migrations;
	int r = migrations_load(run->registry, folder, &ctx->arena, &migrations, &run->mistakes);

	if (r == 0 && run->status)
		r = migrations_status(ctx, &migrations, &run->mistakes);
	else if (r == 0 && run->down)
		r = migrations_down(ctx, &migrations, run->down, run->steps, count_done, run, &run->mistakes);
	else if (r == 0)
		r = migrations_up(ctx, &migrations, count_done, run, &run->mistakes);
	for (size_t i = 0; r == 0 && i < migrations.count; i++) {
		run->applied += migrations.items[i].applied;
		run->changed += migrations.items[i].changed;
	}
	return r;
}

static int up(struct fixture *fixture, struct run *run)
{
	*run = (struct run){ .registry = &with_module };
	return fixture_run(fixture, migrate, run);
}

static int down(struct fixture *fixture, struct run *run, const char *sequence, size_t steps)
{
	*run = (struct run){ .registry = &with_module, .down = sequence, .steps = steps };
	return fixture_run(fixture, migrate, run);
}

static int status(struct fixture *fixture, struct run *run)
{
	*run = (struct run){ .registry = &with_module, .status = true };
	return fixture_run(fixture, migrate, run);
}

static void expect_text(struct run *run, const char *part)
{
	const char *text = buffer_text(&run->mistakes);

	CU_ASSERT_PTR_NOT_NULL(strstr(text, part));
	if (!strstr(text, part))
		fprintf(stderr, "not \"%s\" in: %s\n", part, text);
	buffer_free(&run->mistakes);
}

static bool have_table(const char *name)
{
	_cleanup_(freep) char *sql = format_text("SELECT to_regclass('%s') IS NOT NULL", name);
	_cleanup_(freep) char *text = fixture_sql(sql);

	return string_equal(text, "t");
}

static void begin(struct fixture *fixture)
{
	make_folder();
	free(fixture_sql("DROP TABLE IF EXISTS prong_migrations, module_things, module_more, a, b, c CASCADE"));
	fixture_open(fixture, 1, 3, PRONG_SECONDS(30));
}

static void end(struct fixture *fixture)
{
	fixture_close(fixture);
	remove_folder();
	free(fixture_sql("DROP TABLE IF EXISTS prong_migrations, module_things, module_more, a, b, c CASCADE"));
}

TEST(migrate, goes_up_and_down)
{
	struct fixture fixture;
	struct run run;

	begin(&fixture);
	CU_ASSERT_EQUAL(status(&fixture, &run), 0);
	CU_ASSERT_EQUAL(run.applied, 0);
	CU_ASSERT_FALSE(have_table("prong_migrations"));
	/* Like a dump, it leaves no search path. */
	write_text("0001_a.up.sql",
		   "SELECT pg_catalog.set_config('search_path', '', false);\nCREATE TABLE public.a ();");
	write_text("0001_a.down.sql", "DROP TABLE a");
	write_text("0002_b.up.sql", "CREATE TABLE b (n int4); INSERT INTO b VALUES (1), (2);");
	write_text("0002_b.down.sql", "DROP TABLE b");
	CU_ASSERT_EQUAL(up(&fixture, &run), 0);
	CU_ASSERT_EQUAL(run.done, 4);
	CU_ASSERT_TRUE(have_table("module_more") && have_table("a") && have_table("b"));
	CU_ASSERT_EQUAL(up(&fixture, &run), 0);
	CU_ASSERT_EQUAL(run.done, 0);
	CU_ASSERT_EQUAL(status(&fixture, &run), 0);
	CU_ASSERT_EQUAL(run.applied, 4);
	CU_ASSERT_EQUAL(run.changed, 0);

	CU_ASSERT_EQUAL(down(&fixture, &run, "app", 1), 0);
	CU_ASSERT_EQUAL(run.done, 1);
	CU_ASSERT_TRUE(have_table("a") && !have_table("b"));
	CU_ASSERT_EQUAL(down(&fixture, &run, "app", 5), 0);
	CU_ASSERT_EQUAL(run.done, 1);
	CU_ASSERT_FALSE(have_table("a"));
	CU_ASSERT_EQUAL(down(&fixture, &run, "app", 1), 0);
	CU_ASSERT_EQUAL(run.done, 0);
	CU_ASSERT_EQUAL(down(&fixture, &run, "things", 2), -EINVAL);
	expect_text(&run, "things/0002_more.up.sql: cannot be undone");
	CU_ASSERT_TRUE(have_table("module_things"));
	CU_ASSERT_EQUAL(down(&fixture, &run, "nothing", 2), -EINVAL);
	expect_text(&run, "no module \"nothing\"");
	CU_ASSERT_EQUAL(up(&fixture, &run), 0);
	CU_ASSERT_EQUAL(run.done, 2);
	end(&fixture);
}

TEST(migrate, a_broken_one_leaves_nothing)
{
	struct fixture fixture;
	struct run run;

	begin(&fixture);
	write_text("0001_a.up.sql",
		   "CREATE TABLE a (n int4);\nINSERT INTO a VALUES (1);\n\tSELECT 'ü', nope FROM a;\n");
	CU_ASSERT_EQUAL(up(&fixture, &run), -EIO);
	CU_ASSERT_EQUAL(run.done, 2);
	expect_text(&run, "/0001_a.up.sql:3:14: column \"nope\" does not exist (SQLSTATE 42703)\n");
	CU_ASSERT_FALSE(have_table("a"));
	CU_ASSERT_EQUAL(up(&fixture, &run), -EIO);
	expect_text(&run, "nothing of it was done");
	CU_ASSERT_EQUAL(status(&fixture, &run), 0);
	CU_ASSERT_EQUAL(run.applied, 2);
	write_text("0001_a.up.sql", "CREATE TABLE a (n int4);");
	CU_ASSERT_EQUAL(up(&fixture, &run), 0);
	CU_ASSERT_EQUAL(run.done, 1);
	end(&fixture);
}

TEST(migrate, refuses_what_disagrees_with_the_ledger)
{
	struct fixture fixture;
	struct run run;

	begin(&fixture);
	write_text("0001_a.up.sql", "CREATE TABLE a ()");
	write_text("0001_a.down.sql", "DROP TABLE a");
	write_text("0002_b.up.sql", "CREATE TABLE b ()");
	CU_ASSERT_EQUAL(up(&fixture, &run), 0);

	write_text("0001_a.up.sql", "CREATE TABLE a (n int4)");
	write_text("0003_c.up.sql", "CREATE TABLE c ()");
	CU_ASSERT_EQUAL(up(&fixture, &run), -EINVAL);
	expect_text(&run, "0001_a.up.sql: was changed after it had been applied");
	CU_ASSERT_FALSE(have_table("c"));
	CU_ASSERT_EQUAL(status(&fixture, &run), 0);
	CU_ASSERT_EQUAL(run.changed, 1);
	expect_text(&run, "was changed");
	write_text("0001_a.up.sql", "CREATE TABLE a ()");

	/* Below an applied one. */
	free(fixture_sql("DELETE FROM prong_migrations WHERE sequence = 'app' AND number = 1"));
	CU_ASSERT_EQUAL(up(&fixture, &run), -EINVAL);
	expect_text(&run, "0001_a.up.sql: is not applied, but the later 0002_b is");
	CU_ASSERT_FALSE(have_table("c"));
	end(&fixture);
}

TEST(migrate, leaves_a_newer_programs_migrations_alone)
{
	struct fixture fixture;
	struct run run;

	begin(&fixture);
	write_text("0001_a.up.sql", "CREATE TABLE a ()");
	write_text("0001_a.down.sql", "DROP TABLE a");
	CU_ASSERT_EQUAL(up(&fixture, &run), 0);
	free(fixture_sql("INSERT INTO prong_migrations (sequence, number, name, checksum, duration) "
			 "VALUES ('app', 3, 'newer', '', '0'), ('gone', 1, 'x', '', '0')"));
	CU_ASSERT_EQUAL(up(&fixture, &run), 0);
	CU_ASSERT_EQUAL(run.mistakes.size, 0);
	CU_ASSERT_EQUAL(down(&fixture, &run, "app", 1), -EINVAL);
	expect_text(&run, "app/0003 was applied after these");
	CU_ASSERT_TRUE(have_table("a"));
	write_text("0002_b.up.sql", "CREATE TABLE b ()");
	CU_ASSERT_EQUAL(up(&fixture, &run), -EINVAL);
	expect_text(&run, "0002_b.up.sql: cannot be applied after 0003_newer");
	CU_ASSERT_FALSE(have_table("b"));
	end(&fixture);
}

TEST(migrate, runs_outside_a_transaction_when_asked)
{
	struct fixture fixture;
	struct run run;

	begin(&fixture);
	write_text("0001_a.up.sql", "CREATE TABLE a (n int4)");
	write_text("0002_index.up.sql", "-- prong: no-transaction\nCREATE INDEX CONCURRENTLY a_n ON a (n);\n"
					"CREATE INDEX CONCURRENTLY a_n2 ON a (n);\n");
	write_text("0002_index.down.sql", "-- prong: no-transaction\nDROP INDEX CONCURRENTLY a_n;\n"
					  "DROP INDEX CONCURRENTLY a_n2;\n");
	CU_ASSERT_EQUAL(up(&fixture, &run), 0);
	CU_ASSERT_EQUAL(run.done, 4);
	CU_ASSERT_TRUE(have_table("a_n") && have_table("a_n2"));
	CU_ASSERT_EQUAL(down(&fixture, &run, "app", 1), 0);
	CU_ASSERT_FALSE(have_table("a_n"));
	write_text("0002_index.up.sql",
		   "-- prong: no-transaction\nCREATE INDEX CONCURRENTLY a_n ON a (n);\nnonsense;\n");
	CU_ASSERT_EQUAL(up(&fixture, &run), -EIO);
	expect_text(&run, "0002_index.up.sql:3:1: syntax error");
	CU_ASSERT_TRUE(have_table("a_n"));
	CU_ASSERT_EQUAL(status(&fixture, &run), 0);
	CU_ASSERT_EQUAL(run.applied, 3);
	end(&fixture);
}

TEST(migrate, two_runners_at_once_take_turns)
{
	struct run runs[3] = { { .registry = &with_module },
			       { .registry = &with_module },
			       { .registry = &with_module } };
	struct fixture fixture;
	size_t done = 0;
	int results[3];

	begin(&fixture);
	write_text("0001_a.up.sql", "CREATE TABLE a (n int4); SELECT pg_sleep(0.2)");
	write_text("0002_index.up.sql", "-- prong: no-transaction\nCREATE INDEX CONCURRENTLY a_n ON a (n)");
	write_text("0003_b.up.sql", "CREATE TABLE b (n int4); SELECT pg_sleep(0.1)");
	for (size_t i = 0; i < ARRAY_SIZE(runs); i++)
		fixture_start(&fixture, migrate, &runs[i], &results[i]);
	fixture_wait(&fixture);
	for (size_t i = 0; i < ARRAY_SIZE(runs); i++) {
		CU_ASSERT_EQUAL(results[i], 0);
		CU_ASSERT_EQUAL(runs[i].mistakes.size, 0);
		CU_ASSERT_EQUAL(runs[i].applied, 5);
		done += runs[i].done;
	}
	CU_ASSERT_EQUAL(done, 5);
	end(&fixture);
}

/* Holds a lock that the migration needs until the migration has been refused it at least once. */
static int hold_lock(struct prong_ctx *ctx, void *argument)
{
	int64_t until = monotonic_us() + PRONG_MILLISECONDS(1300);

	(void)argument;
	CU_ASSERT_EQUAL(prong_begin(ctx), 0);
	CU_ASSERT_EQUAL(prong_exec(ctx, "SELECT FROM a"), 0);
	coroutine_sleep_until(until);
	return prong_commit(ctx);
}

TEST(migrate, tries_again_for_a_lock)
{
	struct fixture fixture;
	struct run run;
	int held, r;

	begin(&fixture);
	write_text("0001_a.up.sql", "CREATE TABLE a ()");
	CU_ASSERT_EQUAL(up(&fixture, &run), 0);
	write_text("0002_b.up.sql", "ALTER TABLE a ADD COLUMN n int4");
	run = (struct run){ .registry = &with_module };
	fixture_start(&fixture, hold_lock, NULL, &held);
	fixture_start(&fixture, migrate, &run, &r);
	fixture_wait(&fixture);
	CU_ASSERT_EQUAL(held, 0);
	CU_ASSERT_EQUAL(r, 0);
	CU_ASSERT_EQUAL(run.done, 1);
	end(&fixture);
}
