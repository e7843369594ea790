/*
 * Where the body of a request ends: the decision that request smuggling attacks, kept apart from everything else. Pure;
 * nothing here suspends.
 */
#ifndef HTTP_FRAMING_H
#define HTTP_FRAMING_H

#include "server/http/parser.h"

/* The fields that frame a body, as the head's pass found them: the first value of each, and how many there were. */
struct framing_fields {
	struct http_text content_length, transfer_encoding;
	unsigned n_content_length, n_transfer_encoding;
};

/*
 * Decides by RFC 9112 §6.3, refusing (-EBADMSG, always closing) whatever two readers could frame differently. Sets
 * `framing` and `content_length` of the head; reads its `minor`.
 */
int framing_decide(const struct framing_fields *fields, struct http_head *head, struct http_refusal *ret_refusal);

#endif
