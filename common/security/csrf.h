/*
 * The token against cross-site request forgery of a session that lives in cookies: a MAC of the session's id under a
 * key derived from PRONG_SECRET. Nothing is stored; it holds as long as its session. Pure functions.
 */
#ifndef CSRF_H
#define CSRF_H

#include "common/basics.h"

#define CSRF_TOKEN_SIZE 44 /* with its NUL */

void csrf_token_make(const char *master_secret, prong_uuid session_id, char ret_token[CSRF_TOKEN_SIZE]);

/* Whether the text is the session's token. Takes as long for a wrong one of its length as for the right one. */
bool csrf_token_is_of(const char *master_secret, prong_uuid session_id, const char *text, size_t size);

#endif
