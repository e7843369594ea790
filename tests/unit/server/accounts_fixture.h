/*
 * The accounts module's functions for tests, without HTTP: a runtime with PostgreSQL (servers.h), whose tables are the
 * modules' own and empty, and Redis.
 */
#ifndef ACCOUNTS_FIXTURE_H
#define ACCOUNTS_FIXTURE_H

#include "common/context.h"
#include "tests/unit/common/durable_fixture.h"

struct accounts_fixture {
	struct redis_server *server;
	struct settings settings; /* may be changed at any time */
	struct registry *registry;
	struct runtime *runtime;
	char *mail_dir; /* new and empty */
};

void accounts_open(struct accounts_fixture *fixture);
void accounts_close(struct accounts_fixture *fixture);

/* Runs `function` in a coroutine of the runtime, within a minute. */
int accounts_run(struct accounts_fixture *fixture, int (*function)(struct prong_ctx *ctx, void *argument),
		 void *argument);

/* A new account, straight into its table. */
prong_uuid accounts_add(const char *email);

#endif
