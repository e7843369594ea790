#include "common/security/issuer_fetch.h"

#include <curl/curl.h>
#include <stdio.h>

#include "common/basics.h"

#define TIMEOUT_MS 5000L

/* libcurl's own reading of a URL, so that what is checked is what is called. */
static char *url_part(CURLU *url, CURLUPart part)
{
	char *text = NULL;

	return curl_url_get(url, part, &text, 0) == CURLUE_OK ? text : NULL;
}

static bool is_loopback(const char *host)
{
	return string_equal(host, "localhost") || string_equal(host, "127.0.0.1") || string_equal(host, "[::1]");
}

static const char *check_parts(const char *scheme, const char *host, const char *user)
{
	if (!scheme || !host || !*host)
		return "its JWKS URL is no URL";
	if (user)
		return "its JWKS URL has a user or password, which are not sent";
	if (string_equal(scheme, "https") || (string_equal(scheme, "http") && is_loopback(host)))
		return NULL;
	return "its JWKS URL is not https:// (http:// serves localhost, 127.0.0.1 and [::1] only)";
}

const char *issuer_url_check(const char *text)
{
	CURLU *url = curl_url();
	const char *reason = "its JWKS URL is no URL";

	check(url);
	if (curl_url_set(url, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK) {
		char *scheme = url_part(url, CURLUPART_SCHEME), *host = url_part(url, CURLUPART_HOST);
		char *user = url_part(url, CURLUPART_USER), *password = url_part(url, CURLUPART_PASSWORD);

		reason = check_parts(scheme, host, user ? user : password);
		curl_free(scheme);
		curl_free(host);
		curl_free(user);
		curl_free(password);
	}
	curl_url_cleanup(url);
	return reason;
}

static size_t on_body(char *data, size_t size, size_t count, void *argument)
{
	struct issuer_fetch *fetch = argument;

	if (fetch->body.size + size * count > JWKS_MAX_SIZE) {
		snprintf(fetch->error, sizeof(fetch->error), "the answer has more than %d bytes", JWKS_MAX_SIZE);
		return 0;
	}
	buffer_add(&fetch->body, data, size * count);
	return size * count;
}

static int on_progress(void *argument, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up)
{
	const struct issuer_fetch *fetch = argument;

	(void)total, (void)now, (void)up_total, (void)up;
	return atomic_load(fetch->stopping);
}

static void set_options(CURL *curl, struct issuer_fetch *fetch)
{
	bool plain = strncasecmp(fetch->url, "http://", 7) == 0;

	curl_easy_setopt(curl, CURLOPT_URL, fetch->url);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, plain ? "http" : "https");
	curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, TIMEOUT_MS);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "prong");
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, fetch);
	curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(curl, CURLOPT_XFERINFODATA, fetch);
	curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
	if (plain) /* this machine */
		curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
}

int issuer_fetch(void *argument)
{
	struct issuer_fetch *fetch = argument;
	CURL *curl = curl_easy_init();
	long status = 0;
	CURLcode code;

	check(curl);
	set_options(curl, fetch);
	code = curl_easy_perform(curl);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_cleanup(curl);
	if (code == CURLE_OK && status == 200)
		return 0;
	if (code == CURLE_OK)
		snprintf(fetch->error, sizeof(fetch->error), "the answer is %ld, not 200", status);
	else if (!fetch->error[0])
		snprintf(fetch->error, sizeof(fetch->error), "%s", curl_easy_strerror(code));
	return -EIO;
}
