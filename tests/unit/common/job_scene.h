/*
 * A coroutine with a job queue on a real Redis, for tests of the engine: the queue "model", whose rules the test sets,
 * and "other-queue". Times in it are µs; owner 1 is meant where none is named.
 */
#ifndef JOB_SCENE_H
#define JOB_SCENE_H

#include <stdio.h>

#include "common/buffer.h"
#include "common/jobs/job_queue.h"
#include "common/loop.h"
#include "tests/unit/common/redis_server.h"
#include "tests/unit/common/servers.h"
#include "tests/unit/test.h"

#define TIMEOUT PRONG_SECONDS(5)

extern const struct prong_job scene_job, scene_other_job; /* max_attempts 3, max_crashes 2 */

struct scene {
	struct loop *loop;
	struct redis *redis;
	struct job_queue *queue;
	struct job_shard *shard; /* the first of "model" */
	struct arena arena;
	struct redis_server *server; /* NULL: the shared one */
	void (*body)(struct scene *scene);
	bool registered[10]; /* by owner */
};

/* Plays it on an emptied Redis; with `rules` of the queue "model", NULL for none. At its end the checker finds nothing.
 */
void scene_play(void (*body)(struct scene *scene), const struct prong_queue *rules);
void scene_play_on(struct redis_server *server, void (*body)(struct scene *scene), const struct prong_queue *rules);

/* Enqueues one job; returns its id, or that of the job that holds its unique key. */
prong_uuid scene_add(struct scene *scene, const char *payload, struct prong_enqueue_options options);

/* Fetches as owner 1, or any. */
struct job_exchange_result scene_fetch(struct scene *scene, size_t count);
struct job_exchange_result scene_exchange(struct scene *scene, size_t owner, struct job_exchange exchange);

/* Gives one verdict as owner 1; `delay` of a retry or crash. */
struct job_exchange_result scene_judge(struct scene *scene, const struct delivery *delivery, enum job_outcome outcome,
				       prong_duration delay);
void scene_finish(struct scene *scene, const struct job_exchange_result *fetched); /* all are done */

/* "a,b,c": the payloads fetched, in order. */
const char *scene_payloads(struct scene *scene, const struct job_exchange_result *result);

bool scene_counts_are(struct scene *scene, uint64_t ready, uint64_t delayed, uint64_t running, uint64_t dead);
const char *scene_owner(struct scene *scene, size_t owner);
void scene_sleep(prong_duration duration);

/* One command that must succeed; an integer reply's value, else 0. */
int64_t scene_command(struct scene *scene, const char *command);

#endif
