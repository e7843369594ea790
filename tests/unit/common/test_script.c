#include <stdio.h>

#include "common/basics.h"
#include "common/postgres/script.h"
#include "tests/unit/test.h"

/* The statements of a script, each in brackets. */
static const char *split(const char *script)
{
	static char out[1024];
	struct script_statement statement;
	size_t position = 0, size = 0;

	out[0] = '\0';
	while (script_next(script, &position, &statement))
		size += (size_t)snprintf(out + size, sizeof(out) - size, "[%.*s]", (int)statement.length,
					 script + statement.start);
	return out;
}

TEST(script, splits_at_semicolons_that_end_statements)
{
	CU_ASSERT_STRING_EQUAL(split(""), "");
	CU_ASSERT_STRING_EQUAL(split(" ; ;; -- only;\n /* ; */ ;"), "");
	CU_ASSERT_STRING_EQUAL(split("SELECT 1"), "[SELECT 1]");
	CU_ASSERT_STRING_EQUAL(split("a ;b; -- c;\n d --e;\n;"), "[a][b][d]");
	CU_ASSERT_STRING_EQUAL(split("a 'b;' \"c;\" e'd\\';' u&'x;' ;f"), "[a 'b;' \"c;\" e'd\\';' u&'x;'][f]");
	CU_ASSERT_STRING_EQUAL(split("a 'it''s;' E'it''s\\';';b"), "[a 'it''s;' E'it''s\\';'][b]");
	CU_ASSERT_STRING_EQUAL(split("a 'b\\';c"), "[a 'b\\'][c]");
	CU_ASSERT_STRING_EQUAL(split("a /* ; /* ; */ ; */ b; c"), "[a /* ; /* ; */ ; */ b][c]");
	CU_ASSERT_STRING_EQUAL(split("DO $$ a; b; $$; c"), "[DO $$ a; b; $$][c]");
	CU_ASSERT_STRING_EQUAL(split("DO $x$ a; $$ b; $y$ $x$; c"), "[DO $x$ a; $$ b; $y$ $x$][c]");
	CU_ASSERT_STRING_EQUAL(split("a b$c$d; e$c$; f $1; g"), "[a b$c$d][e$c$][f $1][g]");
	CU_ASSERT_STRING_EQUAL(split("CREATE RULE r DO (a; b); c"), "[CREATE RULE r DO (a; b)][c]");
	CU_ASSERT_STRING_EQUAL(split("CREATE FUNCTION f() BEGIN ATOMIC a; CASE x; END; b; END; c"),
			       "[CREATE FUNCTION f() BEGIN ATOMIC a; CASE x; END; b; END][c]");
	CU_ASSERT_STRING_EQUAL(split("create or replace procedure f() begin atomic a; end; c"),
			       "[create or replace procedure f() begin atomic a; end][c]");
	CU_ASSERT_STRING_EQUAL(split("BEGIN; a; END; c"), "[BEGIN][a][END][c]");
}

TEST(script, ends_at_what_is_never_closed)
{
	static const char *const open[] = { "a 'b;",   "a \"b;",     "a E'b\\", "a /* b;",
					    "a $$ b;", "a $x$ b; $", "a (b;",	"$" };

	for (size_t i = 0; i < ARRAY_SIZE(open); i++) {
		struct script_statement statement;
		size_t position = 0;

		CU_ASSERT_TRUE(script_next(open[i], &position, &statement));
		CU_ASSERT_EQUAL(position, strlen(open[i]));
		CU_ASSERT_FALSE(script_next(open[i], &position, &statement));
	}
}

TEST(script, tells_the_first_words)
{
	struct script_statement statement;
	size_t position = 0;

	CU_ASSERT_TRUE_FATAL(script_next("-- x\nCreate /* y */ UNIQUE index", &position, &statement));
	CU_ASSERT_STRING_EQUAL(statement.words[0], "create");
	CU_ASSERT_STRING_EQUAL(statement.words[1], "unique");
	CU_ASSERT_STRING_EQUAL(statement.words[2], "index");
	CU_ASSERT_STRING_EQUAL(statement.words[3], "");
}
