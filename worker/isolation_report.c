#include "worker/isolation_report.h"

#include <event2/event.h>
#include <fcntl.h>
#include <sys/ioctl.h>

#include <prong/job.h>

#include "common/jobs/running.h"
#include "common/json.h"
#include "common/loop.h"
#include "worker/isolation_wire.h"

#define PART 4096

static int take_progress(struct isolation_report *report, const char *body, size_t size)
{
	int64_t done, total;
	int r = isolation_progress_read(body, size, &done, &total);

	if (r == 0)
		prong_progress(report->ctx, done, total);
	return r;
}

static int take_line(struct isolation_report *report, const char *body, size_t size)
{
	const char *line;
	int r = isolation_line_read(body, size, &line);

	if (r == 0)
		job_notes_add_line(report->ctx, line); /* the child has logged it */
	return r;
}

/* It is kept in Redis as it is, for whoever asks. */
static bool is_json(struct isolation_report *report, const struct isolation_outcome *outcome)
{
	const char *detail;

	return !outcome->json || json_check(outcome->json, outcome->json_size, &report->ctx->arena, &detail) == 0;
}

static int take_outcome(struct isolation_report *report, const char *body, size_t size)
{
	struct prong_ctx *ctx = report->ctx;
	struct isolation_outcome outcome;
	int r = isolation_outcome_read(body, size, &outcome);

	if (r < 0)
		return r;
	if (!is_json(report, &outcome))
		return -EBADMSG;
	ctx->problem = outcome.problem;
	if (outcome.problem.code)
		ctx->problem.code = arena_strdup(&ctx->arena, outcome.problem.code);
	if (outcome.problem.detail)
		ctx->problem.detail = arena_strdup(&ctx->arena, outcome.problem.detail);
	ctx->notes->final = outcome.final;
	ctx->notes->postponed = outcome.postponed;
	ctx->notes->retry_after = outcome.retry_after;
	ctx->notes->already_done = outcome.already_done;
	if (outcome.json)
		buffer_add(&ctx->notes->result, outcome.json, outcome.json_size);
	report->result = outcome.result;
	report->returned = true;
	return 0;
}

static int take_frame(struct isolation_report *report, const struct isolation_frame_head *head, const char *body)
{
	if (report->returned)
		return -EBADMSG;
	switch (head->kind) {
	case ISOLATION_PROGRESS:
		return take_progress(report, body, head->size);
	case ISOLATION_LINE:
		return take_line(report, body, head->size);
	case ISOLATION_OUTCOME:
		return take_outcome(report, body, head->size);
	default:
		return -EBADMSG;
	}
}

static int take_frames(struct isolation_report *report)
{
	struct buffer *input = &report->input;
	struct isolation_frame_head head;
	size_t taken = 0;
	ssize_t n;
	int r = 0;

	while (r == 0 && (n = isolation_frame_find(input->data + taken, input->size - taken, &head)) != 0) {
		r = n < 0 ? (int)n : take_frame(report, &head, input->data + taken + sizeof(head));
		taken += n > 0 ? (size_t)n : 0;
	}
	input->size -= taken;
	memmove(input->data, input->data + taken, input->size);
	return r;
}

/* How many bytes came, 0 when nothing is there now, -EPIPE at the end, -EBADMSG when what came is no report. */
static int read_part(struct isolation_report *report)
{
	struct buffer *input = &report->input;
	ssize_t n;

	buffer_reserve(input, PART);
	n = read(report->pipe, input->data + input->size, input->capacity - input->size);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return -EPIPE;
	input->size += (size_t)n;
	return take_frames(report) < 0 ? -EBADMSG : (int)n;
}

static void on_readable(evutil_socket_t fd, short events, void *argument)
{
	struct isolation_report *report = argument;
	int r = read_part(report);

	(void)fd, (void)events;
	if (r >= 0)
		return;
	event_del(report->readable);
	report->broken = r == -EBADMSG;
	if (report->broken)
		report->on_broken(report->argument);
}

int isolation_report_open(struct isolation_report *report, struct prong_ctx *ctx, void (*on_broken)(void *argument),
			  void *argument)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	*report = (struct isolation_report){
		.ctx = ctx,
		.pipe = ends[0],
		.on_broken = on_broken,
		.argument = argument,
	};
	report->readable = event_new(loop_base(ctx->runtime->loop), ends[0], EV_READ | EV_PERSIST, on_readable, report);
	check(report->readable && event_add(report->readable, NULL) == 0);
	return ends[1];
}

/* No more than that: what the child has started may hold the pipe, too, and write without end. */
void isolation_report_finish(struct isolation_report *report)
{
	int left, r = 1;

	check(ioctl(report->pipe, FIONREAD, &left) == 0);
	for (; !report->broken && left > 0 && r > 0; left -= r)
		r = read_part(report);
	report->broken = report->broken || r == -EBADMSG;
}

void isolation_report_close(struct isolation_report *report)
{
	if (!report->readable)
		return;
	event_free(report->readable);
	report->readable = NULL;
	close(report->pipe);
	buffer_free(&report->input);
}
