#include "common/basics.h"
#include "common/jobs/running.h"
#include "tests/unit/test.h"
#include "worker/isolation_wire.h"

static const struct delivery delivery = {
	.id = "0198c0de-0000-7000-8000-000000000001",
	.queue = "search",
	.attempt = 3,
	.name = "index",
	.payload = "{\"a\":\"\0\"}",
	.payload_size = 9,
	.max_attempts = 20,
	.timeout = PRONG_SECONDS(60),
	.request_id = "request",
	.trace_id = "0af7651916cd43dd8448eb211c80319c",
	.key = "tenant",
	.scheduled_for = { 1234567890000000 },
	.durable = true,
	.plain = true,
	.enqueued_at = { 1234567890123456 },
};

TEST(isolation_wire, carries_a_request)
{
	struct buffer out = { 0 };
	struct delivery read;
	int64_t deadline;

	isolation_request_write(&out, &delivery, 42);
	CU_ASSERT_FATAL(isolation_request_read(out.data, out.size, &read, &deadline));
	CU_ASSERT_EQUAL(deadline, 42);
	CU_ASSERT_STRING_EQUAL(read.id, delivery.id);
	CU_ASSERT_STRING_EQUAL(read.queue, delivery.queue);
	CU_ASSERT_EQUAL(read.attempt, delivery.attempt);
	CU_ASSERT_STRING_EQUAL(read.name, delivery.name);
	CU_ASSERT_EQUAL(read.payload_size, delivery.payload_size);
	CU_ASSERT_EQUAL(memcmp(read.payload, delivery.payload, delivery.payload_size), 0);
	CU_ASSERT_EQUAL(read.max_attempts, delivery.max_attempts);
	CU_ASSERT_EQUAL(read.timeout, delivery.timeout);
	CU_ASSERT_STRING_EQUAL(read.request_id, delivery.request_id);
	CU_ASSERT_STRING_EQUAL(read.trace_id, delivery.trace_id);
	CU_ASSERT_STRING_EQUAL(read.key, delivery.key);
	CU_ASSERT_EQUAL(read.scheduled_for.us, delivery.scheduled_for.us);
	CU_ASSERT(read.durable && !read.history && read.plain);
	CU_ASSERT_EQUAL(read.enqueued_at.us, delivery.enqueued_at.us);
	buffer_free(&out);
}

TEST(isolation_wire, carries_a_request_without_payload)
{
	struct delivery bare = delivery, read;
	struct buffer out = { 0 };
	int64_t deadline;

	bare.payload = NULL;
	bare.payload_size = 0;
	isolation_request_write(&out, &bare, 42);
	CU_ASSERT_FATAL(isolation_request_read(out.data, out.size, &read, &deadline));
	CU_ASSERT_PTR_NULL(read.payload);
	buffer_free(&out);
}

TEST(isolation_wire, refuses_what_is_no_request)
{
	struct buffer out = { 0 };
	struct delivery read;
	int64_t deadline;

	isolation_request_write(&out, &delivery, 42);
	for (size_t size = 0; size < out.size; size++) {
		_cleanup_(freep) char *copy = allocate(size);

		memcpy(copy, out.data, size);
		CU_ASSERT(!isolation_request_read(copy, size, &read, &deadline));
	}
	buffer_free(&out);
}

static const struct isolation_outcome failure = {
	.result = -EINVAL,
	.problem = { .status = 422, .code = "code", .detail = "detail", .retry_after = 5 },
	.postponed = true,
	.retry_after = PRONG_SECONDS(7),
};

static int read_outcome(const char *frame, size_t size, struct isolation_outcome *ret_outcome)
{
	struct isolation_frame_head head;
	ssize_t n = isolation_frame_find(frame, size, &head);

	if (n <= 0)
		return n == 0 ? -EAGAIN : (int)n;
	CU_ASSERT_EQUAL((size_t)n, size);
	CU_ASSERT_EQUAL(head.kind, ISOLATION_OUTCOME);
	return isolation_outcome_read(frame + sizeof(head), head.size, ret_outcome);
}

TEST(isolation_wire, carries_a_failure)
{
	struct isolation_outcome read;
	struct buffer out = { 0 };

	isolation_outcome_write(&out, &failure);
	CU_ASSERT_EQUAL(read_outcome(out.data, out.size, &read), 0);
	CU_ASSERT_EQUAL(read.result, -EINVAL);
	CU_ASSERT_EQUAL(read.problem.status, 422);
	CU_ASSERT_STRING_EQUAL(read.problem.code, "code");
	CU_ASSERT_STRING_EQUAL(read.problem.detail, "detail");
	CU_ASSERT_EQUAL(read.problem.retry_after, 5);
	CU_ASSERT(read.postponed && !read.final && !read.already_done);
	CU_ASSERT_EQUAL(read.retry_after, PRONG_SECONDS(7));
	CU_ASSERT_PTR_NULL(read.json);
	buffer_free(&out);
}

TEST(isolation_wire, carries_a_result)
{
	const struct isolation_outcome success = { .result = 7, .json = "{\"a\":1}", .json_size = 7 };
	struct isolation_outcome read;
	struct buffer out = { 0 };

	isolation_outcome_write(&out, &success);
	CU_ASSERT_EQUAL(read_outcome(out.data, out.size, &read), 0);
	CU_ASSERT_EQUAL(read.result, 7);
	CU_ASSERT_EQUAL(read.problem.status, 0);
	CU_ASSERT_PTR_NULL(read.problem.code);
	CU_ASSERT_EQUAL(read.json_size, 7);
	CU_ASSERT_STRING_EQUAL(read.json, "{\"a\":1}");
	buffer_free(&out);
}

TEST(isolation_wire, carries_progress_and_lines_one_after_the_other)
{
	struct isolation_frame_head head;
	struct buffer out = { 0 };
	int64_t done, total;
	const char *line;
	ssize_t n;

	isolation_progress_write(&out, 3, 10);
	isolation_line_write(&out, "a line");
	n = isolation_frame_find(out.data, out.size, &head);
	CU_ASSERT_FATAL(n > 0 && head.kind == ISOLATION_PROGRESS);
	CU_ASSERT_EQUAL(isolation_progress_read(out.data + sizeof(head), head.size, &done, &total), 0);
	CU_ASSERT(done == 3 && total == 10);
	CU_ASSERT_EQUAL(isolation_progress_read(out.data + sizeof(head), head.size - 1, &done, &total), -EBADMSG);
	CU_ASSERT((size_t)isolation_frame_find(out.data + n, out.size - (size_t)n, &head) == out.size - (size_t)n);
	CU_ASSERT_FATAL(head.kind == ISOLATION_LINE);
	CU_ASSERT_EQUAL(isolation_line_read(out.data + n + sizeof(head), head.size, &line), 0);
	CU_ASSERT_STRING_EQUAL(line, "a line");
	CU_ASSERT_EQUAL(isolation_line_read(out.data + n + sizeof(head), head.size - 1, &line), -EBADMSG);
	buffer_free(&out);
}

TEST(isolation_wire, cuts_what_is_too_long_for_a_frame)
{
	size_t size = 2 * ISOLATION_MAX_FRAME;
	_cleanup_(freep) char *text = allocate(size + 1);
	struct isolation_outcome outcome = failure, read;
	struct buffer out = { 0 };

	memset(text, 'x', size);
	outcome.problem.code = outcome.problem.detail = text;
	isolation_outcome_write(&out, &outcome);
	CU_ASSERT_EQUAL(read_outcome(out.data, out.size, &read), 0);
	CU_ASSERT(strlen(read.problem.code) >= 100 && strlen(read.problem.detail) >= 10000);
	buffer_free(&out);
}

/* On a copy of exactly its size, so that a sanitizer sees who reads beyond. */
static int read_copy(const struct buffer *frame, size_t size)
{
	_cleanup_(freep) char *copy = allocate(size);
	struct isolation_outcome outcome;

	memcpy(copy, frame->data, size);
	return read_outcome(copy, size, &outcome);
}

TEST(isolation_wire, refuses_what_is_no_report)
{
	struct isolation_frame_head head;
	struct buffer frame = { 0 };

	isolation_outcome_write(&frame, &failure);
	for (size_t size = 0; size < frame.size; size++)
		CU_ASSERT_EQUAL(read_copy(&frame, size), -EAGAIN); /* more is to come */
	/* Any one bit may be wrong: the frame is then refused, or a number or text in it is another. */
	for (size_t i = 0; i < frame.size; i++)
		for (int bit = 0; bit < 8; bit++) {
			frame.data[i] ^= (char)(1 << bit);
			memcpy(&head, frame.data, sizeof(head));
			if (head.kind == ISOLATION_OUTCOME && head.size == frame.size - sizeof(head)) {
				int r = read_copy(&frame, frame.size);

				CU_ASSERT(r == 0 || r == -EBADMSG);
			}
			frame.data[i] ^= (char)(1 << bit);
		}
	head = (struct isolation_frame_head){ .kind = ISOLATION_OUTCOME, .size = ISOLATION_MAX_FRAME + 1 };
	memcpy(frame.data, &head, sizeof(head));
	CU_ASSERT_EQUAL(read_copy(&frame, sizeof(head)), -EBADMSG);
	buffer_free(&frame);
}

static void refuse(const struct isolation_outcome *outcome)
{
	struct isolation_outcome read;
	struct buffer out = { 0 };

	isolation_outcome_write(&out, outcome);
	CU_ASSERT_EQUAL(read_outcome(out.data, out.size, &read), -EBADMSG);
	buffer_free(&out);
}

TEST(isolation_wire, refuses_what_no_handler_says)
{
	_cleanup_(freep) char *large = allocate(JOB_MAX_RESULT + 2);

	refuse(&(struct isolation_outcome){ .problem = { .status = 422 } });
	refuse(&(struct isolation_outcome){ .problem = { .status = 17, .code = "code" } });
	refuse(&(struct isolation_outcome){ .retry_after = -1 });
	refuse(&(struct isolation_outcome){ .json = large, .json_size = JOB_MAX_RESULT + 1 });
}
