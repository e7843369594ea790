#include "server/http/http_process.h"

#include "common/context.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/runtime.h"
#include "common/security/feed.h"
#include "common/security/issuers.h"
#include "common/security/keyring.h"
#include "common/security/revocations.h"
#include "server/http/http_server.h"

#define FIRST_BACKOFF PRONG_MILLISECONDS(100)
#define MAX_BACKOFF PRONG_SECONDS(5)
#define KEYRING_TIMEOUT PRONG_SECONDS(2)

struct http_process {
	const struct process *process;
	struct runtime *runtime;
	struct http_server *server;
	struct coroutine *keyring_keeper; /* NULL once it has ended */
	bool serving;
	int status;
};

static void serve(struct http_process *http)
{
	if (http->serving)
		return;
	http->serving = true;
	http_server_listen(http->server);
	process_ready(http->process);
}

static int load_keyring(struct runtime *runtime, bool first)
{
	struct prong_ctx ctx;
	int r = 0;

	context_init(&ctx, runtime);
	coroutine_set_deadline(coroutine_current(), monotonic_us() + KEYRING_TIMEOUT);
	/* Revocations first: once there are keys, tokens are accepted. */
	if (first)
		r = revocations_load(runtime->revocations, &ctx);
	if (r >= 0)
		r = keyring_load(runtime->keyring, &ctx);
	context_end(&ctx);
	coroutine_set_deadline(coroutine_current(), INT64_MAX);
	return r;
}

/*
 * Verifying tokens needs the keys, so the process serves once it has them, and none of its answers is wrong. Without
 * PostgreSQL it serves all the same after one try: what needs no token works, what needs one is answered with 503.
 * False: the process ends.
 */
static bool get_keyring(struct http_process *http)
{
	prong_duration backoff = FIRST_BACKOFF;
	int r;

	for (;;) {
		r = load_keyring(http->runtime, true);
		if (r == -ECANCELED || coroutine_cancelled(coroutine_current()))
			return false;
		if (r == -EBADMSG) {
			log_error(
				"the signing keys in the database do not open with this PRONG_SECRET: set the one they "
				"were made with");
			http->status = STATUS_CONFIGURATION;
			http_server_drain(http->server);
			return false;
		}
		serve(http);
		if (r >= 0)
			return true;
		log_debug("signing keys not loaded yet: %s", strerror(-r));
		if (coroutine_sleep_until(monotonic_us() + backoff / 2 + (int64_t)(random_u64() % (uint64_t)backoff)) <
		    0)
			return false;
		backoff = backoff * 2 < MAX_BACKOFF ? backoff * 2 : MAX_BACKOFF;
	}
}

/* What it has, it keeps until there is something better. */
static void keep_keyring(void *argument)
{
	struct http_process *http = argument;
	int r;

	if (get_keyring(http))
		while (keyring_wait(http->runtime->keyring) == 0) {
			r = load_keyring(http->runtime, false);
			if (r < 0)
				log_debug("signing keys not loaded anew: %s", strerror(-r));
		}
	http->keyring_keeper = NULL;
}

static void drain(void *argument)
{
	struct http_process *http = argument;

	if (http->keyring_keeper)
		coroutine_cancel(http->keyring_keeper);
	http_server_drain(http->server);
}

static unsigned parts_of(const struct registry *registry)
{
	unsigned parts = RUNTIME_POSTGRES | RUNTIME_REDIS;

	return registry_module(registry, ACCOUNTS_MODULE) ? parts | RUNTIME_SECURITY : parts;
}

int http_main(const struct process *process)
{
	_cleanup_(freep) char *name = format_text("%s http %zu", process->registry->app->name, process->number);
	struct http_process http = { .process = process, .status = STATUS_OK };

	http.runtime = runtime_new(process->settings, process->registry, process->scoreboard, name, process->permits,
				   parts_of(process->registry));
	log_attach(http.runtime->loop);
	metrics_use_slot(process->slot);
	http.server = http_server_new(http.runtime, process->listener);
	process_attach(process, http.runtime->loop, drain, &http);
	if (!http.runtime->keyring)
		serve(&http);
	else if (coroutine_start(http.runtime->loop, keep_keyring, &http, &http.keyring_keeper) < 0)
		panic("no coroutine for the signing keys");

	loop_run(http.runtime->loop);

	process_detach();
	log_detach();
	coroutine_finish(http.runtime->loop, &http.keyring_keeper);
	http.runtime->issuers = issuers_free(http.runtime->issuers);
	http.runtime->feed = feed_free(http.runtime->feed);
	http.runtime->revocations = revocations_free(http.runtime->revocations);
	/* Handlers that ignored their cancellation end with the process. */
	if (http.server->n_connections || loop_coroutines(http.runtime->loop))
		return http.status;
	http.server = http_server_free(http.server);
	http.runtime = runtime_free(http.runtime);
	return http.status;
}
