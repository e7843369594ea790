#include "common/schedule.h"

#include "common/settings.h"

#include "common/basics.h"
#include "common/schema/schema.h"
#include "common/zone.h"

static void mistake(struct buffer *mistakes, const struct prong_schedule *entry, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static void mistake(struct buffer *mistakes, const struct prong_schedule *entry, const char *format, ...)
{
	_cleanup_(freep) char *text = NULL;
	va_list arguments;

	va_start(arguments, format);
	text = vformat_text(format, arguments);
	va_end(arguments);
	buffer_add_format(mistakes, "schedule %s: %s\n", entry->name ? entry->name : "(no name)", text);
}

/* ---- reading ---- */

static void check_payload(const struct prong_schedule *entry, struct buffer *mistakes)
{
	const struct prong_schema *schema = entry->job->payload;
	struct schema_errors *errors;
	const char *wrong;
	struct arena arena;

	if (!schema != !entry->payload) {
		mistake(mistakes, entry,
			schema ? "its job needs a payload: give it a static record as .payload"
			       : "its job takes no payload: leave .payload out");
		return;
	}
	arena_init(&arena);
	errors = arena_alloc(&arena, sizeof(*errors));
	if (schema && schema_check(schema, &arena, &wrong) == 0 &&
	    schema_validate(schema, entry->payload, &arena, errors) < 0)
		for (size_t i = 0; i < errors->count; i++)
			mistake(mistakes, entry, "its payload does not fit: %s: %s", errors->items[i].pointer,
				errors->items[i].detail);
	arena_reset(&arena);
}

static void check_misfire(const struct prong_schedule *entry, struct buffer *mistakes)
{
	switch (entry->misfire) {
	case PRONG_MISFIRE_SKIP:
	case PRONG_MISFIRE_ONCE:
		if (entry->backfill)
			mistake(mistakes, entry, ".backfill is for PRONG_MISFIRE_BACKFILL");
		return;
	case PRONG_MISFIRE_BACKFILL:
		if (entry->backfill < 1 || entry->backfill > SCHEDULE_MAX_BACKFILL)
			mistake(mistakes, entry, "PRONG_MISFIRE_BACKFILL needs a .backfill from 1 to %d",
				SCHEDULE_MAX_BACKFILL);
		return;
	}
	mistake(mistakes, entry, "its misfire is none of PRONG_MISFIRE_SKIP, _ONCE and _BACKFILL");
}

static void read_line(struct schedule *schedule, struct buffer *mistakes)
{
	const struct prong_schedule *entry = schedule->entry;
	_cleanup_(freep) char *wrong_line = NULL, *wrong_zone = NULL;

	if (cron_parse(entry->cron, &schedule->cron, &wrong_line) < 0)
		mistake(mistakes, entry, "its line \"%s\": %s", entry->cron, wrong_line);
	if (zone_load(schedule_zone_name(schedule), &schedule->zone, &wrong_zone) < 0)
		mistake(mistakes, entry, "its zone \"%s\": %s", entry->zone, wrong_zone);
	schedule->plan = format_text("%s %s", entry->cron, schedule_zone_name(schedule));
}

static void read_interval(struct schedule *schedule, struct buffer *mistakes)
{
	const struct prong_schedule *entry = schedule->entry;
	_cleanup_(freep) char *interval = duration_format(entry->every);

	if (entry->every < PRONG_SECONDS(1))
		mistake(mistakes, entry, "its interval is less than a second");
	if (entry->zone)
		mistake(mistakes, entry, "a .zone is for a .cron line: an interval is the same everywhere");
	schedule->plan = format_text("every %s", interval);
}

int schedule_load(const struct prong_schedule *entry, struct schedule *ret_schedule, struct buffer *mistakes)
{
	struct schedule schedule = { .entry = entry };
	size_t size = mistakes->size;

	if (!entry->cron == !entry->every)
		mistake(mistakes, entry, "give it either a .cron line or an interval, .every");
	else if (entry->cron)
		read_line(&schedule, mistakes);
	else
		read_interval(&schedule, mistakes);
	check_misfire(entry, mistakes);
	if (entry->job)
		check_payload(entry, mistakes);
	if (mistakes->size > size) {
		schedule_unload(&schedule);
		return -EINVAL;
	}
	*ret_schedule = schedule;
	return 0;
}

void schedule_unload(struct schedule *schedule)
{
	free(schedule->plan);
	zone_free(schedule->zone);
}

const char *schedule_zone_name(const struct schedule *schedule)
{
	return schedule->entry->zone ? schedule->entry->zone : "UTC";
}

const char *schedule_misfire_name(const struct schedule *schedule)
{
	static const char *const names[] = {
		[PRONG_MISFIRE_SKIP] = "skip",
		[PRONG_MISFIRE_ONCE] = "once",
		[PRONG_MISFIRE_BACKFILL] = "backfill",
	};

	return names[schedule->entry->misfire];
}

/* ---- ticks ---- */

prong_time schedule_next(const struct schedule *schedule, prong_time after)
{
	prong_duration every = schedule->entry->every;
	int64_t part;

	if (!every)
		return cron_next(&schedule->cron, schedule->zone, after);
	part = after.us % every;
	return (prong_time){ .us = after.us - part + (part < 0 ? 0 : every) };
}

/*
 * The newest tick after `after` up to `until`; `after` where there is none. There may be millions between: each step
 * halves the time in which it must be.
 */
static prong_time newest_tick(const struct schedule *schedule, prong_time after, prong_time until)
{
	prong_time low = schedule_next(schedule, after), high = until; /* a tick; none comes after `high` */

	if (low.us > until.us)
		return after;
	while (low.us < high.us) {
		prong_time middle = { .us = low.us + (high.us - low.us) / 2 };
		prong_time next = schedule_next(schedule, middle);

		if (next.us <= until.us)
			low = next;
		else
			high = middle;
	}
	return low;
}

/* Whether one more that was missed is not run, after so many others. */
static bool drops_missed(const struct schedule *schedule, size_t n_late, size_t n_missed)
{
	switch (schedule->entry->misfire) {
	case PRONG_MISFIRE_ONCE:
		return n_late + n_missed > 0;
	case PRONG_MISFIRE_BACKFILL:
		return n_missed == (size_t)schedule->entry->backfill;
	case PRONG_MISFIRE_SKIP:
		break;
	}
	return true;
}

size_t schedule_due(const struct schedule *schedule, prong_time last, prong_time now, prong_time *ret_newest,
		    prong_time **ret_ticks)
{
	size_t n_late = 0, n_missed = 0, count;
	prong_time *ticks = NULL;
	prong_time tick = newest_tick(schedule, last, now);

	*ret_newest = tick;
	while (tick.us > last.us) {
		bool late = now.us - tick.us <= SCHEDULE_LATE;

		if (!late && drops_missed(schedule, n_late, n_missed))
			break;
		n_late += late;
		n_missed += !late;
		ticks = reallocate(ticks, (n_late + n_missed) * sizeof(*ticks));
		ticks[n_late + n_missed - 1] = tick;
		tick = newest_tick(schedule, last, (prong_time){ .us = tick.us - 1 });
	}
	count = n_late + n_missed;
	for (size_t i = 0; i < count / 2; i++) {
		prong_time swapped = ticks[i];

		ticks[i] = ticks[count - 1 - i];
		ticks[count - 1 - i] = swapped;
	}
	*ret_ticks = ticks;
	return count;
}
