/* When a failed job runs again. */
#ifndef RETRY_H
#define RETRY_H

#include <prong/job.h>

/*
 * After attempt number `attempt` (from 1): the job's backoff, doubled for each further attempt, capped by its
 * max_backoff; half of it fixed and half random, so that what failed together does not return together.
 */
prong_duration job_retry_delay(const struct prong_job *job, int attempt);

#endif
