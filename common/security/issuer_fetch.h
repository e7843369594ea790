/* Fetches an issuer's JWKS by libcurl: no redirects, nothing but 200, bounded in time and size. */
#ifndef ISSUER_FETCH_H
#define ISSUER_FETCH_H

#include <stdatomic.h>

#include "common/buffer.h"

#define JWKS_MAX_SIZE (256 * 1024)

struct issuer_fetch {
	const char *url;	     /* borrowed, as the next */
	const atomic_bool *stopping; /* ends it, within about a second */
	struct buffer body;	     /* the caller frees it */
	char error[256];
};

/* For the thread pool; blocks for five seconds at most. 0, or -EIO with the reason in `error`. */
int issuer_fetch(void *fetch);

/* Whether it is a URL to fetch from: https, or http to this machine itself. NULL, or a sentence that says what is
 * wrong. */
const char *issuer_url_check(const char *url);

#endif
