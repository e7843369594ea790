#include "common/zone.h"

#include <stdio.h>

#include "common/basics.h"
#include "common/calendar.h"

#define FOLDER "/usr/share/zoneinfo"
#define MAX_FILE (256 * 1024)
#define MAX_NAME 64
#define HEADER_SIZE 44
#define FIRST_YEAR 1900 /* from and until which the rule of the footer is written out */
#define LAST_YEAR 2500
#define HOUR 3600
#define DAY (24 * HOUR)
#define MAX_OFFSET (26 * HOUR) /* more than any zone ever had; RFC 8536 says −25 to 26 hours */

struct change {
	int64_t at;
	int64_t offset;
};

struct zone {
	int64_t first; /* the offset before all changes */
	size_t n_changes;
	struct change *changes; /* ascending */
};

/* Of two changes at one instant the later one holds; one before the last is not there. */
static void add_change(struct zone *zone, int64_t at, int64_t offset)
{
	struct change *last = zone->n_changes ? &zone->changes[zone->n_changes - 1] : NULL;

	if (last && at < last->at)
		return;
	if (last && at == last->at) {
		last->offset = offset;
		return;
	}
	if ((zone->n_changes & (zone->n_changes - 1)) == 0)
		zone->changes =
			reallocate(zone->changes, (zone->n_changes ? zone->n_changes * 2 : 1) * sizeof(*zone->changes));
	zone->changes[zone->n_changes++] = (struct change){ at, offset };
}

/* ---- the footer: what holds after the last change that the file lists, as POSIX writes TZ ---- */

/* When in a year the clocks change. */
struct rule {
	char kind; /* 'M': the nth weekday of a month; 'J': day 1 … 365 without 29 February; 'D': day 0 … 365 */
	int64_t month, week, day;
	int64_t time; /* seconds after midnight, local time before the change */
};

static bool take(const char **at, char c)
{
	if (**at != c)
		return false;
	(*at)++;
	return true;
}

static bool take_number(const char **at, int64_t low, int64_t high, int64_t *ret_number)
{
	int64_t number = 0;
	const char *start = *at;

	for (; **at >= '0' && **at <= '9' && *at - start < 4; (*at)++)
		number = number * 10 + (**at - '0');
	if (*at == start || number < low || number > high)
		return false;
	*ret_number = number;
	return true;
}

/* [+-]hh[:mm[:ss]] */
static bool take_clock(const char **at, int64_t max_hours, int64_t *ret_seconds)
{
	int64_t sign = take(at, '-') ? -1 : 1, hours, minutes = 0, seconds = 0;

	if (sign > 0)
		take(at, '+');
	if (!take_number(at, 0, max_hours, &hours) || (take(at, ':') && !take_number(at, 0, 59, &minutes)) ||
	    (take(at, ':') && !take_number(at, 0, 59, &seconds)))
		return false;
	*ret_seconds = sign * (hours * HOUR + minutes * 60 + seconds);
	return true;
}

/* The letters of an abbreviation, or anything between < and >. */
static bool take_abbreviation(const char **at)
{
	const char *start = *at;

	if (take(at, '<')) {
		*at += strcspn(*at, ">");
		return take(at, '>');
	}
	while ((**at >= 'a' && **at <= 'z') || (**at >= 'A' && **at <= 'Z'))
		(*at)++;
	return *at - start >= 3;
}

static bool take_rule(const char **at, struct rule *rule)
{
	bool right;

	*rule = (struct rule){ .kind = 'D', .time = 2 * HOUR };
	if (!take(at, ','))
		return false;
	if (take(at, 'M')) {
		rule->kind = 'M';
		right = take_number(at, 1, 12, &rule->month) && take(at, '.') && take_number(at, 1, 5, &rule->week) &&
			take(at, '.') && take_number(at, 0, 6, &rule->day);
	} else if (take(at, 'J')) {
		rule->kind = 'J';
		right = take_number(at, 1, 365, &rule->day);
	} else {
		right = take_number(at, 0, 365, &rule->day);
	}
	return right && (!take(at, '/') || take_clock(at, 167, &rule->time));
}

static int64_t nth_weekday(int64_t year, const struct rule *rule)
{
	int64_t first = calendar_days(year, rule->month, 1);
	int64_t weekday = ((first + 4) % 7 + 7) % 7; /* 1970-01-01 was a Thursday */
	int64_t day = (rule->day - weekday + 7) % 7 + (rule->week - 1) * 7;

	return first + (day < calendar_month_length(year, rule->month) ? day : day - 7);
}

/* When the clocks change in a year by this rule, with the offset that they showed until then. */
static int64_t rule_time(const struct rule *rule, int64_t year, int64_t offset)
{
	int64_t day = calendar_days(year, 1, 1) + rule->day;

	if (rule->kind == 'M')
		day = nth_weekday(year, rule);
	else if (rule->kind == 'J')
		day -= rule->day < 60 || calendar_month_length(year, 2) == 28;
	return day * DAY + rule->time - offset;
}

static void add_years(struct zone *zone, int64_t standard, int64_t summer, const struct rule rules[2])
{
	int64_t year = FIRST_YEAR, month, day;

	if (zone->n_changes)
		calendar_date(zone->changes[zone->n_changes - 1].at / DAY, &year, &month, &day);
	for (year = year < FIRST_YEAR ? FIRST_YEAR : year; year <= LAST_YEAR; year++) {
		int64_t begin = rule_time(&rules[0], year, standard), end = rule_time(&rules[1], year, summer);

		if (begin > end)
			add_change(zone, end, standard);
		add_change(zone, begin, summer);
		if (begin <= end)
			add_change(zone, end, standard);
	}
}

/* An empty footer says nothing. */
static int apply_footer(struct zone *zone, const char *at)
{
	int64_t standard, summer; /* as POSIX counts them: to the west */
	struct rule rules[2];

	if (!*at)
		return 0;
	if (!take_abbreviation(&at) || !take_clock(&at, 24, &standard))
		return -EINVAL;
	if (!*at) {
		if (zone->n_changes == 0)
			zone->first = -standard;
		return 0;
	}
	if (!take_abbreviation(&at))
		return -EINVAL;
	summer = standard - HOUR;
	if (*at != ',' && !take_clock(&at, 24, &summer))
		return -EINVAL;
	if (!take_rule(&at, &rules[0]) || !take_rule(&at, &rules[1]) || *at)
		return -EINVAL;
	add_years(zone, -standard, -summer, rules);
	return 0;
}

/* ---- the file ---- */

static int64_t big_endian(const char *data, size_t size)
{
	uint64_t value = (data[0] & 0x80) ? UINT64_MAX : 0;

	for (size_t i = 0; i < size; i++)
		value = value << 8 | (unsigned char)data[i];
	return (int64_t)value;
}

/* One header and the data block behind it, whose times take 4 bytes, and in the second one 8. */
struct block {
	size_t n_changes, n_types, n_leaps;
	const char *times, *indexes, *types, *end;
};

static int read_block(const char *data, size_t size, size_t time_size, struct block *ret_block)
{
	size_t counts[6], room;
	struct block block;

	if (size < HEADER_SIZE || memcmp(data, "TZif", 4) != 0 || data[4] < '2')
		return -EINVAL;
	for (size_t i = 0; i < 6; i++) {
		counts[i] = (size_t)(uint32_t)big_endian(data + 20 + 4 * i, 4);
		if (counts[i] > MAX_FILE)
			return -EINVAL;
	}
	block = (struct block){ .n_changes = counts[3], .n_types = counts[4], .n_leaps = counts[2] };
	room = block.n_changes * (time_size + 1) + block.n_types * 6 + counts[5] + block.n_leaps * (time_size + 4) +
	       counts[1] + counts[0];
	if (room > size - HEADER_SIZE)
		return -EINVAL;
	block.times = data + HEADER_SIZE;
	block.indexes = block.times + block.n_changes * time_size;
	block.types = block.indexes + block.n_changes;
	block.end = block.times + room;
	*ret_block = block;
	return 0;
}

static int read_changes(const struct block *block, struct zone *zone)
{
	if (block->n_types == 0 || block->n_leaps)
		return -EINVAL;
	for (size_t i = 0; i < block->n_types; i++) {
		int64_t offset = big_endian(block->types + 6 * i, 4);

		if (offset < -MAX_OFFSET || offset > MAX_OFFSET)
			return -EINVAL;
	}
	zone->first = big_endian(block->types, 4);
	for (size_t i = 0; i < block->n_changes; i++) {
		size_t type = (unsigned char)block->indexes[i];

		if (type >= block->n_types)
			return -EINVAL;
		add_change(zone, big_endian(block->times + 8 * i, 8), big_endian(block->types + 6 * type, 4));
	}
	return 0;
}

int zone_parse(const char *data, size_t size, struct zone **ret_zone)
{
	_cleanup_(zone_freep) struct zone *zone = allocate(sizeof(*zone));
	_cleanup_(freep) char *footer = NULL;
	struct block first, second;
	const char *end;

	if (read_block(data, size, 4, &first) < 0)
		return -EINVAL;
	size -= (size_t)(first.end - data);
	if (read_block(first.end, size, 8, &second) < 0 || read_changes(&second, zone) < 0)
		return -EINVAL;
	size -= (size_t)(second.end - first.end);
	end = size > 1 && *second.end == '\n' ? memchr(second.end + 1, '\n', size - 1) : NULL;
	if (!end)
		return -EINVAL;
	footer = format_text("%.*s", (int)(end - second.end - 1), second.end + 1);
	if (apply_footer(zone, footer) < 0)
		return -EINVAL;
	*ret_zone = zone;
	zone = NULL;
	return 0;
}

/* Nothing that could lead out of the folder. */
static bool is_name(const char *name)
{
	size_t size = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-_/");

	return size && size <= MAX_NAME && !name[size] && name[0] != '/';
}

int zone_load(const char *name, struct zone **ret_zone, char **ret_reason)
{
	_cleanup_(freep) char *path = format_text(FOLDER "/%s", name), *data = NULL;
	size_t size;
	int r;

	if (string_equal(name, "UTC")) {
		*ret_zone = allocate(sizeof(**ret_zone));
		return 0;
	}
	r = is_name(name) ? file_read(path, MAX_FILE, &data, &size) : -ENOENT;
	if (r == -ENOENT || r == -EISDIR || r == -ENOTDIR) {
		*ret_reason =
			access(FOLDER "/Europe", F_OK) == 0
				? format_text("there is no such time zone; write UTC or a name such as "
					      "Europe/Berlin: the files of " FOLDER)
				: format_text("there are no time zones in " FOLDER ": install the package tzdata");
		return -ENOENT;
	}
	if (r < 0) {
		*ret_reason = format_text("%s cannot be read: %s", path, strerror(-r));
		return -EINVAL;
	}
	r = zone_parse(data, size, ret_zone);
	if (r < 0)
		*ret_reason = format_text("%s is no time zone that can be used", path);
	return r;
}

struct zone *zone_free(struct zone *zone)
{
	if (!zone)
		return NULL;
	free(zone->changes);
	free(zone);
	return NULL;
}

void zone_freep(struct zone **zone)
{
	zone_free(*zone);
}

struct zone_span zone_span_at(const struct zone *zone, int64_t time)
{
	const struct change *changes = zone->changes;
	size_t low = 0, high = zone->n_changes; /* changes before `low` have been, those from `high` on will be */

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (changes[middle].at <= time)
			low = middle + 1;
		else
			high = middle;
	}
	return (struct zone_span){
		.start = low ? changes[low - 1].at : INT64_MIN,
		.end = low < zone->n_changes ? changes[low].at : INT64_MAX,
		.offset = low ? changes[low - 1].offset : zone->first,
		.before = low > 1 ? changes[low - 2].offset : zone->first,
	};
}
