#include "common/jobs/schedule_state.h"

#include <prong/database.h>

#include "common/context.h"
#include "common/jobs/outbox.h"

/* clang-format off */
PRONG_SCHEMA(schedule_state,
	PRONG_FIELD(schedule_state, name),
	PRONG_FIELD(schedule_state, plan),
	PRONG_FIELD(schedule_state, last_tick),
	PRONG_FIELD(schedule_state, paused),
	PRONG_FIELD(schedule_state, last_run),
	PRONG_FIELD(schedule_state, last_job),
	PRONG_FIELD(schedule_state, clock));
/* clang-format on */

/* One that is seen for the first time starts now. */
static int make_row(struct prong_ctx *ctx, const struct schedule *schedule)
{
	return prong_exec(ctx,
			  "INSERT INTO prong_schedules (name, plan, last_tick) VALUES ($1, $2, clock_timestamp()) "
			  "ON CONFLICT DO NOTHING",
			  schedule->entry->name, schedule->plan);
}

static const struct schedule_state *find_row(const struct schedule_state *rows, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (string_equal(rows[i].name, name))
			return &rows[i];
	return NULL;
}

/* 0, or how many rows have been made that were missing. */
static int read_rows(struct prong_ctx *ctx, struct schedule_state *states)
{
	const struct registry *registry = ctx->runtime->registry;
	struct schedule_state *rows;
	int r, missing = 0;
	size_t count;

	r = prong_query(ctx, schedule_state, &rows, &count,
			"SELECT name, plan, last_tick, paused, last_run, last_job, clock_timestamp() AS clock "
			"FROM prong_schedules");
	for (size_t i = 0; i < registry->n_schedules && r >= 0; i++) {
		const struct schedule *schedule = &registry->schedules[i];
		const struct schedule_state *row = find_row(rows, count, schedule->entry->name);

		if (row) {
			states[i] = *row;
		} else {
			missing++;
			r = make_row(ctx, schedule);
		}
	}
	return r < 0 ? r : missing;
}

int schedule_state_read(struct prong_ctx *ctx, struct schedule_state **ret_states)
{
	struct schedule_state *states = prong_alloc(ctx, ctx->runtime->registry->n_schedules * sizeof(*states));
	int r;

	do
		r = read_rows(ctx, states);
	while (r > 0);
	if (r == 0)
		*ret_states = states;
	return r;
}

static struct job_draft make_draft(struct prong_ctx *ctx, const struct schedule *schedule)
{
	const struct prong_schedule *entry = schedule->entry;
	struct job_draft draft = { .job = entry->job, .options = { .durable = true } };

	draft.id = job_id_make(ctx->runtime->jobs, draft.job, &draft.options);
	if (entry->payload) {
		draft.payload = prong_record_to_json(ctx, entry->job->payload, entry->payload).text;
		draft.payload_size = strlen(draft.payload);
	}
	return draft;
}

static int compare_ids(const void *a, const void *b)
{
	return memcmp(((const struct job_draft *)a)->id.bytes, ((const struct job_draft *)b)->id.bytes,
		      sizeof(prong_uuid));
}

/* The oldest first: the relay goes by the ids. */
static struct job_draft *make_drafts(struct prong_ctx *ctx, const struct schedule *schedule, const prong_time *ticks,
				     size_t n_ticks)
{
	struct job_draft *drafts = prong_alloc(ctx, n_ticks * sizeof(*drafts));

	for (size_t i = 0; i < n_ticks; i++)
		drafts[i] = make_draft(ctx, schedule);
	qsort(drafts, n_ticks, sizeof(*drafts), compare_ids);
	for (size_t i = 0; i < n_ticks; i++)
		drafts[i].scheduled_for = ticks[i];
	return drafts;
}

static int move(struct prong_ctx *ctx, const struct schedule *schedule, prong_time last, prong_time newest,
		prong_opt_time run, prong_opt_uuid job)
{
	return prong_exec(ctx,
			  "UPDATE prong_schedules SET last_tick = $3, plan = $4, last_run = coalesce($5, last_run), "
			  "last_job = coalesce($6, last_job) WHERE name = $1 AND last_tick = $2 AND NOT paused",
			  schedule->entry->name, last, newest, schedule->plan, run, job);
}

int schedule_state_advance(struct prong_ctx *ctx, const struct schedule *schedule, prong_time last, prong_time newest,
			   const prong_time *ticks, size_t n_ticks)
{
	struct job_draft *drafts = make_drafts(ctx, schedule, ticks, n_ticks);
	prong_opt_time run = { 0 };
	prong_opt_uuid job = { 0 };
	int r, moved;

	if (n_ticks) {
		run = (prong_opt_time){ true, ticks[n_ticks - 1] };
		job = (prong_opt_uuid){ true, drafts[n_ticks - 1].id };
	}
	r = prong_begin(ctx);
	if (r < 0)
		return r;
	r = moved = move(ctx, schedule, last, newest, run, job);
	if (moved > 0 && n_ticks)
		r = outbox_add(ctx, drafts, n_ticks);
	if (moved > 0 && r >= 0)
		r = prong_commit(ctx);
	prong_rollback(ctx);
	return r < 0 ? r : moved;
}

int schedule_state_run(struct prong_ctx *ctx, const struct schedule *schedule, prong_uuid *ret_id)
{
	struct job_draft draft = make_draft(ctx, schedule);
	int r = outbox_add(ctx, &draft, 1);

	if (r >= 0)
		*ret_id = draft.id;
	return r;
}

int schedule_state_pause(struct prong_ctx *ctx, const struct schedule *schedule)
{
	int r = make_row(ctx, schedule);

	if (r < 0)
		return r;
	return prong_exec(ctx, "UPDATE prong_schedules SET paused = true WHERE name = $1 AND NOT paused",
			  schedule->entry->name);
}

/* A last tick in the future, from a clock that was wrong, would hold it up until then. */
int schedule_state_resume(struct prong_ctx *ctx, const struct schedule *schedule)
{
	return prong_exec(ctx,
			  "UPDATE prong_schedules SET paused = false, last_tick = clock_timestamp() "
			  "WHERE name = $1 AND (paused OR last_tick > clock_timestamp())",
			  schedule->entry->name);
}
