#include "worker/job_metrics.h"

static struct job_metrics *metrics;

static metric_id define(enum metric_kind kind, const char *name, const char *queue, const char *label, const char *help)
{
	_cleanup_(freep) char *labels = format_text("queue=\"%s\"%s", queue, label);

	return metric_define(kind, name, labels, help);
}

void job_metrics_define(const struct registry *registry)
{
	size_t n = registry->n_queues;

	free(metrics);
	metrics = allocate_array(n, sizeof(*metrics));
	for (size_t i = 0; i < n; i++) {
		static const char name[] = "prong_job_attempts_total", help[] = "Attempts at jobs, by how they ended.";

		metrics[i].done = define(METRIC_COUNTER, name, registry->queues[i].name, ",outcome=\"done\"", help);
		metrics[i].failed = define(METRIC_COUNTER, name, registry->queues[i].name, ",outcome=\"failed\"", help);
		metrics[i].dead = define(METRIC_COUNTER, name, registry->queues[i].name, ",outcome=\"dead\"", help);
	}
	for (size_t i = 0; i < n; i++)
		metrics[i].wait = define(METRIC_HISTOGRAM, "prong_job_wait_duration_seconds", registry->queues[i].name,
					 "", "From a job's enqueue to the start of its first attempt.");
	for (size_t i = 0; i < n; i++)
		metrics[i].run = define(METRIC_HISTOGRAM, "prong_job_run_duration_seconds", registry->queues[i].name,
					"", "From the start to the end of an attempt.");
	for (size_t i = 0; i < n; i++) {
		for (size_t state = 0; state < JOB_STATES; state++) {
			_cleanup_(freep) char *label = format_text(",state=\"%s\"", job_state_names[state]);

			metrics[i].depth[state] = define(METRIC_GAUGE, "prong_job_queue_depth",
							 registry->queues[i].name, label, "Jobs in a queue, by state.");
		}
	}
}

const struct job_metrics *job_metrics_of(size_t index)
{
	static const struct job_metrics none;

	return metrics ? &metrics[index] : &none;
}
