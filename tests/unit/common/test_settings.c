#include "common/settings.h"

#include <prong/context.h>

#include <stdio.h>

#include "common/env_file.h"
#include "tests/unit/test.h"

/* A working directory of its own, and an environment without any setting. */
static char folder[64], *before;

static void enter(void)
{
	static const char *const kept[] = { "PATH", "HOME", "ASAN_OPTIONS", "UBSAN_OPTIONS", NULL };
	char *values[ARRAY_SIZE(kept)] = { 0 };

	for (size_t i = 0; kept[i]; i++)
		values[i] = getenv(kept[i]) ? duplicate(getenv(kept[i])) : NULL;
	clearenv();
	for (size_t i = 0; kept[i]; i++) {
		if (values[i])
			setenv(kept[i], values[i], 1);
		free(values[i]);
	}
	snprintf(folder, sizeof(folder), "/tmp/prong-settings-XXXXXX");
	before = getcwd(NULL, 0);
	if (!mkdtemp(folder) || chdir(folder) < 0)
		panic("no folder to test in");
}

static void leave(void)
{
	unlink(".env");
	unlink("secret");
	if (chdir(before) < 0 || rmdir(folder) < 0)
		panic("cannot leave the folder of the test");
	free(before);
}

static void put(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	fputs(text, file);
	fclose(file);
}

static char *mistakes_of(void)
{
	struct settings *settings = NULL;
	struct buffer mistakes = { 0 };
	char *text;

	CU_ASSERT_EQUAL(settings_read(NULL, &settings, &mistakes), -EINVAL);
	CU_ASSERT_PTR_NULL(settings);
	text = duplicate(buffer_text(&mistakes));
	buffer_free(&mistakes);
	return text;
}

static struct settings *settings_of(void)
{
	struct settings *settings = NULL;
	struct buffer mistakes = { 0 };

	if (settings_read(NULL, &settings, &mistakes) < 0)
		panic("%s", buffer_text(&mistakes));
	buffer_free(&mistakes);
	return settings;
}

static const char *source_of(const struct settings *settings, const char *name, const char **ret_value)
{
	_cleanup_(freep) struct setting_value *values = NULL;
	size_t count = settings_list(settings, &values);

	for (size_t i = 0; i < count; i++)
		if (string_equal(values[i].name, name)) {
			*ret_value = values[i].value;
			return values[i].source;
		}
	return NULL;
}

TEST(settings, have_defaults)
{
	struct settings *settings;
	const char *value;

	enter();
	settings = settings_of();
	CU_ASSERT_EQUAL(settings->environment, ENVIRONMENT_DEVELOPMENT);
	CU_ASSERT_STRING_EQUAL(settings->host, "127.0.0.1");
	CU_ASSERT_EQUAL(settings->port, 8080);
	CU_ASSERT_STRING_EQUAL(settings->public_url, "http://127.0.0.1:8080");
	CU_ASSERT_PTR_NULL(settings->database_url);
	CU_ASSERT_PTR_NULL(settings->secret);
	CU_ASSERT_EQUAL(settings->request_timeout, PRONG_SECONDS(30));
	CU_ASSERT_EQUAL(settings->watchdog_timeout, PRONG_SECONDS(10));
	CU_ASSERT(settings->worker_memory > 0);
	CU_ASSERT_EQUAL(settings->max_body, 1048576);
	CU_ASSERT_EQUAL(settings->log_level, PRONG_LOG_INFO);
	CU_ASSERT(settings->http_processes >= 1);
	CU_ASSERT(settings->threads >= 2);
	CU_ASSERT(settings->job_isolated >= 1);
	CU_ASSERT_STRING_EQUAL(source_of(settings, "PORT", &value), "default");
	settings_free(settings);
	leave();
}

TEST(settings, come_from_the_environment_first)
{
	struct settings *settings;
	const char *value;

	enter();
	put(".env", "PORT=1\nHOST=::1\nREQUEST_TIMEOUT=250ms\nLOG_LEVEL=\n");
	setenv("PORT", "9000", 1);
	setenv("HEAD_TIMEOUT", "5m", 1);
	setenv("IDLE_TIMEOUT", "", 1);
	setenv("WATCHDOG_TIMEOUT", "0", 1);
	setenv("LOG_FORMAT", "JSON", 1);
	settings = settings_of();
	CU_ASSERT_EQUAL(settings->port, 9000);
	CU_ASSERT_STRING_EQUAL(source_of(settings, "PORT", &value), "environment");
	CU_ASSERT_STRING_EQUAL(value, "9000");
	CU_ASSERT_STRING_EQUAL(settings->host, "::1");
	CU_ASSERT_STRING_EQUAL(source_of(settings, "HOST", &value), ".env");
	CU_ASSERT_STRING_EQUAL(settings->public_url, "http://[::1]:9000");
	CU_ASSERT_EQUAL(settings->request_timeout, PRONG_MILLISECONDS(250));
	CU_ASSERT_EQUAL(settings->head_timeout, PRONG_MINUTES(5));
	CU_ASSERT_EQUAL(settings->idle_timeout, PRONG_SECONDS(75));
	CU_ASSERT_EQUAL(settings->watchdog_timeout, 0);
	CU_ASSERT_EQUAL(settings->log_format, LOG_FORMAT_JSON);
	settings_free(settings);
	leave();
}

TEST(settings, take_what_dev_wrote_last)
{
	struct settings *settings = NULL;
	struct buffer mistakes = { 0 };
	const char *value;

	enter();
	put(".env", "PORT=1\n");
	put("secret", "PORT=2\nHOST=0.0.0.0\n");
	CU_ASSERT_EQUAL_FATAL(settings_read("secret", &settings, &mistakes), 0);
	CU_ASSERT_EQUAL(settings->port, 1);
	CU_ASSERT_STRING_EQUAL(source_of(settings, "HOST", &value), "dev");
	CU_ASSERT_STRING_EQUAL(settings->public_url, "http://localhost:1");
	settings_set_port(settings, 4711);
	CU_ASSERT_STRING_EQUAL(settings->public_url, "http://localhost:4711");
	CU_ASSERT_STRING_EQUAL(source_of(settings, "PUBLIC_URL", &value), "default");
	CU_ASSERT_STRING_EQUAL(value, "http://localhost:4711");
	settings_free(settings);
	leave();
}

TEST(settings, public_url_is_an_origin_that_pages_can_have)
{
	static const char *const wrong[] = { "https://user@example.com", "http://a:b@example.com/app",
					     "https://@example.com" };

	enter();
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		_cleanup_(freep) char *text = NULL;

		setenv("PUBLIC_URL", wrong[i], 1);
		text = mistakes_of();
		CU_ASSERT_PTR_NOT_NULL(strstr(text, "PUBLIC_URL: "));
		CU_ASSERT_PTR_NOT_NULL(strstr(text, "no user and password"));
	}
	setenv("PUBLIC_URL", "https://example.com/@app", 1);
	settings_free(settings_of());
	leave();
}

TEST(settings, reports_every_mistake_at_once)
{
	_cleanup_(freep) char *text = NULL;

	enter();
	setenv("PORT", "80800", 1);
	setenv("REQUEST_TIMEOUT", "30", 1);
	setenv("LOG_LEVEL", "loud", 1);
	setenv("PRONG_ENV", "staging", 1);
	setenv("PUBLIC_URL", "example.com", 1);
	setenv("MAIL_FROM", "nobody", 1);
	setenv("HOST", "http://localhost", 1);
	setenv("WEB_CONCURRENCY", "0x2", 1);
	setenv("PASSWORD_MEMORY", "1024", 1);
	setenv("WATCHDOG_TIMEOUT", "30s", 1);
	text = mistakes_of();
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "PORT: '80800' is not a whole number from 0 to 65535\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "REQUEST_TIMEOUT: '30' is not a duration"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "LOG_LEVEL: 'loud' is not debug, info, warning or error\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "PRONG_ENV: 'staging'"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "PUBLIC_URL: 'example.com'"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "MAIL_FROM: "));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "HOST: "));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "WEB_CONCURRENCY: "));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "PASSWORD_MEMORY: "));
	CU_ASSERT_PTR_NOT_NULL(
		strstr(text, "WATCHDOG_TIMEOUT: '30s' is wrong: it is from 2s to 25s, or 0 for no watchdog"));
	leave();
}

TEST(settings, never_shows_a_secret)
{
	_cleanup_(freep) char *text = NULL;
	struct settings *settings;
	const char *value;

	enter();
	setenv("PRONG_SECRET", "hunter2", 1);
	setenv("SMTP_URL", "http://hunter2@mail", 1);
	setenv("DATABASE_URL", "postgresql://ada:hunter2@[::1/x", 1);
	setenv("REDIS_URL", "http://:hunter2@localhost", 1);
	text = mistakes_of();
	CU_ASSERT_PTR_NULL(strstr(text, "hunter2"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "PRONG_SECRET: it is shorter than 32 bytes"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "SMTP_URL: "));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "DATABASE_URL: "));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "REDIS_URL: "));
	unsetenv("DATABASE_URL");
	unsetenv("REDIS_URL");
	/* Whatever takes the second half for the host would say that there is no such host. */
	setenv("SMTP_URL", "smtp://ada:not@hunter2@mail", 1);
	free(text);
	text = mistakes_of();
	CU_ASSERT_PTR_NULL(strstr(text, "hunter2"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "SMTP_URL: in the user and the password, write '@' as %40"));
	unsetenv("SMTP_URL");
	setenv("PRONG_SECRET", "0123456789abcdef0123456789abcdef", 1);
	settings = settings_of();
	CU_ASSERT_STRING_EQUAL(source_of(settings, "PRONG_SECRET", &value), "environment");
	CU_ASSERT_STRING_EQUAL(value, "(secret)");
	source_of(settings, "SMTP_URL", &value);
	CU_ASSERT_STRING_EQUAL(value, "");
	settings_free(settings);
	leave();
}

TEST(settings, reads_secrets_from_files)
{
	_cleanup_(freep) char *text = NULL;
	struct settings *settings;
	const char *value;

	enter();
	put("secret", "0123456789abcdef0123456789abcdef\n");
	setenv("PRONG_SECRET_FILE", "secret", 1);
	settings = settings_of();
	CU_ASSERT_STRING_EQUAL(settings->secret, "0123456789abcdef0123456789abcdef");
	CU_ASSERT_STRING_EQUAL(source_of(settings, "PRONG_SECRET", &value), "file");
	settings_free(settings);
	setenv("PRONG_SECRET_FILE", "nowhere", 1);
	setenv("REDIS_URL_FILE", ".", 1);
	text = mistakes_of();
	CU_ASSERT_PTR_NOT_NULL(
		strstr(text, "PRONG_SECRET: PRONG_SECRET_FILE names 'nowhere', which cannot be read: No such file"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "REDIS_URL: REDIS_URL_FILE names '.'"));
	leave();
}

TEST(settings, production_needs_its_own)
{
	_cleanup_(freep) char *text = NULL;

	enter();
	setenv("PRONG_ENV", "production", 1);
	text = mistakes_of();
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "PRONG_SECRET: it must be set where PRONG_ENV is production"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "DATABASE_URL: it must be set"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "REDIS_URL: it must be set"));
	CU_ASSERT_PTR_NULL(strstr(text, "SMTP_URL"));
	leave();
}

/* ---- .env ---- */

TEST(env_file, reads_what_people_write)
{
	struct buffer mistakes = { 0 };
	struct env_file file;

	enter();
	put(".env",
	    "# a comment\n\nA=1\nexport B = two words  # why\r\nC='lit\\n # $x'\nD=\"q\\\"\\n\\\\ \\x\" # c\nE=\n"
	    "F=a#b\nA=last");
	CU_ASSERT_EQUAL_FATAL(env_file_read(".env", &file, &mistakes), 0);
	CU_ASSERT_STRING_EQUAL(env_file_get(&file, "A"), "last");
	CU_ASSERT_STRING_EQUAL(env_file_get(&file, "B"), "two words");
	CU_ASSERT_STRING_EQUAL(env_file_get(&file, "C"), "lit\\n # $x");
	CU_ASSERT_STRING_EQUAL(env_file_get(&file, "D"), "q\"\n\\ \\x");
	CU_ASSERT_STRING_EQUAL(env_file_get(&file, "E"), "");
	CU_ASSERT_STRING_EQUAL(env_file_get(&file, "F"), "a#b");
	CU_ASSERT_PTR_NULL(env_file_get(&file, "G"));
	env_file_free(&file);
	leave();
}

TEST(env_file, names_the_line_of_each_mistake)
{
	struct buffer mistakes = { 0 };
	struct env_file file;
	const char *text;

	enter();
	put(".env", "A=1\nhunter2\n2B=3\nC=\"open\nD='x' y\n");
	CU_ASSERT_EQUAL(env_file_read(".env", &file, &mistakes), -EINVAL);
	text = buffer_text(&mistakes);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, ".env:2: "));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, ".env:3: "));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, ".env:4: the quote is not closed\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, ".env:5: "));
	CU_ASSERT_PTR_NULL(strstr(text, ".env:1"));
	CU_ASSERT_PTR_NULL(strstr(text, "hunter2"));
	buffer_free(&mistakes);
	leave();
}

TEST(env_file, is_optional)
{
	struct buffer mistakes = { 0 };
	struct env_file file;

	enter();
	CU_ASSERT_EQUAL(env_file_read(".env", &file, &mistakes), 0);
	CU_ASSERT_EQUAL(file.count, 0);
	leave();
}
