/*
 * Whom a request comes from, and whether they may use its route. The credential is `Authorization: Bearer`, or where
 * there is none the cookie of a browser's session; then methods that change something must come from our own pages.
 */
#ifndef AUTHENTICATE_H
#define AUTHENTICATE_H

#include "server/http/exchange.h"

/*
 * Checks the route's `.access`, `.scope` and `.recent`, and sets the context's principal where it asks for one. 0;
 * -EACCES: refused, with what to answer in `ret_problem` and further headers among the reply's; -EAGAIN: it takes
 * asking others, so call it again on the exchange's coroutine. Suspends only where it runs on that.
 */
int authenticate(struct exchange *exchange, struct problem *ret_problem);

/*
 * For a handler that sets cookies, or acts on one, without a principal: whether the browser says that one of our pages
 * sent the request. 0, also where it says nothing, as what is no browser; else 403 csrf is recorded. Does not suspend.
 */
int csrf_check_origin(struct prong_ctx *ctx);

#endif
