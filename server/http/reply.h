/*
 * Writing replies: status lines, the fields that every reply has, problem+json. A reply replaces any that the exchange
 * has already; it is sent only when the exchange is over, so a handler that fails after having replied is answered with
 * its failure.
 */
#ifndef REPLY_H
#define REPLY_H

#include "server/http/exchange.h"

#define HTTP_DATE_SIZE 30 /* "Sun, 06 Nov 1994 08:49:37 GMT" with its NUL */

/* RFC 9110 §5.6.7. `seconds` since the epoch. */
void http_date_format(int64_t seconds, char text[HTTP_DATE_SIZE]);

/* The reason phrase of a status; "Unknown" where there is none. */
const char *status_reason(int status);

/* The `code` of a problem that says nothing more than its status: "not_found". */
const char *status_code(int status);

/* application/problem+json, with Retry-After where the problem says so. Never cacheable. */
void reply_problem(struct exchange *exchange, const struct problem *problem);

/* Adds a header to the reply that is written next. `name` and `value` are borrowed as long as the exchange lives. */
void reply_header_add(struct exchange *exchange, const char *name, const char *value);

#endif
