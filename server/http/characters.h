/* Which bytes may stand where in an HTTP/1.1 message (RFC 9110 §5.6, RFC 3986), as one table for all of the parser. */
#ifndef HTTP_CHARACTERS_H
#define HTTP_CHARACTERS_H

#include <stdbool.h>
#include <stdint.h>

enum http_class {
	HTTP_TCHAR = 1, /* of a token: methods, field names (RFC 9110 §5.6.2) */
	HTTP_PATH = 2,	/* of a path, '/' included, '%' not (RFC 3986 §3.3) */
	HTTP_QUERY = 4, /* of a query, '%' not; with []{}|\^`, which browsers leave as they are */
	HTTP_HOST = 8,	/* of a registered name or IPv4 address: unreserved only (RFC 3986 §3.2.2) */
	HTTP_HEX = 16,
	HTTP_CONTROL = 32, /* C0 but HTAB, and DEL: never inside a line */
};

extern const uint8_t http_classes[256];

static inline bool http_is(char c, enum http_class classes)
{
	return http_classes[(unsigned char)c] & classes;
}

/* The value of a hexadecimal digit; only for one. */
static inline unsigned http_hex(char c)
{
	return c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a' + 10);
}

/* The first HTTP_CONTROL byte (CR and LF are among them) in [at, end), or `end`. */
const char *http_find_control(const char *at, const char *end);

#endif
