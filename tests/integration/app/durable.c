/*
 * An application with durable jobs. Each leaves a row behind whenever it runs, and a job of the queue "money" moves one
 * coin besides, exactly once: the sum of the purses tells whether it did.
 */
#include <prong/prong.h>

#define PURSES 16
#define MAX_BATCH 5000

struct errand {
	int32_t number;
	int32_t work_ms; /* in the middle of its transaction */
};
PRONG_SCHEMA(errand, PRONG_FIELD(errand, number), PRONG_FIELD(errand, work_ms));

static int leave_trace(struct prong_ctx *ctx, const struct errand *errand)
{
	return prong_exec(ctx, "INSERT INTO runs (job, number, attempt) VALUES ($1, $2, $3)", prong_job_id(ctx),
			  errand->number, prong_job_attempt(ctx));
}

static int move_coin(struct prong_ctx *ctx)
{
	const struct errand *errand = prong_payload(ctx, errand);
	int r = leave_trace(ctx, errand);

	if (r >= 0)
		r = prong_begin(ctx);
	if (r >= 0)
		r = prong_exec(ctx, "INSERT INTO moves (number) VALUES ($1)", errand->number);
	if (r >= 0 && errand->work_ms > 0)
		r = prong_exec(ctx, "SELECT pg_sleep($1::float8 / 1000)", errand->work_ms);
	if (r >= 0)
		r = prong_exec(ctx, "UPDATE purses SET coins = coins + 1 WHERE id = $1", errand->number % PURSES);
	if (r >= 0)
		r = prong_job_done(ctx);
	return r < 0 ? r : prong_commit(ctx);
}
PRONG_JOB(move_coin, .payload = &errand_schema, .queue = "money", .durable = true, .max_attempts = 100,
	  .max_crashes = 100, .max_backoff = PRONG_SECONDS(1));

static int run_errand(struct prong_ctx *ctx)
{
	return leave_trace(ctx, prong_payload(ctx, errand));
}
PRONG_JOB(run_errand, .payload = &errand_schema, .queue = "errands", .durable = true);

static int fail_errand(struct prong_ctx *ctx)
{
	int r = leave_trace(ctx, prong_payload(ctx, errand));

	return r < 0 ? r : prong_fail(ctx, 500, "broken", "This errand cannot be run.");
}
PRONG_JOB(fail_errand, .payload = &errand_schema, .queue = "errands", .durable = true, .history = true,
	  .max_attempts = 2, .backoff = PRONG_MILLISECONDS(1));

/* `count` jobs with the numbers from `first` on, in one transaction. */
struct order {
	int32_t first, count;
	int32_t delay_ms, work_ms;
	bool roll_back;
};
PRONG_SCHEMA(order, PRONG_FIELD(order, first), PRONG_FIELD(order, count, .range = PRONG_RANGE(1, MAX_BATCH)),
	     PRONG_FIELD(order, delay_ms), PRONG_FIELD(order, work_ms), PRONG_FIELD(order, roll_back));

static int enqueue(struct prong_ctx *ctx, const struct prong_job *job, const struct order *order)
{
	struct errand *errands = prong_alloc(ctx, (size_t)order->count * sizeof(*errands));
	struct prong_enqueue_options *options = prong_alloc(ctx, (size_t)order->count * sizeof(*options));

	for (int i = 0; i < order->count; i++) {
		errands[i] = (struct errand){ .number = order->first + i, .work_ms = order->work_ms };
		options[i].delay = PRONG_MILLISECONDS(order->delay_ms);
	}
	return prong_job_enqueue_many(ctx, job, errands, sizeof(*errands), (size_t)order->count, options);
}

static int take_order(struct prong_ctx *ctx, const struct prong_job *job)
{
	const struct order *order = prong_body(ctx, order);
	int r = prong_begin(ctx);

	if (r >= 0)
		r = prong_exec(ctx, "INSERT INTO orders (first) VALUES ($1)", order->first);
	if (r >= 0)
		r = enqueue(ctx, job, order);
	if (r >= 0 && order->roll_back)
		return prong_fail(ctx, 409, "rolled_back", "As was asked for.");
	if (r >= 0)
		r = prong_commit(ctx);
	return r < 0 ? r : prong_reply_empty(ctx, 204);
}

static int order_coins(struct prong_ctx *ctx)
{
	return take_order(ctx, &move_coin_job);
}

static int order_errands(struct prong_ctx *ctx)
{
	return take_order(ctx, &run_errand_job);
}

static int order_failures(struct prong_ctx *ctx)
{
	return take_order(ctx, &fail_errand_job);
}

static const struct prong_route routes[] = {
	{ PRONG_POST, "/v1/coins", order_coins, .body = &order_schema, .summary = "Move coins" },
	{ PRONG_POST, "/v1/errands", order_errands, .body = &order_schema, .summary = "Run errands" },
	{ PRONG_POST, "/v1/failures", order_failures, .body = &order_schema, .summary = "Fail" },
	{},
};

int main(int argc, char *argv[])
{
	return prong_main(argc, argv,
			  &(struct prong_app){
				  .name = "durable",
				  .version = "1",
				  .routes = routes,
				  .jobs = PRONG_JOBS(&move_coin_job, &run_errand_job, &fail_errand_job),
			  });
}
