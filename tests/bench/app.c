/*
 * The application that the bench measures: a small JSON reply, one row of PostgreSQL by its key, jobs that do nothing
 * and jobs that tell how long they waited.
 */
#include <fcntl.h>
#include <prong/prong.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct greeting {
	const char *message;
};

PRONG_SCHEMA(greeting, PRONG_FIELD(greeting, message));

static int get_json(struct prong_ctx *ctx)
{
	return prong_reply(ctx, 200, greeting, &(struct greeting){ .message = "hello" });
}

struct row {
	int32_t id;
	const char *title;
	const char *body;
};

PRONG_SCHEMA(row, PRONG_FIELD(row, id), PRONG_FIELD(row, title), PRONG_FIELD(row, body));

static int get_row(struct prong_ctx *ctx)
{
	struct row *row;
	int r;

	r = prong_query_one(ctx, row, &row, "SELECT id, title, body FROM bench WHERE id = $1", prong_path(ctx, "id"));
	if (r < 0)
		return r;
	return prong_reply(ctx, 200, row, row);
}

/* ---- jobs ---- */

struct load {
	int64_t at; /* when it was enqueued, µs of CLOCK_MONOTONIC */
	const char *data;
};

PRONG_SCHEMA(load, PRONG_FIELD(load, at), PRONG_FIELD(load, data, .required = true));

static int64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* A number from the bench; 0 where it gave none. */
static long number(const char *name)
{
	const char *text = getenv(name);

	return text ? atol(text) : 0;
}

static int note(const char *text, size_t size)
{
	int fd = open(getenv("BENCH_LEDGER"), O_WRONLY | O_APPEND | O_CLOEXEC);
	ssize_t written = fd < 0 ? -1 : write(fd, text, size);

	if (fd >= 0)
		close(fd);
	return written == (ssize_t)size ? 0 : -EIO;
}

/* Notes when the first began and each BENCH_STEP-th ran. */
static int no_op(struct prong_ctx *ctx)
{
	static long step, count;

	if (!step)
		step = number("BENCH_STEP");
	if (++count > 1 && count % step)
		return 0;
	const char *line = prong_format(ctx, "%ld %lld\n", count, (long long)now_us());
	return note(line, strlen(line));
}
PRONG_JOB(no_op, .payload = &load_schema, .queue = "bench");

/* Notes all latencies, µs, once there are BENCH_LATENCIES of them. */
static int measure(struct prong_ctx *ctx)
{
	static long wanted, count;
	static int64_t *latencies;
	int64_t latency = now_us() - prong_payload(ctx, load)->at;

	if (!latencies) {
		wanted = number("BENCH_LATENCIES");
		latencies = calloc((size_t)wanted, sizeof(*latencies));
	}
	latencies[count++] = latency;
	if (count < wanted)
		return 0;
	char *text = prong_alloc(ctx, (size_t)count * 21 + 1);
	size_t size = 0;
	for (long i = 0; i < count; i++)
		size += (size_t)sprintf(text + size, "%lld\n", (long long)latencies[i]);
	return note(text, size);
}
PRONG_JOB(measure, .payload = &load_schema, .queue = "bench");

static struct load load(struct prong_ctx *ctx, int64_t at)
{
	char *data = prong_alloc(ctx, 1001);

	memset(data, 'x', 1000);
	return (struct load){ .at = at, .data = data };
}

static int post_jobs(struct prong_ctx *ctx)
{
	struct load payloads[1000];
	size_t count = strtoul(prong_path(ctx, "count"), NULL, 10);
	int r;

	payloads[0] = load(ctx, 0);
	for (size_t i = 1; i < 1000; i++)
		payloads[i] = payloads[0];
	for (size_t batch; count > 0; count -= batch) {
		batch = count < 1000 ? count : 1000;
		r = prong_enqueue_many(ctx, no_op, payloads, batch, NULL);
		if (r < 0)
			return r;
	}
	return prong_reply_empty(ctx, 204);
}

static int post_latency(struct prong_ctx *ctx)
{
	struct load payload = load(ctx, now_us());
	int r = prong_enqueue(ctx, measure, &payload);

	if (r < 0)
		return r;
	return prong_reply_empty(ctx, 204);
}

static const struct prong_route routes[] = {
	{ PRONG_GET, "/json", get_json, .reply = &greeting_schema, .summary = "A small JSON reply" },
	{ PRONG_GET, "/row/{id}", get_row, .reply = &row_schema, .summary = "One row by its key" },
	{ PRONG_POST, "/jobs/{count}", post_jobs, .summary = "Enqueue jobs that do nothing" },
	{ PRONG_POST, "/latency", post_latency, .summary = "Enqueue a job that tells how long it waited" },
	{},
};

int main(int argc, char *argv[])
{
	return prong_main(argc, argv,
			  &(struct prong_app){
				  .name = "bench",
				  .version = "1",
				  .routes = routes,
				  .jobs = PRONG_JOBS(&no_op_job, &measure_job),
			  });
}
