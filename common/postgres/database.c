/* What include/prong/database.h promises, transactions aside. */
#include "common/context.h"
#include "common/postgres/postgres.h"
#include "common/postgres/statement.h"
#include "common/schema/schema.h"

static void result_clearp(PGresult **result)
{
	PQclear(*result);
}

/* A struct postgres_result is a PGresult by another name, so that callers need no libpq. */
size_t postgres_result_rows(const struct postgres_result *result)
{
	return (size_t)PQntuples((const PGresult *)result);
}

const char *postgres_result_text(const struct postgres_result *result, size_t row, size_t column)
{
	if (PQgetisnull((const PGresult *)result, (int)row, (int)column))
		return NULL;
	return PQgetvalue((const PGresult *)result, (int)row, (int)column);
}

struct postgres_result *postgres_result_free(struct postgres_result *result)
{
	PQclear((PGresult *)result);
	return NULL;
}

void postgres_result_freep(struct postgres_result **result)
{
	postgres_result_free(*result);
}

int postgres_run(struct prong_ctx *ctx, const char *sql, struct prong_parameters parameters,
		 struct postgres_result **ret_result)
{
	PGresult *result;
	int r = statement_run(ctx->runtime->postgres, ctx, sql, parameters, INT64_MAX, &result);

	if (r < 0)
		return r;
	if (ret_result)
		*ret_result = (struct postgres_result *)result;
	else
		PQclear(result);
	return 0;
}

const char *postgres_array(struct prong_ctx *ctx, const char *const texts[], size_t count)
{
	struct buffer literal = { 0 };
	const char *copy;

	buffer_add_char(&literal, '{');
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			buffer_add_char(&literal, ',');
		buffer_add_string(&literal, texts[i]);
	}
	buffer_add_char(&literal, '}');
	copy = arena_strndup(&ctx->arena, literal.data, literal.size);
	buffer_free(&literal);
	return copy;
}

int prong_database_exec(struct prong_ctx *ctx, const char *sql, struct prong_parameters parameters)
{
	_cleanup_(result_clearp) PGresult *result = NULL;
	int r = statement_run(ctx->runtime->postgres, ctx, sql, parameters, INT64_MAX, &result);
	long long rows;

	if (r < 0)
		return r;
	rows = atoll(PQcmdTuples(result));
	return rows > INT32_MAX ? INT32_MAX : (int)rows;
}

/* The field of each column; NULL where there is none. Columns mostly come in the order of the fields. */
static const struct prong_field **match_columns(struct prong_ctx *ctx, const struct prong_schema *schema,
						const PGresult *result)
{
	size_t count = (size_t)PQnfields(result);
	const struct prong_field **fields = arena_alloc(&ctx->arena, count * sizeof(*fields));

	for (size_t i = 0; i < count; i++) {
		const char *name = PQfname(result, (int)i);

		if (i < schema->n_fields && string_equal(schema->fields[i].name, name))
			fields[i] = &schema->fields[i];
		else
			fields[i] = schema_field(schema, name, strlen(name));
	}
	return fields;
}

static int bind_row(struct prong_ctx *ctx, const struct prong_schema *schema, const struct prong_field *const *fields,
		    const PGresult *result, int row, const char *sql, void *record)
{
	int n_columns = PQnfields(result);

	for (int i = 0; i < n_columns; i++) {
		bool null = PQgetisnull(result, row, i);
		const char *text = null ? NULL : PQgetvalue(result, row, i);
		size_t size = null ? 0 : (size_t)PQgetlength(result, row, i);

		if (!fields[i] || schema_bind_column(fields[i], text, size, &ctx->arena, record) == 0)
			continue;
		prong_log(ctx, PRONG_LOG_ERROR, "SQL result: %s in column \"%s\" does not fit field %s.%s: %s",
			  null ? "NULL" : "the value", PQfname(result, i), schema->name, fields[i]->name, sql);
		return -EIO;
	}
	return 0;
}

int prong_database_query(struct prong_ctx *ctx, const struct prong_schema *schema, void **ret_records,
			 size_t *ret_count, const char *sql, struct prong_parameters parameters)
{
	_cleanup_(result_clearp) PGresult *result = NULL;
	int r = statement_run(ctx->runtime->postgres, ctx, sql, parameters, INT64_MAX, &result);
	const struct prong_field **fields;
	char *records;
	int count;

	if (r < 0)
		return r;
	count = PQntuples(result);
	fields = match_columns(ctx, schema, result);
	records = arena_alloc(&ctx->arena, (size_t)count * schema->size);
	for (int i = 0; i < count; i++) {
		r = bind_row(ctx, schema, fields, result, i, sql, records + (size_t)i * schema->size);
		if (r < 0)
			return r;
	}
	*ret_records = records;
	*ret_count = (size_t)count;
	return 0;
}

int prong_database_query_one(struct prong_ctx *ctx, const struct prong_schema *schema, void **ret_record,
			     const char *sql, struct prong_parameters parameters)
{
	_cleanup_(result_clearp) PGresult *result = NULL;
	int r = statement_run(ctx->runtime->postgres, ctx, sql, parameters, INT64_MAX, &result);
	void *record;

	if (r < 0)
		return r;
	if (PQntuples(result) == 0)
		return -ENOENT;
	record = arena_alloc(&ctx->arena, schema->size);
	r = bind_row(ctx, schema, match_columns(ctx, schema, result), result, 0, sql, record);
	if (r < 0)
		return r;
	*ret_record = record;
	return 0;
}

prong_json prong_record_to_json(struct prong_ctx *ctx, const struct prong_schema *schema, const void *record)
{
	struct buffer json = { 0 };
	prong_json result;

	check(record);
	schema_write_json(schema, SCHEMA_PAYLOAD, record, &json);
	result.text = prong_strdup(ctx, buffer_text(&json));
	buffer_free(&json);
	return result;
}
