#include "common/context.h"
#include "common/jobs/schedule_state.h"
#include "common/postgres/postgres.h"
#include "common/zone.h"
#include "server/cli/cli.h"

#define PATIENCE PRONG_SECONDS(30)
#define DEFAULT_COUNT 5
#define MAX_COUNT 10000

/* What was asked for. */
struct request {
	const char *argument; /* NULL: none */
	const char *zone;     /* likewise */
	int64_t count;
	bool json;
};

/* What a verb does in the database, and finds there. */
struct work {
	int (*run)(struct prong_ctx *ctx, struct work *work);
	const struct schedule *schedule; /* NULL: all */
	struct table *table;
	bool changed;
	prong_uuid id;
};

static int explain(const struct invocation *invocation, const struct postgres *postgres, int r)
{
	const char *reason = postgres_last_error(postgres);

	if (r == -EHOSTDOWN || r == -ETIMEDOUT)
		return command_error(invocation, STATUS_UNAVAILABLE, "DATABASE_URL: PostgreSQL cannot be reached: %s",
				     *reason ? reason : "the connection was lost");
	if (r == -EAGAIN)
		return command_error(invocation, STATUS_TRY_AGAIN, "the table of schedules is locked: try again");
	return command_error(invocation, STATUS_FAILURE,
			     "PostgreSQL refused it; has `%s migrate up` been run for this database?",
			     invocation->program);
}

static int run_work(struct prong_ctx *ctx, void *argument)
{
	struct work *work = argument;

	return work->run(ctx, work);
}

static int do_work(struct invocation *invocation, struct work *work)
{
	struct runtime *runtime = runtime_new(invocation->settings, invocation->registry, NULL, "schedules", -1,
					      RUNTIME_POSTGRES | RUNTIME_REDIS);
	int r = context_run(runtime, PATIENCE, run_work, work);
	int status = r < 0 ? explain(invocation, runtime->postgres, r) : STATUS_OK;

	runtime_free(runtime);
	return status;
}

static int find_schedule(const struct invocation *invocation, const char *name, const struct schedule **ret_schedule)
{
	const struct registry *registry = invocation->registry;
	struct buffer known = { 0 };
	int status;

	*ret_schedule = registry_schedule(registry, name);
	if (*ret_schedule)
		return STATUS_OK;
	for (size_t i = 0; i < registry->n_schedules; i++)
		buffer_add_format(&known, "%s%s", i ? ", " : "", registry->schedules[i].entry->name);
	status = registry->n_schedules
			 ? usage_error(invocation, "there is no schedule %s; there are %s", name, buffer_text(&known))
			 : usage_error(invocation, "this application has no schedules");
	buffer_free(&known);
	return status;
}

/* Finds the schedule before it looks for settings, so that a wrong name is reported first. */
static int do_named_work(struct invocation *invocation, const char *name, struct work *work)
{
	int status = invocation_need(invocation, NEEDS_REGISTRY);

	if (!status)
		status = find_schedule(invocation, name, &work->schedule);
	if (!status)
		status = invocation_need(invocation, NEEDS_DATABASE | NEEDS_REDIS);
	return status ? status : do_work(invocation, work);
}

/* ---- ls ---- */

static void add_time(struct table *table, prong_time time)
{
	char text[PRONG_TIME_TEXT_SIZE];

	table_add(table, time.us == INT64_MAX ? NULL : prong_time_format(time, text));
}

static void add_misfire(struct table *table, const struct schedule *schedule)
{
	_cleanup_(freep) char *text = format_text("%s %d", schedule_misfire_name(schedule), schedule->entry->backfill);

	table_add(table, schedule->entry->backfill ? text : schedule_misfire_name(schedule));
}

/* None while it is paused; one whose last tick is yet to come, by a clock that was wrong, waits for it. */
static prong_time next_tick(const struct schedule *schedule, const struct schedule_state *state)
{
	if (state->paused)
		return (prong_time){ INT64_MAX };
	return schedule_next(schedule, state->last_tick.us > state->clock.us ? state->last_tick : state->clock);
}

static void add_row(struct table *table, const struct schedule *schedule, const struct schedule_state *state)
{
	const struct prong_schedule *entry = schedule->entry;
	char id[PRONG_UUID_TEXT_SIZE];

	table_add(table, entry->name);
	table_add(table, entry->job->name);
	table_add(table, entry->cron ? entry->cron : schedule->plan);
	table_add(table, entry->cron ? schedule_zone_name(schedule) : NULL);
	add_misfire(table, schedule);
	table_add_bool(table, state->paused);
	add_time(table, state->last_run.set ? state->last_run.value : (prong_time){ INT64_MAX });
	add_time(table, next_tick(schedule, state));
	table_add(table, state->last_job.set ? prong_uuid_format(state->last_job.value, id) : NULL);
}

static int list(struct prong_ctx *ctx, struct work *work)
{
	const struct registry *registry = ctx->runtime->registry;
	struct schedule_state *states;
	int r = schedule_state_read(ctx, &states);

	for (size_t i = 0; i < registry->n_schedules && r == 0; i++)
		add_row(work->table, &registry->schedules[i], &states[i]);
	return r;
}

static int run_ls(struct invocation *invocation, const struct request *request)
{
	static const char *const columns[] = { "name",	 "job",	     "when", "zone",	 "misfire",
					       "paused", "last_run", "next", "last_job", NULL };
	_cleanup_(table_freep) struct table *table = table_new(columns);
	struct work work = { .run = list, .table = table };
	int status = invocation_need(invocation, NEEDS_REGISTRY | NEEDS_DATABASE | NEEDS_REDIS);

	if (!status && invocation->registry->n_schedules)
		status = do_work(invocation, &work);
	return status ? status : table_print(table, request->json, "This application has no schedules.");
}

/* ---- next, check ---- */

/* RFC 3339 with the zone's offset, which in the past may have had seconds that it cannot show. */
static char *local_text(prong_time time, const struct zone *zone)
{
	int64_t offset = zone_span_at(zone, time.us / PRONG_SECONDS(1)).offset;
	int64_t minutes = (offset < 0 ? -offset : offset) / 60;
	char text[PRONG_TIME_TEXT_SIZE];

	prong_time_format((prong_time){ time.us + PRONG_SECONDS(offset) }, text);
	text[strlen(text) - 1] = '\0'; /* Z */
	return format_text("%s%c%02d:%02d", text, offset < 0 ? '-' : '+', (int)(minutes / 60), (int)(minutes % 60));
}

static int print_next(const struct schedule *schedule, const struct request *request)
{
	_cleanup_(table_freep) struct table *table = table_new((const char *const[]){ "utc", "local", "zone", NULL });
	prong_time time = schedule_next(schedule, prong_time_now());

	for (int64_t i = 0; i < request->count && time.us <= PRONG_TIME_MAX;
	     i++, time = schedule_next(schedule, time)) {
		_cleanup_(freep) char *local = schedule->zone ? local_text(time, schedule->zone) : NULL;

		add_time(table, time);
		table_add(table, local);
		table_add(table, schedule->zone ? schedule_zone_name(schedule) : NULL);
	}
	return table_print(table, request->json, "It never runs.");
}

static int run_next(struct invocation *invocation, const struct request *request)
{
	const struct schedule *schedule;
	int status = invocation_need(invocation, NEEDS_REGISTRY);

	if (!status)
		status = find_schedule(invocation, request->argument, &schedule);
	return status ? status : print_next(schedule, request);
}

static int run_check(struct invocation *invocation, const struct request *request)
{
	const struct prong_schedule entry = { .cron = request->argument, .zone = request->zone };
	struct schedule schedule = { .entry = &entry };
	_cleanup_(freep) char *wrong_line = NULL, *wrong_zone = NULL;
	_cleanup_(zone_freep) struct zone *zone = NULL;

	if (cron_parse(entry.cron, &schedule.cron, &wrong_line) < 0)
		command_error(invocation, 0, "\"%s\": %s", entry.cron, wrong_line);
	if (zone_load(schedule_zone_name(&schedule), &zone, &wrong_zone) < 0)
		command_error(invocation, 0, "--zone \"%s\": %s", entry.zone, wrong_zone);
	schedule.zone = zone;
	return wrong_line || wrong_zone ? STATUS_FAILURE : print_next(&schedule, request);
}

/* ---- pause, resume, run ---- */

static int pause_schedule(struct prong_ctx *ctx, struct work *work)
{
	int r = schedule_state_pause(ctx, work->schedule);

	work->changed = r > 0;
	return r;
}

static int run_pause(struct invocation *invocation, const struct request *request)
{
	struct work work = { .run = pause_schedule };
	int status = do_named_work(invocation, request->argument, &work);

	if (status)
		return status;
	printf("%s %s\n", request->argument, work.changed ? "is paused" : "was paused already");
	return output_end(invocation);
}

static int resume_schedule(struct prong_ctx *ctx, struct work *work)
{
	int r = schedule_state_resume(ctx, work->schedule);

	work->changed = r > 0;
	return r;
}

static int run_resume(struct invocation *invocation, const struct request *request)
{
	struct work work = { .run = resume_schedule };
	int status = do_named_work(invocation, request->argument, &work);

	if (status)
		return status;
	printf("%s %s\n", request->argument, work.changed ? "goes on" : "was not paused");
	return output_end(invocation);
}

static int enqueue_job(struct prong_ctx *ctx, struct work *work)
{
	return schedule_state_run(ctx, work->schedule, &work->id);
}

static int run_run(struct invocation *invocation, const struct request *request)
{
	struct work work = { .run = enqueue_job };
	int status = do_named_work(invocation, request->argument, &work);
	char id[PRONG_UUID_TEXT_SIZE];

	if (status)
		return status;
	printf("%s\n", prong_uuid_format(work.id, id));
	return output_end(invocation);
}

/* ---- the command ---- */

static const struct schedule_verb {
	const char *name;
	int (*run)(struct invocation *invocation, const struct request *request);
	const char *argument; /* NULL: it takes none */
	bool json, count, zone;
} verbs[] = {
	{ "ls", run_ls, .json = true },
	{ "next", run_next, "NAME", .json = true, .count = true },
	{ "pause", run_pause, "NAME" },
	{ "resume", run_resume, "NAME" },
	{ "run", run_run, "NAME" },
	{ "check", run_check, "'CRON LINE'", .json = true, .count = true, .zone = true },
};

static const struct schedule_verb *find_verb(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (string_equal(name, verbs[i].name))
			return &verbs[i];
	return NULL;
}

static int run_verb(struct invocation *invocation, const struct schedule_verb *verb, struct request *request,
		    const char *count_text)
{
	if (invocation->argc > 1)
		request->argument = invocation->argv[1];
	if (verb->argument && !request->argument)
		return usage_error(invocation, "%s needs an argument: %s %s", verb->name, verb->name, verb->argument);
	if (!verb->argument && request->argument)
		return usage_error(invocation, "what is \"%s\"?", request->argument);
	if (request->json && !verb->json)
		return usage_error(invocation, "--json is for `ls`, `next` and `check`");
	if (count_text && !verb->count)
		return usage_error(invocation, "--count is for `next` and `check`");
	if (request->zone && !verb->zone)
		return usage_error(invocation, "--zone is for `check`");
	if (count_text && option_integer(invocation, "count", count_text, 1, MAX_COUNT, &request->count) < 0)
		return STATUS_USAGE;
	return verb->run(invocation, request);
}

static int run(struct invocation *invocation)
{
	struct request request = { .count = DEFAULT_COUNT };
	const char *count = NULL;
	const struct command_option options[] = {
		{ "json", .flag = &request.json },
		{ "count", .value = &count },
		{ "zone", .value = &request.zone },
		{},
	};
	const struct schedule_verb *verb;

	if (options_parse(invocation, options, 2) < 0)
		return STATUS_USAGE;
	if (invocation->argc == 0)
		return usage_error(invocation, "say what to do: ls, next, pause, resume, run or check");
	verb = find_verb(invocation->argv[0]);
	return verb ? run_verb(invocation, verb, &request, count)
		    : usage_error(invocation, "\"%s\" is none of ls, next, pause, resume, run, check",
				  invocation->argv[0]);
}

const struct command command_schedules = {
	.name = "schedules",
	.usage = "ls | next NAME | pause NAME | resume NAME | run NAME | check 'CRON LINE'",
	.summary = "Look at schedules, pause them, or try a line of cron",
	.help = "  ls                 list all: when they last ran and when they will\n"
		"  next NAME          print the next times of one\n"
		"  pause NAME         let it not tick\n"
		"  resume NAME        let it tick again, from now on: what would have been meanwhile is not made up "
		"for\n"
		"  run NAME           enqueue its job now, besides its ticks; prints the job's id\n"
		"  check 'CRON LINE'  print the next times of a line, or what is wrong with it (exit status 1)\n"
		"    --zone ZONE      of the line: UTC, or a name such as Europe/Berlin\n"
		"\n"
		"  --count N          for next and check: how many times, 5 by default\n"
		"  --json             for ls, next and check: as a JSON array of objects\n"
		"\n"
		"A line has five fields (minute, hour, day of month, month, day of week) or six (second first).\n",
	.run = run,
};
