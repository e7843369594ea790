#include "common/runtime.h"

#include <malloc.h>
#include <sodium.h>

#include "common/jobs/job_queue.h"
#include "common/limits/rate_limit.h"
#include "common/loop.h"
#include "common/postgres/postgres.h"
#include "common/redis/redis.h"
#include "common/security/api_key.h"
#include "common/security/feed.h"
#include "common/security/issuers.h"
#include "common/security/keyring.h"
#include "common/security/password.h"
#include "common/security/revocations.h"
#include "common/thread_pool.h"

/*
 * Allocations from this size on go back to the system when they are freed. Left to itself the C library would raise the
 * size with the first of them, and a burst of large bodies would stay with the process for ever.
 */
#define MAPPED_SIZE (256 * 1024)

/* What is free at the heap's end stays up to this size: batches come and go many times a second. */
#define KEPT_SIZE (8 * 1024 * 1024)

static struct password_hasher *make_hasher(const struct runtime *runtime, int permits)
{
	const struct settings *settings = runtime->settings;

	return password_hasher_new(runtime->loop,
				   &(struct password_options){
					   .memory_kib = (size_t)settings->password_memory,
					   .passes = (size_t)settings->password_passes,
					   .permits = (size_t)settings->password_hashes,
					   .peppers = settings->password_peppers,
				   },
				   permits);
}

struct runtime *runtime_new(const struct settings *settings, const struct registry *registry,
			    struct scoreboard *scoreboard, const char *name, int permits, unsigned parts)
{
	struct runtime *runtime = allocate(sizeof(*runtime));

	if (sodium_init() < 0)
		panic("libsodium cannot start");
	mallopt(M_MMAP_THRESHOLD, MAPPED_SIZE);
	mallopt(M_TRIM_THRESHOLD, KEPT_SIZE);
	runtime->settings = settings;
	runtime->registry = registry;
	runtime->scoreboard = scoreboard;
	do {
		randombytes_buf(&runtime->incarnation, sizeof(runtime->incarnation));
	} while (runtime->incarnation == 0);
	/*
	 * Beside the handlers or jobs a process has a few coroutines of its own, which must never be refused; a worker
	 * up to three for each shard.
	 */
	runtime->loop = loop_new((size_t)settings->max_requests + (size_t)settings->job_concurrency + 32 +
				 3 * registry_shards(registry));
	runtime->threads = thread_pool_new(runtime->loop, (size_t)settings->threads, 256);
	if (parts & RUNTIME_POSTGRES)
		runtime->postgres =
			postgres_new(runtime->loop, &(struct postgres_options){
							    .url = settings->database_url,
							    .shared = (size_t)settings->database_connections,
							    .owned = (size_t)settings->database_transactions,
							    .statement_timeout = settings->database_timeout,
							    .application_name = name,
						    });
	if (parts & RUNTIME_REDIS) {
		runtime->redis = parts & RUNTIME_BRIEF ? redis_new_idle(runtime->loop, settings->redis_url, name)
						       : redis_new(runtime->loop, settings->redis_url, name);
		runtime->jobs = job_queue_new(runtime->loop, runtime->redis, registry);
		runtime->rate_limits = rate_limits_new(settings->secret, RATE_LIMITS_PATIENCE);
	}
	if (parts & (RUNTIME_SECURITY | RUNTIME_PASSWORDS))
		runtime->password_hasher = make_hasher(runtime, permits);
	if (parts & RUNTIME_SECURITY) {
		check(parts & RUNTIME_POSTGRES);
		runtime->keyring = keyring_new(settings->secret, (enum algorithm)settings->signing_algorithm);
		runtime->api_keys = api_keys_new();
		runtime->feed = feed_new(runtime);
		keyring_listen(runtime->keyring, runtime->feed);
		runtime->revocations = revocations_new(runtime, runtime->feed);
		runtime->issuers = issuers_new(runtime->loop, settings->trusted_issuers, &issuers_times);
	}
	return runtime;
}

struct runtime *runtime_free(struct runtime *runtime)
{
	if (!runtime)
		return NULL;
	runtime->issuers = issuers_free(runtime->issuers);
	runtime->feed = feed_free(runtime->feed); /* nobody is told anything any more */
	runtime->revocations = revocations_free(runtime->revocations);
	runtime->api_keys = api_keys_free(runtime->api_keys);
	runtime->password_hasher = password_hasher_free(runtime->password_hasher);
	runtime->keyring = keyring_free(runtime->keyring);
	runtime->rate_limits = rate_limits_free(runtime->rate_limits);
	runtime->jobs = job_queue_free(runtime->jobs);
	runtime->redis = redis_free(runtime->redis);
	runtime->postgres = postgres_free(runtime->postgres);
	runtime->threads = thread_pool_free(runtime->threads);
	runtime->loop = loop_free(runtime->loop);
	free(runtime);
	return NULL;
}
