/*
 * Revocations: access tokens and API keys that are void before their end. One is a subject (a session, an account, an
 * API key) and, of an account, an epoch: tokens of earlier epochs are void, all those of a session or key. No clocks
 * are compared, so those of two hosts may differ.
 *
 * revocations_add() writes rows of prong_revocations with the change they belong to; once that is committed the feed
 * carries them to every http process. Each keeps those of the last hour, which no access token outlives, in memory: it
 * reads them from PostgreSQL before it serves, again when the feed has had a gap, every ten seconds, and every second
 * while the feed is away. So a token lives on after its revocation for: milliseconds; about a second without Redis, or
 * after its return where an http process could not publish; ten seconds where whoever revoked died in between, or is a
 * job or a command that could not; until its end, at most TOKEN_LIFETIME, without both Redis and PostgreSQL.
 */
#ifndef REVOCATIONS_H
#define REVOCATIONS_H

#include "common/security/principal.h"
#include <prong/context.h>

struct revocations;
struct feed;
struct runtime;

#define REVOKE_ALL INT32_MAX		/* as `epoch`: everything of the subject */
#define REVOCATIONS_KEPT PRONG_HOURS(1) /* the longest that TOKEN_LIFETIME may be */

/* ---- of a process that verifies ---- */

/* Listens to the feed, which is freed first, and looks in PostgreSQL for as long as it lives. */
struct revocations *revocations_new(struct runtime *runtime, struct feed *feed);
struct revocations *revocations_free(struct revocations *revocations); /* returns NULL */

/* Reads what PostgreSQL has; before the process serves. Suspends; errors as in database.h. */
int revocations_load(struct revocations *revocations, struct prong_ctx *ctx);

/*
 * Whether the principal's session, account (its epoch) or API key is revoked. Some tens of nanoseconds. Does not
 * suspend. `revocations` NULL: nothing is, as in a command.
 */
bool revocations_cover(const struct revocations *revocations, const struct principal *principal);

/* ---- of whoever revokes: a handler, a job, a command ---- */

/*
 * Adds a revocation, in the context's transaction where there is one; its commit (or, without one, this call) has this
 * process know it and publishes it, for which it waits half a second at most. `epoch`: REVOKE_ALL, or the account's new
 * epoch. Suspends; errors as prong_exec().
 */
int revocations_add(struct prong_ctx *ctx, prong_uuid subject, int32_t epoch);

/* As above with REVOKE_ALL, for many at once. */
int revocations_add_all(struct prong_ctx *ctx, const prong_uuid subjects[], size_t count);

/* Deletes what no token can need any more. Suspends; the number of rows, errors as prong_exec(). */
int revocations_purge(struct prong_ctx *ctx);

#endif
