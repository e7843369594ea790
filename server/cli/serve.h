/* Running the tree: what `serve`, `work` and `dev` have in common. */
#ifndef SERVE_H
#define SERVE_H

#include "server/cli/cli.h"

/*
 * Checks everything, then runs the tree in this process until it is told to stop; with http processes and a listening
 * socket where `http`. The invocation has all it needs. Returns the exit status.
 */
int serve_run(struct invocation *invocation, bool http);

#endif
