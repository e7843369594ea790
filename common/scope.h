/* Scopes: names such as "admin" or "notes:write" that say what somebody may do, and lists of them (RFC 6749 §3.3). */
#ifndef SCOPE_H
#define SCOPE_H

#include <stdbool.h>

#define SCOPE_MAX_LENGTH 64
#define SCOPE_RULE "1 to 64 letters, digits, '.', '_', ':' and '-'" /* what a name is, for messages */

bool scope_is_valid(const char *name);

/* Whether `list`, names with a space between, has `name`. */
bool scope_list_has(const char *list, const char *name);

#endif
