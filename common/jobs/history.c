#include "common/jobs/history.h"

#include <prong/database.h>

#include "common/context.h"
#include "common/log.h"
#include "common/loop.h"

#define EVERY PRONG_SECONDS(1)
#define ENOUGH 500
#define MAX_WAITING 5000

struct rows {
	struct buffer json; /* '[' and objects with commas between them */
	size_t count;
};

struct history {
	struct runtime *runtime;
	char *worker;
	metric_id dropped;
	struct rows waiting, sent; /* `sent`: an answer is awaited */
	struct coroutine *writer;  /* NULL: nothing waits */
	bool gathering;		   /* the writer sleeps until there is enough */
	bool closing;
	struct coroutine *closer; /* waits for the writer's end */
};

struct history *history_new(struct runtime *runtime, const char *worker, metric_id dropped)
{
	struct history *history = allocate(sizeof(*history));

	history->runtime = runtime;
	history->worker = duplicate(worker);
	history->dropped = dropped;
	return history;
}

static void rows_clear(struct rows *rows)
{
	buffer_free(&rows->json);
	rows->count = 0;
}

static void drop_sent(struct history *history)
{
	if (history->sent.count)
		log_warning("%zu rows of the history of jobs were lost: PostgreSQL did not take them",
			    history->sent.count);
	metric_add(history->dropped, history->sent.count);
	rows_clear(&history->sent);
}

/* ---- writing ---- */

/* A row whose answer was lost is there already. */
static int insert(struct history *history)
{
	struct prong_ctx ctx;
	int r;

	context_init(&ctx, history->runtime);
	r = prong_exec(&ctx,
		       "INSERT INTO prong_job_history (job_id, name, queue, key, attempt, outcome, error,"
		       " enqueued_at, started_at, finished_at, worker)"
		       " SELECT job_id, name, queue, key, attempt, outcome, error, enqueued_at, started_at,"
		       " finished_at, worker FROM json_populate_recordset(NULL::prong_job_history, $1::json)"
		       " ON CONFLICT DO NOTHING",
		       buffer_text(&history->sent.json));
	context_end(&ctx);
	return r;
}

/* Whether what was sent may be taken the next time. */
static bool is_passing(int result)
{
	return result == -EHOSTDOWN || result == -ETIMEDOUT || result == -EAGAIN || result == -ECANCELED;
}

/* Sends what waits, or again what was not taken. */
static int write_rows(struct history *history)
{
	int r;

	if (!history->sent.count) {
		history->sent = history->waiting;
		history->waiting = (struct rows){ 0 };
		buffer_add_char(&history->sent.json, ']');
	}
	r = insert(history);
	if (r >= 0)
		rows_clear(&history->sent);
	else if (!is_passing(r))
		drop_sent(history);
	return r;
}

/* Until there is enough, or a second has passed. */
static void gather(struct history *history)
{
	history->gathering = true;
	coroutine_sleep_until(monotonic_us() + EVERY);
	history->gathering = false;
}

static void writer_main(void *argument)
{
	struct history *history = argument;
	bool failed = false;

	history->writer = coroutine_current();
	while ((history->waiting.count || history->sent.count) && !coroutine_cancelled(history->writer)) {
		if (failed || (!history->closing && history->waiting.count < ENOUGH))
			gather(history);
		failed = write_rows(history) < 0;
	}
	history->writer = NULL;
	if (history->closer)
		coroutine_wake(history->closer, 0);
}

static void start_writer(struct history *history)
{
	/* Where there is no coroutine for it, the next row tries again. */
	if (!history->writer)
		coroutine_start(history->runtime->loop, writer_main, history, &history->writer);
}

static void wake_writer(struct history *history)
{
	if (history->writer && history->gathering)
		coroutine_wake(history->writer, 0);
}

/* ---- adding ---- */

static void add_text(struct buffer *json, const char *name, const char *text)
{
	buffer_add_format(json, "\"%s\":", name);
	buffer_add_json_string(json, text, strlen(text));
	buffer_add_char(json, ',');
}

static void add_time(struct buffer *json, const char *name, prong_time time)
{
	char text[PRONG_TIME_TEXT_SIZE];

	add_text(json, name, prong_time_format(time, text));
}

void history_add(struct history *history, const struct history_entry *entry)
{
	const struct delivery *delivery = entry->delivery;
	struct buffer *json = &history->waiting.json;

	if (history->waiting.count + history->sent.count >= MAX_WAITING) {
		metric_add(history->dropped, 1);
		return;
	}
	buffer_add_string(json, history->waiting.count++ ? ",{" : "[{");
	add_text(json, "job_id", delivery->id);
	add_text(json, "name", delivery->name);
	add_text(json, "queue", delivery->queue);
	if (*delivery->key)
		add_text(json, "key", delivery->key);
	add_text(json, "outcome", entry->outcome);
	if (entry->error)
		buffer_add_format(json, "\"error\":%s,", entry->error);
	add_time(json, "enqueued_at", delivery->enqueued_at);
	add_time(json, "started_at", entry->started_at);
	add_time(json, "finished_at", entry->finished_at);
	add_text(json, "worker", history->worker);
	buffer_add_format(json, "\"attempt\":%d}", delivery->attempt);
	start_writer(history);
	if (history->waiting.count == ENOUGH)
		wake_writer(history);
}

struct history *history_close(struct history *history, int64_t deadline)
{
	if (!history)
		return NULL;
	history->closing = true;
	history->closer = coroutine_current();
	if (history->waiting.count)
		start_writer(history);
	wake_writer(history);
	while (history->writer && coroutine_wait(deadline) == 0)
		continue;
	coroutine_shield(history->closer);
	if (history->writer)
		coroutine_cancel(history->writer);
	while (history->writer)
		coroutine_wait(INT64_MAX);
	coroutine_unshield(history->closer);
	metric_add(history->dropped, history->waiting.count);
	rows_clear(&history->waiting);
	drop_sent(history);
	free(history->worker);
	free(history);
	return NULL;
}
