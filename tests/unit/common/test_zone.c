#include "common/zone.h"

#include <stdio.h>
#include <time.h>

#include "common/basics.h"
#include "common/calendar.h"
#include "tests/unit/test.h"

static struct zone *load(const char *name)
{
	_cleanup_(freep) char *reason = NULL;
	struct zone *zone = NULL;

	if (zone_load(name, &zone, &reason) < 0)
		panic("%s: %s", name, reason);
	return zone;
}

/* The C library's opinion, which goes by the environment. */
static int64_t libc_offset(int64_t time)
{
	struct tm tm;
	time_t seconds = time;

	return localtime_r(&seconds, &tm) ? tm.tm_gmtoff : INT64_MAX;
}

static void choose_zone(const char *name)
{
	setenv("TZ", name, 1);
	tzset();
}

static void forget_zone(void)
{
	unsetenv("TZ");
	tzset();
}

/* At and around every change of the clocks, and at random times between. */
static size_t differences(const struct zone *zone, int64_t from, int64_t to)
{
	size_t wrong = 0;

	for (int64_t at = from; at < to;) {
		struct zone_span span = zone_span_at(zone, at);
		int64_t end = span.end < to ? span.end : to;

		wrong += span.start > at || span.end <= at;
		wrong += span.offset != libc_offset(at) || span.offset != libc_offset(end - 1);
		for (int i = 0; i < 3; i++)
			wrong += span.offset != libc_offset(at + (int64_t)(random_u64() % (uint64_t)(end - at)));
		if (span.start != INT64_MIN && span.start > from)
			wrong += span.before != libc_offset(span.start - 1);
		at = end;
	}
	return wrong;
}

TEST(zone, agrees_with_the_c_library)
{
	static const char *const names[] = {
		"Africa/Cairo",
		"Africa/Casablanca",
		"America/Caracas",
		"America/Godthab",
		"America/New_York",
		"America/Sao_Paulo",
		"America/St_Johns",
		"Antarctica/Troll",
		"Asia/Gaza",
		"Asia/Kathmandu",
		"Asia/Pyongyang",
		"Asia/Tehran",
		"Asia/Tokyo",
		"Atlantic/Azores",
		"Australia/Lord_Howe",
		"Australia/Sydney",
		"Europe/Berlin",
		"Europe/Dublin",
		"Europe/London",
		"Pacific/Apia",
		"Pacific/Chatham",
		"Pacific/Kiritimati",
		"America/Araguaina",
		"Etc/GMT+12",
		"EST5EDT",
		"Etc/UTC",
		"UTC",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct zone *zone = load(names[i]);
		size_t wrong;

		choose_zone(names[i]);
		wrong = differences(zone, calendar_days(1850, 1, 1) * 86400, calendar_days(2500, 1, 1) * 86400);
		if (wrong)
			fprintf(stderr, "%s: %zu differences\n", names[i], wrong);
		CU_ASSERT_EQUAL(wrong, 0);
		zone_free(zone);
	}
	forget_zone();
}

TEST(zone, reads_no_environment)
{
	struct zone *zone = load("Europe/Berlin");

	choose_zone("Asia/Tokyo");
	CU_ASSERT_EQUAL(zone_span_at(zone, 1735689600).offset, 3600);
	forget_zone();
	zone_free(zone);
}

static void refuse(const char *name, int result, const char *reason)
{
	_cleanup_(freep) char *text = NULL;
	struct zone *zone = NULL;

	CU_ASSERT_EQUAL(zone_load(name, &zone, &text), result);
	CU_ASSERT_PTR_NULL(zone);
	CU_ASSERT_PTR_NOT_NULL(text ? strstr(text, reason) : NULL);
	zone_free(zone);
}

TEST(zone, refuses_what_is_none)
{
	refuse("Mars/Olympus", -ENOENT, "there is no such time zone; write UTC or a name such as Europe/Berlin");
	refuse("", -ENOENT, "no such time zone");
	refuse("Europe", -ENOENT, "no such time zone");
	refuse("Europe/Berlin/Mitte", -ENOENT, "no such time zone");
	refuse("../../../etc/passwd", -ENOENT, "no such time zone");
	refuse("/usr/share/zoneinfo/Europe/Berlin", -ENOENT, "no such time zone");
	refuse("tzdata-zi", -ENOENT, "no such time zone");
	refuse("leapseconds", -EINVAL, "/usr/share/zoneinfo/leapseconds is no time zone that can be used");
}

/* A file of one change and the given footer. */
static size_t make_file(char *file, const char *footer)
{
	static const char first[44] = "TZif2";
	static const unsigned char changes[] = { 0, 0, 0, 0, 0x6d, 0, 0, 0, 1 }; /* in 2027, to type 1 */
	static const unsigned char types[] = { 0, 0, 0x0e, 0x10, 0, 0, 0, 0, 0x1c, 0x20, 1, 0 }; /* +1 h, +2 h */
	char *at = file;

	at = (char *)memcpy(at, first, 44) + 44;
	at = (char *)memcpy(at, first, 44) + 44;
	at[-9] = 1; /* changes */
	at[-5] = 2; /* types */
	at[-1] = 4; /* letters of abbreviations */
	at = (char *)memcpy(at, changes, sizeof(changes)) + sizeof(changes);
	at = (char *)memcpy(at, types, sizeof(types)) + sizeof(types);
	at = (char *)memcpy(at, "ABC", 4) + 4;
	return (size_t)(at - file) + (size_t)sprintf(at, "\n%s\n", footer);
}

static int parse(const char *footer, struct zone **ret_zone)
{
	char file[512];

	return zone_parse(file, make_file(file, footer), ret_zone);
}

static void allow_footer(const char *footer, int64_t year, int64_t month, int64_t day, int64_t offset)
{
	struct zone *zone = NULL;

	CU_ASSERT_EQUAL_FATAL(parse(footer, &zone), 0);
	CU_ASSERT_EQUAL(zone_span_at(zone, calendar_days(year, month, day) * 86400).offset, offset);
	zone_free(zone);
}

TEST(zone, reads_every_form_of_footer)
{
	allow_footer("", 2026, 1, 1, 3600);
	allow_footer("", 2300, 1, 1, 7200);
	allow_footer("CET-1", 2300, 1, 1, 7200); /* what the file lists goes before */
	allow_footer("CET-1CEST,M3.5.0,M10.5.0/3", 2300, 1, 1, 3600);
	allow_footer("CET-1CEST,M3.5.0,M10.5.0/3", 2300, 7, 1, 7200);
	allow_footer("<+0330>-3:30<+0430>,J79/24,J263/24", 2400, 6, 1, 16200);
	allow_footer("<+0330>-3:30<+0430>,J79/24,J263/24", 2400, 12, 1, 12600);
	allow_footer("EST5EDT,0/0,J365/25", 2400, 1, 1, -14400); /* summer for ever */
	allow_footer("EST5EDT,0/0,J365/25", 2400, 12, 31, -14400);
	allow_footer("IST-1GMT0,M10.5.0,M3.5.0/1", 2400, 1, 1, 0); /* winter is the exception */
	allow_footer("IST-1GMT0,M10.5.0,M3.5.0/1", 2400, 7, 1, 3600);
	allow_footer("AAA-10BBB-10:30,M10.1.0,M4.1.0", 2400, 1, 1, 37800);
	allow_footer("AAA3BBB,M3.4.4/-50,M10.4.4/50", 2400, 7, 1, -7200);
}

/* Some compilers of zones begin each with a change at the big bang. */
TEST(zone, may_change_before_all_calendars)
{
	struct zone *zone = NULL;
	char file[512];
	size_t size = make_file(file, "CET-1CEST,M3.5.0,M10.5.0/3");

	memcpy(file + 88, "\xF8\0\0\0\0\0\0", 8); /* the time of the one change */
	CU_ASSERT_EQUAL_FATAL(zone_parse(file, size, &zone), 0);
	CU_ASSERT_EQUAL(zone_span_at(zone, calendar_days(2026, 1, 1) * 86400).offset, 3600);
	CU_ASSERT_EQUAL(zone_span_at(zone, calendar_days(2026, 7, 1) * 86400).offset, 7200);
	zone_free(zone);
}

TEST(zone, refuses_a_wrong_footer)
{
	static const char *const wrong[] = {
		"C-1",
		"CET",
		"CET-25",
		"CET-1CEST",
		"CET-1CEST,M3.5.0",
		"CET-1CEST,M13.5.0,M10.5.0",
		"CET-1:60",
		"CET-1CEST,M3.6.0,M10.5.0",
		"CET-1CEST,M3.5.7,M10.5.0",
		"CET-1CEST,M3.5.0,M10.5.0/168",
		"<CET-1",
		"CET-1CEST,J0,J5",
		"CET-1CEST,366,5",
		"CET-1CEST,M3.5.0,M10.5.0 ",
		"CET-1CEST;M3.5.0,M10.5.0",
		"CET--1",
	};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct zone *zone = NULL;

		CU_ASSERT_EQUAL(parse(wrong[i], &zone), -EINVAL);
		zone_free(zone);
	}
}

/* Every beginning of a file, and files with a byte changed, in memory that ends where they do. */
TEST(zone, survives_any_file)
{
	_cleanup_(freep) char *data = NULL;
	size_t size = 0;

	CU_ASSERT_EQUAL_FATAL(file_read("/usr/share/zoneinfo/Europe/Berlin", 1 << 20, &data, &size), 0);
	for (size_t length = 0; length < size; length++) {
		_cleanup_(freep) char *part = memcpy(allocate(length), data, length);
		struct zone *zone = NULL;

		CU_ASSERT_EQUAL(zone_parse(part, length, &zone), -EINVAL);
		zone_free(zone);
	}
	for (int i = 0; i < 3000; i++) {
		_cleanup_(freep) char *changed = memcpy(allocate(size), data, size);
		struct zone *zone = NULL;

		changed[random_u64() % (i % 2 ? size : 88)] = (char)random_u64();
		if (zone_parse(changed, size, &zone) == 0)
			zone_span_at(zone, (int64_t)random_u64());
		zone_free(zone);
	}
}
