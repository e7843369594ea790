#include "common/cron.h"

#include <strings.h>

#include "common/basics.h"
#include "common/calendar.h"
#include "common/zone.h"

#define DAY INT64_C(86400)
#define CALENDAR_CYCLE (146097 * DAY) /* 400 years, after which the calendar repeats */
#define MAX_FIELDS 6

static const char *const month_names[] = { "jan", "feb", "mar", "apr", "may", "jun",
					   "jul", "aug", "sep", "oct", "nov", "dec" };
static const char *const weekday_names[] = { "sun", "mon", "tue", "wed", "thu", "fri", "sat" };

struct field {
	const char *name;
	int low, high;
	const char *const *names; /* of the values from `low` on; NULL: it has none */
	size_t n_names;
	const char *what; /* it may be */
};

enum { SECOND, MINUTE, HOUR, DAY_OF_MONTH, MONTH, DAY_OF_WEEK };

static const struct field fields[MAX_FIELDS] = {
	[SECOND] = { "second", 0, 59, NULL, 0, "a number from 0 to 59" },
	[MINUTE] = { "minute", 0, 59, NULL, 0, "a number from 0 to 59" },
	[HOUR] = { "hour", 0, 23, NULL, 0, "a number from 0 to 23" },
	[DAY_OF_MONTH] = { "day of month", 1, 31, NULL, 0, "a number from 1 to 31" },
	[MONTH] = { "month", 1, 12, month_names, 12, "a number from 1 to 12 or a name, jan to dec" },
	[DAY_OF_WEEK] = { "day of week", 0, 7, weekday_names, 7,
			  "a number from 0 to 7 (0 and 7 are Sunday) or a name, sun to sat" },
};

static int fail(char **ret_reason, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int fail(char **ret_reason, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	*ret_reason = vformat_text(format, arguments);
	va_end(arguments);
	return -EINVAL;
}

/* ---- a field ---- */

static int parse_number(const char *text, size_t size, int *ret_number)
{
	int number = 0;

	if (size == 0 || size > 4)
		return -EINVAL;
	for (size_t i = 0; i < size; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -EINVAL;
		number = number * 10 + (text[i] - '0');
	}
	*ret_number = number;
	return 0;
}

static int parse_value(const struct field *field, const char *text, size_t size, int *ret_value, char **ret_reason)
{
	int value;

	for (size_t i = 0; i < field->n_names; i++)
		if (size == 3 && strncasecmp(text, field->names[i], 3) == 0) {
			*ret_value = field->low + (int)i;
			return 0;
		}
	if (parse_number(text, size, &value) < 0 || value < field->low || value > field->high)
		return fail(ret_reason, "the %s \"%.*s\" is not %s", field->name, (int)size, text, field->what);
	*ret_value = value;
	return 0;
}

static int parse_step(const struct field *field, const char *item, int low, int high, const char *step, int *ret_step,
		      char **ret_reason)
{
	size_t size = strcspn(step, ",");

	if (item[0] != '*' && low == high)
		return fail(ret_reason, "the %s \"%.*s/%.*s\" has a step but no range: write %d-%d/%.*s", field->name,
			    (int)strcspn(item, "/"), item, (int)size, step, low, field->high, (int)size, step);
	if (parse_number(step, size, ret_step) < 0 || *ret_step < 1 || *ret_step > high - low)
		return fail(ret_reason, "the step \"/%.*s\" of the %s is not a number from 1 to %d", (int)size, step,
			    field->name, high - low);
	return 0;
}

/* One of the items between commas, which ends at `size`. */
static int parse_item(const struct field *field, const char *item, size_t size, uint64_t *bits, char **ret_reason)
{
	size_t range = strcspn(item, "/,"), first = strcspn(item, "-/,");
	int low = field->low, high = field->high, step = 1, r;

	if (size == 0)
		return fail(ret_reason, "the %s has a comma with nothing before or after it", field->name);
	if (range != 1 || item[0] != '*') {
		r = parse_value(field, item, first, &low, ret_reason);
		if (r < 0)
			return r;
		high = low;
		if (first < range)
			r = parse_value(field, item + first + 1, range - first - 1, &high, ret_reason);
		if (r < 0)
			return r;
	} else if (field == &fields[DAY_OF_WEEK]) {
		high = 6;
	}
	if (field == &fields[DAY_OF_WEEK] && high == 0 && low > 0)
		high = 7; /* fri-sun */
	if (high < low)
		return fail(ret_reason, "the %s \"%.*s\" ends before it begins: write %d-%d,%d-%d", field->name,
			    (int)range, item, low, field->high, field->low, high);
	if (range < size) {
		r = parse_step(field, item, low, high, item + range + 1, &step, ret_reason);
		if (r < 0)
			return r;
	}
	for (int value = low; value <= high; value += step)
		*bits |= UINT64_C(1) << value;
	return 0;
}

static int parse_field(const struct field *field, const char *text, uint64_t *ret_bits, char **ret_reason)
{
	uint64_t bits = 0;

	for (const char *item = text;; item++) {
		size_t size = strcspn(item, ",");
		int r = parse_item(field, item, size, &bits, ret_reason);

		if (r < 0)
			return r;
		item += size;
		if (!*item)
			break;
	}
	*ret_bits = bits;
	return 0;
}

/* ---- the line ---- */

static const char *expand(const char *line)
{
	static const struct {
		const char *name, *line;
	} names[] = {
		{ "@hourly", "0 * * * *" },   { "@daily", "0 0 * * *" },   { "@midnight", "0 0 * * *" },
		{ "@weekly", "0 0 * * 0" },   { "@monthly", "0 0 1 * *" }, { "@yearly", "0 0 1 1 *" },
		{ "@annually", "0 0 1 1 *" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcasecmp(line, names[i].name) == 0)
			return names[i].line;
	return NULL;
}

/* Cuts `text` into words at `words`, of which it writes no more than fit; returns how many there are. */
static size_t split(char *text, char *words[MAX_FIELDS])
{
	char *state = NULL;
	size_t n = 0;

	for (char *word = strtok_r(text, " \t", &state); word; word = strtok_r(NULL, " \t", &state), n++)
		if (n < MAX_FIELDS)
			words[n] = word;
	return n;
}

/* Whether some month that is wanted has one of the days that are wanted. A weekday comes to every date in 400 years. */
static bool can_happen(const struct cron *cron)
{
	if (cron->either_day)
		return true;
	for (int month = 1; month <= 12; month++)
		for (int day = 1; day <= calendar_month_length(2000, month); day++)
			if (cron->months >> month & 1 && cron->days >> day & 1)
				return true;
	return false;
}

static int parse_words(char *const words[MAX_FIELDS], struct cron *ret_cron, char **ret_reason)
{
	uint64_t bits[MAX_FIELDS];

	for (size_t i = 0; i < MAX_FIELDS; i++) {
		int r = parse_field(&fields[i], words[i], &bits[i], ret_reason);

		if (r < 0)
			return r;
	}
	*ret_cron = (struct cron){
		.seconds = bits[SECOND],
		.minutes = bits[MINUTE],
		.hours = (uint32_t)bits[HOUR],
		.days = (uint32_t)bits[DAY_OF_MONTH],
		.months = (uint32_t)bits[MONTH],
		.weekdays = (uint32_t)((bits[DAY_OF_WEEK] | bits[DAY_OF_WEEK] >> 7) & 0x7f),
		.either_day = words[DAY_OF_MONTH][0] != '*' && words[DAY_OF_WEEK][0] != '*',
		.fixed = words[MINUTE][0] != '*' && words[HOUR][0] != '*',
	};
	return 0;
}

int cron_parse(const char *line, struct cron *ret_cron, char **ret_reason)
{
	_cleanup_(freep) char *text = NULL;
	char zero[] = "0", *words[1 + MAX_FIELDS] = { zero };
	const char *expanded = NULL;
	struct cron cron;
	size_t n;
	int r;

	line += strspn(line, " \t");
	if (line[0] == '@') {
		expanded = expand(line);
		if (!expanded)
			return fail(ret_reason,
				    "\"%s\" is not known: there are @hourly, @daily, @midnight, @weekly, @monthly, "
				    "@yearly and @annually",
				    line);
	}
	text = duplicate(expanded ? expanded : line);
	n = split(text, words + 1);
	if (n != 5 && n != 6)
		return fail(ret_reason,
			    "it has %zu field%s: write five (minute, hour, day of month, month, day of week) or six "
			    "(second before them)",
			    n, n == 1 ? "" : "s");
	r = parse_words(n == 6 ? words + 1 : words, &cron, ret_reason);
	if (r < 0)
		return r;
	if (!can_happen(&cron))
		return fail(ret_reason, "it never happens: no month that it names has such a day");
	*ret_cron = cron;
	return 0;
}

/* ---- the next time ---- */

/* The smallest value of a set from `from` on; -1 where there is none. */
static int next_in(uint64_t set, int64_t from)
{
	set = from > 63 ? 0 : set & (UINT64_MAX << from);
	return set ? __builtin_ctzll(set) : -1;
}

/* The first second of a day from `from` on; -1 where there is none. */
static int64_t next_second(const struct cron *cron, int64_t from)
{
	int64_t at_hour = from / 3600, at_minute = from / 60 % 60, at_second = from % 60;

	for (int hour = next_in(cron->hours, at_hour); hour >= 0; hour = next_in(cron->hours, hour + 1)) {
		bool this_hour = hour == at_hour;

		for (int minute = next_in(cron->minutes, this_hour ? at_minute : 0); minute >= 0;
		     minute = next_in(cron->minutes, minute + 1)) {
			int second = next_in(cron->seconds, this_hour && minute == at_minute ? at_second : 0);

			if (second >= 0)
				return hour * INT64_C(3600) + minute * 60 + second;
		}
	}
	return -1;
}

static bool day_matches(const struct cron *cron, int64_t days, int64_t day_of_month)
{
	int64_t weekday = ((days + 4) % 7 + 7) % 7; /* 1970-01-01 was a Thursday */
	bool by_month = cron->days >> day_of_month & 1, by_week = cron->weekdays >> weekday & 1;

	return cron->either_day ? by_month || by_week : by_month && by_week;
}

static int64_t floor_divide(int64_t value, int64_t by)
{
	return value / by - (value % by < 0);
}

/* The first time from `from` to before `to`, all of them local. */
static bool search(const struct cron *cron, int64_t from, int64_t to, int64_t *ret_time)
{
	int64_t days = floor_divide(from, DAY), second = from - days * DAY;

	for (; days * DAY < to; second = 0) {
		int64_t year, month, day;

		calendar_date(days, &year, &month, &day);
		if (!(cron->months >> month & 1)) {
			days += calendar_month_length(year, month) - day + 1;
			continue;
		}
		if (day_matches(cron, days, day)) {
			int64_t found = next_second(cron, second);

			if (found >= 0) {
				*ret_time = days * DAY + found;
				return *ret_time < to;
			}
		}
		days++;
	}
	return false;
}

/* The first time from `from` to before `to` of which both are within one span. */
static bool search_span(const struct cron *cron, const struct zone_span *span, int64_t from, int64_t to,
			int64_t *ret_time)
{
	int64_t local = from + span->offset, ignored;

	if (cron->fixed && span->start == from && search(cron, from + span->before, local, &ignored)) {
		*ret_time = from;
		return true;
	}
	if (cron->fixed && span->start != INT64_MIN && local < span->start + span->before)
		local = span->start + span->before;
	if (!search(cron, local, to + span->offset, ret_time))
		return false;
	*ret_time -= span->offset;
	return true;
}

prong_time cron_next(const struct cron *cron, const struct zone *zone, prong_time after)
{
	int64_t from = floor_divide(after.us, PRONG_SECONDS(1)) + 1, limit = from + CALENDAR_CYCLE, found;

	while (from < limit) {
		struct zone_span span = zone_span_at(zone, from);
		int64_t to = span.end < limit ? span.end : limit;

		if (search_span(cron, &span, from, to, &found))
			return (prong_time){ .us = PRONG_SECONDS(found) };
		from = to;
	}
	return (prong_time){ .us = INT64_MAX };
}
