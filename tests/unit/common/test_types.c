#include <stdio.h>
#include <sys/wait.h>

#include "common/basics.h"
#include "tests/unit/test.h"

TEST(types, uuid_text)
{
	static const char *const wrong[] = {
		"",
		"018f4e9a",
		"018f4e9a-0000-7000-8000-00000000000",
		"018f4e9a-0000-7000-8000-0000000000000",
		"018f4e9a00007000800000000000000000",
		"018f4e9a-0000-7000-8000-00000000000g",
		"018f4e9a-0000-7000-80000-00000000000",
		"{18f4e9a-0000-7000-8000-00000000000}",
		" 18f4e9a-0000-7000-8000-000000000000",
		"018f4e9a_0000_7000_8000_000000000000",
	};
	prong_uuid uuid, same;
	char text[PRONG_UUID_TEXT_SIZE];

	CU_ASSERT_EQUAL(prong_uuid_parse("018F4E9a-0123-7abc-8DEF-fedcba987654", &uuid), 0);
	CU_ASSERT_STRING_EQUAL(prong_uuid_format(uuid, text), "018f4e9a-0123-7abc-8def-fedcba987654");
	CU_ASSERT_EQUAL(uuid.bytes[0], 0x01);
	CU_ASSERT_EQUAL(uuid.bytes[15], 0x54);

	same = uuid;
	CU_ASSERT(prong_uuid_equal(uuid, same));
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		CU_ASSERT_EQUAL(prong_uuid_parse(wrong[i], &uuid), -EINVAL);
	CU_ASSERT(prong_uuid_equal(uuid, same));
	uuid.bytes[15] ^= 1;
	CU_ASSERT_FALSE(prong_uuid_equal(uuid, same));
}

static int compare_uuids(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(prong_uuid));
}

TEST(types, uuids_are_version_7_and_distinct)
{
	static prong_uuid uuids[5000];
	int64_t before = prong_time_now().us / 1000, after;

	for (size_t i = 0; i < ARRAY_SIZE(uuids); i++)
		uuids[i] = prong_uuid_make();
	after = prong_time_now().us / 1000;

	for (size_t i = 0; i < ARRAY_SIZE(uuids); i++) {
		int64_t ms = 0;

		for (int j = 0; j < 6; j++)
			ms = ms << 8 | uuids[i].bytes[j];
		CU_ASSERT(ms >= before && ms <= after);
		CU_ASSERT_EQUAL(uuids[i].bytes[6] >> 4, 7);
		CU_ASSERT_EQUAL(uuids[i].bytes[8] >> 6, 2);
	}
	qsort(uuids, ARRAY_SIZE(uuids), sizeof(uuids[0]), compare_uuids);
	for (size_t i = 1; i < ARRAY_SIZE(uuids); i++)
		CU_ASSERT_FALSE(prong_uuid_equal(uuids[i - 1], uuids[i]));
}

TEST(types, uuids_are_in_the_order_of_their_microseconds)
{
	prong_uuid earlier = prong_uuid_make(), later;

	for (size_t i = 0; i < 1000; i++, earlier = later) {
		int64_t now = prong_time_now().us;

		while (prong_time_now().us < now + 2)
			;
		later = prong_uuid_make();
		CU_ASSERT(compare_uuids(&earlier, &later) < 0);
	}
}

TEST(types, a_forked_process_makes_other_uuids)
{
	prong_uuid ours, theirs = { { 0 } };
	int channel[2], status;
	pid_t child;

	prong_uuid_make(); /* leaves randomness behind that both would go on with */
	CU_ASSERT_EQUAL_FATAL(pipe(channel), 0);
	child = fork();
	if (child == 0) {
		theirs = prong_uuid_make();
		_exit(write(channel[1], &theirs, sizeof(theirs)) == sizeof(theirs) ? 0 : 1);
	}
	ours = prong_uuid_make();
	CU_ASSERT_EQUAL(read(channel[0], &theirs, sizeof(theirs)), (ssize_t)sizeof(theirs));
	CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
	CU_ASSERT_EQUAL(status, 0);
	CU_ASSERT(memcmp(ours.bytes + 9, theirs.bytes + 9, 7) != 0);
	close(channel[0]);
	close(channel[1]);
}

TEST(types, times_are_read)
{
	static const struct {
		const char *text;
		int64_t us;
	} cases[] = {
		{ "1970-01-01T00:00:00Z", 0 },
		{ "1970-01-01t00:00:00z", 0 },
		{ "1970-01-01 00:00:00+00", 0 },
		{ "1970-01-01T00:00:00-00:00", 0 },
		{ "1970-01-01T01:00:00+01:00", 0 },
		{ "1969-12-31T18:30:00-05:30", 0 },
		{ "1970-01-01 00:00:01+00:00:01", 0 },
		{ "1969-12-31T23:59:59.999999Z", -1 },
		{ "1970-01-01T00:00:00.1Z", 100000 },
		{ "1970-01-01T00:00:00.0000019Z", 1 },
		{ "2026-01-31T23:59:59.123456Z", INT64_C(1769903999123456) },
		{ "2000-02-29T12:00:00Z", INT64_C(951825600000000) },
		{ "2016-12-31T23:59:60Z", INT64_C(1483228800000000) },
		{ "2017-01-01T00:59:60+01:00", INT64_C(1483228800000000) },
		{ "0000-01-01T00:00:00Z", PRONG_TIME_MIN },
		{ "9999-12-31T23:59:59.999999Z", PRONG_TIME_MAX },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		prong_time time = { .us = 42 };

		CU_ASSERT_EQUAL(prong_time_parse(cases[i].text, &time), 0);
		CU_ASSERT_EQUAL(time.us, cases[i].us);
	}
}

TEST(types, wrong_times_are_refused)
{
	static const char *const wrong[] = {
		"",
		"now",
		"infinity",
		"-infinity",
		"2026-01-31",
		"2026-01-31T23:59:59",
		"2026-01-31T23:59Z",
		"2026-01-31T23:59:59.Z",
		"2026-01-31T23:59:59,5Z",
		"2026-01-31T23:59:59 Z",
		"2026-01-31T23:59:59Z ",
		"2026-01-31T23:59:59+",
		"2026-01-31T23:59:59+1",
		"2026-01-31T23:59:59+24:00",
		"2026-01-31T23:59:59+01:60",
		"2026-01-31T23:59:59+01:",
		"2026-01-31T24:00:00Z",
		"2026-01-31T23:60:00Z",
		"2026-01-31T23:59:61Z",
		"2026-01-31T22:59:60Z",
		"2026-02-29T00:00:00Z",
		"1900-02-29T00:00:00Z",
		"2026-04-31T00:00:00Z",
		"2026-00-01T00:00:00Z",
		"2026-13-01T00:00:00Z",
		"2026-01-00T00:00:00Z",
		"2026-1-01T00:00:00Z",
		"26-01-01T00:00:00Z",
		"+2026-01-01T00:00:00Z",
		"10000-01-01 00:00:00+00",
		"0044-03-15 00:00:00+00 BC",
		"0000-01-01T00:00:00+00:01",
		"9999-12-31T23:59:59-00:01",
		"9999-12-31T23:59:60Z",
	};
	prong_time time = { .us = 42 };

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		CU_ASSERT_EQUAL(prong_time_parse(wrong[i], &time), -EINVAL);
		CU_ASSERT_EQUAL(time.us, 42);
	}
}

TEST(types, times_are_written)
{
	char text[PRONG_TIME_TEXT_SIZE];

	CU_ASSERT_STRING_EQUAL(prong_time_format((prong_time){ 0 }, text), "1970-01-01T00:00:00Z");
	CU_ASSERT_STRING_EQUAL(prong_time_format((prong_time){ -1 }, text), "1969-12-31T23:59:59.999999Z");
	CU_ASSERT_STRING_EQUAL(prong_time_format((prong_time){ 10 }, text), "1970-01-01T00:00:00.000010Z");
	CU_ASSERT_STRING_EQUAL(prong_time_format((prong_time){ PRONG_TIME_MIN }, text), "0000-01-01T00:00:00Z");
	CU_ASSERT_STRING_EQUAL(prong_time_format((prong_time){ PRONG_TIME_MAX }, text), "9999-12-31T23:59:59.999999Z");
	CU_ASSERT_STRING_EQUAL(prong_time_format((prong_time){ PRONG_TIME_MAX + 1 }, text), "+010000-01-01T00:00:00Z");
	CU_ASSERT_STRING_EQUAL(prong_time_format((prong_time){ INT64_MIN }, text), "-290308-12-21T19:59:05.224192Z");
	CU_ASSERT_STRING_EQUAL(prong_time_format((prong_time){ INT64_MAX }, text), "+294247-01-10T04:00:54.775807Z");
}

/* Every day of the range, against the C library's calendar. */
TEST(types, the_calendar_is_right)
{
	const int64_t day = INT64_C(86400) * 1000000;
	char text[PRONG_TIME_TEXT_SIZE], expected[PRONG_TIME_TEXT_SIZE];
	size_t wrong = 0;

	for (int64_t us = PRONG_TIME_MIN; us <= PRONG_TIME_MAX; us += day) {
		time_t seconds = us / 1000000;
		prong_time time;
		struct tm date;

		gmtime_r(&seconds, &date);
		snprintf(expected, sizeof(expected), "%04d-%02d-%02dT00:00:00Z", date.tm_year + 1900, date.tm_mon + 1,
			 date.tm_mday);
		prong_time_format((prong_time){ us }, text);
		if (!string_equal(text, expected) || prong_time_parse(text, &time) < 0 || time.us != us)
			wrong++;
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

TEST(types, the_clock_is_the_wall_clock)
{
	int64_t before = time(NULL), now = prong_time_now().us / 1000000, after = time(NULL);

	/* time() may lag by the tick in which a second begins. */
	CU_ASSERT(now >= before && now <= after + 1);
}
