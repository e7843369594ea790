#include "common/postgres/error.h"

#include "common/basics.h"
#include "common/log.h"

/* By SQLSTATE, whole or its class; the first match counts. */
static const struct {
	const char *prefix;
	int meaning;
} meanings[] = {
	{ "23505", -EEXIST },	 { "23P01", -EEXIST },	  { "23001", -EINVAL },	   { "23502", -EINVAL },
	{ "23503", -EINVAL },	 { "23514", -EINVAL },	  { "22", -EINVAL },	   { "54000", -EINVAL },
	{ "40001", -EAGAIN },	 { "40P01", -EAGAIN },	  { "55P03", -EAGAIN },	   { "57014", -ETIMEDOUT },
	{ "57P01", -EHOSTDOWN }, { "57P02", -EHOSTDOWN }, { "57P03", -EHOSTDOWN }, { "08", -EHOSTDOWN },
	{ "53300", -EHOSTDOWN },
};

static const char *sqlstate_of(const PGresult *result)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	return sqlstate ? sqlstate : "";
}

int error_meaning(const PGresult *result)
{
	const char *sqlstate = sqlstate_of(result);

	for (size_t i = 0; i < ARRAY_SIZE(meanings); i++)
		if (strncmp(sqlstate, meanings[i].prefix, strlen(meanings[i].prefix)) == 0)
			return meanings[i].meaning;
	return -EIO;
}

void error_log(struct prong_ctx *ctx, const PGresult *result, int meaning, const char *sql)
{
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	const char *sqlstate = sqlstate_of(result);

	if (!message)
		message = PQresultErrorMessage(result);
	/* The message of the others may quote a value. */
	if (meaning != -EIO)
		log_debug("SQL failed: SQLSTATE %s: %s", sqlstate, sql);
	else if (ctx)
		prong_log(ctx, PRONG_LOG_ERROR, "SQL failed: %s (SQLSTATE %s): %s", message, sqlstate, sql);
	else
		log_error("SQL failed: %s (SQLSTATE %s): %s", message, sqlstate, sql);
}

bool error_is_unprepared(const PGresult *result)
{
	return string_equal(sqlstate_of(result), "26000");
}

bool error_is_prepared_already(const PGresult *result)
{
	return string_equal(sqlstate_of(result), "42P05");
}

bool error_is_plan_changed(const PGresult *result)
{
	/* 0A000 is any unsupported feature; the function that raises it tells this one apart in every language. */
	const char *function = PQresultErrorField(result, PG_DIAG_SOURCE_FUNCTION);

	return string_equal(sqlstate_of(result), "0A000") && function &&
	       string_equal(function, "RevalidateCachedQuery");
}
