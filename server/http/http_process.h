/* The program of an http process. */
#ifndef HTTP_PROCESS_H
#define HTTP_PROCESS_H

#include "common/process.h"

/*
 * Serves until it is told to drain; returns the exit status. It begins once it has the signing keys, or could not load
 * them at the first try: while PostgreSQL or Redis cannot be reached, what needs them is answered with 503.
 */
int http_main(const struct process *process);

#endif
