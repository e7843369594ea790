/* Takes a SQL script apart into its statements, with PostgreSQL's lexical rules. */
#ifndef SCRIPT_H
#define SCRIPT_H

#include <stdbool.h>
#include <stddef.h>

struct script_statement {
	size_t start, length; /* bytes of the script, without comments before it and without the ';' */
	char words[4][12];    /* its first four words, lower case, cut at 11 characters; "" where there are fewer */
};

/* Finds the next statement from `position` on and moves it behind; false at the end. */
bool script_next(const char *script, size_t *position, struct script_statement *ret_statement);

#endif
