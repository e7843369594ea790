#include "server/routes/accounts/audit.h"

#include "tests/unit/server/accounts_fixture.h"
#include "tests/unit/test.h"

/* What psql would print of the only entry with that action; malloc'ed. NULL: there is none. */
static char *entry(const char *action)
{
	_cleanup_(freep) char *sql = format_text("SELECT concat_ws('|', account_id, actor, result, address, device,"
						 " request_id, detail->>'n') FROM prong_audit WHERE action = '%s'",
						 action);

	return durable_sql(sql);
}

static void expect_entry(const char *action, const char *expected)
{
	_cleanup_(freep) char *found = entry(action);

	CU_ASSERT_PTR_NOT_NULL_FATAL(found);
	CU_ASSERT_STRING_EQUAL(found, expected);
}

static int say_who(struct prong_ctx *ctx, void *argument)
{
	prong_uuid ada = accounts_add("ada@example.com"), grace = accounts_add("grace@example.com");
	char id[PRONG_UUID_TEXT_SIZE], other[PRONG_UUID_TEXT_SIZE];
	_cleanup_(freep) char *own = NULL, *foreign = NULL, *line = NULL;

	(void)argument;
	prong_uuid_format(ada, id);
	prong_uuid_format(grace, other);
	own = format_text("%s|%s|ok", id, id);
	foreign = format_text("%s|%s|no", id, other);
	line = format_text("%s|%s|ok|7", id, AUDIT_COMMAND_LINE);

	CU_ASSERT_EQUAL(audit(ctx, &(struct audit_event){ .action = "t.nobody", .result = "no" }), 0);
	CU_ASSERT_EQUAL(audit(ctx, &(struct audit_event){ .account_id = ada, .action = "t.own", .result = AUDIT_OK }),
			0);
	CU_ASSERT_EQUAL(audit(ctx, &(struct audit_event){ .account_id = ada,
							  .actor = AUDIT_COMMAND_LINE,
							  .action = "t.line",
							  .result = AUDIT_OK,
							  .detail = { "{\"n\":7}" } }),
			0);
	ctx->signed_in = true;
	ctx->principal.account_id = grace;
	CU_ASSERT_EQUAL(audit(ctx, &(struct audit_event){ .account_id = ada, .action = "t.foreign", .result = "no" }),
			0);
	expect_entry("t.nobody", AUDIT_NOBODY "|no");
	expect_entry("t.own", own);
	expect_entry("t.line", line);
	expect_entry("t.foreign", foreign);
	return 0;
}

/* An action and its entry are there together, or neither. */
static int keep_together(struct prong_ctx *ctx, void *argument)
{
	(void)argument;
	CU_ASSERT_EQUAL(prong_begin(ctx), 0);
	CU_ASSERT_EQUAL(audit(ctx, &(struct audit_event){ .action = "t.undone", .result = AUDIT_OK }), 0);
	prong_rollback(ctx);
	CU_ASSERT_PTR_NULL(entry("t.undone"));

	CU_ASSERT_EQUAL(prong_begin(ctx), 0);
	CU_ASSERT_EQUAL(audit(ctx, &(struct audit_event){ .action = "t.done", .result = AUDIT_OK }), 0);
	CU_ASSERT_PTR_NULL(entry("t.done"));
	CU_ASSERT_EQUAL(prong_commit(ctx), 0);
	expect_entry("t.done", AUDIT_NOBODY "|ok");

	/* What it refuses undoes the action. */
	CU_ASSERT_EQUAL(prong_begin(ctx), 0);
	CU_ASSERT_EQUAL(prong_exec(ctx, "UPDATE prong_accounts SET name = 'x'"), 2);
	CU_ASSERT_EQUAL(audit(ctx, &(struct audit_event){ .action = "t.bad", .result = "no", .detail = { "{" } }),
			-EINVAL);
	CU_ASSERT_EQUAL(prong_commit(ctx), -EIO);
	prong_rollback(ctx);
	CU_ASSERT_PTR_NULL(durable_sql("SELECT 1 FROM prong_accounts WHERE name = 'x'"));
	return 0;
}

static int purge(struct prong_ctx *ctx, void *argument)
{
	_cleanup_(freep) char *left = NULL;

	(void)argument;
	free(durable_sql("INSERT INTO prong_audit (id, at, actor, action, result)"
			 " SELECT gen_random_uuid(), now() - n * interval '1 day', 'system', 't.old', 'ok'"
			 " FROM generate_series(26, 45) n, generate_series(1, 150)"));
	CU_ASSERT_EQUAL(audit_purge(ctx), 15 * 150); /* of 31 … 45 days */
	CU_ASSERT_EQUAL(audit_purge(ctx), 0);
	left = durable_sql("SELECT count(*) FROM prong_audit WHERE action = 't.old'");
	CU_ASSERT_STRING_EQUAL(left, "750");
	return 0;
}

TEST(audit, is_kept_with_what_it_is_about)
{
	struct accounts_fixture fixture;

	accounts_open(&fixture);
	fixture.settings.audit_age = PRONG_DAYS(30) + PRONG_HOURS(1);
	CU_ASSERT_EQUAL(accounts_run(&fixture, say_who, NULL), 0);
	CU_ASSERT_EQUAL(accounts_run(&fixture, keep_together, NULL), 0);
	CU_ASSERT_EQUAL(accounts_run(&fixture, purge, NULL), 0);
	accounts_close(&fixture);
}
