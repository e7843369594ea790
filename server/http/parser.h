/*
 * The head of an HTTP/1.1 request (RFC 9112, RFC 9110): one pass over a complete head, and the decision about how its body
 * is framed. Pure functions over bytes; nothing allocates or suspends. Everything that could be read in two ways is
 * refused, so that no proxy before us can disagree about where a request ends.
 */
#ifndef HTTP_PARSER_H
#define HTTP_PARSER_H

#include <prong/http.h>

#include "common/basics.h"

#define HTTP_MAX_TARGET 8192
#define HTTP_MAX_FIELD_LINE 16384
#define HTTP_MAX_HEAD 32768
#define HTTP_MAX_FIELDS 100

struct http_text {
	const char *data;
	size_t size;
};

struct http_field {
	struct http_text name, value; /* the value without its outer white space */
};

enum http_framing { HTTP_NO_BODY, HTTP_LENGTH, HTTP_CHUNKED };

struct http_head {
	enum prong_method method; /* 0: HEAD, OPTIONS or TRACE or CONNECT, see `method_text` */
	bool is_head;             /* HEAD: method is PRONG_GET */
	struct http_text method_text;
	struct http_text path;  /* as sent, without query; begins with '/'; "*" only for OPTIONS */
	struct http_text query; /* without '?'; data NULL when there is none */
	struct http_text host;  /* of an absolute-form target, else of Host; size 0: none (HTTP/1.0) */
	int minor;              /* 0 or 1: HTTP/1.minor */
	bool keep_alive;
	bool expect_continue;
	enum http_framing framing;
	uint64_t content_length; /* for HTTP_LENGTH */
	size_t n_fields;
	struct http_field fields[HTTP_MAX_FIELDS];
};

/* Why a request is refused: the status to answer, whether the connection must close, and a sentence for the client. */
struct http_refusal {
	int status;
	bool close;
	const char *detail;
};

/*
 * Looks for the end of the head in data[0 … size), having looked at the first `*scanned` bytes before. Returns its length
 * with the empty line; 0 while it is incomplete; -EBADMSG with `refusal` as soon as it can never become one (bare LF or CR,
 * NUL, a limit exceeded, not HTTP). One empty line before the request line is skipped by `*skip` bytes (RFC 9112 §2.2).
 */
int64_t http_find_head(const char *data, size_t size, size_t *scanned, size_t *skip, struct http_refusal *ret_refusal);

/*
 * Parses a complete head of exactly `size` bytes. 0, or -EBADMSG with what to answer. `ret_head` points into `data`. The
 * body's framing is decided by one separate function inside, the part to read twice.
 */
int http_parse_head(const char *data, size_t size, struct http_head *ret_head, struct http_refusal *ret_refusal);

/* The value of the first field of that lowercase name; NULL data when there is none. `ret_repeated` may be NULL. */
struct http_text http_field(const struct http_head *head, const char *name, bool *ret_repeated);

/*
 * A chunked body (RFC 9112 §7.1), fed as it comes; decodes in place. Trailers are checked for syntax and discarded.
 */
struct http_chunks {
	int state;
	uint64_t left;    /* of the current chunk */
	uint64_t total;   /* decoded so far */
	size_t overhead;  /* bytes of extensions and trailers so far; bounded */
};

/*
 * Decodes data[0 … size): moves body bytes to its front. Returns 1 when the body is complete, 0 when more is needed,
 * -EBADMSG with what to answer (400, or 413 beyond `max_body`). `ret_consumed` is how much of `data` was read,
 * `ret_body` how many body bytes now stand at its front.
 */
int http_chunks_decode(struct http_chunks *chunks, char *data, size_t size, uint64_t max_body, size_t *ret_consumed,
		       size_t *ret_body, struct http_refusal *ret_refusal);

/*
 * Splits and decodes a path into its segments: percent-decoding once, strictly. -EBADMSG: a bad escape, an encoded '/' or
 * NUL, a '.' or '..' segment, invalid UTF-8. Decoded text goes to `space` of at least path.size + 1 bytes.
 */
#define HTTP_MAX_SEGMENTS 32
int http_split_path(struct http_text path, char *space, struct http_text segments[HTTP_MAX_SEGMENTS], size_t *ret_count);

#endif
