#include "server/http/checks.h"

#include <ctype.h>
#include <strings.h>

static bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

static void skip_space(struct http_text *text)
{
	while (text->size && is_space(*text->data)) {
		text->data++;
		text->size--;
	}
}

/* Takes `lowercase` off the front, ignoring case. */
static bool take(struct http_text *text, const char *lowercase)
{
	size_t size = strlen(lowercase);

	if (text->size < size || strncasecmp(text->data, lowercase, size) != 0)
		return false;
	text->data += size;
	text->size -= size;
	return true;
}

bool content_type_is_json(struct http_text value)
{
	if (!take(&value, "application/json"))
		return false;
	skip_space(&value);
	if (value.size == 0)
		return true;
	if (!take(&value, ";"))
		return false;
	skip_space(&value);
	if (!take(&value, "charset=utf-8") && !take(&value, "charset=\"utf-8\""))
		return false;
	skip_space(&value);
	return value.size == 0;
}

bool request_id_is_valid(struct http_text value)
{
	if (value.size == 0 || value.size > 64)
		return false;
	for (size_t i = 0; i < value.size; i++) {
		unsigned char c = (unsigned char)value.data[i];

		if (!(isalnum(c) && c < 0x80) && c != '.' && c != '_' && c != '-')
			return false;
	}
	return true;
}

/*
 * The characters of token68 (RFC 9110 §11.2). '=' may stand anywhere: a token that is padded where it should not be is
 * a wrong token in a right field.
 */
static bool is_token(struct http_text text)
{
	static const char marks[] = { '-', '.', '_', '~', '+', '/', '=' };

	for (size_t i = 0; i < text.size; i++)
		if (!isalnum((unsigned char)text.data[i]) && !memchr(marks, text.data[i], sizeof(marks)))
			return false;
	return text.size > 0;
}

int bearer_token(const struct http_head *head, struct http_text *ret_token)
{
	bool repeated = false;
	struct http_text value = http_field(head, "authorization", &repeated);

	if (!value.data)
		return -ENOENT;
	if (repeated || !take(&value, "bearer") || value.size == 0 || value.data[0] != ' ')
		return -EINVAL;
	skip_space(&value);
	if (!is_token(value))
		return -EINVAL;
	*ret_token = value;
	return 0;
}

/* Scheme, host and port of a URL, as in Origin: without the scheme's own port. */
static struct http_text origin_of(const char *url)
{
	const char *authority = strstr(url, "://") + 3;
	struct http_text origin = { url, (size_t)(authority - url) + strcspn(authority, "/") };
	const char *port = strncasecmp(url, "https:", 6) == 0 ? ":443" : ":80";
	size_t size = strlen(port);

	if (origin.size > size && memcmp(origin.data + origin.size - size, port, size) == 0)
		origin.size -= size;
	return origin;
}

enum request_origin request_origin(const struct http_head *head, const char *public_url)
{
	bool repeated = false;
	struct http_text site = http_field(head, "sec-fetch-site", &repeated), origin, own;

	if (site.data)
		return !repeated && (http_text_is(site, "same-origin") || http_text_is(site, "none")) ? ORIGIN_SAME
												      : ORIGIN_OTHER;
	origin = http_field(head, "origin", &repeated);
	if (!origin.data)
		return ORIGIN_NOT_SAID;
	own = origin_of(public_url);
	if (repeated || origin.size != own.size || strncasecmp(origin.data, own.data, own.size) != 0)
		return ORIGIN_OTHER;
	return ORIGIN_SAME;
}

bool header_name_is_settable(const char *name)
{
	static const char *const ours[] = { "connection", "content-length", "content-type",	 "date",
					    "keep-alive", "trailer",	    "transfer-encoding", "x-request-id" };

	if (!*name)
		return false;
	for (const char *c = name; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr("!#$%&'*+-.^_`|~", *c))
			return false;
	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		if (strcasecmp(name, ours[i]) == 0)
			return false;
	return true;
}

bool header_value_is_valid(const char *value)
{
	for (const unsigned char *c = (const unsigned char *)value; *c; c++)
		if ((*c < 0x20 && *c != '\t') || *c == 0x7F)
			return false;
	return true;
}
