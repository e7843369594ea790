/* The two ways a message leaves; both block, so they run on the thread pool. */
#include <curl/curl.h>
#include <stdio.h>

#include "common/context.h"
#include "common/loop.h"
#include "common/mail/mail.h"
#include "common/thread_pool.h"

#define CONNECT_TIMEOUT_MS 10000L
#define SMTP_TIMEOUT_MS 30000L

struct delivering {
	const struct settings *settings;
	const char *to, *from; /* bare addresses */
	const char *name;      /* of the mailbox's file */
	struct buffer message;
	size_t read; /* of the message, by libcurl */
	long timeout_ms;
	char error[CURL_ERROR_SIZE];
};

/* ---- the mailbox ---- */

static int deliver_file(void *argument)
{
	struct delivering *delivering = argument;
	const char *folder = delivering->settings->mail_dir;
	_cleanup_(freep) char *path = format_text("%s/%s.eml", folder, delivering->name);
	int r;

	/* Mails are letters: what they hold is for whom they are for, and may be a way into an account. */
	r = folder_make(folder, 0700);
	if (r == 0)
		r = file_write(path, 0600, delivering->message.data, delivering->message.size);
	if (r < 0)
		snprintf(delivering->error, sizeof(delivering->error), "%s: %s", path, strerror(-r));
	return r;
}

/* ---- SMTP ---- */

static size_t read_message(char *buffer, size_t size, size_t count, void *argument)
{
	struct delivering *delivering = argument;
	size_t left = delivering->message.size - delivering->read;
	size_t part = left < size * count ? left : size * count;

	memcpy(buffer, delivering->message.data + delivering->read, part);
	delivering->read += part;
	return part;
}

/* With a password TLS is demanded and the server's name checked; a relay without one is taken as mail servers do. */
static void choose_tls(CURL *curl, const char *url)
{
	bool password = strchr(url, '@') != NULL;

	curl_easy_setopt(curl, CURLOPT_USE_SSL, password ? (long)CURLUSESSL_ALL : (long)CURLUSESSL_TRY);
	if (!password && strncmp(url, "smtp://", 7) == 0) {
		curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
	}
}

static int deliver_smtp(void *argument)
{
	struct delivering *delivering = argument;
	struct curl_slist *recipients = curl_slist_append(NULL, delivering->to);
	CURL *curl = curl_easy_init();
	CURLcode code;

	check(curl && recipients);
	curl_easy_setopt(curl, CURLOPT_URL, delivering->settings->smtp_url);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, delivering->timeout_ms);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, delivering->error);
	curl_easy_setopt(curl, CURLOPT_MAIL_FROM, delivering->from);
	curl_easy_setopt(curl, CURLOPT_MAIL_RCPT, recipients);
	curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
	curl_easy_setopt(curl, CURLOPT_READFUNCTION, read_message);
	curl_easy_setopt(curl, CURLOPT_READDATA, delivering);
	choose_tls(curl, delivering->settings->smtp_url);
	code = curl_easy_perform(curl);
	if (code != CURLE_OK && !delivering->error[0])
		snprintf(delivering->error, sizeof(delivering->error), "%s", curl_easy_strerror(code));
	curl_slist_free_all(recipients);
	curl_easy_cleanup(curl);
	return code == CURLE_OK ? 0 : -EIO;
}

/* ---- both ---- */

static long smtp_timeout(void)
{
	int64_t left = (coroutine_deadline(coroutine_current()) - monotonic_us()) / 1000;

	return left < 1 ? 1 : left < SMTP_TIMEOUT_MS ? (long)left : SMTP_TIMEOUT_MS;
}

static char *file_name(prong_time date, const char *id)
{
	time_t seconds = (time_t)(date.us / 1000000);
	char text[32];
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(text, sizeof(text), "%Y%m%dT%H%M%SZ", &tm);
	return format_text("%s-%s", text, id);
}

int mail_deliver(struct prong_ctx *ctx, const struct mail *mail, const char *id, prong_time date)
{
	const struct settings *settings = ctx->runtime->settings;
	bool smtp = settings->smtp_url && settings->smtp_url[0];
	const char *mistake = mail_mistake(mail);
	_cleanup_(freep) char *from = mail_address(settings->mail_from);
	_cleanup_(freep) char *name = file_name(date, id);
	struct delivering delivering = { .settings = settings, .to = mail->to, .from = from, .name = name };
	int r;

	if (mistake)
		return prong_fail(ctx, 422, "invalid_mail", "%s", mistake);
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) /* counted, and costs nothing after the first */
		panic("libcurl cannot start");
	delivering.timeout_ms = smtp_timeout();
	mail_write(mail, settings->mail_from, id, date, &delivering.message);
	r = thread_pool_run(ctx->runtime->threads, smtp ? deliver_smtp : deliver_file, &delivering, INT64_MAX);
	buffer_free(&delivering.message);
	if (r < 0 && delivering.error[0])
		return prong_fail(ctx, 503, "mail_not_delivered", "%s", delivering.error);
	return r;
}
