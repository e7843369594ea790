#include "common/redis/redis_url.h"

#include <ctype.h>
#include <stdio.h>

#include "common/basics.h"
#include "common/redis/redis.h"

#define FORM "write redis://[user:password@]host[:port][/database] or unix:///path[?db=number]"

static int refuse(char **ret_reason, const char *reason)
{
	*ret_reason = format_text("%s; " FORM, reason);
	return -EINVAL;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The decoded text, malloc'ed; NULL when an escape is malformed or stands for NUL. */
static char *percent_decode(const char *text, size_t size)
{
	_cleanup_(freep) char *decoded = allocate(size + 1);
	char *out = decoded, *result;

	for (size_t i = 0; i < size; i++) {
		if (text[i] != '%') {
			*out++ = text[i];
			continue;
		}
		if (i + 2 >= size || hex_digit(text[i + 1]) < 0 || hex_digit(text[i + 2]) < 0)
			return NULL;
		*out = (char)(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2]));
		if (*out++ == '\0')
			return NULL;
		i += 2;
	}
	result = decoded;
	decoded = NULL;
	return result;
}

static int parse_database(const char *text, struct redis_url *url, char **ret_reason)
{
	size_t digits = strspn(text, "0123456789");

	if (digits == 0 || text[digits] || digits > 9)
		return refuse(ret_reason, "the database is not a number");
	memcpy(url->database, text, digits + 1);
	return 0;
}

static int parse_unix(const char *text, struct redis_url *url, char **ret_reason)
{
	size_t size = strcspn(text, "?");

	if (text[0] != '/')
		return refuse(ret_reason, "the socket's path is not absolute");
	url->path = percent_decode(text, size);
	if (!url->path)
		return refuse(ret_reason, "the path has a malformed %-escape");
	if (strlen(url->path) > 107)
		return refuse(ret_reason, "the socket's path is longer than 107 bytes");
	if (text[size] == '\0')
		return 0;
	if (strncmp(text + size, "?db=", 4) != 0)
		return refuse(ret_reason, "the only parameter is db");
	return parse_database(text + size + 4, url, ret_reason);
}

static int parse_user(const char *text, size_t size, struct redis_url *url, char **ret_reason)
{
	const char *colon = memchr(text, ':', size);

	if (!colon)
		return refuse(ret_reason, "there is a user but no password (a password alone is written :password@)");
	if (colon > text)
		url->user = percent_decode(text, (size_t)(colon - text));
	url->password = percent_decode(colon + 1, size - (size_t)(colon - text) - 1);
	if ((colon > text && !url->user) || !url->password)
		return refuse(ret_reason, "user or password have a malformed %-escape");
	return 0;
}

static int parse_host(const char *text, size_t size, struct redis_url *url, char **ret_reason)
{
	bool bracketed = size > 0 && text[0] == '[';
	const char *end = bracketed ? memchr(text, ']', size) : memchr(text, ':', size);
	const char *port;
	size_t port_size;

	if (bracketed && !end)
		return refuse(ret_reason, "an IPv6 address lacks its ']'");
	if (!end)
		end = text + size;
	url->host = percent_decode(text + bracketed, (size_t)(end - text) - bracketed);
	if (!url->host || url->host[0] == '\0')
		return refuse(ret_reason, "the host is missing");
	port = end + bracketed;
	port_size = (size_t)(text + size - port);
	if (port_size == 0) {
		url->port = duplicate("6379");
		return 0;
	}
	url->port = percent_decode(port + 1, port_size - 1);
	if (port[0] != ':' || !url->port || url->port[0] == '\0' ||
	    strspn(url->port, "0123456789") != strlen(url->port) || strlen(url->port) > 5 || atoi(url->port) < 1 ||
	    atoi(url->port) > 65535)
		return refuse(ret_reason, "the port is not a number from 1 to 65535");
	return 0;
}

static int parse_tcp(const char *text, struct redis_url *url, char **ret_reason)
{
	size_t authority = strcspn(text, "/?#");
	const char *at = memrchr(text, '@', authority);
	const char *host = at ? at + 1 : text;
	int r;

	if (at) {
		r = parse_user(text, (size_t)(at - text), url, ret_reason);
		if (r < 0)
			return r;
	}
	r = parse_host(host, (size_t)(text + authority - host), url, ret_reason);
	if (r < 0)
		return r;
	if (text[authority] == '\0' || string_equal(text + authority, "/"))
		return 0;
	if (text[authority] != '/')
		return refuse(ret_reason, "it takes no parameters");
	return parse_database(text + authority + 1, url, ret_reason);
}

int redis_url_parse(const char *text, struct redis_url *ret_url, char **ret_reason)
{
	struct redis_url url = { .database = "0" };
	int r;

	if (strncmp(text, "redis://", 8) == 0)
		r = parse_tcp(text + 8, &url, ret_reason);
	else if (strncmp(text, "unix://", 7) == 0)
		r = parse_unix(text + 7, &url, ret_reason);
	else if (strncmp(text, "rediss://", 9) == 0)
		r = refuse(ret_reason, "TLS to Redis is not supported: put a TLS proxy such as stunnel beside it");
	else
		r = refuse(ret_reason, "it begins with neither redis:// nor unix://");
	if (r < 0) {
		redis_url_clear(&url);
		return r;
	}
	*ret_url = url;
	return 0;
}

void redis_url_clear(struct redis_url *url)
{
	free(url->path);
	free(url->host);
	free(url->port);
	free(url->user);
	free(url->password);
	*url = (struct redis_url){ 0 };
}

int redis_check_url(const char *text, char **ret_reason)
{
	struct redis_url url;
	int r = redis_url_parse(text, &url, ret_reason);

	if (r < 0)
		return r;
	redis_url_clear(&url);
	return 0;
}
