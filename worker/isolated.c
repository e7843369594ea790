#include "worker/isolated.h"

#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "common/jobs/running.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/schema/schema.h"
#include "common/title.h"
#include "worker/isolation_wire.h"

#define TELL_EVERY PRONG_MILLISECONDS(100) /* how far the job is */

struct isolated {
	const struct process *process;
	struct runtime *runtime;
	struct delivery delivery;
	const struct prong_job *job;
	struct prong_ctx ctx;
	struct job_notes notes;
	int64_t deadline;
	int report;
	int64_t told_at; /* when progress was told last */
	unsigned lines_told;
	bool ended;
};

/* The worker reads as long as it lives; without it this process is killed. */
static void send_report(const struct isolated *isolated, struct buffer *frame)
{
	for (size_t sent = 0; sent < frame->size;) {
		ssize_t n = write(isolated->report, frame->data + sent, frame->size - sent);

		if (n < 0 && errno != EINTR)
			break;
		sent += n > 0 ? (size_t)n : 0;
	}
	buffer_free(frame);
}

/* ---- what the job says ---- */

static void tell_progress(struct isolated *isolated)
{
	struct buffer frame = { 0 };

	isolated->told_at = monotonic_us();
	isolation_progress_write(&frame, isolated->notes.done, isolated->notes.total);
	send_report(isolated, &frame);
}

static void tell_line(struct isolated *isolated)
{
	struct job_notes *notes = &isolated->notes;
	struct buffer frame = { 0 };

	isolation_line_write(&frame, notes->lines[(notes->n_lines - 1) % JOB_LOG_LINES]);
	isolated->lines_told = notes->n_lines;
	send_report(isolated, &frame);
}

/* A job that computes has no waits at which a timer could tell: it is told now, or with what comes later. */
static void on_change(struct prong_ctx *ctx)
{
	struct isolated *isolated = container_of(ctx, struct isolated, ctx);

	if (isolated->notes.n_lines != isolated->lines_told)
		tell_line(isolated);
	else if (monotonic_us() - isolated->told_at >= TELL_EVERY)
		tell_progress(isolated);
}

static void tell_outcome(struct isolated *isolated, int result)
{
	const struct job_notes *notes = &isolated->notes;
	struct buffer frame = { 0 };

	isolation_outcome_write(&frame, &(struct isolation_outcome){
						.result = result,
						.problem = isolated->ctx.problem,
						.final = notes->final,
						.postponed = notes->postponed,
						.retry_after = notes->retry_after,
						.already_done = notes->already_done,
						.json = notes->result.size ? notes->result.data : NULL,
						.json_size = notes->result.size,
					});
	send_report(isolated, &frame);
}

/* ---- before ---- */

static void read_request(struct isolated *isolated, int request)
{
	const struct registry *registry = isolated->process->registry;
	struct stat status;
	const char *data;

	check(fstat(request, &status) == 0);
	data = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, request, 0);
	check(data != MAP_FAILED); /* for good: the delivery points into it */
	close(request);
	check(isolation_request_read(data, (size_t)status.st_size, &isolated->delivery, &isolated->deadline));
	isolated->job = registry_job(registry, isolated->delivery.name);
	check(isolated->job);
}

/* Log lines are written at once: what comes after them may be the end. */
static void settle(const struct isolated *isolated)
{
	static char name[32]; /* the log borrows it */
	const struct process *process = isolated->process;
	_cleanup_(freep) char *title = format_text("prong: worker %zu job %s", process->number, isolated->job->name);

	title_set(title);
	snprintf(name, sizeof(name), "worker %zu job", process->number);
	log_open(process->registry->app->name, name, (enum prong_log_level)process->settings->log_level,
		 settings_log_json(process->settings));
}

/* One job needs few connections, and makes them when it uses them. */
static struct runtime *make_runtime(const struct process *process)
{
	static struct settings settings; /* borrowed by the runtime */
	_cleanup_(freep) char *name = format_text("%s worker %zu job", process->registry->app->name, process->number);

	settings = *process->settings;
	settings.database_connections = settings.database_transactions = 1;
	settings.max_requests = settings.job_concurrency = 1;
	return runtime_new(&settings, process->registry, NULL, name, -1,
			   RUNTIME_POSTGRES | RUNTIME_REDIS | RUNTIME_BRIEF);
}

static void bind_payload(struct isolated *isolated)
{
	const struct delivery *delivery = &isolated->delivery;
	struct arena *arena = &isolated->ctx.arena;
	struct schema_errors *errors;
	const char *detail;
	void *record = NULL;

	if (!isolated->job->payload)
		return;
	errors = arena_alloc(arena, sizeof(*errors));
	/* The worker has bound it before. */
	check(schema_bind_json(isolated->job->payload, SCHEMA_PAYLOAD, delivery->payload, delivery->payload_size, arena,
			       &record, &detail, errors) == 0);
	isolated->ctx.input_schema = isolated->job->payload;
	isolated->ctx.input = record;
}

static void make_context(struct isolated *isolated)
{
	struct prong_ctx *ctx = &isolated->ctx;

	context_init(ctx, isolated->runtime);
	snprintf(ctx->request_id, sizeof(ctx->request_id), "%s", isolated->delivery.request_id);
	snprintf(ctx->trace_id, sizeof(ctx->trace_id), "%s", isolated->delivery.trace_id);
	ctx->delivery = &isolated->delivery;
	ctx->notes = &isolated->notes;
	isolated->notes.on_change = on_change;
	bind_payload(isolated);
}

/* ---- the attempt ---- */

static void run(void *argument)
{
	struct isolated *isolated = argument;
	int result;

	coroutine_set_deadline(coroutine_current(), isolated->deadline);
	result = isolated->job->run(&isolated->ctx);
	fflush(NULL);
	tell_progress(isolated);
	tell_outcome(isolated, result);
	context_end(&isolated->ctx);
	isolated->ended = true;
	loop_stop(isolated->runtime->loop);
}

/* Ends without the exit handlers and the leak check of a process that came from another: its memory goes with it. */
_Noreturn void isolated_main(const struct process *process, int request, int report)
{
	static struct isolated isolated;

	isolated.process = process;
	isolated.report = report;
	read_request(&isolated, request);
	settle(&isolated);
	isolated.runtime = make_runtime(process);
	make_context(&isolated);
	check(coroutine_start(isolated.runtime->loop, run, &isolated, NULL) == 0);
	if (!isolated.ended)
		loop_run(isolated.runtime->loop);
	runtime_free(isolated.runtime);
	_exit(STATUS_OK);
}
