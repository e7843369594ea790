#include "common/jobs/running.h"
#include "common/loop.h"
#include "tests/unit/test.h"
#include "worker/isolation_report.h"
#include "worker/isolation_wire.h"

#define ENOUGH 1000 /* frames after which whoever speaks gives up */

/* Somebody who goes on speaking in the name of a job whose process has ended. */
struct speaker {
	struct isolation_report report;
	struct prong_ctx ctx;
	int pipe; /* the writing end */
	int64_t said;
};

static void speak(struct speaker *speaker)
{
	struct buffer frame = { 0 };

	isolation_progress_write(&frame, ++speaker->said, ENOUGH);
	CU_ASSERT(write(speaker->pipe, frame.data, frame.size) == (ssize_t)frame.size);
	buffer_free(&frame);
}

static void on_change(struct prong_ctx *ctx)
{
	struct speaker *speaker = container_of(ctx, struct speaker, ctx);

	if (speaker->said < ENOUGH)
		speak(speaker);
}

TEST(isolation_report, ends_with_what_was_there_when_the_process_had_ended)
{
	struct speaker speaker = { 0 };
	struct job_notes notes = { .on_change = on_change };
	struct delivery delivery = { 0 };
	struct runtime runtime = { .loop = loop_new(1) };

	context_init(&speaker.ctx, &runtime);
	speaker.ctx.notes = &notes;
	speaker.ctx.delivery = &delivery;
	speaker.pipe = isolation_report_open(&speaker.report, &speaker.ctx, NULL, NULL);
	CU_ASSERT_FATAL(speaker.pipe >= 0);
	speak(&speaker);
	speak(&speaker);
	isolation_report_finish(&speaker.report);
	CU_ASSERT(!speaker.report.broken && !speaker.report.returned);
	CU_ASSERT_EQUAL(notes.done, 2);
	isolation_report_close(&speaker.report);
	close(speaker.pipe);
	context_end(&speaker.ctx);
	loop_free(runtime.loop);
}
