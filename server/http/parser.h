/*
 * The head of an HTTP/1.1 request (RFC 9112, RFC 9110): one pass over a complete head, and the decision about how its
 * body is framed. Pure functions over bytes; nothing allocates or suspends. Everything that could be read in two ways
 * is refused, so that no proxy before us can disagree about where a request ends.
 */
#ifndef HTTP_PARSER_H
#define HTTP_PARSER_H

#include <prong/http.h>

#include <strings.h>

#include "common/basics.h"

#define HTTP_MAX_TARGET 8192
#define HTTP_MAX_FIELD_LINE 16384
#define HTTP_MAX_HEAD 32768
#define HTTP_MAX_FIELDS 100

struct http_text {
	const char *data;
	size_t size;
};

static inline bool http_text_is(struct http_text text, const char *other) /* in any case */
{
	return text.size == strlen(other) && strncasecmp(text.data, other, text.size) == 0;
}

struct http_field {
	struct http_text name, value; /* the value without its outer white space */
};

enum http_framing { HTTP_NO_BODY, HTTP_LENGTH, HTTP_CHUNKED };

struct http_head {
	enum prong_method method; /* 0: OPTIONS, TRACE or CONNECT, see `method_text` */
	bool is_head;		  /* HEAD: method is PRONG_GET */
	struct http_text method_text;
	struct http_text
		path; /* as sent, without query; begins with '/'; "*" only for OPTIONS, and CONNECT host:port */
	struct http_text query; /* without '?'; data NULL when there is none */
	struct http_text host;	/* of an absolute-form target, else of Host; size 0: none (HTTP/1.0) */
	int minor;		/* 0 or 1: HTTP/1.minor */
	bool keep_alive;
	bool expect_continue; /* only where a body follows */
	enum http_framing framing;
	uint64_t content_length; /* for HTTP_LENGTH, never 0: `Content-Length: 0` is HTTP_NO_BODY */
	size_t n_fields;
	struct http_field fields[HTTP_MAX_FIELDS];
};

/* Why a request is refused: the status to answer, whether the connection must close, and a sentence for the client. */
struct http_refusal {
	int status;
	bool close;
	const char *detail; /* static */
};

/* Refuses and closes; returns -EBADMSG. */
static inline int http_refuse(struct http_refusal *ret_refusal, int status, const char *detail)
{
	*ret_refusal = (struct http_refusal){ .status = status, .close = true, .detail = detail };
	return -EBADMSG;
}

/*
 * Looks for the end of the head in data[0 … size), having looked at the first `*scanned` bytes before. Returns its
 * length with the empty line; 0 while it is incomplete; -EBADMSG with what to answer as soon as it can never become one
 * (bare LF or CR, NUL, a limit exceeded, not HTTP). One empty line before the request line is skipped (RFC 9112 §2.2):
 * the head is data[*skip … *skip + result). `*scanned` and `*skip` are the caller's, 0 at first; the data may move
 * between calls. The result does not depend on how the bytes were split over calls.
 */
int64_t http_find_head(const char *data, size_t size, size_t *scanned, size_t *skip, struct http_refusal *ret_refusal);

/*
 * Parses a complete head of exactly `size` bytes, as http_find_head() found it. 0, or -EBADMSG with what to answer.
 * `ret_head` points into `data`. Where the refusal does not close the connection, the request has no body: the next one
 * begins right after this head. After a refusal `ret_head` holds only `method_text` and `is_head`, for framing the
 * answer and for the log. The body's framing is decided by one separate function (framing.h), the part to read twice.
 */
int http_parse_head(const char *data, size_t size, struct http_head *ret_head, struct http_refusal *ret_refusal);

/* The value of the first field of that lowercase name; NULL data when there is none. `ret_repeated` may be NULL. */
struct http_text http_field(const struct http_head *head, const char *name, bool *ret_repeated);

/*
 * A chunked body (RFC 9112 §7.1), fed as it comes; decodes in place. Trailers are checked for syntax and discarded.
 */
struct http_chunks { /* all zero at first */
	int state;
	int digits;	 /* of the current chunk's size */
	uint64_t left;	 /* of the current chunk */
	uint64_t total;	 /* decoded so far */
	size_t overhead; /* bytes of extensions and trailers so far */
};

#define HTTP_MAX_CHUNK_OVERHEAD 8192

/*
 * Decodes data[0 … size): moves body bytes to its front. Returns 1 when the body is complete, 0 when more is needed,
 * -EBADMSG with what to answer (400; 413 beyond `max_body`; 431 for too many trailers), always closing. `ret_consumed`
 * is how much of `data` was read: all of it unless the body is complete; what follows is the next request. `ret_body`
 * is how many body bytes now stand at its front. The result does not depend on how the bytes were split over calls.
 */
int http_chunks_decode(struct http_chunks *chunks, char *data, size_t size, uint64_t max_body, size_t *ret_consumed,
		       size_t *ret_body, struct http_refusal *ret_refusal);

/*
 * Splits and decodes a path into its segments: percent-decoding once, strictly. "/" has none; "/a/" has an empty second
 * one. -EBADMSG: no leading '/', a bad escape, an encoded '/' or NUL, a '.' or '..' segment, invalid UTF-8. -ENOENT:
 * more segments than any route can have. Decoded text goes to `space` of at least path.size + 1 bytes; each segment is
 * followed by a NUL there.
 */
#define HTTP_MAX_SEGMENTS 32
int http_split_path(struct http_text path, char *space, struct http_text segments[HTTP_MAX_SEGMENTS],
		    size_t *ret_count);

#endif
