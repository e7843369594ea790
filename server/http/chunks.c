#include "server/http/characters.h"
#include "server/http/parser.h"

enum chunk_state {
	CHUNK_SIZE,
	CHUNK_EXTENSION,
	CHUNK_SIZE_LF,
	CHUNK_DATA,
	CHUNK_DATA_CR,
	CHUNK_DATA_LF,
	TRAILER_BEGIN,
	TRAILER_NAME,
	TRAILER_VALUE,
	TRAILER_LF,
	LAST_LF,
	CHUNK_COMPLETE,
};

/* RFC 9112 §7.1.1: extensions are read and ignored; a bound keeps them from being sent for ever. */
static bool is_flood(struct http_chunks *chunks)
{
	return ++chunks->overhead > HTTP_MAX_CHUNK_OVERHEAD;
}

static int read_size(struct http_chunks *chunks, char c, uint64_t max_body, struct http_refusal *ret_refusal)
{
	if (http_is(c, HTTP_HEX)) {
		/* 16 digits fill uint64_t; leading zeros count, so that they are no flood either. */
		if (++chunks->digits > 16)
			return http_refuse(ret_refusal, 400, "A chunk size has too many digits.");
		chunks->left = chunks->left << 4 | http_hex(c);
		return 0;
	}
	if (chunks->digits == 0 || (c != '\r' && c != ';'))
		return http_refuse(ret_refusal, 400, "A chunk size must be hexadecimal digits and nothing else.");
	if (chunks->left > max_body - chunks->total)
		return http_refuse(ret_refusal, 413, "The body is too large.");
	chunks->state = c == ';' ? CHUNK_EXTENSION : CHUNK_SIZE_LF;
	return 0;
}

static int read_trailer(struct http_chunks *chunks, char c, struct http_refusal *ret_refusal)
{
	if (is_flood(chunks))
		return http_refuse(ret_refusal, 431, "The trailer fields are too large.");
	if (chunks->state == TRAILER_BEGIN && c == '\r') {
		chunks->state = LAST_LF;
		return 0;
	}
	if (chunks->state == TRAILER_VALUE) {
		if (c == '\r')
			chunks->state = TRAILER_LF;
		else if (http_is(c, HTTP_CONTROL))
			return http_refuse(ret_refusal, 400, "A trailer field has a control character.");
		return 0;
	}
	if (chunks->state == TRAILER_NAME && c == ':')
		chunks->state = TRAILER_VALUE;
	else if (http_is(c, HTTP_TCHAR))
		chunks->state = TRAILER_NAME;
	else
		return http_refuse(ret_refusal, 400, "A trailer field's name is malformed.");
	return 0;
}

/* CR was read: LF must follow. */
static int read_line_feed(struct http_chunks *chunks, char c, struct http_refusal *ret_refusal)
{
	if (c != '\n')
		return http_refuse(ret_refusal, 400, "In a chunked body a line does not end with CR LF.");
	switch (chunks->state) {
	case CHUNK_SIZE_LF:
		chunks->state = chunks->left ? CHUNK_DATA : TRAILER_BEGIN;
		break;
	case CHUNK_DATA_LF:
		chunks->state = CHUNK_SIZE;
		chunks->digits = 0;
		break;
	case TRAILER_LF:
		chunks->state = TRAILER_BEGIN;
		break;
	default:
		chunks->state = CHUNK_COMPLETE;
	}
	return 0;
}

static int read_byte(struct http_chunks *chunks, char c, uint64_t max_body, struct http_refusal *ret_refusal)
{
	switch (chunks->state) {
	case CHUNK_SIZE:
		return read_size(chunks, c, max_body, ret_refusal);
	case CHUNK_EXTENSION:
		if (is_flood(chunks))
			return http_refuse(ret_refusal, 400, "The chunk extensions are too large.");
		if (c == '\r')
			chunks->state = CHUNK_SIZE_LF;
		else if (http_is(c, HTTP_CONTROL))
			return http_refuse(ret_refusal, 400, "A chunk extension has a control character.");
		return 0;
	case CHUNK_DATA_CR:
		if (c != '\r')
			return http_refuse(ret_refusal, 400, "A chunk is longer than its size says.");
		chunks->state = CHUNK_DATA_LF;
		return 0;
	case TRAILER_BEGIN:
	case TRAILER_NAME:
	case TRAILER_VALUE:
		return read_trailer(chunks, c, ret_refusal);
	default:
		return read_line_feed(chunks, c, ret_refusal);
	}
}

int http_chunks_decode(struct http_chunks *chunks, char *data, size_t size, uint64_t max_body, size_t *ret_consumed,
		       size_t *ret_body, struct http_refusal *ret_refusal)
{
	size_t at = 0, body = 0;
	int r;

	while (at < size && chunks->state != CHUNK_COMPLETE) {
		if (chunks->state == CHUNK_DATA) {
			size_t run = chunks->left < size - at ? (size_t)chunks->left : size - at;

			memmove(data + body, data + at, run);
			at += run;
			body += run;
			chunks->left -= run;
			chunks->total += run;
			if (chunks->left == 0)
				chunks->state = CHUNK_DATA_CR;
			continue;
		}
		r = read_byte(chunks, data[at++], max_body, ret_refusal);
		if (r < 0)
			return r;
	}
	*ret_consumed = at;
	*ret_body = body;
	return chunks->state == CHUNK_COMPLETE;
}
