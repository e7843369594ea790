#include "server/http/target.h"

#include "server/http/characters.h"

#include <arpa/inet.h>

static bool port_is_valid(const char *at, const char *end)
{
	unsigned port = 0;

	if (end - at > 5)
		return false;
	for (; at < end; at++) {
		if (*at < '0' || *at > '9')
			return false;
		port = port * 10 + (unsigned)(*at - '0');
	}
	return port > 0 && port <= UINT16_MAX;
}

/* "[…]": an IPv6 address without zone (RFC 3986 §3.2.2). */
static bool ip_literal_is_valid(const char *at, size_t size)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr address;

	if (size < 4 || size - 2 >= sizeof(text))
		return false;
	memcpy(text, at + 1, size - 2);
	text[size - 2] = '\0';
	return inet_pton(AF_INET6, text, &address) == 1;
}

bool authority_is_valid(struct http_text authority)
{
	const char *at = authority.data, *const end = at + authority.size;

	if (authority.size == 0)
		return false;
	if (*at == '[') {
		const char *close = memchr(at, ']', authority.size);

		if (!close || !ip_literal_is_valid(at, (size_t)(close + 1 - at)))
			return false;
		at = close + 1;
	} else {
		while (at < end && http_is(*at, HTTP_HOST))
			at++;
		if (at == authority.data)
			return false;
	}
	return at == end || (*at == ':' && port_is_valid(at + 1, end));
}

/*
 * Passes over path or query characters; every '%' must begin a whole escape, and %00 is never meant (RFC 3986 §2.1,
 * §7.3). NULL on a bad escape.
 */
static const char *skip(const char *at, const char *end, enum http_class class)
{
	while (at < end) {
		if (http_is(*at, class)) {
			at++;
		} else if (*at == '%') {
			if (end - at < 3 || !http_is(at[1], HTTP_HEX) || !http_is(at[2], HTTP_HEX))
				return NULL;
			if (at[1] == '0' && at[2] == '0')
				return NULL;
			at += 3;
		} else {
			break;
		}
	}
	return at;
}

static int refuse(const char **ret_detail, const char *detail)
{
	*ret_detail = detail;
	return -EBADMSG;
}

/* absolute-path [ "?" query ] */
static int parse_origin(const char *at, const char *end, struct http_head *head, const char **ret_detail)
{
	static const char bad_escape[] = "The request target has a malformed percent-encoding.";
	const char *path = at, *query;

	at = skip(path, end, HTTP_PATH);
	if (!at)
		return refuse(ret_detail, bad_escape);
	head->path = (struct http_text){ path, (size_t)(at - path) };

	if (at < end && *at == '?') {
		query = at + 1;
		at = skip(query, end, HTTP_QUERY);
		if (!at)
			return refuse(ret_detail, bad_escape);
		head->query = (struct http_text){ query, (size_t)(at - query) };
	}
	if (at == end)
		return 0;
	if (*at == '#')
		return refuse(ret_detail, "The request target must not have a fragment.");
	return refuse(ret_detail, "The request target has a character that must be percent-encoded.");
}

/* The size of "http://" or "https://", 0 for anything else. */
static size_t scheme_size(struct http_text target)
{
	if (target.size > 7 && strncasecmp(target.data, "http://", 7) == 0)
		return 7;
	if (target.size > 8 && strncasecmp(target.data, "https://", 8) == 0)
		return 8;
	return 0;
}

static int parse_absolute(struct http_text target, size_t scheme, struct http_head *head, const char **ret_detail)
{
	const char *authority = target.data + scheme, *const end = target.data + target.size;
	const char *at = authority;
	int r;

	while (at < end && *at != '/' && *at != '?' && *at != '#')
		at++;
	head->host = (struct http_text){ authority, (size_t)(at - authority) };
	if (!authority_is_valid(head->host))
		return refuse(ret_detail, "The request target's authority is malformed.");
	r = parse_origin(at, end, head, ret_detail);
	/* RFC 9112 §3.2.1: an empty path is "/". */
	if (r == 0 && head->path.size == 0)
		head->path = (struct http_text){ "/", 1 };
	return r;
}

int target_parse(struct http_text target, struct http_head *head, const char **ret_detail)
{
	const char *const end = target.data + target.size;
	size_t scheme;

	head->path = (struct http_text){ "*", 1 };
	head->query = (struct http_text){ NULL, 0 };

	if (target.data[0] == '/')
		return parse_origin(target.data, end, head, ret_detail);
	if (http_text_is(target, "*") && http_text_is(head->method_text, "OPTIONS"))
		return 0;
	scheme = scheme_size(target);
	if (scheme)
		return parse_absolute(target, scheme, head, ret_detail);
	/* RFC 9112 §3.2.3: the authority form is CONNECT's alone. No resource of ours: "*". */
	if (http_text_is(head->method_text, "CONNECT") && authority_is_valid(target)) {
		head->host = target;
		return 0;
	}
	return refuse(ret_detail, "The request target must be a path or an absolute http URI.");
}
