#include <stdio.h>

#include "server/cli/cli.h"
#include "tests/unit/test.h"

/* An invocation of these arguments; the array is the caller's. */
static struct invocation invoke(char **argv)
{
	static const struct command command = { .name = "test", .usage = "", .summary = "", .help = "" };
	struct invocation invocation = { .program = "test", .argv = argv, .command = &command };

	while (argv[invocation.argc])
		invocation.argc++;
	return invocation;
}

/* Standard error, while a mistake is made on purpose, goes nowhere. */
static int hush(void)
{
	int saved = dup(STDERR_FILENO);

	if (!freopen("/dev/null", "w", stderr))
		panic("no /dev/null");
	return saved;
}

static void unhush(int saved)
{
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	close(saved);
}

TEST(options, are_taken_wherever_they_stand)
{
	char *argv[] = { "up", "--limit", "5", "--json", "--name=a=b", "--", "--json", "-", NULL };
	struct invocation invocation = invoke(argv);
	const char *limit = NULL, *name = NULL;
	bool json = false, other = false;
	const struct command_option options[] = {
		{ "json", .flag = &json },
		{ "other", .flag = &other },
		{ "limit", .value = &limit },
		{ "name", .value = &name },
		{},
	};

	CU_ASSERT_EQUAL_FATAL(options_parse(&invocation, options, 3), 0);
	CU_ASSERT(json);
	CU_ASSERT(!other);
	CU_ASSERT_STRING_EQUAL(limit, "5");
	CU_ASSERT_STRING_EQUAL(name, "a=b");
	CU_ASSERT_EQUAL_FATAL(invocation.argc, 3);
	CU_ASSERT_STRING_EQUAL(invocation.argv[0], "up");
	CU_ASSERT_STRING_EQUAL(invocation.argv[1], "--json");
	CU_ASSERT_STRING_EQUAL(invocation.argv[2], "-");
}

TEST(options, refuse_what_they_do_not_know)
{
	static struct {
		char *argv[3];
	} cases[] = {
		{ { "--wrong" } }, { { "-j" } },	 { { "--json=1" } },
		{ { "--limit" } }, { { "one", "two" } }, { { "--jso" } },
	};
	bool json = false;
	const char *limit = NULL;
	const struct command_option options[] = { { "json", .flag = &json }, { "limit", .value = &limit }, {} };
	int saved = hush();

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *argv[] = { cases[i].argv[0], cases[i].argv[1], NULL };
		struct invocation invocation = invoke(argv);

		CU_ASSERT_EQUAL(options_parse(&invocation, options, 1), -EINVAL);
	}
	unhush(saved);
}

TEST(options, read_integers_strictly)
{
	static const char *const wrong[] = { "", "-1", "+1", " 1", "1 ", "0x1", "101", "99999999999999999999" };
	char *argv[] = { NULL };
	struct invocation invocation = invoke(argv);
	int saved = hush();
	int64_t value = -1;

	CU_ASSERT_EQUAL(option_integer(&invocation, "--limit", "100", 1, 100, &value), 0);
	CU_ASSERT_EQUAL(value, 100);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		CU_ASSERT_EQUAL(option_integer(&invocation, "--limit", wrong[i], 1, 100, &value), -EINVAL);
	CU_ASSERT_EQUAL(value, 100);
	CU_ASSERT_EQUAL(option_integer(&invocation, "--priority", "-100", -100, 100, &value), 0);
	CU_ASSERT_EQUAL(value, -100);
	CU_ASSERT_EQUAL(option_integer(&invocation, "--priority", "-101", -100, 100, &value), -EINVAL);
	CU_ASSERT_EQUAL(option_integer(&invocation, "--priority", "-", -100, 100, &value), -EINVAL);
	CU_ASSERT_EQUAL(option_integer(&invocation, "--priority", "--1", -100, 100, &value), -EINVAL);
	unhush(saved);
}

/* What a table prints. */
static char *printed(struct table *table, bool json)
{
	FILE *file = tmpfile();
	int saved = dup(STDOUT_FILENO);
	char *text;
	long size;

	fflush(stdout);
	dup2(fileno(file), STDOUT_FILENO);
	CU_ASSERT_EQUAL(table_print(table, json, "nothing"), STATUS_OK);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	fseek(file, 0, SEEK_END);
	size = ftell(file);
	rewind(file);
	text = allocate((size_t)size + 1);
	CU_ASSERT_EQUAL(fread(text, 1, (size_t)size, file), (size_t)size);
	fclose(file);
	return text;
}

static struct table *example(void)
{
	struct table *table = table_new((const char *const[]){ "name", "count", "on", "error", NULL });

	table_add(table, "a\"\nb");
	table_add_integer(table, -7);
	table_add_bool(table, true);
	table_add_json(table, "{\"code\":\"x\"}");
	table_add(table, "é");
	table_add_integer(table, 12345678);
	table_add_bool(table, false);
	table_add_json(table, NULL);
	return table;
}

TEST(table, aligns_for_people)
{
	_cleanup_(table_freep) struct table *table = example();
	_cleanup_(freep) char *text = printed(table, false);

	CU_ASSERT_STRING_EQUAL(text, "NAME  COUNT     ON   ERROR\n"
				     "a\" b  -7        yes  {\"code\":\"x\"}\n"
				     "é     12345678  no\n");
}

TEST(table, shows_nothing_that_a_terminal_obeys)
{
	_cleanup_(table_freep) struct table *table = table_new((const char *const[]){ "key", "error", NULL });
	_cleanup_(freep) char *text = NULL;

	table_add(table, "\033[2J\xC2\x9B"
			 "2J\u202Eé\xFF\x9B"); /* C0, C1, a change of direction, no UTF-8 */
	table_add_json(table, "{\"code\":\"\xC2\x9Bx\"}");
	text = printed(table, false);
	CU_ASSERT_STRING_EQUAL(text, "KEY          ERROR\n"
				     " [2J 2J é\uFFFD\uFFFD  {\"code\":\" x\"}\n");
}

TEST(table, writes_json)
{
	_cleanup_(table_freep) struct table *table = example();
	_cleanup_(freep) char *text = printed(table, true);

	CU_ASSERT_STRING_EQUAL(
		text, "[\n {\"name\": \"a\\\"\\nb\", \"count\": -7, \"on\": true, \"error\": {\"code\":\"x\"}},\n"
		      " {\"name\": \"é\", \"count\": 12345678, \"on\": false, \"error\": null}\n]\n");
}

TEST(table, says_when_it_is_empty)
{
	_cleanup_(table_freep) struct table *table = table_new((const char *const[]){ "name", NULL });
	_cleanup_(freep) char *text = printed(table, false), *json = printed(table, true);

	CU_ASSERT_STRING_EQUAL(text, "nothing\n");
	CU_ASSERT_STRING_EQUAL(json, "[]\n");
}
