/*
 * The application that the drills break. Each acknowledged POST /v1/entries is a row and a job, and each run of the job
 * leaves rows behind; each acknowledged POST /v1/numbers/{kind} is so many jobs, and each run of them leaves lines in
 * the file DRILL_LEDGER: so what was lost or run twice can be counted from outside.
 */
#include <fcntl.h>
#include <prong/prong.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- entries ---- */

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

/* ---- numbers ---- */

struct number {
	int64_t number;
	int32_t work_ms;
};

PRONG_SCHEMA(number, PRONG_FIELD(number, number), PRONG_FIELD(number, work_ms));

/* Appends one line: what happened to this run of the job, where and when. */
static int note(struct prong_ctx *ctx, const char *what)
{
	static int ledger = -1;
	char id[PRONG_UUID_TEXT_SIZE];
	struct timespec now;
	const char *line;

	if (ledger < 0)
		ledger = open(getenv("DRILL_LEDGER"), O_WRONLY | O_APPEND | O_CLOEXEC);
	clock_gettime(CLOCK_MONOTONIC, &now);
	line = prong_format(ctx, "%s %lld %d %d %s %lld\n", what, (long long)prong_payload(ctx, number)->number,
			    prong_job_attempt(ctx), (int)getpid(), prong_uuid_format(prong_job_id(ctx), id),
			    (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
	return write(ledger, line, strlen(line)) == (ssize_t)strlen(line) ? 0 : -EIO;
}

static int work(struct prong_ctx *ctx)
{
	const struct number *number = prong_payload(ctx, number);

	if (!number->work_ms)
		return 0;
	return prong_exec(ctx, "SELECT pg_sleep($1::float8 / 1000)", number->work_ms);
}

static int conclude(struct prong_ctx *ctx, int result)
{
	int r = note(ctx, result < 0 && result != -EALREADY ? "fail" : "end");

	return r < 0 ? r : result;
}

static int plain(struct prong_ctx *ctx)
{
	int r = note(ctx, "begin");

	if (r < 0)
		return r;
	return conclude(ctx, work(ctx));
}
PRONG_JOB(plain, .payload = &number_schema, .queue = "numbers", .max_backoff = PRONG_SECONDS(1));

static const struct prong_job durable_job = {
	.name = "durable",
	.run = plain,
	.payload = &number_schema,
	.queue = "numbers",
	.max_backoff = PRONG_SECONDS(1),
	.durable = true,
};

/* Its effect is to happen once, however often it runs. */
static int once(struct prong_ctx *ctx)
{
	int r = note(ctx, "begin");

	if (r >= 0)
		r = prong_begin(ctx);
	if (r >= 0)
		r = prong_exec(ctx, "INSERT INTO effects VALUES ($1)", prong_payload(ctx, number)->number);
	if (r >= 0)
		r = work(ctx);
	if (r >= 0)
		r = prong_job_done(ctx);
	if (r >= 0)
		r = prong_commit(ctx);
	return conclude(ctx, r);
}
PRONG_JOB(once, .payload = &number_schema, .queue = "numbers", .max_backoff = PRONG_SECONDS(1));

/* Stops its worker, which the drill then kills: so it knows what was in flight. */
static int poison(struct prong_ctx *ctx)
{
	int r = note(ctx, "begin");

	if (r < 0)
		return r;
	return raise(SIGSTOP);
}
PRONG_JOB(poison, .payload = &number_schema, .queue = "numbers", .max_backoff = PRONG_SECONDS(1));

struct numbers {
	int64_t first;
	int32_t count;
	int32_t slow_every; /* of how many one takes work_ms; 0: none */
	int32_t work_ms;
};

PRONG_SCHEMA(numbers, PRONG_FIELD(numbers, first), PRONG_FIELD(numbers, count, .range = PRONG_RANGE(1, 10000)),
	     PRONG_FIELD(numbers, slow_every), PRONG_FIELD(numbers, work_ms));

static int create_numbers(struct prong_ctx *ctx)
{
	const struct numbers *in = prong_body(ctx, numbers);
	const char *kind = prong_path(ctx, "kind");
	struct number *numbers = prong_alloc(ctx, (size_t)in->count * sizeof(*numbers));
	size_t count = (size_t)in->count;
	int r = -ENOENT;

	for (int32_t i = 0; i < in->count; i++) {
		numbers[i].number = in->first + i;
		if (in->slow_every && i % in->slow_every == 0)
			numbers[i].work_ms = in->work_ms;
	}
	if (strcmp(kind, "plain") == 0)
		r = prong_enqueue_many(ctx, plain, numbers, count, NULL);
	else if (strcmp(kind, "durable") == 0)
		r = prong_enqueue_many(ctx, durable, numbers, count, NULL);
	else if (strcmp(kind, "once") == 0)
		r = prong_enqueue_many(ctx, once, numbers, count, NULL);
	else if (strcmp(kind, "poison") == 0)
		r = prong_enqueue_many(ctx, poison, numbers, count, NULL);
	return r < 0 ? r : prong_reply_empty(ctx, 204);
}

/* ---- the application ---- */

static int get_nothing(struct prong_ctx *ctx)
{
	return prong_reply_empty(ctx, 204);
}

static const struct prong_route routes[] = {
	{ PRONG_POST, "/v1/entries", create_entry, .body = &entry_schema,
	  .summary = "Record an entry and enqueue its job" },
	{ PRONG_POST, "/v1/numbers/{kind}", create_numbers, .body = &numbers_schema,
	  .summary = "Enqueue numbered jobs: plain, durable, once or poison" },
	{ PRONG_GET, "/v1/nothing", get_nothing, .summary = "Needs neither PostgreSQL nor Redis" },
	{},
};

int main(int argc, char *argv[])
{
	return prong_main(
		argc, argv,
		&(struct prong_app){
			.name = "drill",
			.version = "1",
			.routes = routes,
			.jobs = PRONG_JOBS(&process_entry_job, &plain_job, &durable_job, &once_job, &poison_job),
		});
}
