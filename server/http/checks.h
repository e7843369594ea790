/* Small decisions about one request's fields. Pure functions over a parsed head. */
#ifndef HTTP_CHECKS_H
#define HTTP_CHECKS_H

#include "server/http/parser.h"

/* Whether a Content-Type says JSON in UTF-8: application/json, with no parameter but charset=utf-8. */
bool content_type_is_json(struct http_text value);

/* Whether a client's X-Request-Id is taken as ours: 1 … 64 letters, digits, '.', '_' or '-'. */
bool request_id_is_valid(struct http_text value);

/*
 * The access token of `Authorization: Bearer TOKEN` (RFC 6750 §2.1): letters, digits and -._~+/=, in any order. 0;
 * -ENOENT: there is none; -EINVAL: the field is repeated, of another scheme, or malformed.
 */
int bearer_token(const struct http_head *head, struct http_text *ret_token);

/*
 * Whether a browser sent the request from a page of ours, by Sec-Fetch-Site (Fetch Metadata), else by Origin, which
 * must be that of `public_url`. Host says nothing about it: whoever makes a name lead here chooses it.
 */
enum request_origin { ORIGIN_SAME, ORIGIN_OTHER, ORIGIN_NOT_SAID };
enum request_origin request_origin(const struct http_head *head, const char *public_url);

/* Whether an application may set this header of a reply; those that frame it or that we always write are ours. */
bool header_name_is_settable(const char *name);
bool header_value_is_valid(const char *value); /* no control characters but TAB */

#endif
