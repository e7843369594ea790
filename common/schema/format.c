#include "common/schema/format.h"

#include <arpa/inet.h>

#include "common/basics.h"

#define EMAIL_MAX 254 /* RFC 5321 §4.5.3.1.3: a path of 256, less its angle brackets */
#define EMAIL_LOCAL_MAX 64
#define LABEL_MAX 63

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_hex(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_among(char c, const char *set)
{
	return c && strchr(set, c);
}

/* Runs of RFC 5322's atext between single dots. */
static bool is_dot_atom(const char *text, size_t length)
{
	bool dot = true; /* where the next dot would be one too many */

	for (size_t i = 0; i < length; i++) {
		if (text[i] == '.'
			    ? dot
			    : !is_letter(text[i]) && !is_digit(text[i]) && !is_among(text[i], "!#$%&'*+-/=?^_`{|}~"))
			return false;
		dot = text[i] == '.';
	}
	return !dot;
}

static bool is_label(const char *text, size_t length)
{
	if (length == 0 || length > LABEL_MAX || text[0] == '-' || text[length - 1] == '-')
		return false;
	for (size_t i = 0; i < length; i++)
		if (!is_letter(text[i]) && !is_digit(text[i]) && text[i] != '-')
			return false;
	return true;
}

static bool is_domain(const char *text)
{
	for (;;) {
		size_t length = strcspn(text, ".");

		if (!is_label(text, length))
			return false;
		if (!text[length])
			return strspn(text, "0123456789") < length; /* else it would be an IP address */
		text += length + 1;
	}
}

bool format_is_email(const char *text)
{
	const char *at = strrchr(text, '@');
	size_t local = at ? (size_t)(at - text) : 0;

	return at && strlen(text) <= EMAIL_MAX && local <= EMAIL_LOCAL_MAX && is_dot_atom(text, local) &&
	       is_domain(at + 1);
}

/* Unreserved and sub-delims of RFC 3986, percent-encoded bytes, and what else is named. */
static bool is_made_of(const char *text, size_t length, const char *others)
{
	for (size_t i = 0; i < length; i++) {
		if (is_letter(text[i]) || is_digit(text[i]) || is_among(text[i], "-._~!$&'()*+,;=") ||
		    is_among(text[i], others))
			continue;
		if (text[i] != '%' || length - i < 3 || !is_hex(text[i + 1]) || !is_hex(text[i + 2]))
			return false;
		i += 2;
	}
	return true;
}

/* What is between the brackets of a host: IPv6, or `v` version `.` anything. */
static bool is_ip_literal(const char *text, size_t length)
{
	char address[INET6_ADDRSTRLEN];
	unsigned char binary[16];
	size_t version = 1;

	if (length && (text[0] == 'v' || text[0] == 'V')) {
		while (version < length && is_hex(text[version]))
			version++;
		return version > 1 && length > version + 1 && text[version] == '.' && !memchr(text, '%', length) &&
		       is_made_of(text + version + 1, length - version - 1, ":");
	}
	if (length >= sizeof(address))
		return false;
	memcpy(address, text, length);
	address[length] = '\0';
	return inet_pton(AF_INET6, address, binary) == 1;
}

static bool is_authority(const char *text, size_t length)
{
	const char *at = memchr(text, '@', length), *end = text + length, *host_end;

	if (at) {
		if (!is_made_of(text, (size_t)(at - text), ":"))
			return false;
		text = at + 1;
	}
	if (text < end && *text == '[') {
		host_end = memchr(text, ']', (size_t)(end - text));
		if (!host_end || !is_ip_literal(text + 1, (size_t)(host_end - text) - 1))
			return false;
		host_end++;
	} else {
		host_end = memchr(text, ':', (size_t)(end - text));
		host_end = host_end ? host_end : end;
		if (!is_made_of(text, (size_t)(host_end - text), ""))
			return false;
	}
	if (host_end == end)
		return true;
	if (*host_end++ != ':')
		return false;
	while (host_end < end && is_digit(*host_end))
		host_end++;
	return host_end == end;
}

bool format_is_uri(const char *text)
{
	size_t length = 0;

	if (!is_letter(*text))
		return false;
	while (is_letter(*text) || is_digit(*text) || is_among(*text, "+-."))
		text++;
	if (*text++ != ':')
		return false;

	if (text[0] == '/' && text[1] == '/') {
		text += 2;
		length = strcspn(text, "/?#");
		if (!is_authority(text, length))
			return false;
		text += length;
	}
	length = strcspn(text, "?#");
	if (!is_made_of(text, length, ":@/"))
		return false;
	text += length;
	if (*text == '?') {
		length = strcspn(++text, "#");
		if (!is_made_of(text, length, ":@/?"))
			return false;
		text += length;
	}
	return !*text || is_made_of(text + 1, strlen(text + 1), ":@/?");
}

bool format_matches(enum prong_format format, const char *text)
{
	prong_uuid uuid;
	prong_time time;

	switch (format) {
	case PRONG_EMAIL:
		return format_is_email(text);
	case PRONG_UUID:
		return prong_uuid_parse(text, &uuid) == 0;
	case PRONG_DATE_TIME:
		return prong_time_parse(text, &time) == 0;
	case PRONG_URI:
		return format_is_uri(text);
	default:
		return true;
	}
}
