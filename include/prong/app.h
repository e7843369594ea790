/* An application: its routes, jobs and modules, and the command line that prong_main() gives it. */
#ifndef PRONG_APP_H
#define PRONG_APP_H

#include <prong/http.h>
#include <prong/job.h>

#pragma GCC visibility push(default)

/* A migration compiled into the binary. */
struct prong_migration {
	int number; /* 0001 → 1 */
	const char *name;
	const char *up;
	const char *down; /* NULL: cannot be undone */
};

/* A reusable part of an application: all an application has but the command line. Lists end with an empty entry. */
struct prong_module {
	const char *name; /* also the name of its migrations' sequence */
	const struct prong_route *routes;
	const struct prong_job *const *jobs;
	const struct prong_queue *const *queues;
	const struct prong_schedule *const *schedules;
	const struct prong_migration *migrations;
};

/* Accounts and sessions: sign-up, sign-in, access tokens. Needed by routes with PRONG_SIGNED_IN or PRONG_ADMIN. */
extern const struct prong_module prong_accounts;

struct prong_app {
	const char *name;
	const char *version;
	const struct prong_route *routes;
	const struct prong_job *const *jobs;
	const struct prong_queue *const *queues;
	const struct prong_schedule *const *schedules;
	const struct prong_module *const *modules;
	/*
	 * Claims that access tokens of an account shall have besides the library's: a JSON object, as by
	 * prong_to_json(), of at most 2 KiB, in the context's memory. Called at sign-in and at each refresh, in their
	 * transaction (so it begins none); a negative result, or what is no such object, fails them, and then nothing
	 * has happened. NULL: none.
	 */
	int (*claims)(struct prong_ctx *ctx, prong_uuid account_id, prong_json *ret_claims);
	/* Its migrations are the files of the folder MIGRATIONS_DIR (default: migrations). */
};

#define PRONG_JOBS(...) ((const struct prong_job *const[]){ __VA_ARGS__, NULL })
#define PRONG_QUEUES(...) ((const struct prong_queue *const[]){ __VA_ARGS__, NULL })
#define PRONG_SCHEDULES(...) ((const struct prong_schedule *const[]){ __VA_ARGS__, NULL })
#define PRONG_MODULES(...) ((const struct prong_module *const[]){ __VA_ARGS__, NULL })

/*
 * Runs the command line: `dev`, `serve`, `work`, `migrate`, `accounts`, `keys`, `jobs`, `queues`, `schedules`,
 * `config`, `routes`, `version`, each with --help. `app` must live until it returns. Returns the exit status: 0; 1
 * failure; 64 usage; 69 a dependency is unavailable; 75 try again; 78 configuration.
 */
int prong_main(int argc, char *argv[], const struct prong_app *app);

#pragma GCC visibility pop

#endif
