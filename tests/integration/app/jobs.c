/* An application with jobs, for test_jobs_cli.py. What a job does, its payload says. */
#include <prong/prong.h>

struct task {
	const char *text;
	const char *fail; /* the code of its error, for good */
	prong_opt_bool forever;
	const char *password;
};
PRONG_SCHEMA(task, PRONG_FIELD(task, text, .required = true, .max_length = 10), PRONG_FIELD(task, fail),
	     PRONG_FIELD(task, forever), PRONG_FIELD(task, password, .secret = true));

struct outcome {
	const char *text;
	const char *token;
};
PRONG_SCHEMA(outcome, PRONG_FIELD(outcome, text), PRONG_FIELD(outcome, token, .secret = true));

static int work(struct prong_ctx *ctx)
{
	const struct task *task = prong_payload(ctx, task);
	struct outcome outcome = { task->text, "not to be seen" };

	prong_progress(ctx, 1, 3);
	prong_job_log(ctx, "a line of %s", task->text);
	if (task->forever.set)
		return prong_exec(ctx, "SELECT pg_sleep(3600)");
	if (task->fail)
		return prong_fail_for_good(ctx, task->fail, "It shall fail.");
	return prong_result(ctx, outcome, &outcome);
}
PRONG_JOB(work, .payload = &task_schema, .result = &outcome_schema, .queue = "work", .timeout = PRONG_HOURS(2));

static int nothing(struct prong_ctx *ctx)
{
	return prong_job_attempt(ctx) > 0 ? 0 : -EINVAL;
}
PRONG_JOB(nothing, .queue = "idle");

static const struct prong_job kept_job = { .name = "kept", .run = nothing, .queue = "work", .durable = true };

PRONG_QUEUE(work, .rank = 1, .weight = 2, .concurrency = 10, .rate = { 1000, PRONG_SECONDS(1) }, .key_concurrency = 3,
	    .key_rate = { 500, PRONG_MILLISECONDS(1500) }, .shards = 2, .max_bytes = 10000);

int main(int argc, char *argv[])
{
	return prong_main(argc, argv,
			  &(struct prong_app){
				  .name = "jobs",
				  .version = "1",
				  .jobs = PRONG_JOBS(&work_job, &nothing_job, &kept_job),
				  .queues = PRONG_QUEUES(&work_queue),
			  });
}
