/*
 * Our cookies: finding one in a request, strictly, and having the client set or drop one (RFC 6265bis). What other
 * cookies the client sends along is none of our business and passed over, well-formed or not.
 */
#ifndef COOKIES_H
#define COOKIES_H

#include "server/http/parser.h"

/* The prefix has browsers take them only over TLS, from this host itself, and for all of its paths. */
#define COOKIE_ACCESS "__Host-prong_access"   /* the access token */
#define COOKIE_REFRESH "__Host-prong_refresh" /* the refresh token */

/*
 * The value of the cookie of that name, over all Cookie fields. 0; -ENOENT: there is none; -EBADMSG: it stands there
 * twice, or its value is empty, quoted, or has characters that no value of ours has. Points into the head.
 */
int cookie_find(const struct http_head *head, const char *name, struct http_text *ret_value);

/* As cookie_find(), for a handler: -EBADMSG is recorded as 400 invalid_cookie. The value lives as long as the request.
 */
int cookie_read(struct prong_ctx *ctx, const char *name, const char **ret_value);

/*
 * Adds Set-Cookie to the reply, also where it turns out to be a failure: so once nothing can fail any more. `name`
 * begins with `__Host-`; `value` is of base64url's characters and '.'. Kept for `max_age`.
 */
void cookie_set(struct prong_ctx *ctx, const char *name, const char *value, prong_duration max_age);
void cookie_clear(struct prong_ctx *ctx, const char *name);

#endif
