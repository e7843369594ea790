/*
 * The settings: one table drives reading, limits, `config`, and the guide's list. Read once by the master before it
 * forks; read-only afterwards.
 *
 * Sources, first wins: the environment, NAME_FILE in the environment (for secrets: the name of a file that holds the
 * value), the file `.env` in the working directory, the default. An empty variable is an unset one. Every wrong setting
 * is reported at once.
 */
#ifndef SETTINGS_H
#define SETTINGS_H

#include "common/basics.h"
#include "common/buffer.h"
#include "common/security/algorithm.h"

enum settings_environment { ENVIRONMENT_DEVELOPMENT, ENVIRONMENT_PRODUCTION };
enum settings_sign_up { SIGN_UP_OPEN, SIGN_UP_PRIVATE, SIGN_UP_CLOSED };
enum settings_rate_limits { RATE_LIMITS_ON, RATE_LIMITS_OFF };
enum settings_log_format { LOG_FORMAT_AUTO, LOG_FORMAT_JSON, LOG_FORMAT_TEXT };

struct settings {
	int environment;	  /* PRONG_ENV: development, production */
	const char *host;	  /* HOST: 127.0.0.1 */
	int64_t port;		  /* PORT: 8080; 0 takes any free one */
	const char *public_url;	  /* PUBLIC_URL: http://HOST:PORT; issuer of tokens, base of links in mails */
	const char *database_url; /* DATABASE_URL (secret) */
	const char *redis_url; /* REDIS_URL (secret): redis://[user:password@]host[:port][/db] or unix:///path[?db=n] */
	const char *secret; /* PRONG_SECRET (secret): at least 32 bytes; encrypts keys at rest. Needed in production */
	const char *smtp_url;  /* SMTP_URL (secret): smtp:// or smtps://[user:password@]host[:port]; unset: MAIL_DIR */
	const char *mail_from; /* MAIL_FROM: Prong <prong@localhost> */
	const char *mail_dir;  /* MAIL_DIR: .prong/mail, the development mailbox */
	const char *migrations_dir;	 /* MIGRATIONS_DIR: migrations */
	int64_t http_processes;		 /* WEB_CONCURRENCY: the number of processors */
	int64_t worker_processes;	 /* JOB_PROCESSES: 1 */
	int64_t job_concurrency;	 /* JOB_CONCURRENCY: 100, jobs at once per worker */
	int64_t job_isolated;		 /* JOB_ISOLATED: processors, PRONG_PROCESS jobs at once per worker */
	const char *job_queues;		 /* JOB_QUEUES: names with commas between; unset: all. See consumed_queues.h */
	int64_t threads;		 /* THREADS: processors + 1, per process: for prong_compute() and mails */
	int64_t database_connections;	 /* DATABASE_CONNECTIONS: 4, shared ones per process */
	int64_t database_transactions;	 /* DATABASE_TRANSACTIONS: 4, further ones per process, for transactions */
	int64_t max_requests;		 /* MAX_REQUESTS: 1024, handlers at once per http process; beyond: 503 */
	int64_t max_connections;	 /* MAX_CONNECTIONS: 10000, client connections per http process */
	int64_t max_body;		 /* MAX_BODY: 1048576 bytes */
	int64_t max_payload;		 /* MAX_PAYLOAD: 1048576 bytes */
	prong_duration request_timeout;	 /* REQUEST_TIMEOUT: 30s */
	prong_duration head_timeout;	 /* HEAD_TIMEOUT: 10s */
	prong_duration idle_timeout;	 /* IDLE_TIMEOUT: 75s */
	prong_duration drain_timeout;	 /* DRAIN_TIMEOUT: 30s */
	prong_duration database_timeout; /* DATABASE_TIMEOUT: 5s, of one statement */
	prong_duration job_history_age;	 /* JOB_HISTORY_AGE: 30d */
	prong_duration watchdog_timeout; /* WATCHDOG_TIMEOUT: 10s, for a process's loop to turn; 0: no watchdog */
	int64_t worker_memory;		 /* WORKER_MEMORY: half the machine's, of all workers; MiB; 0: no limit */
	int64_t password_memory;	 /* PASSWORD_MEMORY: 19456 KiB, at least that */
	int64_t password_passes;	 /* PASSWORD_PASSES: 2 */
	int64_t password_hashes;	 /* PASSWORD_HASHES: processors, hashes at once over all processes */
	int64_t password_strength;	 /* PASSWORD_STRENGTH: 3, of 0 … 4 as zxcvbn counts; 0 takes any */
	const char *password_peppers;  /* PASSWORD_PEPPERS (secret): VERSION:KEY, commas between; the highest is used */
	int sign_up;		       /* SIGN_UP: open, private (answers alike whether the address is taken), closed */
	int signing_algorithm;	       /* SIGNING_ALGORITHM: EdDSA, ES256, HS256, of the next key made (algorithm.h) */
	prong_duration key_rotation;   /* KEY_ROTATION: 90d; 0: only by hand */
	prong_duration token_lifetime; /* TOKEN_LIFETIME: 10m, of access tokens */
	prong_duration session_idle;   /* SESSION_IDLE: 30d, without a refresh */
	prong_duration session_lifetime; /* SESSION_LIFETIME: 90d, however it is used */
	prong_duration refresh_grace;  /* REFRESH_GRACE: 20s, in which the token before the current one still serves */
	prong_duration recent_sign_in; /* RECENT_SIGN_IN: 10m, how long ago is recent enough for account care */
	prong_duration deletion_grace; /* DELETION_GRACE: 14d, between asking for deletion and it */
	prong_duration audit_age;      /* AUDIT_AGE: 365d */
	const char *account_url;       /* ACCOUNT_URL: PUBLIC_URL; the pages that links in mails lead to */
	int rate_limits;	       /* RATE_LIMITS: on, off */
	const char *trusted_proxies;   /* TRUSTED_PROXIES: addresses and prefixes, commas between; unset: none */
	const char *trusted_issuers;   /* TRUSTED_ISSUERS: ISSUER AUDIENCE JWKS_URL, commas between; unset: none */
	int log_level;		       /* LOG_LEVEL: debug, info, warning, error (enum prong_log_level) */
	int log_format;		       /* LOG_FORMAT: auto (text on a terminal, else json), json, text */
};

struct setting_value {
	const char *name;
	const char *value;  /* as text; "(secret)" where it is one and set; "" where unset */
	const char *source; /* "environment", "file", ".env", "dev", "default"; "" where unset */
	const char *summary;
};

/*
 * Reads everything. 0, or -EINVAL with one line per mistake in `mistakes`: the setting, what is wrong and what would be
 * right, never a secret's value. `ret_settings` owns its strings until settings_free(). `dev_file` comes after `.env`:
 * what `dev` wrote about the services it runs; NULL or no such file: none. Not used in production.
 */
int settings_read(const char *dev_file, struct settings **ret_settings, struct buffer *mistakes);

/* Whether log lines are JSON: as set, or where standard error is no terminal. */
bool settings_log_json(const struct settings *settings);

/* PORT=0 and the kernel has chosen: sets the port, and the default of PUBLIC_URL with it. */
void settings_set_port(struct settings *settings, int port);

struct settings *settings_free(struct settings *settings);

/* A duration as settings have it, "500ms", "30s", "7d" or "0": 0 or -EINVAL. */
int duration_parse(const char *text, prong_duration *ret_value);

/* A duration for people: "14d", "1h30m", "1s500ms", "7us"; malloc'ed. */
char *duration_format(prong_duration duration);

/* All settings in the table's order, for `config` and the guide. Returns the count; `ret_values` is a malloc'ed array.
 */
size_t settings_list(const struct settings *settings, struct setting_value **ret_values);

#endif
