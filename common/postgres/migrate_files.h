/* What migration files say about themselves; for those who run them. */
#ifndef MIGRATE_FILES_H
#define MIGRATE_FILES_H

#include <stdbool.h>

/* Whether a text's first line asks for running outside a transaction. */
bool migration_is_without_transaction(const char *sql);

#endif
