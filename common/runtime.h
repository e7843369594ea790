/*
 * The runtime: what one process owns while it serves, built after the fork and reached from every context. Field by
 * field it names the process's parts; each is owned here and freed by runtime_free().
 */
#ifndef RUNTIME_H
#define RUNTIME_H

#include "common/registry.h"
#include "common/scoreboard.h"
#include "common/settings.h"

struct loop;
struct thread_pool;
struct postgres;
struct redis;
struct job_queue;
struct rate_limits;
struct api_keys;
struct feed;
struct keyring;
struct password_hasher;
struct revocations;
struct issuers;

struct runtime {
	const struct settings *settings; /* borrowed, as the next two */
	const struct registry *registry;
	struct scoreboard *scoreboard; /* NULL in a command such as `jobs ls` */
	uint64_t incarnation;	       /* random, of this process */
	struct loop *loop;
	struct thread_pool *threads;
	struct postgres *postgres;
	struct redis *redis;
	struct job_queue *jobs;
	struct rate_limits *rate_limits;
	/* Of RUNTIME_SECURITY, so of http processes with the accounts module; else NULL. */
	struct keyring *keyring;
	struct password_hasher *password_hasher; /* also of RUNTIME_PASSWORDS, in commands */
	struct api_keys *api_keys;
	struct feed *feed;
	struct revocations *revocations;
	struct issuers *issuers; /* NULL too where none are trusted */
};

/* What a process needs besides the loop. */
enum runtime_part {
	RUNTIME_POSTGRES = 1,
	RUNTIME_REDIS = 2,	/* and the job queue and rate limits */
	RUNTIME_SECURITY = 4,	/* what http processes need of the accounts module; with RUNTIME_POSTGRES */
	RUNTIME_BRIEF = 8,	/* for a process that may never use Redis: it connects when it does */
	RUNTIME_PASSWORDS = 16, /* of RUNTIME_SECURITY the password hasher alone */
};

/* To PostgreSQL, of a job in a process of its own: one shared, one for a transaction. */
#define RUNTIME_ISOLATED_CONNECTIONS 2

/*
 * Builds the parts without waiting for any server: connections come and go in the background. Never fails. `name` shows
 * in the servers' lists of clients; `permits` is the password hasher's memory file (process.h), -1 where there is none.
 */
struct runtime *runtime_new(const struct settings *settings, const struct registry *registry,
			    struct scoreboard *scoreboard, const char *name, int permits, unsigned parts);
struct runtime *runtime_free(struct runtime *runtime); /* returns NULL */

#endif
