/* What is measured of each queue. */
#ifndef JOB_METRICS_H
#define JOB_METRICS_H

#include "common/jobs/job_queue.h"
#include "common/metrics.h"

struct job_metrics {
	metric_id done, failed, dead, cancelled; /* attempts by how they ended; a dead job's last one is dead only */
	metric_id expired;			 /* waiting jobs */
	metric_id wait, run;			 /* enqueue to start of the first attempt; start to finish of each */
	metric_id depth[JOB_STATES];		 /* set by the scheduler, as the next two */
	metric_id oldest;			 /* seconds */
	metric_id bytes;
};

/* In the master, before it forks. */
void job_metrics_define(const struct registry *registry);

/* Rows of the history that PostgreSQL did not take. */
metric_id job_metrics_history_dropped(void);

/* Of the registry's queue `index`; its handles are 0 where nothing was defined. */
const struct job_metrics *job_metrics_of(size_t index);

#endif
