/*
 * What is checked before a tree starts: that PostgreSQL and Redis answer and fit, that no migration is pending, that
 * the connections of all processes fit into the server, that PRONG_SECRET opens the signing keys. A short-lived child
 * does it, so that the master itself stays free of database and event loop.
 */
#ifndef PREFLIGHT_H
#define PREFLIGHT_H

#include "server/supervisor/supervisor.h"

/*
 * Runs all checks; every problem is one line on standard error that begins with `program`. STATUS_OK;
 * STATUS_CONFIGURATION or STATUS_UNAVAILABLE; -EINTR when SIGTERM or SIGINT came meanwhile. Needs supervisor_block().
 */
int preflight_run(const struct plan *plan, const char *program);

#endif
