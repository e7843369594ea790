/*
 * `dev`: what a developer's machine needs besides the application: a PostgreSQL and a Redis of its own, on Unix sockets
 * below .prong/ of the working directory, for as long as `dev` runs.
 *
 *     .prong/lock      held while `dev` runs
 *     .prong/env       DATABASE_URL, REDIS_URL, PRONG_SECRET of what runs, for the other commands
 *     .prong/secret    PRONG_SECRET, made once
 *     .prong/postgres  PostgreSQL's data, or a link to it;  postgres.log
 *     .prong/redis/    Redis' data;                         redis.log
 *     .prong/mail/     the development mailbox
 */
#ifndef DEV_H
#define DEV_H

#include "common/basics.h"

#define DEV_FOLDER ".prong"
#define DEV_ENVIRONMENT DEV_FOLDER "/env"

/* Whether another process runs `dev` in this working directory. */
bool dev_is_running(void);

#endif
