#include "common/settings.h"

#include <prong/context.h>

#include <sched.h>
#include <strings.h>

#include "common/address.h"
#include "common/env_file.h"
#include "common/memory.h"
#include "common/postgres/postgres.h"
#include "common/redis/redis.h"
#include "common/schema/format.h"
#include "common/security/issuers.h"
#include "common/security/pepper.h"

#define MAX_FILE_SIZE 65536
#define MIN_SECRET_SIZE 32

enum setting_kind { SETTING_TEXT, SETTING_INTEGER, SETTING_DURATION, SETTING_CHOICE };

/* A check that goes beyond the kind: 0, or -EINVAL with a malloc'ed reason that does not repeat a secret. */
typedef int setting_check(const char *text, char **ret_reason);

struct setting {
	const char *name;
	enum setting_kind kind;
	size_t offset;
	const char *fallback; /* NULL: unset, or see `compute` */
	const char *summary;
	int64_t low, high;	    /* of an integer, or a duration in µs */
	const char *const *choices; /* in the order of their enum; ends with NULL */
	setting_check *accepts;
	char *(*compute)(const struct settings *settings); /* a default that depends on others or on the machine */
	bool secret;
	bool production; /* must be set there */
};

static int fail(char **ret_reason, const char *reason)
{
	*ret_reason = duplicate(reason);
	return -EINVAL;
}

static const struct unit {
	const char *name;
	prong_duration us;
} units[] = {
	{ "ms", PRONG_MILLISECONDS(1) }, { "s", PRONG_SECONDS(1) }, { "m", PRONG_MINUTES(1) },
	{ "h", PRONG_HOURS(1) },	 { "d", PRONG_DAYS(1) },
};

int duration_parse(const char *text, prong_duration *ret_value)
{
	size_t digits = strspn(text, "0123456789");
	int64_t number;

	if (string_equal(text, "0")) {
		*ret_value = 0;
		return 0;
	}
	if (!digits || digits > 12)
		return -EINVAL;
	number = strtoll(text, NULL, 10);
	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (string_equal(text + digits, units[i].name))
			return __builtin_mul_overflow(number, units[i].us, ret_value) ? -EINVAL : 0;
	return -EINVAL;
}

char *duration_format(prong_duration duration)
{
	struct buffer text = { 0 };

	for (size_t i = ARRAY_SIZE(units); i-- > 0; duration %= units[i].us)
		if (duration >= units[i].us)
			buffer_add_format(&text, "%lld%s", (long long)(duration / units[i].us), units[i].name);
	if (duration == 0 && !text.size)
		buffer_add_char(&text, '0');
	if (duration)
		buffer_add_format(&text, "%lldus", (long long)duration);
	buffer_text(&text);
	return text.data;
}

static int check_host(const char *text, char **ret_reason)
{
	if (strpbrk(text, " \t/[]") || strstr(text, "://"))
		return fail(ret_reason, "it is an address or a host name alone, as in 0.0.0.0, ::1 or localhost");
	return 0;
}

static int check_public_url(const char *text, char **ret_reason)
{
	const char *host = strstr(text, "://");
	bool http = strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0;

	if (!http || !host[3] || host[3] == '/' || !format_is_uri(text))
		return fail(ret_reason, "it is a URL as in https://example.com");
	if (text[strlen(text) - 1] == '/' || strpbrk(text, "?#"))
		return fail(ret_reason, "it has no '/' at its end and no query: write https://example.com");
	/* No page's Origin has one, so each would be another site's. */
	if (memchr(host + 3, '@', strcspn(host + 3, "/")))
		return fail(ret_reason, "it has no user and password: write https://example.com");
	return 0;
}

static int check_secret(const char *text, char **ret_reason)
{
	if (strlen(text) < MIN_SECRET_SIZE)
		return fail(ret_reason, "it is shorter than 32 bytes: make one with `openssl rand -hex 32`");
	return 0;
}

static int check_smtp_url(const char *text, char **ret_reason)
{
	const char *host = strstr(text, "://"), *at;
	bool smtp = strncmp(text, "smtp://", 7) == 0 || strncmp(text, "smtps://", 8) == 0;

	if (!smtp || !host[3] || strpbrk(text, " \t\r\n"))
		return fail(ret_reason, "it is smtp://[user:password@]host[:port], or smtps:// for TLS from the start");
	/* Else part of the password would be taken for the host, and reported with it when that is not found. */
	at = strchr(host, '@');
	if (strpbrk(host, "?#") || (at && strchr(at + 1, '@')))
		return fail(ret_reason, "in the user and the password, write '@' as %40, '#' as %23 and '?' as %3F");
	return 0;
}

static int check_mail_from(const char *text, char **ret_reason)
{
	const char *open = strchr(text, '<');
	_cleanup_(freep) char *address = duplicate(open ? open + 1 : text);

	for (const unsigned char *c = (const unsigned char *)text; *c; c++)
		if (*c < ' ' || *c == 127)
			return fail(ret_reason, "there is a control character in it");
	if (open) {
		size_t size = strlen(address);

		if (!size || address[size - 1] != '>')
			return fail(ret_reason, "it is an address, or Name <address>");
		address[size - 1] = '\0';
	}
	if (!format_is_email(address))
		return fail(ret_reason, "it is an address, or Name <address>");
	return 0;
}

/* The longest leaves time to give a stalled worker's jobs back before their leases (30 s) end. */
static int check_watchdog_timeout(const char *text, char **ret_reason)
{
	prong_duration value;

	if (duration_parse(text, &value) == 0 &&
	    (value == 0 || (value >= PRONG_SECONDS(2) && value <= PRONG_SECONDS(25))))
		return 0;
	return fail(ret_reason, "it is from 2s to 25s, or 0 for no watchdog");
}

static int check_trusted_proxies(const char *text, char **ret_reason)
{
	struct address_list list = { 0 };
	int r = address_list_parse(text, &list, ret_reason);

	address_list_free(&list);
	return r;
}

static char *compute_processors(const struct settings *settings)
{
	cpu_set_t set;

	(void)settings;
	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return duplicate("1");
	return format_text("%d", CPU_COUNT(&set));
}

/* One more than can compute at once: some of them wait, as for a mail server. */
static char *compute_threads(const struct settings *settings)
{
	_cleanup_(freep) char *processors = compute_processors(settings);

	return format_text("%d", atoi(processors) + 1);
}

/* Together the workers may grow to half of what there is: long before the kernel would choose a process to kill. */
static char *compute_worker_memory(const struct settings *settings)
{
	uint64_t workers = settings->worker_processes > 1 ? (uint64_t)settings->worker_processes : 1;

	return format_text("%llu", (unsigned long long)(memory_of_machine() / 2 / workers / (1024 * 1024) + 1));
}

static char *compute_public_url(const struct settings *settings)
{
	const char *host = settings->host ? settings->host : "";

	if (string_equal(host, "0.0.0.0") || string_equal(host, "::"))
		host = "localhost";
	return format_text(strchr(host, ':') ? "http://[%s]:%lld" : "http://%s:%lld", host, (long long)settings->port);
}

static char *compute_account_url(const struct settings *settings)
{
	return duplicate(settings->public_url ? settings->public_url : "");
}

static const char *const environments[] = { "development", "production", NULL };
static const char *const sign_ups[] = { "open", "private", "closed", NULL };
static const char *const switches[] = { "on", "off", NULL };
static const char *const signing_algorithms[] = { "EdDSA", "ES256", "HS256", NULL };
static const char *const log_levels[] = { "debug", "info", "warning", "error", NULL };
static const char *const log_formats[] = { "auto", "json", "text", NULL };

/* clang-format off */
#define TEXT(NAME, member, ...) \
	{ .name = NAME, .kind = SETTING_TEXT, .offset = offsetof(struct settings, member), __VA_ARGS__ }
#define INTEGER(NAME, member, low_, high_, ...) \
	{ .name = NAME, .kind = SETTING_INTEGER, .offset = offsetof(struct settings, member), .low = low_, .high = high_, __VA_ARGS__ }
#define DURATION(NAME, member, low_, high_, ...) \
	{ .name = NAME, .kind = SETTING_DURATION, .offset = offsetof(struct settings, member), .low = low_, .high = high_, __VA_ARGS__ }
#define CHOICE(NAME, member, choices_, ...) \
	{ .name = NAME, .kind = SETTING_CHOICE, .offset = offsetof(struct settings, member), .choices = choices_, __VA_ARGS__ }

/* What others compute from stands before them. */
static const struct setting table[] = {
	CHOICE("PRONG_ENV", environment, environments, .fallback = "development",
		.summary = "development or production"),
	TEXT("HOST", host, .fallback = "127.0.0.1", .accepts = check_host,
		.summary = "address or name to listen on"),
	INTEGER("PORT", port, 0, 65535, .fallback = "8080",
		.summary = "TCP port to listen on; 0 takes any free one"),
	TEXT("PUBLIC_URL", public_url, .compute = compute_public_url, .accepts = check_public_url,
		.summary = "where clients find this: issuer of tokens, base of links in mails"),
	TEXT("DATABASE_URL", database_url, .secret = true, .production = true, .accepts = postgres_check_url,
		.summary = "PostgreSQL: postgresql://user:password@host:port/database"),
	TEXT("REDIS_URL", redis_url, .secret = true, .production = true, .accepts = redis_check_url,
		.summary = "Redis: redis://[user:password@]host[:port][/db] or unix:///path[?db=n]"),
	TEXT("PRONG_SECRET", secret, .secret = true, .production = true, .accepts = check_secret,
		.summary = "at least 32 bytes; encrypts keys at rest"),
	TEXT("SMTP_URL", smtp_url, .secret = true, .accepts = check_smtp_url,
		.summary = "mail server: smtp:// or smtps://[user:password@]host[:port]; unset: MAIL_DIR"),
	TEXT("MAIL_FROM", mail_from, .fallback = "Prong <prong@localhost>", .accepts = check_mail_from,
		.summary = "sender of mails"),
	TEXT("MAIL_DIR", mail_dir, .fallback = ".prong/mail",
		.summary = "development mailbox: one .eml file a mail"),
	TEXT("MIGRATIONS_DIR", migrations_dir, .fallback = "migrations",
		.summary = "folder of the application's migrations"),
	INTEGER("WEB_CONCURRENCY", http_processes, 1, 1024, .compute = compute_processors,
		.summary = "http processes"),
	INTEGER("JOB_PROCESSES", worker_processes, 0, 1024, .fallback = "1",
		.summary = "job worker processes"),
	INTEGER("JOB_CONCURRENCY", job_concurrency, 1, 10000, .fallback = "100",
		.summary = "jobs at once per worker"),
	INTEGER("WORKER_MEMORY", worker_memory, 0, 1073741824, .compute = compute_worker_memory,
		.summary = "MiB in memory beyond which a job worker is replaced; 0 for no limit"),
	DURATION("WATCHDOG_TIMEOUT", watchdog_timeout, 0, PRONG_SECONDS(25), .fallback = "10s",
		.accepts = check_watchdog_timeout,
		.summary = "for a process's loop to turn; then it is killed and replaced; 0 for no watchdog"),
	INTEGER("JOB_ISOLATED", job_isolated, 1, 256, .compute = compute_processors,
		.summary = "jobs at once per worker that run in a process of their own; others wait"),
	TEXT("JOB_QUEUES", job_queues,
		.summary = "queues that the workers consume, with commas between; unset: all"),
	INTEGER("THREADS", threads, 1, 1024, .compute = compute_threads,
		.summary = "threads per process: for prong_compute() and mails"),
	INTEGER("DATABASE_CONNECTIONS", database_connections, 1, 1000, .fallback = "4",
		.summary = "connections per process that single statements share"),
	INTEGER("DATABASE_TRANSACTIONS", database_transactions, 1, 1000, .fallback = "4",
		.summary = "further connections per process, for transactions"),
	INTEGER("MAX_REQUESTS", max_requests, 1, 100000, .fallback = "1024",
		.summary = "handlers at once per http process; beyond: 503"),
	INTEGER("MAX_CONNECTIONS", max_connections, 1, 1000000, .fallback = "10000",
		.summary = "client connections per http process"),
	INTEGER("MAX_BODY", max_body, 1, 1073741824, .fallback = "1048576",
		.summary = "bytes of a request's body; beyond: 413"),
	INTEGER("MAX_PAYLOAD", max_payload, 1, 67108864, .fallback = "1048576",
		.summary = "bytes of a job's payload as JSON; beyond: 413"),
	DURATION("REQUEST_TIMEOUT", request_timeout, PRONG_MILLISECONDS(1), PRONG_DAYS(1), .fallback = "30s",
		.summary = "from a whole request to its reply; then 504"),
	DURATION("HEAD_TIMEOUT", head_timeout, PRONG_MILLISECONDS(1), PRONG_DAYS(1), .fallback = "10s",
		.summary = "for a request's head to arrive; then 408"),
	DURATION("IDLE_TIMEOUT", idle_timeout, PRONG_MILLISECONDS(1), PRONG_DAYS(1), .fallback = "75s",
		.summary = "for a connection to stay open without a request"),
	DURATION("DRAIN_TIMEOUT", drain_timeout, PRONG_MILLISECONDS(1), PRONG_DAYS(1), .fallback = "30s",
		.summary = "for requests and jobs to end after SIGTERM"),
	DURATION("DATABASE_TIMEOUT", database_timeout, PRONG_MILLISECONDS(1), PRONG_DAYS(1), .fallback = "5s",
		.summary = "of one statement"),
	DURATION("JOB_HISTORY_AGE", job_history_age, PRONG_HOURS(1), PRONG_DAYS(3650), .fallback = "30d",
		.summary = "how long the history of jobs is kept"),
	INTEGER("PASSWORD_MEMORY", password_memory, 19456, 1048576, .fallback = "19456",
		.summary = "KiB of memory of a password hash (Argon2id)"),
	INTEGER("PASSWORD_PASSES", password_passes, 2, 10, .fallback = "2",
		.summary = "passes of a password hash"),
	INTEGER("PASSWORD_HASHES", password_hashes, 1, 1024, .compute = compute_processors,
		.summary = "password hashes at once over all processes"),
	INTEGER("PASSWORD_STRENGTH", password_strength, 0, 4, .fallback = "3",
		.summary = "what a new password must reach, 0 to 4 as zxcvbn counts; 0 takes any"),
	TEXT("PASSWORD_PEPPERS", password_peppers, .secret = true, .accepts = peppers_check,
		.summary = "keys around password hashes: VERSION:KEY, commas between; the highest version is used"),
	CHOICE("SIGN_UP", sign_up, sign_ups, .fallback = "open",
		.summary = "open, private (nobody learns which addresses have accounts) or closed"),
	CHOICE("SIGNING_ALGORITHM", signing_algorithm, signing_algorithms, .fallback = "EdDSA",
		.summary = "of the next key that signs access tokens: EdDSA, ES256 or HS256"),
	DURATION("KEY_ROTATION", key_rotation, 0, PRONG_DAYS(3650), .fallback = "90d",
		.summary = "how long a key signs access tokens before the next takes over; 0: until `keys rotate`"),
	DURATION("TOKEN_LIFETIME", token_lifetime, PRONG_MINUTES(1), PRONG_HOURS(1), .fallback = "10m",
		.summary = "of access tokens"),
	DURATION("SESSION_IDLE", session_idle, PRONG_HOURS(1), PRONG_DAYS(365), .fallback = "30d",
		.summary = "for a session to live without being refreshed"),
	DURATION("SESSION_LIFETIME", session_lifetime, PRONG_HOURS(1), PRONG_DAYS(3650), .fallback = "90d",
		.summary = "for a session to live however it is used"),
	DURATION("REFRESH_GRACE", refresh_grace, 0, PRONG_MINUTES(5), .fallback = "20s",
		.summary = "for the last used refresh token to serve again, for tabs and lost replies"),
	DURATION("RECENT_SIGN_IN", recent_sign_in, PRONG_MINUTES(1), PRONG_DAYS(1), .fallback = "10m",
		.summary = "how long a sign-in is recent, as routes with .recent ask for"),
	DURATION("DELETION_GRACE", deletion_grace, 0, PRONG_DAYS(365), .fallback = "14d",
		.summary = "between an account's wish to be deleted and its end"),
	DURATION("AUDIT_AGE", audit_age, PRONG_DAYS(30), PRONG_DAYS(36500), .fallback = "365d",
		.summary = "how long the audit log is kept"),
	TEXT("ACCOUNT_URL", account_url, .compute = compute_account_url, .accepts = check_public_url,
		.summary = "where the pages are that links in mails lead to"),
	CHOICE("RATE_LIMITS", rate_limits, switches, .fallback = "on",
		.summary = "on or off: limits on signing up, signing in and the like, by account and by source"),
	TEXT("TRUSTED_PROXIES", trusted_proxies, .accepts = check_trusted_proxies,
		.summary = "proxies whose X-Forwarded-For is believed: addresses and prefixes, commas between"),
	TEXT("TRUSTED_ISSUERS", trusted_issuers, .accepts = issuers_check,
		.summary = "others whose access tokens are taken: ISSUER AUDIENCE JWKS_URL, commas between"),
	CHOICE("LOG_LEVEL", log_level, log_levels, .fallback = "info",
		.summary = "debug, info, warning or error"),
	CHOICE("LOG_FORMAT", log_format, log_formats, .fallback = "auto",
		.summary = "auto (text on a terminal, else json), json or text"),
};
/* clang-format on */

_Static_assert(PRONG_LOG_ERROR == ARRAY_SIZE(log_levels) - 2, "log_levels follow enum prong_log_level");

struct store {
	struct settings settings;
	char *texts[ARRAY_SIZE(table)]; /* as given; NULL: unset. Text members point here */
	const char *sources[ARRAY_SIZE(table)];
};

/* Where values come from, in one reading. */
struct reading {
	struct env_file env, dev;
	struct store *store;
	struct buffer *mistakes;
	bool failed;
};

static void wrong(struct reading *reading, const struct setting *setting, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static void wrong(struct reading *reading, const struct setting *setting, const char *format, ...)
{
	_cleanup_(freep) char *text = NULL;
	va_list arguments;

	va_start(arguments, format);
	text = vformat_text(format, arguments);
	va_end(arguments);
	buffer_add_format(reading->mistakes, "%s: %s\n", setting->name, text);
	reading->failed = true;
}

/* ---- parsing ---- */

static int parse_integer(const char *text, int64_t *ret_value)
{
	char *end;

	if (!((*text >= '0' && *text <= '9') || *text == '-'))
		return -EINVAL;
	errno = 0;
	*ret_value = strtoll(text, &end, 10);
	return errno || *end ? -EINVAL : 0;
}

static char *join_choices(const char *const *choices)
{
	struct buffer joined = { 0 };

	for (size_t i = 0; choices[i]; i++) {
		if (i)
			buffer_add_string(&joined, choices[i + 1] ? ", " : " or ");
		buffer_add_string(&joined, choices[i]);
	}
	buffer_text(&joined);
	return joined.data;
}

static void set_integer(struct reading *reading, const struct setting *setting, const char *text, int64_t *ret_value)
{
	int64_t value;

	if (parse_integer(text, &value) < 0 || value < setting->low || value > setting->high)
		wrong(reading, setting, "'%s' is not a whole number from %lld to %lld", text, (long long)setting->low,
		      (long long)setting->high);
	else
		*ret_value = value;
}

static void set_duration(struct reading *reading, const struct setting *setting, const char *text,
			 prong_duration *ret_value)
{
	_cleanup_(freep) char *low = duration_format(setting->low), *high = duration_format(setting->high);
	prong_duration value;

	if (duration_parse(text, &value) < 0)
		wrong(reading, setting,
		      "'%s' is not a duration: write a number with ms, s, m, h or d, as in 500ms or 30s", text);
	else if (value < setting->low || value > setting->high)
		wrong(reading, setting, "'%s' is not between %s and %s", text, low, high);
	else
		*ret_value = value;
}

static void set_choice(struct reading *reading, const struct setting *setting, const char *text, int *ret_value)
{
	_cleanup_(freep) char *choices = NULL;

	for (int i = 0; setting->choices[i]; i++)
		if (strcasecmp(setting->choices[i], text) == 0) {
			*ret_value = i;
			return;
		}
	choices = join_choices(setting->choices);
	wrong(reading, setting, "'%s' is not %s", text, choices);
}

static void set(struct reading *reading, const struct setting *setting, const char *text, bool is_default)
{
	void *member = (char *)&reading->store->settings + setting->offset;
	_cleanup_(freep) char *reason = NULL;

	if (setting->accepts && !is_default && setting->accepts(text, &reason) < 0) {
		if (setting->secret)
			wrong(reading, setting, "%s", reason);
		else
			wrong(reading, setting, "'%s' is wrong: %s", text, reason);
		return;
	}
	switch (setting->kind) {
	case SETTING_TEXT:
		*(const char **)member = text;
		break;
	case SETTING_INTEGER:
		set_integer(reading, setting, text, member);
		break;
	case SETTING_DURATION:
		set_duration(reading, setting, text, member);
		break;
	case SETTING_CHOICE:
		set_choice(reading, setting, text, member);
		break;
	}
}

/* ---- sources ---- */

/* The value in the file that NAME_FILE names, without the newline at its end; NULL: none, or wrong. */
static char *read_secret_file(struct reading *reading, const struct setting *setting)
{
	_cleanup_(freep) char *variable = format_text("%s_FILE", setting->name), *text = NULL;
	const char *path = getenv(variable);
	size_t size;
	int r;

	if (!path || !*path)
		return NULL;
	r = file_read(path, MAX_FILE_SIZE, &text, &size);
	if (r < 0) {
		wrong(reading, setting, "%s names '%s', which cannot be read: %s", variable, path, strerror(-r));
		return NULL;
	}
	while (size && (text[size - 1] == '\n' || text[size - 1] == '\r'))
		text[--size] = '\0';
	if (!size || strlen(text) != size) {
		wrong(reading, setting, "%s names '%s', which %s", variable, path,
		      size ? "is no text: there is a NUL byte in it" : "is empty");
		return NULL;
	}
	return duplicate(text);
}

/* The first source that has the setting; NULL: unset. */
static char *find(struct reading *reading, const struct setting *setting, const char **ret_source)
{
	const char *text = getenv(setting->name);
	char *secret;

	*ret_source = "environment";
	if (text && *text)
		return duplicate(text);

	if (setting->secret) {
		*ret_source = "file";
		secret = read_secret_file(reading, setting);
		if (secret)
			return secret;
	}

	*ret_source = ".env";
	text = env_file_get(&reading->env, setting->name);
	if (text && *text)
		return duplicate(text);

	*ret_source = "dev";
	text = reading->store->settings.environment == ENVIRONMENT_PRODUCTION
		       ? NULL
		       : env_file_get(&reading->dev, setting->name);
	if (text && *text)
		return duplicate(text);

	*ret_source = "default";
	if (setting->compute)
		return setting->compute(&reading->store->settings);
	return setting->fallback ? duplicate(setting->fallback) : NULL;
}

int settings_read(const char *dev_file, struct settings **ret_settings, struct buffer *mistakes)
{
	struct reading reading = { .store = allocate(sizeof(struct store)), .mistakes = mistakes };
	struct store *store = reading.store;

	reading.failed |= env_file_read(".env", &reading.env, mistakes) < 0;
	if (dev_file)
		reading.failed |= env_file_read(dev_file, &reading.dev, mistakes) < 0;

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		bool failed = reading.failed;

		store->texts[i] = find(&reading, &table[i], &store->sources[i]);
		if (store->texts[i])
			set(&reading, &table[i], store->texts[i], string_equal(store->sources[i], "default"));
		else if (table[i].production && store->settings.environment == ENVIRONMENT_PRODUCTION &&
			 reading.failed == failed)
			wrong(&reading, &table[i], "it must be set where PRONG_ENV is production: %s",
			      table[i].summary);
	}
	env_file_free(&reading.env);
	env_file_free(&reading.dev);

	if (reading.failed) {
		settings_free(&store->settings);
		return -EINVAL;
	}
	*ret_settings = &store->settings;
	return 0;
}

bool settings_log_json(const struct settings *settings)
{
	return settings->log_format == LOG_FORMAT_AUTO ? !isatty(STDERR_FILENO)
						       : settings->log_format == LOG_FORMAT_JSON;
}

void settings_set_port(struct settings *settings, int port)
{
	struct store *store = container_of(settings, struct store, settings);

	settings->port = port;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (table[i].offset == offsetof(struct settings, port)) {
			free(store->texts[i]);
			store->texts[i] = format_text("%d", port);
		}
		if (table[i].offset == offsetof(struct settings, public_url) &&
		    string_equal(store->sources[i], "default")) {
			free(store->texts[i]);
			store->texts[i] = compute_public_url(settings);
			settings->public_url = store->texts[i];
		}
	}
}

struct settings *settings_free(struct settings *settings)
{
	struct store *store;

	if (!settings)
		return NULL;
	store = container_of(settings, struct store, settings);
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (store->texts[i] && table[i].secret)
			explicit_bzero(store->texts[i], strlen(store->texts[i]));
		free(store->texts[i]);
	}
	free(store);
	return NULL;
}

size_t settings_list(const struct settings *settings, struct setting_value **ret_values)
{
	const struct store *store = container_of(settings, struct store, settings);
	struct setting_value *values = allocate_array(ARRAY_SIZE(table), sizeof(*values));

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		const char *text = store->texts[i] ? store->texts[i] : "";

		values[i] = (struct setting_value){
			.name = table[i].name,
			.value = *text && table[i].secret ? "(secret)" : text,
			.source = *text ? store->sources[i] : "",
			.summary = table[i].summary,
		};
	}
	*ret_values = values;
	return ARRAY_SIZE(table);
}
