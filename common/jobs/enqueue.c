/* The public calls of include/prong/job.h that producers make, and prong_payload(). */
#include <json-c/json.h>

#include "common/buffer.h"
#include "common/context.h"
#include "common/jobs/job_actions.h"
#include "common/jobs/job_queue.h"
#include "common/jobs/outbox.h"
#include "common/json.h"
#include "common/log.h"
#include "common/schema/schema.h"
#include "common/utf8.h"

#define MAX_DELAY PRONG_DAYS(3660)
#define MAX_PRIORITY 100

/* ---- mistakes ---- */

static int program_mistake(struct prong_ctx *ctx, const char *code, const char *text)
{
	log_error("%s", text);
	return prong_fail(ctx, 500, code, "Something went wrong here.");
}

/* Mostly the address of a pointer, or another job's record. What is behind a void pointer has GNU C's size of 1. */
static bool is_of_size(const struct prong_job *job, size_t record_size)
{
	return !job->payload || record_size == 1 || record_size == job->payload->size;
}

static int check_job(struct prong_ctx *ctx, const struct prong_job *job, size_t record_size)
{
	check(ctx->runtime->jobs);
	if (!registry_job(ctx->runtime->registry, job->name))
		return program_mistake(
			ctx, "unknown_job",
			prong_format(ctx, "the job %s is in no list: add it to the application's PRONG_JOBS()",
				     job->name));
	if (!is_of_size(job, record_size))
		return program_mistake(
			ctx, "wrong_payload",
			prong_format(ctx,
				     "prong_enqueue(%s): the record has %zu bytes, its payload, struct %s, has %zu",
				     job->name, record_size, job->payload->name, job->payload->size));
	return 0;
}

static bool is_key(const char *key)
{
	size_t size = strlen(key);

	return size > 0 && size <= JOB_MAX_KEY && utf8_length(key, size) >= 0;
}

const char *job_options_mistake(const struct prong_job *job, const struct prong_enqueue_options *options)
{
	if (options->delay < 0 || options->delay > MAX_DELAY || options->expires < 0 || options->expires > MAX_DELAY ||
	    options->throttle < 0 || options->throttle > MAX_DELAY || options->debounce < 0 ||
	    options->debounce > MAX_DELAY)
		return "a duration is negative or more than ten years";
	if (options->delay && options->at.us)
		return "there is a delay and a time; give one of them";
	if (options->at.us < 0 || options->at.us > PRONG_TIME_MAX)
		return "the time is before 1970 or after 9999";
	if (options->priority < -MAX_PRIORITY || options->priority > MAX_PRIORITY)
		return "the priority is not within -100 and 100";
	if ((options->throttle || options->debounce) && !options->unique)
		return "throttle and debounce need a unique key";
	if (options->throttle && options->debounce)
		return "throttle and debounce exclude each other";
	if (options->debounce && (options->delay || options->at.us))
		return "debounce is itself a delay; give no other";
	if ((options->key && !is_key(options->key)) || (options->unique && !is_key(options->unique)))
		return "a key is not UTF-8 of 1 to 200 bytes";
	if ((job->durable || options->durable) && (options->unique || options->expires))
		return "a durable job takes neither a unique key nor an expiry: Redis keeps them, and may be emptied";
	return NULL;
}

static int check_options(struct prong_ctx *ctx, const struct prong_job *job,
			 const struct prong_enqueue_options *options)
{
	const char *mistake = job_options_mistake(job, options);

	if (!mistake)
		return 0;
	return program_mistake(ctx, "wrong_options", prong_format(ctx, "prong_enqueue(%s): %s", job->name, mistake));
}

/* ---- drafts ---- */

static int check_record(struct prong_ctx *ctx, const struct prong_job *job, const void *record,
			struct schema_errors *errors)
{
	if (!job->payload)
		return 0;
	check(record);
	if (schema_validate(job->payload, record, &ctx->arena, errors) == 0)
		return 0;
	return prong_fail(ctx, 422, "invalid_payload", "The payload of the job %s does not fit at %s: %s", job->name,
			  errors->items[0].pointer, errors->items[0].detail);
}

/* Jobs that are enqueued in one call: their payloads lie in its arena, not in the context's, which only grows. */
struct load {
	struct prong_ctx *ctx;
	const struct prong_job *job;
	struct arena arena;
	struct buffer text;
};

static void load_free(struct load *load)
{
	arena_reset(&load->arena);
	buffer_free(&load->text);
}

static int write_payload(struct load *load, const void *record, struct job_draft *draft)
{
	int64_t limit = load->ctx->runtime->settings->max_payload;

	if (!load->job->payload)
		return 0;
	load->text.size = 0;
	schema_write_json(load->job->payload, SCHEMA_PAYLOAD, record, &load->text);
	if ((int64_t)load->text.size > limit)
		return prong_fail(load->ctx, 413, "payload_too_large",
				  "The payload of the job %s has %zu bytes; at most %lld are taken.", load->job->name,
				  load->text.size, (long long)limit);
	draft->payload = arena_strndup(&load->arena, load->text.data, load->text.size);
	draft->payload_size = load->text.size;
	return 0;
}

static int draft_init(struct load *load, const void *record, const struct prong_enqueue_options *options,
		      struct job_draft *draft)
{
	*draft = (struct job_draft){
		.job = load->job,
		.id = job_id_make(load->ctx->runtime->jobs, load->job, options),
		.request_id = load->ctx->request_id,
		.trace_id = load->ctx->trace_id,
		.options = *options,
	};
	return write_payload(load, record, draft);
}

/* What became of it, for the caller; returns how many of the two are another job's. */
static int report(const struct prong_enqueue_options *options, const struct job_added *added)
{
	if (options->ret_id)
		check(prong_uuid_parse(added->id, options->ret_id) == 0);
	return added->existing;
}

static int fail_full(struct prong_ctx *ctx, const struct prong_job *job, int result)
{
	if (result != -ENOSPC)
		return result;
	prong_fail(ctx, 503, "queue_full", "The queue %s holds as much as it may; try again later.",
		   job_queue_name(job));
	ctx->problem.retry_after = 30;
	return -ENOSPC;
}

static bool is_durable(const struct job_draft *draft)
{
	return draft->job->durable || draft->options.durable;
}

static int add_durable(struct prong_ctx *ctx, const struct job_draft *drafts, size_t count)
{
	int r = outbox_add(ctx, drafts, count);

	for (size_t i = 0; r == 0 && i < count; i++)
		if (drafts[i].options.ret_id)
			*drafts[i].options.ret_id = drafts[i].id;
	return r;
}

static int add_one(struct load *load, const void *record, const struct prong_enqueue_options *options)
{
	struct job_draft draft;
	struct job_added added;
	int r = draft_init(load, record, options, &draft);

	if (r < 0)
		return r;
	if (is_durable(&draft))
		return add_durable(load->ctx, &draft, 1);
	r = job_queue_add(load->ctx->runtime->jobs, &draft, 1, &added);
	return r < 0 ? fail_full(load->ctx, load->job, r) : report(options, &added);
}

int prong_job_enqueue(struct prong_ctx *ctx, const struct prong_job *job, const void *record, size_t record_size,
		      const struct prong_enqueue_options *options)
{
	struct load load = { .ctx = ctx, .job = job };
	struct schema_errors *errors = arena_alloc(&ctx->arena, sizeof(*errors));
	int r = check_job(ctx, job, record_size);

	if (r == 0)
		r = check_options(ctx, job, options);
	if (r == 0)
		r = check_record(ctx, job, record, errors);
	if (r < 0)
		return r;
	arena_init(&load.arena);
	r = add_one(&load, record, options);
	load_free(&load);
	return r;
}

/* Returns how many unique keys are held by others. */
static int add_drafts(struct prong_ctx *ctx, const struct prong_job *job, const struct job_draft *drafts, size_t count)
{
	_cleanup_(freep) struct job_added *added = NULL;
	int r, existing = 0;

	if (count == 0)
		return 0;
	added = allocate_array(count, sizeof(*added));
	r = job_queue_add(ctx->runtime->jobs, drafts, count, added);
	for (size_t i = 0; r >= 0 && i < count; i++)
		existing += report(&drafts[i].options, &added[i]);
	return r < 0 ? fail_full(ctx, job, r) : existing;
}

/* What prong_job_enqueue_many() was given. */
struct records {
	const char *first; /* NULL: jobs without payload */
	size_t size, count;
	const struct prong_enqueue_options *options; /* NULL: none */
};

static const void *record_at(const struct records *records, size_t i)
{
	return records->first ? records->first + i * records->size : NULL;
}

static const struct prong_enqueue_options *options_at(const struct records *records, size_t i)
{
	static const struct prong_enqueue_options none;

	return records->options ? &records->options[i] : &none;
}

/* Enqueues `count` records from `first` on. The durable drafts gather at the end. */
static int add_part(struct load *load, const struct records *records, size_t first, size_t count,
		    struct job_draft *drafts)
{
	size_t n_durable = 0;
	int existing, r = 0;

	for (size_t i = 0; i < count && r == 0; i++) {
		const struct prong_enqueue_options *options = options_at(records, first + i);
		size_t place = load->job->durable || options->durable ? count - ++n_durable : i - n_durable;

		r = draft_init(load, record_at(records, first + i), options, &drafts[place]);
	}
	if (r < 0)
		return r;
	existing = add_drafts(load->ctx, load->job, drafts, count - n_durable);
	if (existing < 0 || n_durable == 0)
		return existing;
	r = add_durable(load->ctx, drafts + count - n_durable, n_durable);
	return r < 0 ? r : existing;
}

static int check_records(struct prong_ctx *ctx, const struct prong_job *job, const struct records *records)
{
	struct schema_errors *errors = arena_alloc(&ctx->arena, sizeof(*errors));
	int r = 0;

	for (size_t i = 0; i < records->count && r == 0; i++) {
		if (records->options)
			r = check_options(ctx, job, &records->options[i]);
		if (r == 0)
			r = check_record(ctx, job, record_at(records, i), errors);
	}
	return r;
}

int prong_job_enqueue_many(struct prong_ctx *ctx, const struct prong_job *job, const void *records, size_t record_size,
			   size_t count, const struct prong_enqueue_options *options)
{
	const struct records all = { .first = records, .size = record_size, .count = count, .options = options };
	_cleanup_(freep) struct job_draft *drafts = NULL;
	struct load load = { .ctx = ctx, .job = job };
	size_t at_once = job->durable && count > JOB_BATCH ? count : JOB_BATCH; /* of durable ones all or none */
	int r = check_job(ctx, job, record_size), existing = 0;

	if (r == 0)
		r = check_records(ctx, job, &all);
	if (r < 0)
		return r;
	drafts = allocate_array(at_once, sizeof(*drafts));
	arena_init(&load.arena);
	for (size_t done = 0; done < count && r >= 0; done += at_once) {
		r = add_part(&load, &all, done, count - done < at_once ? count - done : at_once, drafts);
		existing += r > 0 ? r : 0;
		arena_reset(&load.arena);
	}
	load_free(&load);
	return r < 0 ? r : existing;
}

/* ---- the payload where the job runs ---- */

const void *prong_payload_of(const struct prong_ctx *ctx, const struct prong_schema *schema)
{
	if (!ctx->delivery)
		panic("prong_payload() in a handler: it is for jobs");
	if (!schema_is(ctx->input_schema, schema))
		panic("prong_payload() with the schema %s, the job's .payload is %s", schema->name,
		      ctx->input_schema ? ctx->input_schema->name : "none");
	return ctx->input;
}

/* ---- looking and cancelling ---- */

static void read_report(const char *text, struct arena *arena, struct prong_job_status *status)
{
	_cleanup_(json_object_putp) struct json_object *report = NULL;
	struct json_object *value;
	const char *detail;

	if (!text || json_parse(text, strlen(text), arena, &report, &detail) < 0)
		return;
	if (json_object_object_get_ex(report, "done", &value))
		status->done = json_object_get_int64(value);
	if (json_object_object_get_ex(report, "total", &value))
		status->total = json_object_get_int64(value);
}

int prong_job_look(struct prong_ctx *ctx, const struct prong_job *job, prong_uuid id,
		   struct prong_job_status *ret_status)
{
	static const enum prong_job_state states[] = {
		[JOB_STATE_READY] = PRONG_JOB_WAITING,
		[JOB_STATE_DELAYED] = PRONG_JOB_DELAYED,
		[JOB_STATE_RUNNING] = PRONG_JOB_RUNNING,
		[JOB_STATE_DEAD] = PRONG_JOB_DEAD,
	};
	char text[PRONG_UUID_TEXT_SIZE];
	struct prong_job_status status = { 0 };
	struct job_detail detail;
	int r = job_queue_show(ctx->runtime->jobs, job_queue_name(job), prong_uuid_format(id, text), &ctx->arena,
			       &detail);

	if (r < 0 && r != -ENOENT)
		return r;
	if (r == 0) {
		status.state = detail.finished ? PRONG_JOB_DONE : states[detail.listing.state];
		status.attempt = detail.listing.attempt;
		status.result = detail.result;
		status.error = detail.listing.error;
		read_report(detail.report, &ctx->arena, &status);
	}
	*ret_status = status;
	return 0;
}

int prong_job_cancel(struct prong_ctx *ctx, const struct prong_job *job, prong_uuid id)
{
	char text[PRONG_UUID_TEXT_SIZE];

	return job_cancel(ctx, job_queue_name(job), prong_uuid_format(id, text));
}
