#include "common/cron.h"

#include <stdio.h>
#include <time.h>

#include "common/basics.h"
#include "common/calendar.h"
#include "common/zone.h"
#include "tests/unit/test.h"

#define MINUTES_FROM(year) (calendar_days((year), 1, 1) * 1440)

static struct cron parse(const char *line)
{
	_cleanup_(freep) char *reason = NULL;
	struct cron cron = { 0 };

	if (cron_parse(line, &cron, &reason) < 0)
		panic("%s: %s", line, reason);
	return cron;
}

static struct zone *load(const char *name)
{
	_cleanup_(freep) char *reason = NULL;
	struct zone *zone = NULL;

	if (zone_load(name, &zone, &reason) < 0)
		panic("%s: %s", name, reason);
	return zone;
}

/* ---- reading ---- */

#define ALL(low, high) ((UINT64_MAX >> (63 - (high) + (low))) << (low))

TEST(cron, reads_fields)
{
	struct cron cron = parse("*/15 0,12 1-5,31 JAN-mar,Dec mon-fri");

	CU_ASSERT_EQUAL(cron.seconds, 1);
	CU_ASSERT_EQUAL(cron.minutes, UINT64_C(1) | UINT64_C(1) << 15 | UINT64_C(1) << 30 | UINT64_C(1) << 45);
	CU_ASSERT_EQUAL(cron.hours, 1 | 1 << 12);
	CU_ASSERT_EQUAL(cron.days, 0x3e | 1u << 31);
	CU_ASSERT_EQUAL(cron.months, 0xe | 1 << 12);
	CU_ASSERT_EQUAL(cron.weekdays, 0x3e);
	CU_ASSERT(cron.either_day);
	CU_ASSERT(!cron.fixed);

	cron = parse(" \t 1-59/2   3\t* * *  ");
	CU_ASSERT_EQUAL(cron.seconds, 1);
	CU_ASSERT_EQUAL(cron.minutes, UINT64_C(0xaaaaaaaaaaaaaaa));
	CU_ASSERT_EQUAL(cron.days, ALL(1, 31));
	CU_ASSERT_EQUAL(cron.months, ALL(1, 12));
	CU_ASSERT_EQUAL(cron.weekdays, 0x7f);
	CU_ASSERT(!cron.either_day);
	CU_ASSERT(cron.fixed);

	cron = parse("*/10 5 4 */2 * 1");
	CU_ASSERT_EQUAL(cron.seconds, UINT64_C(0x4010040100401));
	CU_ASSERT(cron.fixed);
	CU_ASSERT(!cron.either_day); /* a step over * restricts nothing */
	CU_ASSERT(!parse("0 */2 * * *").fixed);
}

TEST(cron, knows_both_sundays)
{
	CU_ASSERT_EQUAL(parse("0 0 * * 7").weekdays, 1);
	CU_ASSERT_EQUAL(parse("0 0 * * 0").weekdays, 1);
	CU_ASSERT_EQUAL(parse("0 0 * * 5-7").weekdays, 0x61);
	CU_ASSERT_EQUAL(parse("0 0 * * fri-SUN").weekdays, 0x61);
	CU_ASSERT_EQUAL(parse("0 0 * * sun-tue").weekdays, 0x07);
	CU_ASSERT_EQUAL(parse("0 0 * * 0-7").weekdays, 0x7f);
	CU_ASSERT_EQUAL(parse("0 0 * * */2").weekdays, 0x55);
}

TEST(cron, reads_nicknames)
{
	static const char *const pairs[][2] = {
		{ "@hourly", "0 * * * *" },   { "@Daily", "0 0 * * *" },   { "@midnight", "0 0 * * *" },
		{ "@weekly", "0 0 * * 0" },   { "@monthly", "0 0 1 * *" }, { " @yearly", "0 0 1 1 *" },
		{ "@annually", "0 0 1 1 *" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		struct cron named = parse(pairs[i][0]), written = parse(pairs[i][1]);

		CU_ASSERT_EQUAL(memcmp(&named, &written, sizeof(named)), 0);
	}
}

TEST(cron, says_what_is_wrong)
{
	static const char *const wrong[][2] = {
		{ "", "it has 0 fields: write five (minute, hour, day of month, month, day of week) or six (second "
		      "before them)" },
		{ "5", "it has 1 field: write five (minute, hour, day of month, month, day of week) or six (second "
		       "before them)" },
		{ "* * * * * * *", "it has 7 fields: write five (minute, hour, day of month, month, day of week) or "
				   "six (second before them)" },
		{ "60 * * * *", "the minute \"60\" is not a number from 0 to 59" },
		{ "61 0 0 * * *", "the second \"61\" is not a number from 0 to 59" },
		{ "0 24 * * *", "the hour \"24\" is not a number from 0 to 23" },
		{ "0 -1 * * *", "the hour \"\" is not a number from 0 to 23" },
		{ "0 0 0 * *", "the day of month \"0\" is not a number from 1 to 31" },
		{ "0 0 32 * *", "the day of month \"32\" is not a number from 1 to 31" },
		{ "0 0 L * *", "the day of month \"L\" is not a number from 1 to 31" },
		{ "0 0 ? * *", "the day of month \"?\" is not a number from 1 to 31" },
		{ "0 0 * 13 *", "the month \"13\" is not a number from 1 to 12 or a name, jan to dec" },
		{ "0 0 * june *", "the month \"june\" is not a number from 1 to 12 or a name, jan to dec" },
		{ "0 0 * * 8", "the day of week \"8\" is not a number from 0 to 7 (0 and 7 are Sunday) or a name, sun "
			       "to sat" },
		{ "0 0 * * mnd", "the day of week \"mnd\" is not a number from 0 to 7 (0 and 7 are Sunday) or a name, "
				 "sun to sat" },
		{ "0 0 * * jan", "the day of week \"jan\" is not a number from 0 to 7 (0 and 7 are Sunday) or a name, "
				 "sun to sat" },
		{ "1,,2 * * * *", "the minute has a comma with nothing before or after it" },
		{ "1, * * * *", "the minute has a comma with nothing before or after it" },
		{ "0 17-9 * * *", "the hour \"17-9\" ends before it begins: write 17-23,0-9" },
		{ "0 0 * * sat-mon", "the day of week \"sat-mon\" ends before it begins: write 6-7,0-1" },
		{ "5/15 * * * *", "the minute \"5/15\" has a step but no range: write 5-59/15" },
		{ "*/0 * * * *", "the step \"/0\" of the minute is not a number from 1 to 59" },
		{ "*/60,1 * * * *", "the step \"/60\" of the minute is not a number from 1 to 59" },
		{ "0 8-18/12 * * *", "the step \"/12\" of the hour is not a number from 1 to 10" },
		{ "*/ * * * *", "the step \"/\" of the minute is not a number from 1 to 59" },
		{ "*/1/2 * * * *", "the step \"/1/2\" of the minute is not a number from 1 to 59" },
		{ "*5 * * * *", "the minute \"*5\" is not a number from 0 to 59" },
		{ "99999999999 * * * *", "the minute \"99999999999\" is not a number from 0 to 59" },
		{ "1-2-3 * * * *", "the minute \"2-3\" is not a number from 0 to 59" },
		{ "0 0 30 2 *", "it never happens: no month that it names has such a day" },
		{ "0 0 31 feb,apr,6,9,11 *", "it never happens: no month that it names has such a day" },
		{ "@reboot", "\"@reboot\" is not known: there are @hourly, @daily, @midnight, @weekly, @monthly, "
			     "@yearly and @annually" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		_cleanup_(freep) char *reason = NULL;
		struct cron cron = { .seconds = 42 };

		CU_ASSERT_EQUAL(cron_parse(wrong[i][0], &cron, &reason), -EINVAL);
		CU_ASSERT_EQUAL(cron.seconds, 42);
		CU_ASSERT_STRING_EQUAL(reason ? reason : "", wrong[i][1]);
	}
	parse("0 0 30 2 1"); /* every Monday of February */
	parse("0 0 29 2 *");
}

/* Lines of the right characters, some of which are right. */
TEST(cron, survives_any_line)
{
	static const char characters[] = "0123456789****//--,,  \t\tjanfebsunmonJAN@daily?";
	struct zone *zone = load("Europe/Berlin");
	size_t n_right = 0;

	for (int i = 0; i < 50000; i++) {
		_cleanup_(freep) char *reason = NULL;
		prong_time after = { (int64_t)(random_u64() % PRONG_DAYS(365 * 60)) };
		char line[40];
		struct cron cron;
		size_t size = (size_t)snprintf(line, sizeof(line), "%s", i % 2 ? "0 0 * * " : "* ");

		while (size < sizeof(line) - 1 && random_u64() % 12)
			line[size++] = characters[random_u64() % (sizeof(characters) - 1)];
		line[size] = '\0';
		if (cron_parse(line, &cron, &reason) < 0) {
			CU_ASSERT(reason != NULL);
			continue;
		}
		n_right++;
		CU_ASSERT(cron_next(&cron, zone, after).us > after.us);
	}
	CU_ASSERT(n_right > 100);
	zone_free(zone);
}

/* ---- tables ---- */

struct row {
	const char *zone, *line, *after;
	const char *expected[5];
};

static void check_row(const struct row *row)
{
	struct zone *zone = load(row->zone);
	struct cron cron = parse(row->line);
	prong_time time = { 0 };

	CU_ASSERT_EQUAL(prong_time_parse(row->after, &time), 0);
	for (size_t i = 0; i < ARRAY_SIZE(row->expected) && row->expected[i]; i++) {
		char text[PRONG_TIME_TEXT_SIZE];

		time = cron_next(&cron, zone, time);
		prong_time_format(time, text);
		if (!string_equal(text, row->expected[i]))
			fprintf(stderr, "%s, %s: %s, not %s\n", row->zone, row->line, text, row->expected[i]);
		CU_ASSERT_STRING_EQUAL(text, row->expected[i]);
	}
	zone_free(zone);
}

TEST(cron, finds_the_next_time)
{
	static const struct row rows[] = {
		{ "UTC",
		  "* * * * *",
		  "2024-02-28T23:58:59.999999Z",
		  { "2024-02-28T23:59:00Z", "2024-02-29T00:00:00Z", "2024-02-29T00:01:00Z" } },
		{ "UTC", "0 0 * * *", "2025-01-01T00:00:00Z", { "2025-01-02T00:00:00Z" } },
		{ "UTC", "0 0 * * *", "2024-12-31T23:59:59.5Z", { "2025-01-01T00:00:00Z" } },
		{ "UTC", "0 0 * * *", "1969-12-30T12:00:00.5Z", { "1969-12-31T00:00:00Z", "1970-01-01T00:00:00Z" } },
		{ "UTC",
		  "*/20 59 23 31 12 *",
		  "2024-12-31T23:59:10Z",
		  { "2024-12-31T23:59:20Z", "2024-12-31T23:59:40Z", "2025-12-31T23:59:00Z" } },
		{ "UTC", "* * * * * *", "2024-12-31T23:59:58Z", { "2024-12-31T23:59:59Z", "2025-01-01T00:00:00Z" } },
		{ "UTC", "0 0 29 2 *", "2024-03-01T00:00:00Z", { "2028-02-29T00:00:00Z" } },
		{ "UTC", "0 0 29 2 *", "2096-03-01T00:00:00Z", { "2104-02-29T00:00:00Z" } },
		{ "UTC", "0 0 29 2 */6", "2024-03-01T00:00:00Z", { "2032-02-29T00:00:00Z" } },
		{ "UTC", "0 0 31 * *", "2025-01-31T00:00:00Z", { "2025-03-31T00:00:00Z", "2025-05-31T00:00:00Z" } },
		{ "UTC",
		  "0 0 13 * fri",
		  "2026-01-01T00:00:00Z",
		  { "2026-01-02T00:00:00Z", "2026-01-09T00:00:00Z", "2026-01-13T00:00:00Z", "2026-01-16T00:00:00Z" } },
		{ "UTC",
		  "0 0 */2 * fri",
		  "2026-01-01T00:00:00Z",
		  { "2026-01-09T00:00:00Z", "2026-01-23T00:00:00Z", "2026-02-13T00:00:00Z" } },
		{ "UTC",
		  "15 10 * jan,jul 7",
		  "2030-07-27T00:00:00Z",
		  { "2030-07-28T10:15:00Z", "2031-01-05T10:15:00Z" } },
		{ "Asia/Kathmandu",
		  "0 0 * * *",
		  "2024-01-01T00:00:00Z",
		  { "2024-01-01T18:15:00Z", "2024-01-02T18:15:00Z" } },
		{ "Asia/Kathmandu",
		  "*/30 * 1 * *",
		  "2024-12-31T18:14:59Z",
		  { "2024-12-31T18:15:00Z", "2024-12-31T18:45:00Z" } },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check_row(&rows[i]);
}

/* Berlin skips 2:00 to 3:00 at 1:00 UTC; New York 2:00 to 3:00 at 7:00 UTC; Lord Howe 2:00 to 2:30 at 15:30 UTC. */
TEST(cron, runs_once_what_the_clocks_skip)
{
	static const struct row rows[] = {
		{ "Europe/Berlin",
		  "30 2 * * *",
		  "2025-03-29T12:00:00Z",
		  { "2025-03-30T01:00:00Z", "2025-03-31T00:30:00Z" } },
		{ "Europe/Berlin",
		  "30 2 30 3 *",
		  "2024-12-01T00:00:00Z",
		  { "2025-03-30T01:00:00Z", "2026-03-30T00:30:00Z" } },
		{ "Europe/Berlin",
		  "0,30 2,3 * * *",
		  "2025-03-30T00:00:00Z",
		  { "2025-03-30T01:00:00Z", "2025-03-30T01:30:00Z", "2025-03-31T00:00:00Z" } },
		{ "Europe/Berlin",
		  "* 0 2 * * *",
		  "2025-03-30T00:00:00Z",
		  { "2025-03-30T01:00:00Z", "2025-03-31T00:00:00Z", "2025-03-31T00:00:01Z" } },
		{ "Europe/Berlin",
		  "*/30 2 * * *",
		  "2025-03-30T00:00:00Z",
		  { "2025-03-31T00:00:00Z", "2025-03-31T00:30:00Z" } },
		{ "Europe/Berlin",
		  "30 * * * *",
		  "2025-03-30T00:00:00Z",
		  { "2025-03-30T00:30:00Z", "2025-03-30T01:30:00Z" } },
		{ "Europe/Berlin",
		  "0 3 * * *",
		  "2025-03-29T12:00:00Z",
		  { "2025-03-30T01:00:00Z", "2025-03-31T01:00:00Z" } },
		{ "America/New_York",
		  "15 2 * * sun",
		  "2026-03-02T00:00:00Z",
		  { "2026-03-08T07:00:00Z", "2026-03-15T06:15:00Z" } },
		{ "Australia/Lord_Howe",
		  "15 2 * * *",
		  "2025-10-04T00:00:00Z",
		  { "2025-10-04T15:30:00Z", "2025-10-05T15:15:00Z" } },
		{ "Australia/Lord_Howe",
		  "45 2 * * *",
		  "2025-10-04T00:00:00Z",
		  { "2025-10-04T15:45:00Z", "2025-10-05T15:45:00Z" } },
		{ "Australia/Lord_Howe",
		  "*/15 * * * *",
		  "2025-10-04T15:10:00Z",
		  { "2025-10-04T15:15:00Z", "2025-10-04T15:30:00Z", "2025-10-04T15:45:00Z" } },
		/* From Thursday to Saturday: there was no Friday. */
		{ "Pacific/Apia",
		  "0 12 * * *",
		  "2011-12-29T12:00:00Z",
		  { "2011-12-29T22:00:00Z", "2011-12-30T10:00:00Z", "2011-12-30T22:00:00Z" } },
		{ "Europe/Berlin", "30 2 * 3 sun", "2299-03-25T12:00:00Z", { "2299-03-26T01:00:00Z" } },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check_row(&rows[i]);
}

/* Berlin repeats 2:00 to 3:00 at 1:00 UTC; New York 1:00 to 2:00 at 6:00 UTC; Lord Howe 1:30 to 2:00 at 15:00 UTC. */
TEST(cron, runs_the_first_time_what_the_clocks_repeat)
{
	static const struct row rows[] = {
		{ "Europe/Berlin",
		  "30 2 * * *",
		  "2025-10-25T12:00:00Z",
		  { "2025-10-26T00:30:00Z", "2025-10-27T01:30:00Z" } },
		{ "Europe/Berlin", "30 2 * * *", "2025-10-26T01:00:00Z", { "2025-10-27T01:30:00Z" } },
		{ "Europe/Berlin",
		  "0 2,3 * * *",
		  "2025-10-25T12:00:00Z",
		  { "2025-10-26T00:00:00Z", "2025-10-26T02:00:00Z", "2025-10-27T01:00:00Z" } },
		{ "Europe/Berlin",
		  "30 * * * *",
		  "2025-10-25T23:45:00Z",
		  { "2025-10-26T00:30:00Z", "2025-10-26T01:30:00Z", "2025-10-26T02:30:00Z" } },
		{ "Europe/Berlin",
		  "*/30 2 * * *",
		  "2025-10-25T12:00:00Z",
		  { "2025-10-26T00:00:00Z", "2025-10-26T00:30:00Z", "2025-10-26T01:00:00Z", "2025-10-26T01:30:00Z",
		    "2025-10-27T01:00:00Z" } },
		{ "America/New_York",
		  "30 1 * * *",
		  "2026-10-31T12:00:00Z",
		  { "2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z" } },
		{ "America/New_York",
		  "@hourly",
		  "2026-11-01T04:30:00Z",
		  { "2026-11-01T05:00:00Z", "2026-11-01T06:00:00Z", "2026-11-01T07:00:00Z" } },
		{ "Australia/Lord_Howe",
		  "45 1 * * *",
		  "2025-04-05T00:00:00Z",
		  { "2025-04-05T14:45:00Z", "2025-04-06T15:15:00Z" } },
		{ "Australia/Lord_Howe",
		  "45 * * * *",
		  "2025-04-05T14:00:00Z",
		  { "2025-04-05T14:45:00Z", "2025-04-05T15:15:00Z", "2025-04-05T16:15:00Z" } },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check_row(&rows[i]);
}

/* ---- against somebody who looks at the clock every minute ---- */

/* A line made at random, with its sets as we know them without reading it. */
struct line {
	char text[400];
	uint64_t minutes, hours, days, months, weekdays;
	bool fixed, either_day;
};

static uint64_t make_field(char *text, int low, int high, unsigned any)
{
	uint64_t set = 0;
	int n = 1 + (int)(random_u64() % 3);

	if (random_u64() % 100 < any) {
		strcpy(text, "*");
		return ALL(low, high);
	}
	if (random_u64() % 4 == 0) {
		int step = 1 + (int)(random_u64() % (unsigned)(high - low));

		sprintf(text, "*/%d", step);
		for (int value = low; value <= high; value += step)
			set |= UINT64_C(1) << value;
		return set;
	}
	for (int i = 0; i < n; i++) {
		int from = low + (int)(random_u64() % (unsigned)(high - low + 1));
		int to = from + (int)(random_u64() % (unsigned)(high - from + 1));

		text += to == from ? sprintf(text, "%s%d", i ? "," : "", from)
				   : sprintf(text, "%s%d-%d", i ? "," : "", from, to);
		for (int value = from; value <= to; value++)
			set |= UINT64_C(1) << value;
	}
	return set;
}

static struct line make_line(void)
{
	char minute[64], hour[64], day[64], month[64], weekday[64];
	struct line line;

	/* Mostly in the night, where clocks change. */
	line.minutes = make_field(minute, 0, 59, 15);
	line.hours = make_field(hour, 0, random_u64() % 3 ? 4 : 23, 20);
	if (strchr(hour, '*'))
		line.hours = make_field(hour, 0, 23, 50);
	line.days = make_field(day, 1, 28, 70);
	if (strchr(day, '*')) {
		strcpy(day, "*");
		line.days = ALL(1, 31);
	}
	line.months = make_field(month, 1, 12, 70);
	line.weekdays = make_field(weekday, 0, 6, 70);
	line.fixed = minute[0] != '*' && hour[0] != '*';
	line.either_day = day[0] != '*' && weekday[0] != '*';
	snprintf(line.text, sizeof(line.text), "%s %s %s %s %s", minute, hour, day, month, weekday);
	return line;
}

static bool matches(const struct line *line, int64_t local)
{
	time_t seconds = local * 60;
	bool by_month, by_week;
	struct tm tm;

	if (!(line->minutes >> (local % 60) & 1) || !(line->hours >> (local / 60 % 24) & 1))
		return false;
	gmtime_r(&seconds, &tm);
	by_month = line->days >> tm.tm_mday & 1;
	by_week = line->weekdays >> tm.tm_wday & 1;
	return line->months >> (tm.tm_mon + 1) & 1 && (line->either_day ? by_month || by_week : by_month && by_week);
}

/* The wall clock of a zone at every minute of the years, by the C library. */
struct walk {
	int64_t first;
	size_t count;
	int64_t *local;
};

static struct walk walk_new(const char *zone)
{
	struct walk walk = { .first = MINUTES_FROM(2024), .count = (size_t)(MINUTES_FROM(2031) - MINUTES_FROM(2024)) };
	struct tm tm = { 0 };

	walk.local = allocate_array(walk.count, sizeof(*walk.local));
	setenv("TZ", zone, 1);
	tzset();
	for (size_t i = 0; i < walk.count; i++) {
		time_t seconds = (walk.first + (int64_t)i) * 60;

		if (i % 15 == 0) /* no clocks change but at a quarter */
			localtime_r(&seconds, &tm);
		walk.local[i] = walk.first + (int64_t)i + tm.tm_gmtoff / 60;
	}
	unsetenv("TZ");
	tzset();
	return walk;
}

/* As Vixie's cron goes about it, with a virtual time that follows the wall clock. */
static bool runs_at(const struct line *line, const struct walk *walk, size_t i, int64_t *virtual_time)
{
	int64_t local = walk->local[i];
	bool runs = false;

	if (!line->fixed)
		return matches(line, local);
	while (*virtual_time < local)
		runs |= matches(line, ++*virtual_time);
	return runs;
}

static bool agree(const struct line *line, const struct walk *walk, const struct zone *zone)
{
	struct cron cron = parse(line->text);
	prong_time next = cron_next(&cron, zone, (prong_time){ PRONG_MINUTES(walk->first) });
	int64_t virtual_time = walk->local[0];

	for (size_t i = 1; i < walk->count; i++) {
		prong_time now = { PRONG_MINUTES(walk->first + (int64_t)i) };

		if (runs_at(line, walk, i, &virtual_time) != (next.us == now.us)) {
			char text[PRONG_TIME_TEXT_SIZE], other[PRONG_TIME_TEXT_SIZE];

			fprintf(stderr, "%s differs at %s: %s\n", line->text, prong_time_format(now, text),
				prong_time_format(next, other));
			return false;
		}
		if (next.us == now.us)
			next = cron_next(&cron, zone, next);
	}
	return true;
}

TEST(cron, agrees_with_a_minute_walker)
{
	static const char *const names[] = { "Europe/Berlin", "America/New_York", "Australia/Lord_Howe",
					     "UTC",	      "Asia/Kathmandu",	  "Africa/Cairo" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct walk walk = walk_new(names[i]);
		struct zone *zone = load(names[i]);

		for (int n = 0; n < 12; n++) {
			struct line line = make_line();

			CU_ASSERT(agree(&line, &walk, zone));
		}
		free(walk.local);
		zone_free(zone);
	}
}

/* From any time on, the next is the first of the times that follow one another. */
TEST(cron, does_not_depend_on_where_it_starts)
{
	struct zone *zone = load("Europe/Berlin");

	for (int n = 0; n < 200; n++) {
		struct line line = make_line();
		struct cron cron = parse(line.text);
		prong_time start = { PRONG_DAYS(calendar_days(2025, 10, 20)) }, next = cron_next(&cron, zone, start);

		for (int i = 0; i < 20; i++) {
			prong_time after = next, between;

			next = cron_next(&cron, zone, after);
			between.us = after.us + (int64_t)(random_u64() % (uint64_t)(next.us - after.us));
			CU_ASSERT_EQUAL(cron_next(&cron, zone, between).us, next.us);
			CU_ASSERT(next.us > after.us);
		}
	}
	zone_free(zone);
}
