/*
 * The registry: what the application and its modules list, gathered and checked once by the master before it forks;
 * read-only afterwards.
 */
#ifndef REGISTRY_H
#define REGISTRY_H

#include <prong/app.h>

#include "common/basics.h"
#include "common/buffer.h"
#include "common/schedule.h"

#define ACCOUNTS_MODULE "accounts" /* the name of prong_accounts */
#define APP_SEQUENCE "app"	   /* of the application's own migrations: no module may be called so */

/* Bounds of a route's path. */
#define ROUTE_MAX_SEGMENTS 32
#define ROUTE_MAX_PARAMETERS 8

struct registry {
	const struct prong_app *app;
	size_t n_routes, n_jobs, n_modules, n_queues, n_schedules;
	const struct prong_route **routes; /* of modules in their order, then of the application */
	const struct prong_job **jobs;
	const struct prong_module **modules; /* with the built-in ones first */
	struct prong_queue *queues;	     /* of all jobs, sorted by name, with their defaults applied */
	struct schedule *schedules;
};

/*
 * `builtin` are modules that every application has, ending with NULL; those of their routes that need accounts are left
 * out where the application has none. 0, or -EINVAL with one line per mistake: two
 * routes, jobs, queues or schedules alike, a wrong path, scope, queue name or schema, PRONG_SIGNED_IN or PRONG_ADMIN
 * without prong_accounts.
 */
int registry_new(const struct prong_app *app, const struct prong_module *const *builtin, struct registry **ret_registry,
		 struct buffer *mistakes);
struct registry *registry_free(struct registry *registry);

const struct prong_module *registry_module(const struct registry *registry, const char *name); /* NULL: not there */
const struct prong_job *registry_job(const struct registry *registry, const char *name);       /* NULL: unknown */
const struct prong_queue *registry_queue(const struct registry *registry, const char *name);   /* likewise */
const struct schedule *registry_schedule(const struct registry *registry, const char *name);
bool registry_isolates(const struct registry *registry); /* whether a job runs in a process of its own */
size_t registry_shards(const struct registry *registry); /* of all queues */
const char *job_queue_name(const struct prong_job *job); /* with the default applied, as the next two */
int job_max_attempts(const struct prong_job *job);
prong_duration job_timeout(const struct prong_job *job);

#endif
