#include "common/jobs/outbox.h"

#include "common/context.h"
#include "common/postgres/listen.h"

#define STATEMENT_BYTES (8 * 1024 * 1024) /* of one statement's rows, beyond a single large one */

/* ---- adding ---- */

static void add_member(struct buffer *rows, const char *name, const char *text)
{
	buffer_add_format(rows, ",\"%s\":", name);
	buffer_add_json_string(rows, text, strlen(text));
}

static void add_row(struct buffer *rows, const struct job_draft *draft)
{
	const struct prong_enqueue_options *options = &draft->options;
	char id[PRONG_UUID_TEXT_SIZE], due[PRONG_TIME_TEXT_SIZE];
	struct buffer record = { 0 };

	buffer_add_string(rows, rows->size ? "," : "[");
	buffer_add_format(rows, "{\"id\":\"%s\"", prong_uuid_format(draft->id, id));
	add_member(rows, "queue", job_queue_name(draft->job));
	add_member(rows, "job", draft->job->name);
	if (options->at.us)
		add_member(rows, "due", prong_time_format(options->at, due));
	else if (options->delay)
		buffer_add_format(rows, ",\"delay\":%lld", (long long)options->delay);
	job_record_write(draft, &record);
	add_member(rows, "record", buffer_text(&record));
	buffer_add_char(rows, '}');
	buffer_free(&record);
}

static int insert(struct prong_ctx *ctx, struct buffer *rows)
{
	int r;

	buffer_add_char(rows, ']');
	r = prong_exec(ctx,
		       "INSERT INTO prong_outbox (id, queue, job, due, record)"
		       " SELECT id, queue, job,"
		       " coalesce(due, clock_timestamp() + delay * interval '1 microsecond'), record"
		       " FROM json_to_recordset($1::json)"
		       " AS row (id uuid, queue text, job text, due timestamptz, delay bigint, record text)",
		       buffer_text(rows));
	buffer_free(rows);
	return r < 0 ? r : 0;
}

static int insert_all(struct prong_ctx *ctx, const struct job_draft *drafts, size_t count)
{
	struct buffer rows = { 0 };
	int r = 0;

	for (size_t i = 0; i < count && r == 0; i++) {
		add_row(&rows, &drafts[i]);
		if (rows.size >= STATEMENT_BYTES || i + 1 == count)
			r = insert(ctx, &rows);
	}
	return r;
}

static size_t size_of_payloads(const struct job_draft *drafts, size_t count)
{
	size_t size = 0;

	for (size_t i = 0; i < count; i++)
		size += drafts[i].payload_size;
	return size;
}

/* Too much for one statement: several, which become true together. */
static int insert_in_transaction(struct prong_ctx *ctx, const struct job_draft *drafts, size_t count)
{
	int r = prong_begin(ctx);

	if (r == 0)
		r = insert_all(ctx, drafts, count);
	if (r == 0)
		r = prong_commit(ctx);
	if (r < 0)
		prong_rollback(ctx);
	return r;
}

int outbox_add(struct prong_ctx *ctx, const struct job_draft *drafts, size_t count)
{
	int r;

	check(ctx->runtime->postgres);
	if (count > 1 && !ctx->transaction && size_of_payloads(drafts, count) > STATEMENT_BYTES / 4)
		r = insert_in_transaction(ctx, drafts, count);
	else
		r = insert_all(ctx, drafts, count);
	if (r == 0)
		postgres_notify(ctx, OUTBOX_CHANNEL);
	return r;
}

/* ---- what becomes of them ---- */

int outbox_finish(struct prong_ctx *ctx, const char *const ids[], size_t count)
{
	return prong_exec(ctx, "DELETE FROM prong_outbox WHERE id = ANY ($1::uuid[])", postgres_array(ctx, ids, count));
}

int outbox_bury(struct prong_ctx *ctx, const char *id, const char *error)
{
	int r = prong_exec(ctx, "UPDATE prong_outbox SET dead_at = now(), error = $2 WHERE id = $1", id, error);

	return r < 0 ? r : 0;
}

int outbox_revive(struct prong_ctx *ctx, const char *const ids[], size_t count)
{
	int r = prong_exec(ctx,
			   "UPDATE prong_outbox SET dead_at = NULL, error = NULL, relayed_at = NULL"
			   " WHERE id = ANY ($1::uuid[]) AND dead_at IS NOT NULL",
			   postgres_array(ctx, ids, count));

	if (r > 0)
		postgres_notify(ctx, OUTBOX_CHANNEL);
	return r;
}
