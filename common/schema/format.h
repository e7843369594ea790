/* The string formats of enum prong_format, as functions: true when `text` has the form. */
#ifndef FORMAT_H
#define FORMAT_H

#include <prong/schema.h>

bool format_is_email(const char *text);
bool format_is_uri(const char *text);
bool format_matches(enum prong_format format, const char *text);

#endif
