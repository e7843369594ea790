#include <prong/types.h>

#include <errno.h>
#include <pthread.h>
#include <sodium.h>
#include <string.h>
#include <time.h>

#include "common/calendar.h"

#define US_PER_SECOND INT64_C(1000000)
#define US_PER_DAY (86400 * US_PER_SECOND)
#define UUID_RANDOM_SIZE 8

/* One system call fetches the randomness of many UUIDs. */
static _Thread_local struct {
	size_t left;
	unsigned char bytes[64 * UUID_RANDOM_SIZE];
} pool;

/* Without this, parent and child would go on with the same bytes. */
static void pool_forget(void)
{
	pool.left = 0;
}

__attribute__((constructor)) static void pool_watch_fork(void)
{
	pthread_atfork(NULL, NULL, pool_forget);
}

prong_uuid prong_uuid_make(void)
{
	uint64_t us = (uint64_t)prong_time_now().us, ms = us / 1000, fraction = us % 1000 * 4096 / 1000;
	prong_uuid uuid;

	if (pool.left == 0) {
		randombytes_buf(pool.bytes, sizeof(pool.bytes));
		pool.left = sizeof(pool.bytes);
	}
	pool.left -= UUID_RANDOM_SIZE;
	memcpy(uuid.bytes + 8, pool.bytes + pool.left, UUID_RANDOM_SIZE);

	for (int i = 0; i < 6; i++)
		uuid.bytes[i] = (unsigned char)(ms >> (40 - 8 * i));
	uuid.bytes[6] = (unsigned char)(0x70 | fraction >> 8);
	uuid.bytes[7] = (unsigned char)fraction;
	uuid.bytes[8] = 0x80 | (uuid.bytes[8] & 0x3f);
	return uuid;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool uuid_hyphen_before(size_t byte)
{
	return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

int prong_uuid_parse(const char *text, prong_uuid *ret_uuid)
{
	prong_uuid uuid;

	for (size_t i = 0; i < sizeof(uuid.bytes); i++) {
		int high, low;

		if (uuid_hyphen_before(i) && *text++ != '-')
			return -EINVAL;
		high = hex_value(*text);
		if (high < 0)
			return -EINVAL;
		low = hex_value(text[1]);
		if (low < 0)
			return -EINVAL;
		uuid.bytes[i] = (unsigned char)(high << 4 | low);
		text += 2;
	}
	if (*text)
		return -EINVAL;
	*ret_uuid = uuid;
	return 0;
}

char *prong_uuid_format(prong_uuid uuid, char text[PRONG_UUID_TEXT_SIZE])
{
	static const char digits[] = "0123456789abcdef";
	char *next = text;

	for (size_t i = 0; i < sizeof(uuid.bytes); i++) {
		if (uuid_hyphen_before(i))
			*next++ = '-';
		*next++ = digits[uuid.bytes[i] >> 4];
		*next++ = digits[uuid.bytes[i] & 15];
	}
	*next = '\0';
	return text;
}

bool prong_uuid_equal(prong_uuid a, prong_uuid b)
{
	return memcmp(a.bytes, b.bytes, sizeof(a.bytes)) == 0;
}

prong_time prong_time_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (prong_time){ .us = now.tv_sec * US_PER_SECOND + now.tv_nsec / 1000 };
}

/* Reads exactly `digits` digits whose value is within the bounds. */
static bool read_number(const char **text, int digits, int64_t low, int64_t high, int64_t *ret_value)
{
	int64_t value = 0;

	for (int i = 0; i < digits; i++) {
		char c = **text;

		if (c < '0' || c > '9')
			return false;
		value = value * 10 + (c - '0');
		(*text)++;
	}
	if (value < low || value > high)
		return false;
	*ret_value = value;
	return true;
}

static bool read_char(const char **text, char c)
{
	if (**text != c)
		return false;
	(*text)++;
	return true;
}

static bool read_fraction(const char **text, int64_t *ret_us)
{
	int64_t us = 0, unit = US_PER_SECOND / 10;
	const char *start;

	if (!read_char(text, '.'))
		return true;
	start = *text;
	for (; **text >= '0' && **text <= '9'; (*text)++, unit /= 10)
		us += unit * (**text - '0');
	*ret_us = us;
	return *text > start;
}

/* `Z`, `+hh:mm`, and as PostgreSQL shortens and lengthens it, `+hh` and `+hh:mm:ss`. */
static bool read_offset(const char **text, int64_t *ret_seconds)
{
	int64_t hours, minutes = 0, seconds = 0, sign = **text == '-' ? -1 : 1;

	if (read_char(text, 'Z') || read_char(text, 'z'))
		return true;
	if (!read_char(text, '+') && !read_char(text, '-'))
		return false;
	if (!read_number(text, 2, 0, 23, &hours))
		return false;
	if (read_char(text, ':') && !read_number(text, 2, 0, 59, &minutes))
		return false;
	if (read_char(text, ':') && !read_number(text, 2, 0, 59, &seconds))
		return false;
	*ret_seconds = sign * (hours * 3600 + minutes * 60 + seconds);
	return true;
}

int prong_time_parse(const char *text, prong_time *ret_time)
{
	int64_t year, month, day, hour, minute, second, us = 0, offset = 0, seconds;

	if (!read_number(&text, 4, 0, 9999, &year) || !read_char(&text, '-') || !read_number(&text, 2, 1, 12, &month) ||
	    !read_char(&text, '-') || !read_number(&text, 2, 1, calendar_month_length(year, month), &day))
		return -EINVAL;
	if (!read_char(&text, 'T') && !read_char(&text, 't') && !read_char(&text, ' '))
		return -EINVAL;
	if (!read_number(&text, 2, 0, 23, &hour) || !read_char(&text, ':') || !read_number(&text, 2, 0, 59, &minute) ||
	    !read_char(&text, ':') || !read_number(&text, 2, 0, 60, &second))
		return -EINVAL;
	if (!read_fraction(&text, &us) || !read_offset(&text, &offset) || *text)
		return -EINVAL;

	seconds = calendar_days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset;
	/* A leap second ends a day in UTC, and only there. */
	if (second == 60 && seconds % 86400 != 0)
		return -EINVAL;
	if (seconds < PRONG_TIME_MIN / US_PER_SECOND || seconds > PRONG_TIME_MAX / US_PER_SECOND)
		return -EINVAL;
	ret_time->us = seconds * US_PER_SECOND + us;
	return 0;
}

static char *write_number(char *text, int64_t value, int digits)
{
	for (int i = digits - 1; i >= 0; i--, value /= 10)
		text[i] = (char)('0' + value % 10);
	return text + digits;
}

char *prong_time_format(prong_time time, char text[PRONG_TIME_TEXT_SIZE])
{
	int64_t days = time.us / US_PER_DAY, rest = time.us % US_PER_DAY;
	int64_t year, month, day, us;
	char *next = text;

	if (rest < 0) {
		days--;
		rest += US_PER_DAY;
	}
	calendar_date(days, &year, &month, &day);

	/* ISO 8601's expanded form where RFC 3339 ends. */
	if (year < 0 || year > 9999) {
		*next++ = year < 0 ? '-' : '+';
		next = write_number(next, year < 0 ? -year : year, 6);
	} else {
		next = write_number(next, year, 4);
	}
	*next++ = '-';
	next = write_number(next, month, 2);
	*next++ = '-';
	next = write_number(next, day, 2);
	*next++ = 'T';
	us = rest % US_PER_SECOND;
	rest /= US_PER_SECOND;
	next = write_number(next, rest / 3600, 2);
	*next++ = ':';
	next = write_number(next, rest / 60 % 60, 2);
	*next++ = ':';
	next = write_number(next, rest % 60, 2);
	if (us) {
		*next++ = '.';
		next = write_number(next, us, 6);
	}
	*next++ = 'Z';
	*next = '\0';
	return text;
}
