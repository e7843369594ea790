/* UTF-8 as RFC 3629 defines it: no overlong forms, no surrogates, nothing beyond U+10FFFF. */
#ifndef UTF8_H
#define UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The length of the well-formed sequence at `text`, 0 when there is none. `size` is at least 1. */
size_t utf8_sequence(const unsigned char *text, size_t size);

/*
 * The length of the run at the beginning that is ASCII and stands for itself in a JSON string: no quote, backslash or
 * control character. Eight bytes at a time; it may stop up to seven bytes early.
 */
size_t utf8_plain(const char *text, size_t size);

/* The length in code points, or -EILSEQ. */
int64_t utf8_length(const char *text, size_t size);

/* Whether a well-formed sequence is one that a terminal would obey rather than show: C0 and C1 controls, DEL, line
 * separators, changes of direction. */
bool utf8_is_control(const unsigned char *sequence, size_t length);

#endif
