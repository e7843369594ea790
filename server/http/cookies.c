#include "server/http/cookies.h"

#include <ctype.h>

#include "common/context.h"
#include "server/http/exchange.h"
#include "server/http/reply.h"

#define ATTRIBUTES "Path=/; Secure; HttpOnly; SameSite=Lax"

static bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

static struct http_text trim(struct http_text text)
{
	while (text.size && is_space(*text.data)) {
		text.data++;
		text.size--;
	}
	while (text.size && is_space(text.data[text.size - 1]))
		text.size--;
	return text;
}

/* Takes the next of `text`, up to a ';'. */
static struct http_text take_pair(struct http_text *text)
{
	const char *end = memchr(text->data, ';', text->size);
	size_t size = end ? (size_t)(end - text->data) : text->size;
	struct http_text pair = { text->data, size };

	text->data += end ? size + 1 : size;
	text->size -= end ? size + 1 : size;
	return trim(pair);
}

/* Names of cookies are compared with their case. */
static bool has_name(struct http_text pair, const char *name)
{
	size_t size = strlen(name);

	return pair.size > size && memcmp(pair.data, name, size) == 0 && pair.data[size] == '=';
}

static bool is_value(struct http_text text)
{
	for (size_t i = 0; i < text.size; i++) {
		unsigned char c = (unsigned char)text.data[i];

		if (!isalnum(c) && c != '-' && c != '_' && c != '.')
			return false;
	}
	return text.size > 0;
}

int cookie_find(const struct http_head *head, const char *name, struct http_text *ret_value)
{
	struct http_text value = { 0 };

	for (size_t i = 0; i < head->n_fields; i++) {
		struct http_text rest = head->fields[i].value;

		if (!http_text_is(head->fields[i].name, "cookie"))
			continue;
		while (rest.size) {
			struct http_text pair = take_pair(&rest);

			if (!has_name(pair, name))
				continue;
			if (value.data)
				return -EBADMSG;
			value.data = pair.data + strlen(name) + 1;
			value.size = pair.size - strlen(name) - 1;
		}
	}
	if (!value.data)
		return -ENOENT;
	if (!is_value(value))
		return -EBADMSG;
	*ret_value = value;
	return 0;
}

int cookie_read(struct prong_ctx *ctx, const char *name, const char **ret_value)
{
	struct http_text value;
	int r;

	r = cookie_find(&ctx->exchange->head, name, &value);
	if (r == -EBADMSG)
		prong_fail(ctx, 400, "invalid_cookie", "The cookie %s is there twice, or is malformed.", name);
	if (r < 0)
		return r;
	*ret_value = arena_strndup(&ctx->arena, value.data, value.size);
	return 0;
}

void cookie_set(struct prong_ctx *ctx, const char *name, const char *value, prong_duration max_age)
{
	check(is_value((struct http_text){ value, strlen(value) }));
	reply_header_add(ctx->exchange, "Set-Cookie",
			 arena_format(&ctx->arena, "%s=%s; Max-Age=%lld; " ATTRIBUTES, name, value,
				      (long long)(max_age / PRONG_SECONDS(1))));
}

void cookie_clear(struct prong_ctx *ctx, const char *name)
{
	reply_header_add(ctx->exchange, "Set-Cookie", arena_format(&ctx->arena, "%s=; Max-Age=0; " ATTRIBUTES, name));
}
