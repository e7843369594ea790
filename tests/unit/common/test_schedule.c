#include "common/schedule.h"

#include "common/basics.h"
#include "common/calendar.h"
#include "common/zone.h"
#include "tests/unit/test.h"

struct cleaning {
	const char *what;
	int32_t days;
};

/* clang-format off */
PRONG_SCHEMA(cleaning,
	PRONG_FIELD(cleaning, what, .required = true, .max_length = 5),
	PRONG_FIELD(cleaning, days, .range = PRONG_RANGE(1, 30)));
/* clang-format on */

static int run(struct prong_ctx *ctx)
{
	(void)ctx;
	return 0;
}

PRONG_JOB(run);
static const struct prong_job clean = { .name = "clean", .run = run, .payload = &cleaning_schema };

static char *mistakes_of(const struct prong_schedule *entry)
{
	struct buffer mistakes = { 0 };
	struct schedule schedule;
	char *text;

	if (schedule_load(entry, &schedule, &mistakes) == 0)
		schedule_unload(&schedule);
	text = duplicate(buffer_text(&mistakes));
	buffer_free(&mistakes);
	return text;
}

#define EXPECT_MISTAKES(job_, text_, ...)                                                               \
	do {                                                                                            \
		_cleanup_(freep) char *mistakes_ =                                                      \
			mistakes_of(&(struct prong_schedule){ .name = "s", .job = job_, __VA_ARGS__ }); \
		CU_ASSERT_STRING_EQUAL(mistakes_, text_);                                               \
	} while (0)

TEST(schedule, reports_every_mistake)
{
	static const struct cleaning good = { "logs", 30 }, bad = { "everything", 0 };

	EXPECT_MISTAKES(&run_job, "", .cron = "0 3 * * *");
	EXPECT_MISTAKES(&run_job, "", .every = PRONG_SECONDS(1), .misfire = PRONG_MISFIRE_BACKFILL, .backfill = 1000);
	EXPECT_MISTAKES(&clean, "", .cron = "0 3 * * *", .payload = &good);
	EXPECT_MISTAKES(&run_job, "schedule s: give it either a .cron line or an interval, .every\n", .zone = "UTC");
	EXPECT_MISTAKES(&run_job, "schedule s: give it either a .cron line or an interval, .every\n", .cron = "@daily",
			.every = PRONG_SECONDS(1));
	EXPECT_MISTAKES(&run_job, "schedule s: its interval is less than a second\n", .every = PRONG_SECONDS(1) - 1);
	EXPECT_MISTAKES(&run_job, "schedule s: its interval is less than a second\n", .every = -PRONG_DAYS(1));
	EXPECT_MISTAKES(&run_job, "schedule s: a .zone is for a .cron line: an interval is the same everywhere\n",
			.every = PRONG_SECONDS(1), .zone = "Europe/Berlin");
	EXPECT_MISTAKES(&run_job,
			"schedule s: its line \"0 25 * * *\": the hour \"25\" is not a number from 0 to 23\n"
			"schedule s: its zone \"Europe/Bonn\": there is no such time zone; write UTC or a name such as "
			"Europe/Berlin: the files of /usr/share/zoneinfo\n"
			"schedule s: PRONG_MISFIRE_BACKFILL needs a .backfill from 1 to 1000\n"
			"schedule s: its job takes no payload: leave .payload out\n",
			.cron = "0 25 * * *", .zone = "Europe/Bonn", .misfire = PRONG_MISFIRE_BACKFILL,
			.payload = &good);
	EXPECT_MISTAKES(&run_job, "schedule s: PRONG_MISFIRE_BACKFILL needs a .backfill from 1 to 1000\n",
			.cron = "@daily", .misfire = PRONG_MISFIRE_BACKFILL, .backfill = 1001);
	EXPECT_MISTAKES(&run_job, "schedule s: .backfill is for PRONG_MISFIRE_BACKFILL\n", .cron = "@daily",
			.backfill = 1);
	EXPECT_MISTAKES(&run_job, "schedule s: its misfire is none of PRONG_MISFIRE_SKIP, _ONCE and _BACKFILL\n",
			.cron = "@daily", .misfire = 7);
	EXPECT_MISTAKES(&clean, "schedule s: its job needs a payload: give it a static record as .payload\n",
			.cron = "@daily");
	EXPECT_MISTAKES(&clean,
			"schedule s: its payload does not fit: /what: Give at most 5 characters.\n"
			"schedule s: its payload does not fit: /days: Give a number from 1 to 30.\n",
			.cron = "@daily", .payload = &bad);
}

/* ---- ticks ---- */

static struct schedule load(const struct prong_schedule *entry)
{
	struct buffer mistakes = { 0 };
	struct schedule schedule;

	if (schedule_load(entry, &schedule, &mistakes) < 0)
		panic("%s", buffer_text(&mistakes));
	return schedule;
}

static prong_time at(const char *text)
{
	prong_time time = { 0 };

	if (prong_time_parse(text, &time) < 0)
		panic("no time: %s", text);
	return time;
}

TEST(schedule, aligns_intervals_to_the_epoch)
{
	struct schedule schedule =
		load(&(struct prong_schedule){ .name = "s", .job = &run_job, .every = PRONG_SECONDS(90) });

	CU_ASSERT_EQUAL(schedule_next(&schedule, (prong_time){ 0 }).us, PRONG_SECONDS(90));
	CU_ASSERT_EQUAL(schedule_next(&schedule, (prong_time){ -1 }).us, 0);
	CU_ASSERT_EQUAL(schedule_next(&schedule, (prong_time){ -PRONG_SECONDS(90) }).us, 0);
	CU_ASSERT_EQUAL(schedule_next(&schedule, (prong_time){ -PRONG_SECONDS(91) }).us, -PRONG_SECONDS(90));
	CU_ASSERT_EQUAL(schedule_next(&schedule, at("2026-01-01T00:00:00.5Z")).us, at("2026-01-01T00:01:30Z").us);
	CU_ASSERT_EQUAL(schedule_next(&schedule, at("2026-01-01T00:01:30Z")).us, at("2026-01-01T00:03:00Z").us);
	CU_ASSERT_STRING_EQUAL(schedule.plan, "every 1m30s");
	schedule_unload(&schedule);
}

TEST(schedule, says_its_plan)
{
	struct schedule schedule = load(
		&(struct prong_schedule){ .name = "s", .job = &run_job, .cron = "0 3 * * *", .zone = "Europe/Berlin" });

	CU_ASSERT_STRING_EQUAL(schedule.plan, "0 3 * * * Europe/Berlin");
	schedule_unload(&schedule);
	schedule = load(&(struct prong_schedule){ .name = "s", .job = &run_job, .every = PRONG_DAYS(8) + 500000 });
	CU_ASSERT_STRING_EQUAL(schedule.plan, "every 8d500ms");
	schedule_unload(&schedule);
}

/* The due ticks as "newest: tick tick …", of a schedule every ten minutes. */
static char *due(enum prong_misfire misfire, int backfill, const char *last, const char *now)
{
	struct schedule schedule = load(&(struct prong_schedule){
		.name = "s", .job = &run_job, .cron = "*/10 * * * *", .misfire = misfire, .backfill = backfill });
	_cleanup_(freep) prong_time *ticks = NULL;
	struct buffer text = { 0 };
	prong_time newest;
	size_t n = schedule_due(&schedule, at(last), at(now), &newest, &ticks);
	char one[PRONG_TIME_TEXT_SIZE];

	buffer_add_format(&text, "%.5s:", prong_time_format(newest, one) + 11);
	for (size_t i = 0; i < n; i++)
		buffer_add_format(&text, " %.5s", prong_time_format(ticks[i], one) + 11);
	buffer_text(&text);
	schedule_unload(&schedule);
	return text.data;
}

#define EXPECT_DUE(misfire, backfill, last, now, expected)                                                           \
	do {                                                                                                         \
		_cleanup_(freep) char *due_ = due(misfire, backfill, "2026-01-01T" last "Z", "2026-01-01T" now "Z"); \
		CU_ASSERT_STRING_EQUAL(due_, expected);                                                              \
	} while (0)

TEST(schedule, runs_what_is_due_in_time)
{
	for (enum prong_misfire misfire = PRONG_MISFIRE_SKIP; misfire <= PRONG_MISFIRE_BACKFILL; misfire++) {
		int backfill = misfire == PRONG_MISFIRE_BACKFILL ? 3 : 0;

		EXPECT_DUE(misfire, backfill, "12:00:00", "12:09:59.999999", "12:00:");
		EXPECT_DUE(misfire, backfill, "12:00:00", "12:10:00", "12:10: 12:10");
		EXPECT_DUE(misfire, backfill, "12:00:00", "12:10:05", "12:10: 12:10");
		EXPECT_DUE(misfire, backfill, "12:10:00", "12:10:00", "12:10:");
		EXPECT_DUE(misfire, backfill, "12:03:21", "12:10:00", "12:10: 12:10");
	}
}

TEST(schedule, applies_the_misfire_policy)
{
	EXPECT_DUE(PRONG_MISFIRE_SKIP, 0, "12:00:00", "12:10:05.000001", "12:10:");
	EXPECT_DUE(PRONG_MISFIRE_SKIP, 0, "12:00:00", "13:01:00", "13:00:");
	EXPECT_DUE(PRONG_MISFIRE_SKIP, 0, "12:00:00", "13:00:02", "13:00: 13:00");
	EXPECT_DUE(PRONG_MISFIRE_ONCE, 0, "12:00:00", "12:11:00", "12:10: 12:10");
	EXPECT_DUE(PRONG_MISFIRE_ONCE, 0, "12:00:00", "13:01:00", "13:00: 13:00");
	EXPECT_DUE(PRONG_MISFIRE_ONCE, 0, "12:00:00", "13:00:02", "13:00: 13:00");
	EXPECT_DUE(PRONG_MISFIRE_BACKFILL, 3, "12:00:00", "12:21:00", "12:20: 12:10 12:20");
	EXPECT_DUE(PRONG_MISFIRE_BACKFILL, 3, "12:00:00", "13:01:00", "13:00: 12:40 12:50 13:00");
	EXPECT_DUE(PRONG_MISFIRE_BACKFILL, 3, "12:00:00", "13:00:02", "13:00: 12:30 12:40 12:50 13:00");
}

/* A clock that goes back finds the tick done; one that jumps ahead finds ticks missed, and back again none of them. */
TEST(schedule, never_doubles_a_tick_when_a_clock_is_set)
{
	for (enum prong_misfire misfire = PRONG_MISFIRE_SKIP; misfire <= PRONG_MISFIRE_BACKFILL; misfire++) {
		int backfill = misfire == PRONG_MISFIRE_BACKFILL ? 3 : 0;

		EXPECT_DUE(misfire, backfill, "12:10:00", "11:10:01", "12:10:");
		EXPECT_DUE(misfire, backfill, "12:10:00", "12:09:59", "12:10:");
		EXPECT_DUE(misfire, backfill, "13:10:00", "12:10:00", "13:10:");
	}
	EXPECT_DUE(PRONG_MISFIRE_SKIP, 0, "12:10:00", "13:12:00", "13:10:");
	EXPECT_DUE(PRONG_MISFIRE_ONCE, 0, "12:10:00", "13:12:00", "13:10: 13:10");
}

TEST(schedule, finds_the_last_of_millions_of_ticks)
{
	static const struct {
		const char *line;
		size_t count;
	} lines[] = {
		{ "* * * * * *", 1000 }, { "*/7 13 2-4 29 2 *", 243 }, { "* * * 1-6 *", 1000 }, { "0 0 29 2 *", 9 }
	};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		struct schedule schedule = load(&(struct prong_schedule){ .name = "s",
									  .job = &run_job,
									  .cron = lines[i].line,
									  .zone = "Europe/Berlin",
									  .misfire = PRONG_MISFIRE_BACKFILL,
									  .backfill = 1000 });
		prong_time last = at("1990-01-01T00:00:00Z"), now = at("2026-10-25T13:21:03Z"), newest;
		prong_time *ticks;
		size_t n = schedule_due(&schedule, last, now, &newest, &ticks);

		CU_ASSERT_EQUAL(ticks[n - 1].us, newest.us);
		CU_ASSERT(schedule_next(&schedule, newest).us > now.us);
		for (size_t k = 1; k < n; k++)
			CU_ASSERT_EQUAL(schedule_next(&schedule, ticks[k - 1]).us, ticks[k].us);
		CU_ASSERT(n == lines[i].count || n == lines[i].count + 6); /* those that are only late */
		free(ticks);
		schedule_unload(&schedule);
	}
}
