/* An application whose job runs in a process of its own, blocks there, and crashes when it is told to. */
#include <prong/prong.h>

#include <stdlib.h>
#include <unistd.h>

struct entry {
	prong_uuid id;
	int32_t work_ms;
	bool crashes;
};
PRONG_SCHEMA(entry, PRONG_FIELD(entry, id, .required = true),
	     PRONG_FIELD(entry, work_ms, .range = PRONG_RANGE(0, 60000)), PRONG_FIELD(entry, crashes));

static int record(struct prong_ctx *ctx, const struct entry *entry, const char *step)
{
	return prong_exec(ctx, "INSERT INTO steps (entry_id, attempt, step) VALUES ($1, $2, $3)", entry->id,
			  prong_job_attempt(ctx), step);
}

static int follow(struct prong_ctx *ctx)
{
	return record(ctx, prong_payload(ctx, entry), "followed");
}
PRONG_JOB(follow, .payload = &entry_schema, .queue = "after");

static int run_apart(struct prong_ctx *ctx)
{
	const struct entry *entry = prong_payload(ctx, entry);
	int r = record(ctx, entry, "begun");

	if (r < 0)
		return r;
	if (entry->crashes)
		abort();
	usleep((useconds_t)entry->work_ms * 1000);
	r = record(ctx, entry, "done");
	return r < 0 ? r : prong_enqueue(ctx, follow, entry);
}
PRONG_JOB(run_apart, .payload = &entry_schema, .queue = "apart", .isolation = PRONG_PROCESS, .max_crashes = 2,
	  .backoff = PRONG_MILLISECONDS(10), .timeout = PRONG_SECONDS(20));

static int create_entry(struct prong_ctx *ctx)
{
	int r = prong_enqueue(ctx, run_apart, prong_body(ctx, entry));

	return r < 0 ? r : prong_reply_empty(ctx, 204);
}

static const struct prong_route routes[] = {
	{ PRONG_POST, "/v1/entries", create_entry, .body = &entry_schema, .summary = "Have it run apart" },
	{},
};

int main(int argc, char *argv[])
{
	return prong_main(argc, argv,
			  &(struct prong_app){
				  .name = "isolated",
				  .version = "1",
				  .routes = routes,
				  .jobs = PRONG_JOBS(&run_apart_job, &follow_job),
			  });
}
