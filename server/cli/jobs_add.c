#include "common/jobs/job_payload.h"
#include "server/cli/jobs.h"

#define MAX_TEXT (64 * 1024 * 1024) /* of a payload before its white space is gone */

/* The options as they were written. */
struct words {
	const char *file, *delay, *at, *priority, *key, *unique, *until, *throttle, *debounce, *expires;
	bool durable, json;
};

/* One job to be added. */
struct adding {
	struct invocation *invocation;
	const struct prong_job *job;
	const void *record;
	struct prong_enqueue_options options;
	bool json;
};

static int find_job(struct invocation *invocation, const char *name, const struct prong_job **ret_job)
{
	const struct registry *registry;
	struct buffer known = { 0 };
	int status = invocation_need(invocation, NEEDS_REGISTRY);

	if (status)
		return status;
	registry = invocation->registry;
	*ret_job = registry_job(registry, name);
	if (*ret_job)
		return STATUS_OK;
	for (size_t i = 0; i < registry->n_jobs; i++)
		buffer_add_format(&known, "%s%s", i ? ", " : "", registry->jobs[i]->name);
	status = registry->n_jobs
			 ? usage_error(invocation, "there is no job %s; there are %s", name, buffer_text(&known))
			 : usage_error(invocation, "this application has no jobs");
	buffer_free(&known);
	return status;
}

/* ---- options ---- */

static int read_duration(const struct invocation *invocation, const char *name, const char *text,
			 prong_duration *ret_value)
{
	if (!text || duration_parse(text, ret_value) == 0)
		return STATUS_OK;
	return usage_error(invocation, "--%s: '%s' is not a duration: write a number with ms, s, m, h or d, as in 5s",
			   name, text);
}

static int read_time(const struct invocation *invocation, const char *text, prong_time *ret_value)
{
	if (!text || prong_time_parse(text, ret_value) == 0)
		return STATUS_OK;
	return usage_error(invocation, "--at: '%s' is not a time as in 2030-01-31T09:00:00Z", text);
}

static int read_until(const struct invocation *invocation, const struct words *words,
		      enum prong_unique_until *ret_value)
{
	if (!words->until)
		return STATUS_OK;
	if (!words->unique)
		return usage_error(invocation, "--until is for a job with --unique");
	if (string_equal(words->until, "started"))
		*ret_value = PRONG_UNTIL_STARTED;
	else if (!string_equal(words->until, "finished"))
		return usage_error(invocation, "--until is started or finished, not %s", words->until);
	return STATUS_OK;
}

static int read_options(const struct invocation *invocation, const struct words *words, const struct prong_job *job,
			struct prong_enqueue_options *options)
{
	int64_t priority = 0;
	const char *mistake;
	int status = read_duration(invocation, "delay", words->delay, &options->delay);

	if (!status)
		status = read_duration(invocation, "throttle", words->throttle, &options->throttle);
	if (!status)
		status = read_duration(invocation, "debounce", words->debounce, &options->debounce);
	if (!status)
		status = read_duration(invocation, "expires", words->expires, &options->expires);
	if (!status)
		status = read_time(invocation, words->at, &options->at);
	if (!status)
		status = read_until(invocation, words, &options->unique_until);
	if (!status)
		status = jobs_read_count(invocation, "priority", words->priority, -100, 100, &priority);
	if (status)
		return status;
	options->priority = (int)priority;
	options->key = words->key;
	options->unique = words->unique;
	options->durable = words->durable;
	mistake = job_options_mistake(job, options);
	return mistake ? usage_error(invocation, "%s", mistake) : STATUS_OK;
}

/* ---- the payload ---- */

static int read_text(const struct invocation *invocation, const char *file, char **ret_text, size_t *ret_size)
{
	int r;

	if (invocation->argc > 2 && file)
		return usage_error(invocation, "give the payload as an argument or as a file, not both");
	if (invocation->argc > 2) {
		*ret_text = duplicate(invocation->argv[2]);
		*ret_size = strlen(*ret_text);
		return STATUS_OK;
	}
	if (!file)
		return STATUS_OK;
	r = file_read(string_equal(file, "-") ? "/dev/stdin" : file, MAX_TEXT, ret_text, ret_size);
	return r < 0 ? command_error(invocation, STATUS_FAILURE, "--file %s cannot be read: %s", file, strerror(-r))
		     : STATUS_OK;
}

static int bind_payload(const struct invocation *invocation, const struct prong_job *job, const char *text, size_t size,
			struct arena *arena, void **ret_record)
{
	struct schema_errors *errors = arena_alloc(arena, sizeof(*errors));
	const char *detail;
	int r = job_payload_bind(job, text, size, arena, ret_record, &detail, errors);

	if (r == -EBADMSG)
		return command_error(invocation, STATUS_USAGE, "the payload is no JSON: %s", detail);
	for (size_t i = 0; r < 0 && i < errors->count; i++)
		command_error(invocation, 0, "the payload of %s does not fit: %s%s%s", job->name,
			      errors->items[i].pointer, *errors->items[i].pointer ? ": " : "", errors->items[i].detail);
	return r < 0 ? STATUS_USAGE : STATUS_OK;
}

/* ---- enqueueing ---- */

/* It waits for what may never come: that is no mistake, but worth to be told. */
static void warn(struct prong_ctx *ctx, const struct adding *adding, const char *queue)
{
	struct job_stats stats;
	int r = job_queue_stats(ctx->runtime->jobs, queue, &stats);

	if (r < 0)
		command_error(adding->invocation, 0,
			      "the job waits: Redis, from which workers take it, cannot be asked now");
	else if (stats.paused)
		command_error(adding->invocation, 0, "the job waits: the queue %s is paused; `%s queues resume %s`",
			      queue, adding->invocation->program, queue);
	else if (stats.consumers == 0)
		command_error(adding->invocation, 0, "the job waits: no worker takes jobs from the queue %s now",
			      queue);
}

static void print(const struct adding *adding, const char *queue, const char *id, bool existing)
{
	if (adding->json)
		printf("{\"id\": \"%s\", \"queue\": \"%s\", \"existing\": %s}\n", id, queue,
		       existing ? "true" : "false");
	else
		printf("%s\n", id);
	if (existing)
		command_error(adding->invocation, 0, "the job %s has the unique key already: it stands for this one%s",
			      id, adding->options.debounce ? ", with its payload" : "");
}

static int add(struct prong_ctx *ctx, void *argument)
{
	struct adding *adding = argument;
	const struct prong_job *job = adding->job;
	char text[PRONG_UUID_TEXT_SIZE];
	prong_uuid id;
	int r;

	adding->options.ret_id = &id;
	r = prong_job_enqueue(ctx, job, adding->record, job->payload ? job->payload->size : 0, &adding->options);
	if (r < 0 && r != -EHOSTDOWN && r != -ETIMEDOUT && ctx->problem.detail)
		return command_error(adding->invocation, STATUS_FAILURE, "%s", ctx->problem.detail);
	if (r < 0)
		return r;
	print(adding, job_queue_name(job), prong_uuid_format(id, text), r == 1);
	warn(ctx, adding, job_queue_name(job));
	return output_end(adding->invocation);
}

static int add_job(struct invocation *invocation, const struct words *words, struct arena *arena)
{
	struct adding adding = { .invocation = invocation, .json = words->json };
	_cleanup_(freep) char *text = NULL;
	void *record = NULL;
	size_t size = 0;
	int status = find_job(invocation, invocation->argv[1], &adding.job);

	if (!status)
		status = read_options(invocation, words, adding.job, &adding.options);
	if (!status)
		status = read_text(invocation, words->file, &text, &size);
	if (!status)
		status = bind_payload(invocation, adding.job, text, size, arena, &record);
	if (status)
		return status;
	adding.record = record;
	return jobs_run(invocation, adding.job->durable || adding.options.durable ? NEEDS_DATABASE : 0, add, &adding);
}

int jobs_add(struct invocation *invocation)
{
	struct words words = { 0 };
	const struct command_option options[] = {
		{ "file", .value = &words.file },
		{ "delay", .value = &words.delay },
		{ "at", .value = &words.at },
		{ "priority", .value = &words.priority },
		{ "key", .value = &words.key },
		{ "unique", .value = &words.unique },
		{ "until", .value = &words.until },
		{ "throttle", .value = &words.throttle },
		{ "debounce", .value = &words.debounce },
		{ "expires", .value = &words.expires },
		{ "durable", .flag = &words.durable },
		{ "json", .flag = &words.json },
		{},
	};
	struct arena arena;
	int status;

	if (options_parse(invocation, options, 3) < 0)
		return STATUS_USAGE;
	if (invocation->argc < 2)
		return usage_error(invocation, "name the job: jobs add NAME");
	arena_init(&arena);
	status = add_job(invocation, &words, &arena);
	arena_reset(&arena);
	return status;
}
