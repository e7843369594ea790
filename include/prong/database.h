/*
 * PostgreSQL. Parameters are $1, $2 … in the SQL and plain C values after it; their types follow from C (_Generic), the
 * server infers the rest. Never put values into the SQL text: statements are prepared once per connection by their
 * text.
 *
 *     r = prong_query_one(ctx, note, &note, "SELECT * FROM notes WHERE id = $1", id);
 *
 * A parameter is a bool, an integer that int64_t holds, a double, a char * (NULL is SQL NULL), or a prong_… value: of
 * prong_opt_… an absent one is SQL NULL too. NULL itself has no type: write (char *)NULL. An enum is no parameter, for
 * its number is not what a column holds: pass its name. Arrays and nested records go in by prong_to_json().
 *
 * Rows are bound to records by column name: a field without a column stays empty, a column without a field is ignored,
 * a NULL in a member that cannot be absent is an error of the program and answers 500. Nested records and arrays read
 * json or jsonb columns. All strings live in the context's memory.
 *
 * Every call here but prong_rollback() suspends. Errors, each answered as shown when a handler returns it:
 *     -ENOENT      prong_query_one: no row (404)
 *     -EEXIST      unique or exclusion constraint (409)
 *     -EINVAL      the server refuses a value: out of range, malformed, check, not-null or foreign key constraint (422)
 *     -EAGAIN      serialization failure, deadlock, or a lock not free in time (outside transactions: one second):
 *                  run it again (503 + Retry-After)
 *     -EHOSTDOWN   the server cannot be reached, or no connection came free in time (503 + Retry-After). The
 *                  statement may have been executed if the connection was lost after it was sent.
 *     -ETIMEDOUT   the context's deadline or the setting DATABASE_TIMEOUT passed; the server ends the statement (504)
 *     -ECANCELED   the client has gone or the job was cancelled
 *     -EIO         any other error: wrong SQL, missing table (500, details only in the log)
 */
#ifndef PRONG_DATABASE_H
#define PRONG_DATABASE_H

#include <prong/context.h>
#include <prong/schema.h>

#pragma GCC visibility push(default)

/* Runs a statement; returns the number of rows it affected or returned. */
#define prong_exec(ctx, sql, ...) prong_database_exec((ctx), (sql), PRONG_PARAMETERS(__VA_ARGS__))

/* Reads the first row into a new record; -ENOENT when there is none. `ret_record` is untouched on failure. */
#define prong_query_one(ctx, type, ret_record, sql, ...)                                                  \
	prong_database_query_one((ctx), &type##_schema, (void **)(struct type **){ (ret_record) }, (sql), \
				 PRONG_PARAMETERS(__VA_ARGS__))

/* Reads all rows into an array of records; returns 0. */
#define prong_query(ctx, type, ret_records, ret_count, sql, ...)                                                    \
	prong_database_query((ctx), &type##_schema, (void **)(struct type **){ (ret_records) }, (ret_count), (sql), \
			     PRONG_PARAMETERS(__VA_ARGS__))

/*
 * A record as JSON, as its schema says, to be a parameter of type json or jsonb. Every field is in it, write-only ones
 * too; enums are their names. Does not suspend. With it PostgreSQL takes a record whole:
 *
 *     r = prong_query_one(ctx, note, &note,
 *             "INSERT INTO notes (owner_id, title, tags) SELECT $1, title, tags "
 *             "FROM jsonb_populate_record(NULL::notes, $2) RETURNING *",
 *             prong_account_id(ctx), prong_to_json(ctx, note, in));
 */
#define prong_to_json(ctx, type, record) prong_record_to_json((ctx), &type##_schema, (const struct type *){ (record) })

/*
 * A transaction: between prong_begin() and prong_commit() or prong_rollback(), every statement of this context runs on
 * one connection of its own. A handler that returns without committing rolls back. After an error inside a transaction
 * every call but prong_rollback() returns -EIO, as PostgreSQL itself would. If prong_commit() returns -EHOSTDOWN, it is
 * unknown whether the transaction was committed.
 */
int prong_begin(struct prong_ctx *ctx);
int prong_commit(struct prong_ctx *ctx);
void prong_rollback(struct prong_ctx *ctx);

/* One parameter. Made by PRONG_PARAMETERS from a C value; strings are borrowed until the call returns. */
struct prong_parameter {
	enum prong_kind kind; /* 0 is SQL NULL */
	union {
		bool boolean;
		int64_t integer;
		double real;
		const char *text;
		prong_uuid uuid;
		prong_time time;
	};
};

struct prong_parameters {
	size_t count;
	const struct prong_parameter *items;
};

int prong_database_exec(struct prong_ctx *ctx, const char *sql, struct prong_parameters parameters);
int prong_database_query_one(struct prong_ctx *ctx, const struct prong_schema *schema, void **ret_record,
			     const char *sql, struct prong_parameters parameters);
int prong_database_query(struct prong_ctx *ctx, const struct prong_schema *schema, void **ret_records,
			 size_t *ret_count, const char *sql, struct prong_parameters parameters);
prong_json prong_record_to_json(struct prong_ctx *ctx, const struct prong_schema *schema, const void *record);

static inline struct prong_parameter prong_parameter_bool(bool value)
{
	return (struct prong_parameter){ .kind = PRONG_KIND_BOOL, .boolean = value };
}
static inline struct prong_parameter prong_parameter_integer(int64_t value)
{
	return (struct prong_parameter){ .kind = PRONG_KIND_INT64, .integer = value };
}
static inline struct prong_parameter prong_parameter_double(double value)
{
	return (struct prong_parameter){ .kind = PRONG_KIND_DOUBLE, .real = value };
}
static inline struct prong_parameter prong_parameter_string(const char *value)
{
	return (struct prong_parameter){ .kind = value ? PRONG_KIND_STRING : 0, .text = value };
}
static inline struct prong_parameter prong_parameter_uuid(prong_uuid value)
{
	return (struct prong_parameter){ .kind = PRONG_KIND_UUID, .uuid = value };
}
static inline struct prong_parameter prong_parameter_time(prong_time value)
{
	return (struct prong_parameter){ .kind = PRONG_KIND_TIME, .time = value };
}
static inline struct prong_parameter prong_parameter_json(prong_json value)
{
	return prong_parameter_string(value.text);
}
static inline struct prong_parameter prong_parameter_opt_bool(prong_opt_bool value)
{
	return value.set ? prong_parameter_bool(value.value) : (struct prong_parameter){ 0 };
}
static inline struct prong_parameter prong_parameter_opt_int32(prong_opt_int32 value)
{
	return value.set ? prong_parameter_integer(value.value) : (struct prong_parameter){ 0 };
}
static inline struct prong_parameter prong_parameter_opt_int64(prong_opt_int64 value)
{
	return value.set ? prong_parameter_integer(value.value) : (struct prong_parameter){ 0 };
}
static inline struct prong_parameter prong_parameter_opt_double(prong_opt_double value)
{
	return value.set ? prong_parameter_double(value.value) : (struct prong_parameter){ 0 };
}
static inline struct prong_parameter prong_parameter_opt_uuid(prong_opt_uuid value)
{
	return value.set ? prong_parameter_uuid(value.value) : (struct prong_parameter){ 0 };
}
static inline struct prong_parameter prong_parameter_opt_time(prong_opt_time value)
{
	return value.set ? prong_parameter_time(value.value) : (struct prong_parameter){ 0 };
}

/* clang-format off */
#define PRONG_PARAMETER(value) _Generic((value),                \
	bool: prong_parameter_bool,                             \
	int: prong_parameter_integer,                           \
	long: prong_parameter_integer,                          \
	long long: prong_parameter_integer,                     \
	double: prong_parameter_double,                         \
	char *: prong_parameter_string,                         \
	const char *: prong_parameter_string,                   \
	prong_uuid: prong_parameter_uuid,                       \
	prong_time: prong_parameter_time,                       \
	prong_json: prong_parameter_json,                       \
	prong_opt_bool: prong_parameter_opt_bool,               \
	prong_opt_int32: prong_parameter_opt_int32,             \
	prong_opt_int64: prong_parameter_opt_int64,             \
	prong_opt_double: prong_parameter_opt_double,           \
	prong_opt_uuid: prong_parameter_opt_uuid,               \
	prong_opt_time: prong_parameter_opt_time)(value)

/* Up to 32 values, each turned into a struct prong_parameter. */
#define PRONG_PARAMETERS(...)                                                                                   \
	((struct prong_parameters){                                                                             \
		.count = sizeof((struct prong_parameter[]){ {0}, PRONG_MAP(PRONG_PARAMETER, __VA_ARGS__) }) /   \
			 sizeof(struct prong_parameter) - 1,                                                    \
		.items = (const struct prong_parameter[]){ {0}, PRONG_MAP(PRONG_PARAMETER, __VA_ARGS__) } + 1 })

#define PRONG_MAP(f, ...) __VA_OPT__(PRONG_EXPAND(PRONG_MAP_1(f, __VA_ARGS__)))
#define PRONG_MAP_1(f, value, ...) f(value), __VA_OPT__(PRONG_MAP_AGAIN PRONG_PARENTHESES (f, __VA_ARGS__))
#define PRONG_MAP_AGAIN() PRONG_MAP_1
#define PRONG_PARENTHESES ()
#define PRONG_EXPAND(...) PRONG_EXPAND_4(PRONG_EXPAND_4(PRONG_EXPAND_4(__VA_ARGS__)))
#define PRONG_EXPAND_4(...) PRONG_EXPAND_3(PRONG_EXPAND_3(PRONG_EXPAND_3(__VA_ARGS__)))
#define PRONG_EXPAND_3(...) PRONG_EXPAND_2(PRONG_EXPAND_2(PRONG_EXPAND_2(__VA_ARGS__)))
#define PRONG_EXPAND_2(...) __VA_ARGS__
/* clang-format on */

#pragma GCC visibility pop

#endif
