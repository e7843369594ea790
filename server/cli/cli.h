/*
 * The command line that prong_main() gives an application. Each command is one `struct command` in a file of its own,
 * listed in cli.c, which answers --help. A command's run reads as a checklist: take the options → need what it needs →
 * do it; so a wrong argument is reported before a wrong setting.
 *
 *     static int run(struct invocation *invocation)
 *     {
 *         bool json = false;
 *         int r;
 *
 *         if (options_parse(invocation, (struct command_option[]){ { "json", .flag = &json }, {} }, 0) < 0)
 *             return STATUS_USAGE;
 *         r = invocation_need(invocation, NEEDS_REGISTRY | NEEDS_DATABASE);
 *         if (r)
 *             return r;
 *         …
 *     }
 */
#ifndef CLI_H
#define CLI_H

#include <stdio.h>

#include "common/process.h"

struct command;
struct composition;

/* One call of a command. Everything is borrowed and lives until it returns. */
struct invocation {
	const char *program; /* the base name of argv[0], for messages that name a command to run */
	int argc; /* the arguments after the command's name; after options_parse() those that are no options */
	char **argv;
	const struct command *command;
	const struct prong_app *app;
	const struct composition *composition;
	struct registry *registry; /* NULL until needed */
	struct settings *settings; /* likewise; of a running `dev` where the environment names no other services */
};

struct command {
	const char *name;
	const char *usage;   /* what may follow the name: "[--json]", "up|down|status|new …" */
	const char *summary; /* one line for the list of commands */
	const char *help; /* what --help prints below the usage: verbs and options, one a line; ends with a newline */
	int (*run)(struct invocation *invocation); /* returns the exit status */
};

extern const struct command command_dev, command_serve, command_work, command_migrate, command_accounts, command_keys,
	command_jobs, command_schedules, command_queues, command_config, command_routes, command_version;

/* Runs the command that argv names; returns the exit status. */
int cli_run(int argc, char *argv[], const struct prong_app *app, const struct composition *composition);

/* ---- for commands ---- */

enum command_needs {
	NEEDS_SETTINGS = 1,
	NEEDS_REGISTRY = 2,
	NEEDS_DATABASE = 4 | NEEDS_SETTINGS,		     /* DATABASE_URL is set; nobody has connected yet */
	NEEDS_REDIS = 8 | NEEDS_SETTINGS,		     /* likewise REDIS_URL */
	NEEDS_SECRET = 16 | NEEDS_SETTINGS | NEEDS_REGISTRY, /* likewise PRONG_SECRET, where a module needs it */
};

/*
 * Reads and checks what a command needs, into the invocation. 0; or, after having said every mistake on standard error,
 * the exit status to return. Opens the log.
 */
int invocation_need(struct invocation *invocation, unsigned needs);

/* A verb finds itself at argv[0] and parses its own options; it returns the exit status. */
struct verb {
	const char *name;
	int (*run)(struct invocation *invocation);
};

/* Runs the verb that the first argument names; `verbs` ends with an empty entry. */
int verb_run(struct invocation *invocation, const struct verb *verbs);

/* A long option: either a flag, or one that takes a value. A list ends with an empty entry. */
struct command_option {
	const char *name; /* without "--" */
	bool *flag;
	const char **value;
};

/*
 * Takes the options out of the invocation's arguments, wherever they stand; "--" ends them. 0; or -EINVAL after having
 * said on standard error what is wrong (unknown option, missing value, more than `max_arguments` arguments left): then
 * return STATUS_USAGE.
 */
int options_parse(struct invocation *invocation, const struct command_option *options, int max_arguments);

/* A decimal integer from `low` to `high`, with a sign where it may be negative: 0; or -EINVAL after having said so, as
 * above. */
int option_integer(const struct invocation *invocation, const char *name, const char *text, int64_t low, int64_t high,
		   int64_t *ret_value);

/* Says on standard error what is wrong, followed by where help is; returns STATUS_USAGE. */
int usage_error(const struct invocation *invocation, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Says "PROGRAM: …" on standard error; returns `status`. */
int command_error(const struct invocation *invocation, int status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Prints gathered mistakes (one a line) on standard error, each as "PROGRAM: …"; returns `status`. */
int command_mistakes(const struct invocation *invocation, int status, struct buffer *mistakes);

/*
 * A table for people, or with --json an array of objects whose keys are the columns' names. Cells are added row by row
 * and copied; NULL is an empty cell and JSON's null.
 */
struct table;
struct table *table_new(const char *const columns[]); /* lower case, their text borrowed; ends with NULL */
void table_freep(struct table **table);		      /* for _cleanup_ */
void table_add(struct table *table, const char *text);
void table_add_integer(struct table *table, int64_t value);
void table_add_bool(struct table *table, bool value);	    /* people see yes or no */
void table_add_json(struct table *table, const char *json); /* well-formed JSON, shown as it is; NULL as above */
void table_add_time(struct table *table, prong_time time);  /* 0: an empty cell */

/* Prints on standard output. Without rows people see `empty`. Returns STATUS_OK, or STATUS_FAILURE when it cannot. */
int table_print(const struct table *table, bool json, const char *empty);

void table_write(const struct table *table, bool json, const char *empty, struct buffer *out);

/*
 * What is known of one thing: a line for each member for people, or with `json` an object. What is absent (NULL, an
 * empty text, the time 0) people do not see, and JSON has null.
 */
struct sheet {
	bool json;
	int width; /* of the names, for people */
	struct buffer out;
};
void sheet_add_text(struct sheet *sheet, const char *name, const char *text);
void sheet_add_json(struct sheet *sheet, const char *name, const char *json); /* well-formed, shown as it is */
void sheet_add_integer(struct sheet *sheet, const char *name, int64_t value);
void sheet_add_time(struct sheet *sheet, const char *name, prong_time time);
int sheet_print(struct sheet *sheet, const struct invocation *invocation); /* and frees it; as output_end() */

/* Adds a text for people as one line that a terminal shows and does not obey: its controls become spaces. */
void output_add_text(struct buffer *out, const char *text);

/* Ends what a command printed on standard output: STATUS_OK, or STATUS_FAILURE when not all could be written. */
int output_end(const struct invocation *invocation);

#endif
