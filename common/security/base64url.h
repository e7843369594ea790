/* Base64url without padding (RFC 4648 §5), as tokens and keys have it. */
#ifndef BASE64URL_H
#define BASE64URL_H

#include "common/buffer.h"

/* Strict: no white space, no '=', no leftover bits, so that no two texts are the same bytes. 0 or -EINVAL. */
int base64url_decode(const char *text, size_t size, unsigned char *out, size_t capacity, size_t *ret_size);

void base64url_add(struct buffer *out, const void *data, size_t size);

#endif
