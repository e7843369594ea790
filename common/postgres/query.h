/*
 * The SQL texts that this process runs, and the names of the prepared statements made from them. A text seen a second
 * time is remembered, up to a limit; others run unprepared, so that SQL made at run time cannot fill servers' memory.
 */
#ifndef QUERY_H
#define QUERY_H

#include "common/basics.h"

#define QUERIES_MAX 512

struct query {
	size_t index; /* from 0; where a connection notes what it has prepared */
	uint64_t hash;
	char *sql;
	bool is_select; /* and certainly neither writes nor locks rows by itself */
	/*
	 * From the text's digest, the same in all processes: behind PgBouncer a server's connection may have been used
	 * by another one.
	 */
	char name[40];
	uint32_t generation; /* from 1; raised, and with it the name changed, when prepared plans no longer fit */
};

struct queries;
struct queries *queries_new(void);
struct queries *queries_free(struct queries *queries); /* returns NULL */

/* NULL: to be run unprepared. What it returns is never session control, see below. */
struct query *queries_find(struct queries *queries, const char *sql);

/* From now on the query is prepared anew everywhere. */
void query_renew(struct query *query);

/*
 * Whether a statement would change what others see on the same connection: it begins or ends a transaction, or changes
 * the session.
 */
bool query_is_session_control(const char *sql);

#endif
