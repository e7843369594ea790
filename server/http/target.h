/* The request target (RFC 9112 §3.2) and the authority that it or Host names (RFC 9110 §7.2). Pure functions. */
#ifndef HTTP_TARGET_H
#define HTTP_TARGET_H

#include "server/http/parser.h"

/*
 * Reads the target in any of its four forms into the head's `path`, `query` and, where it names one, `host`; reads its
 * `method_text`. -EBADMSG with a sentence in `ret_detail`: malformed, or a form that the method has not.
 */
int target_parse(struct http_text target, struct http_head *head, const char **ret_detail);

/* host[:port], as Host carries it: one name, IPv4 address or [IPv6 address]; no user, list, path, or empty port. */
bool authority_is_valid(struct http_text authority);

#endif
