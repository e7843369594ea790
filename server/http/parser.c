#include "server/http/parser.h"

#include "server/http/characters.h"
#include "server/http/framing.h"
#include "server/http/target.h"

/* The longest method known, the longest target, two spaces and the version fit well. */
#define MAX_REQUEST_LINE (HTTP_MAX_TARGET + 32)

static const char too_large[] = "The request's header fields are too large.";
static const char bad_request_line[] = "The request line must be a method, a target and HTTP/1.1, with single spaces.";

static int refuse_control(char c, struct http_refusal *ret_refusal)
{
	if (c == '\r' || c == '\n')
		return http_refuse(ret_refusal, 400, "A line of the request's head does not end with CR LF.");
	return http_refuse(ret_refusal, 400, "The request's head has a control character.");
}

/* The first line is beyond its limit, so where its parts end is all that can be told. */
static int refuse_request_line(const char *line, struct http_refusal *ret_refusal)
{
	if (!memchr(line, ' ', MAX_REQUEST_LINE))
		return http_refuse(ret_refusal, 501, "This method is not implemented.");
	return http_refuse(ret_refusal, 414, "The request target is too long.");
}

static bool ends_with_version(const char *line, const char *end)
{
	return end - line > 9 && memcmp(end - 9, " HTTP/", 6) == 0 && end[-3] >= '0' && end[-3] <= '9' &&
	       end[-2] == '.' && end[-1] >= '0' && end[-1] <= '9';
}

/* The empty line and the first byte, before there is a line to look at. 1: go on; 0: more is needed. */
static int find_begin(const char *data, size_t size, size_t *scanned, size_t *skip, struct http_refusal *ret_refusal)
{
	if (*scanned == 0 && size > 0 && data[0] == '\r') {
		if (size < 2)
			return 0;
		if (data[1] != '\n')
			return refuse_control(data[0], ret_refusal);
		*skip = *scanned = 2;
	}
	if (*scanned == *skip) {
		if (size == *skip)
			return 0;
		/* TLS, other binary protocols, white space, and a second empty line end here, without waiting for a
		 * line. */
		if (!http_is(data[*skip], HTTP_TCHAR))
			return http_refuse(ret_refusal, 400, bad_request_line);
	}
	return 1;
}

int64_t http_find_head(const char *data, size_t size, size_t *scanned, size_t *skip, struct http_refusal *ret_refusal)
{
	int r = find_begin(data, size, scanned, skip, ret_refusal);
	if (r <= 0)
		return r;

	const char *const begin = data + *skip, *const end = data + size;
	const char *at = data + *scanned;
	const char *line = memrchr(begin, '\n', (size_t)(at - begin));
	line = line ? line + 1 : begin;

	for (;;) {
		at = http_find_control(at, end);
		if (line == begin && at - line > MAX_REQUEST_LINE)
			return refuse_request_line(line, ret_refusal);
		if (at - line > HTTP_MAX_FIELD_LINE || at - begin > HTTP_MAX_HEAD - 2)
			return http_refuse(ret_refusal, 431, too_large);
		if (at == end || (*at == '\r' && at + 1 == end)) {
			*scanned = (size_t)(at - data);
			return 0;
		}
		if (*at != '\r' || at[1] != '\n')
			return refuse_control(*at, ret_refusal);
		if (at == line)
			return at + 2 - begin;
		if (line == begin && !ends_with_version(line, at))
			return http_refuse(ret_refusal, 400, bad_request_line);
		at += 2;
		line = at;
	}
}

/* Sets `method` and `is_head` from `method_text`; false for a method not known. */
static bool parse_method(struct http_head *head)
{
	static const struct {
		const char *name;
		uint8_t size, method;
	} methods[] = {
		{ "GET", 3, PRONG_GET },       { "POST", 4, PRONG_POST },
		{ "PUT", 3, PRONG_PUT },       { "PATCH", 5, PRONG_PATCH },
		{ "DELETE", 6, PRONG_DELETE }, { "HEAD", 4, PRONG_GET },
		{ "OPTIONS", 7, 0 },	       { "TRACE", 5, 0 },
		{ "CONNECT", 7, 0 },
	};
	struct http_text text = head->method_text;

	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		if (text.size == methods[i].size && memcmp(text.data, methods[i].name, text.size) == 0) {
			head->method = methods[i].method;
			head->is_head = text.data[0] == 'H';
			return true;
		}
	}
	return false;
}

static bool is_token(struct http_text text)
{
	for (size_t i = 0; i < text.size; i++) {
		if (!http_is(text.data[i], HTTP_TCHAR))
			return false;
	}
	return true;
}

/*
 * A fault that leaves no doubt about where the request ends: it is answered after the rest of the head was found sound,
 * and the connection may go on. The first one stands.
 */
static void fault(struct http_refusal *fault, int status, const char *detail)
{
	if (!fault->status)
		*fault = (struct http_refusal){ .status = status, .detail = detail };
}

/* RFC 9112 §2.3 and RFC 9110 §2.5: a later minor version of HTTP/1 is served as the latest we know. */
static int parse_version(const char *version, struct http_head *head, struct http_refusal *ret_refusal)
{
	if (version[5] > '1')
		return http_refuse(ret_refusal, 505, "Only HTTP/1.1 and HTTP/1.0 are served here.");
	if (version[5] < '1')
		return http_refuse(ret_refusal, 400, bad_request_line);
	head->minor = version[7] == '0' ? 0 : 1;
	return 0;
}

/* RFC 9112 §3: method SP request-target SP HTTP-version. */
static int parse_request_line(const char *line, const char *end, struct http_head *head, struct http_refusal *ret_fault,
			      struct http_refusal *ret_refusal)
{
	const char *target, *version = end - 8, *detail;
	struct http_text text;
	int r;

	if (!ends_with_version(line, end) || memchr(line, '\t', (size_t)(end - line)))
		return http_refuse(ret_refusal, 400, bad_request_line);
	target = (const char *)memchr(line, ' ', (size_t)(end - line)) + 1;
	if (target == line + 1 || target >= version - 1 || memchr(target, ' ', (size_t)(version - 1 - target)))
		return http_refuse(ret_refusal, 400, bad_request_line);
	r = parse_version(version, head, ret_refusal);
	if (r < 0)
		return r;

	head->method_text = (struct http_text){ line, (size_t)(target - 1 - line) };
	if (!parse_method(head)) {
		if (is_token(head->method_text))
			fault(ret_fault, 501, "This method is not implemented.");
		else
			fault(ret_fault, 400, "The method is not a token.");
	}
	text = (struct http_text){ target, (size_t)(version - 1 - target) };
	if (text.size > HTTP_MAX_TARGET)
		fault(ret_fault, 414, "The request target is too long.");
	else if (target_parse(text, head, &detail) < 0)
		fault(ret_fault, 400, detail);
	return 0;
}

/* RFC 9110 §7.6.1: a list of tokens, of which two matter here. "close" wins wherever it stands. */
static void read_connection(struct http_text value, bool *close, bool *keep_alive)
{
	const char *at = value.data, *const end = at + value.size;

	while (at < end) {
		struct http_text token = { at, 0 };

		while (at < end && http_is(*at, HTTP_TCHAR))
			at++;
		token.size = (size_t)(at - token.data);
		if (http_text_is(token, "close"))
			*close = true;
		else if (http_text_is(token, "keep-alive"))
			*keep_alive = true;
		if (token.size == 0)
			at++;
	}
}

/* What the fields say about the message itself, gathered while they pass. */
struct control_fields {
	struct framing_fields framing;
	struct http_text host;
	unsigned n_hosts;
	bool close, keep_alive;
	bool expects, expects_unknown;
};

static void read_field(const struct http_field *field, struct control_fields *control)
{
	struct http_text name = field->name, value = field->value;

	switch (name.size) {
	case 4:
		if (http_text_is(name, "host") && control->n_hosts++ == 0)
			control->host = value;
		break;
	case 6:
		if (http_text_is(name, "expect")) {
			control->expects = true;
			if (!http_text_is(value, "100-continue"))
				control->expects_unknown = true;
		}
		break;
	case 10:
		if (http_text_is(name, "connection"))
			read_connection(value, &control->close, &control->keep_alive);
		break;
	case 14:
		if (http_text_is(name, "content-length") && control->framing.n_content_length++ == 0)
			control->framing.content_length = value;
		break;
	case 17:
		if (http_text_is(name, "transfer-encoding") && control->framing.n_transfer_encoding++ == 0)
			control->framing.transfer_encoding = value;
		break;
	}
}

static int refuse_name(const char *name, const char *at, struct http_refusal *ret_refusal)
{
	if (*name == ' ' || *name == '\t')
		return http_refuse(ret_refusal, 400, "Folded header fields are not accepted."); /* RFC 9112 §5.2 */
	if (*at == ' ' || *at == '\t')
		return http_refuse(ret_refusal, 400, "White space before a header field's colon is not accepted.");
	if (*at == '\r')
		return http_refuse(ret_refusal, 400, "A header field has no colon.");
	return http_refuse(ret_refusal, 400, "A header field's name is malformed.");
}

/* RFC 9112 §5: every line a name, a colon, a value; up to the empty line at the end. */
static int parse_fields(const char *at, const char *end, struct http_head *head, struct control_fields *control,
			struct http_refusal *ret_refusal)
{
	while (at < end - 2) {
		struct http_field *field = &head->fields[head->n_fields];
		const char *name = at, *value, *stop;

		if (head->n_fields == HTTP_MAX_FIELDS)
			return http_refuse(ret_refusal, 431, "The request has too many header fields.");
		while (http_is(*at, HTTP_TCHAR))
			at++;
		if (at == name || *at != ':')
			return refuse_name(name, at, ret_refusal);
		field->name = (struct http_text){ name, (size_t)(at - name) };

		value = at + 1;
		while (*value == ' ' || *value == '\t')
			value++;
		at = stop = http_find_control(value, end);
		if (at[0] != '\r' || at[1] != '\n')
			return refuse_control(*at, ret_refusal);
		while (stop > value && (stop[-1] == ' ' || stop[-1] == '\t'))
			stop--;
		field->value = (struct http_text){ value, (size_t)(stop - value) };

		head->n_fields++;
		read_field(field, control);
		at += 2;
	}
	return 0;
}

/* RFC 9112 §3.2: one valid Host in every HTTP/1.1 request, whatever the target's form. */
static int check_host(const struct control_fields *control, struct http_head *head, struct http_refusal *ret_refusal)
{
	if (control->n_hosts == 0 && head->minor > 0)
		return http_refuse(ret_refusal, 400, "The request has no Host field.");
	if (control->n_hosts > 1)
		return http_refuse(ret_refusal, 400, "The request has more than one Host field.");
	if (control->n_hosts == 1 && !authority_is_valid(control->host))
		return http_refuse(ret_refusal, 400, "The Host field must be one host name with an optional port.");
	if (head->host.size == 0)
		head->host = control->host;
	return 0;
}

int http_parse_head(const char *data, size_t size, struct http_head *ret_head, struct http_refusal *ret_refusal)
{
	struct http_refusal faulty = { 0 };
	struct control_fields control = { 0 };
	struct http_head *head = ret_head;
	const char *end = data + size, *line_end;
	int r;

	head->method = 0;
	head->is_head = false;
	head->method_text = (struct http_text){ data, 0 };
	head->host = (struct http_text){ NULL, 0 };
	head->n_fields = 0;

	if (size < 4 || memcmp(end - 4, "\r\n\r\n", 4) != 0)
		return http_refuse(ret_refusal, 400, "The request's head does not end with an empty line.");
	line_end = http_find_control(data, end);
	if (line_end[0] != '\r' || line_end[1] != '\n')
		return refuse_control(*line_end, ret_refusal);
	r = parse_request_line(data, line_end, head, &faulty, ret_refusal);
	if (r < 0)
		return r;
	r = parse_fields(line_end + 2, end, head, &control, ret_refusal);
	if (r < 0)
		return r;
	r = check_host(&control, head, ret_refusal);
	if (r < 0)
		return r;
	r = framing_decide(&control.framing, head, ret_refusal);
	if (r < 0)
		return r;

	/* RFC 9112 §9.3. After a refused CONNECT a client may already be sending what it wants tunnelled: close. */
	head->keep_alive = !control.close && (head->minor > 0 || control.keep_alive);
	if (head->method == 0 && head->method_text.data[0] == 'C')
		head->keep_alive = false;
	/* RFC 9110 §10.1.1: in HTTP/1.0 it is to be ignored, and without a body there is nothing to wait for. */
	head->expect_continue = control.expects && head->minor > 0 && head->framing != HTTP_NO_BODY;
	if (control.expects_unknown && head->minor > 0)
		fault(&faulty, 417, "The only expectation known is 100-continue.");

	if (faulty.status) {
		faulty.close = head->framing != HTTP_NO_BODY || !head->keep_alive;
		*ret_refusal = faulty;
		return -EBADMSG;
	}
	return 0;
}

struct http_text http_field(const struct http_head *head, const char *name, bool *ret_repeated)
{
	struct http_text value = { NULL, 0 };
	size_t size = strlen(name);
	bool repeated = false;

	for (size_t i = 0; i < head->n_fields; i++) {
		const struct http_field *field = &head->fields[i];

		if (field->name.size != size || strncasecmp(field->name.data, name, size) != 0)
			continue;
		if (value.data)
			repeated = true;
		else
			value = field->value;
	}
	if (ret_repeated)
		*ret_repeated = repeated;
	return value;
}
