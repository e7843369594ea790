/* An application whose jobs crash, block and grow as they are told, and note each start in PostgreSQL before they do.
 */
#include <prong/prong.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct order {
	prong_uuid id;
	const char *what;
};

PRONG_SCHEMA(order, PRONG_FIELD(order, id, .required = true), PRONG_FIELD(order, what, .required = true));

static int *volatile nowhere = (int *)8;

static int write_nowhere(void *argument)
{
	(void)argument;
	*nowhere = 1;
	return 0;
}

/* Keeps what it takes. */
static void grow(void)
{
	const size_t size = 256 << 20;
	static char *volatile kept;

	kept = malloc(size);
	memset(kept, 1, size);
}

static int misbehave(struct prong_ctx *ctx, const char *what)
{
	if (strcmp(what, "crash") == 0)
		return write_nowhere(NULL);
	if (strcmp(what, "crash-on-thread") == 0)
		return prong_compute(ctx, write_nowhere, NULL);
	if (strcmp(what, "leave") == 0)
		_exit(0);
	if (strcmp(what, "grow") == 0)
		grow();
	while (strcmp(what, "block") == 0)
		pause();
	return 0;
}

/* As an innocent would while others misbehave, until the test lets it end. */
static int wait_for_release(struct prong_ctx *ctx)
{
	int r;

	do {
		r = prong_exec(ctx, "SELECT pg_sleep(0.05)");
		if (r >= 0)
			r = prong_exec(ctx, "SELECT 1 FROM released");
	} while (r == 0);
	return r;
}

static int obey(struct prong_ctx *ctx)
{
	const struct order *order = prong_payload(ctx, order);
	int r = prong_exec(ctx, "INSERT INTO starts (id, attempt) VALUES ($1, $2)", order->id, prong_job_attempt(ctx));

	if (r >= 0)
		r = strcmp(order->what, "wait") == 0 ? wait_for_release(ctx) : misbehave(ctx, order->what);
	if (r >= 0)
		r = prong_exec(ctx, "INSERT INTO ends (id) VALUES ($1)", order->id);
	return r < 0 ? r : 0;
}
PRONG_JOB(obey, .payload = &order_schema, .queue = "orders", .timeout = PRONG_MINUTES(5),
	  .backoff = PRONG_MILLISECONDS(10), .max_backoff = PRONG_MILLISECONDS(100));

static int give_order(struct prong_ctx *ctx)
{
	int r = prong_enqueue(ctx, obey, prong_body(ctx, order));

	return r < 0 ? r : prong_reply_empty(ctx, 204);
}

static const struct prong_route routes[] = {
	{ PRONG_POST, "/v1/orders", give_order, .body = &order_schema, .summary = "Have a job misbehave" },
	{},
};

int main(int argc, char *argv[])
{
	return prong_main(argc, argv,
			  &(struct prong_app){
				  .name = "crashes", .version = "1", .routes = routes, .jobs = PRONG_JOBS(&obey_job) });
}
