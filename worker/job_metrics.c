#include "worker/job_metrics.h"

static struct job_metrics *metrics;
static metric_id history_dropped;

static metric_id define(enum metric_kind kind, const char *name, const struct prong_queue *queue, const char *label,
			const char *help)
{
	_cleanup_(freep) char *labels = format_text("queue=\"%s\"%s", queue->name, label);

	return metric_define(kind, name, labels, help);
}

static void define_attempts(struct job_metrics *of, const struct prong_queue *queue)
{
	static const char name[] = "prong_job_attempts_total";
	static const char help[] = "Attempts at jobs by how they ended, and waiting jobs that expired.";

	of->done = define(METRIC_COUNTER, name, queue, ",outcome=\"done\"", help);
	of->failed = define(METRIC_COUNTER, name, queue, ",outcome=\"failed\"", help);
	of->dead = define(METRIC_COUNTER, name, queue, ",outcome=\"dead\"", help);
	of->cancelled = define(METRIC_COUNTER, name, queue, ",outcome=\"cancelled\"", help);
	of->expired = define(METRIC_COUNTER, name, queue, ",outcome=\"expired\"", help);
}

static void define_depth(struct job_metrics *of, const struct prong_queue *queue)
{
	for (size_t state = 0; state < JOB_STATES; state++) {
		_cleanup_(freep) char *label = format_text(",state=\"%s\"", job_state_names[state]);

		of->depth[state] =
			define(METRIC_GAUGE, "prong_job_queue_depth", queue, label, "Jobs in a queue, by state.");
	}
}

/* Series of one name stand together. */
void job_metrics_define(const struct registry *registry)
{
	const struct prong_queue *queues = registry->queues;
	size_t n = registry->n_queues;

	free(metrics);
	metrics = allocate_array(n, sizeof(*metrics));
	for (size_t i = 0; i < n; i++)
		define_attempts(&metrics[i], &queues[i]);
	for (size_t i = 0; i < n; i++)
		metrics[i].wait = define(METRIC_HISTOGRAM, "prong_job_wait_duration_seconds", &queues[i], "",
					 "From a job's enqueue to the start of its first attempt.");
	for (size_t i = 0; i < n; i++)
		metrics[i].run = define(METRIC_HISTOGRAM, "prong_job_run_duration_seconds", &queues[i], "",
					"From the start to the end of an attempt.");
	for (size_t i = 0; i < n; i++)
		define_depth(&metrics[i], &queues[i]);
	for (size_t i = 0; i < n; i++)
		metrics[i].oldest = define(METRIC_GAUGE, "prong_job_queue_oldest_seconds", &queues[i], "",
					   "Age of the job that is next in line.");
	for (size_t i = 0; i < n; i++)
		metrics[i].bytes = define(METRIC_GAUGE, "prong_job_queue_bytes", &queues[i], "",
					  "Size of the records of a queue's jobs.");
	history_dropped = metric_define(METRIC_COUNTER, "prong_job_history_dropped_total", NULL,
					"Rows of the history of jobs that PostgreSQL did not take.");
}

metric_id job_metrics_history_dropped(void)
{
	return history_dropped;
}

const struct job_metrics *job_metrics_of(size_t index)
{
	static const struct job_metrics none;

	return metrics ? &metrics[index] : &none;
}
