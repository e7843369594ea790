/*
 * The application that the drills break: each acknowledged POST /v1/entries is a row and a job, and each run of the job
 * leaves rows behind, so that what was lost or run twice can be counted from outside.
 */
#include <prong/prong.h>

struct entry {
	prong_uuid id;
	int32_t work_ms;
};

PRONG_SCHEMA(entry, PRONG_FIELD(entry, id, .required = true),
	     PRONG_FIELD(entry, work_ms, .range = PRONG_RANGE(0, 60000)));

static int record(struct prong_ctx *ctx, const struct entry *entry, const char *step)
{
	return prong_exec(ctx, "INSERT INTO steps (entry_id, attempt, step) VALUES ($1, $2, $3)", entry->id,
			  prong_job_attempt(ctx), step);
}

static int process_entry(struct prong_ctx *ctx)
{
	const struct entry *entry = prong_payload(ctx, entry);
	int r;

	r = record(ctx, entry, "begun");
	if (r < 0)
		return r;
	r = prong_exec(ctx, "SELECT pg_sleep($1::float8 / 1000)", entry->work_ms);
	if (r < 0)
		return r;
	return record(ctx, entry, "done");
}
PRONG_JOB(process_entry, .payload = &entry_schema, .queue = "entries", .max_backoff = PRONG_SECONDS(1));

static int create_entry(struct prong_ctx *ctx)
{
	const struct entry *in = prong_body(ctx, entry);
	int r;

	r = prong_exec(ctx, "INSERT INTO entries (id) VALUES ($1) ON CONFLICT DO NOTHING", in->id);
	if (r < 0)
		return r;
	r = prong_enqueue(ctx, process_entry, in);
	if (r < 0)
		return r;
	return prong_reply_empty(ctx, 204);
}

static int get_nothing(struct prong_ctx *ctx)
{
	return prong_reply_empty(ctx, 204);
}

static const struct prong_route routes[] = {
	{ PRONG_POST, "/v1/entries", create_entry, .body = &entry_schema,
	  .summary = "Record an entry and enqueue its job" },
	{ PRONG_GET, "/v1/nothing", get_nothing, .summary = "Needs neither PostgreSQL nor Redis" },
	{},
};

int main(int argc, char *argv[])
{
	return prong_main(argc, argv,
			  &(struct prong_app){
				  .name = "drill",
				  .version = "1",
				  .routes = routes,
				  .jobs = PRONG_JOBS(&process_entry_job),
			  });
}
