#include "server/http/framing.h"

/* RFC 9110 §8.6: 1*DIGIT, and nothing that strtol() would take beyond it. Beyond int64_t nobody can mean it. */
static int parse_length(struct http_text text, uint64_t *ret_length)
{
	uint64_t length = 0;

	if (text.size == 0)
		return -EBADMSG;
	for (size_t i = 0; i < text.size; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return -EBADMSG;
		if (__builtin_mul_overflow(length, 10, &length) ||
		    __builtin_add_overflow(length, text.data[i] - '0', &length) || length > INT64_MAX)
			return -EBADMSG;
	}
	*ret_length = length;
	return 0;
}

/* The next element of a comma-separated list, without white space around it; false at the list's end. */
static bool list_next(struct http_text *list, struct http_text *ret_element)
{
	const char *comma, *end;
	struct http_text element;

	if (!list->data)
		return false;
	comma = memchr(list->data, ',', list->size);
	end = comma ? comma : list->data + list->size;
	element = (struct http_text){ list->data, (size_t)(end - list->data) };
	if (comma)
		*list = (struct http_text){ comma + 1, list->size - element.size - 1 };
	else
		list->data = NULL;

	while (element.size && (element.data[0] == ' ' || element.data[0] == '\t')) {
		element.data++;
		element.size--;
	}
	while (element.size && (element.data[element.size - 1] == ' ' || element.data[element.size - 1] == '\t'))
		element.size--;
	*ret_element = element;
	return true;
}

/* RFC 9112 §6.1 and §7: `chunked` once and last is all we decode. Codings that we do not know are 501, malformed is
 * 400. */
static int check_transfer_encoding(struct http_text codings, struct http_refusal *ret_refusal)
{
	struct http_text coding;
	bool chunked = false, unknown = false;

	while (list_next(&codings, &coding)) {
		if (coding.size == 0)
			return http_refuse(ret_refusal, 400, "Transfer-Encoding has an empty element.");
		if (chunked)
			return http_refuse(ret_refusal, 400,
					   "In Transfer-Encoding, chunked must be the last coding, once.");
		if (memchr(coding.data, ';', coding.size))
			return http_refuse(ret_refusal, 400, "Transfer codings take no parameters.");
		if (http_text_is(coding, "identity"))
			return http_refuse(ret_refusal, 400, "The transfer coding identity does not exist any more.");
		if (http_text_is(coding, "chunked"))
			chunked = true;
		else
			unknown = true;
	}
	if (unknown)
		return http_refuse(ret_refusal, 501, "The only transfer coding understood is chunked.");
	return 0;
}

int framing_decide(const struct framing_fields *fields, struct http_head *head, struct http_refusal *ret_refusal)
{
	uint64_t length;
	int r;

	head->framing = HTTP_NO_BODY;
	head->content_length = 0;

	if (fields->n_transfer_encoding) {
		/* §6.1: a proxy that knows only HTTP/1.0 before us has framed this by something else. */
		if (head->minor == 0)
			return http_refuse(ret_refusal, 400, "HTTP/1.0 has no Transfer-Encoding.");
		/* §6.3 rule 3: the classic smuggling pair. */
		if (fields->n_content_length)
			return http_refuse(ret_refusal, 400,
					   "Send either Content-Length or Transfer-Encoding, not both.");
		if (fields->n_transfer_encoding > 1)
			return http_refuse(ret_refusal, 400, "Send one Transfer-Encoding field.");
		r = check_transfer_encoding(fields->transfer_encoding, ret_refusal);
		if (r < 0)
			return r;
		head->framing = HTTP_CHUNKED;
		return 0;
	}

	if (fields->n_content_length) {
		/* §6.3 rule 5 allows equal duplicates; readers that take the first, the last or the sum exist. */
		if (fields->n_content_length > 1)
			return http_refuse(ret_refusal, 400, "Send one Content-Length field.");
		if (parse_length(fields->content_length, &length) < 0)
			return http_refuse(ret_refusal, 400, "Content-Length must be one decimal number.");
		if (length > 0) {
			head->framing = HTTP_LENGTH;
			head->content_length = length;
		}
		return 0;
	}

	/* §6.3 rule 7: a request without either has no body. */
	return 0;
}
