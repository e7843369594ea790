/*
 * Metrics: counters, gauges and histograms in shared memory, one block per slot of the scoreboard with one writer,
 * summed over all slots when read. Defined in the master before it forks, so that every process has the same layout;
 * a slot's counts survive its process and go on with the successor, while its gauges begin at 0 again. Updates are
 * plain stores of one writer; in a process that uses no slot they do nothing.
 */
#ifndef METRICS_H
#define METRICS_H

#include "common/basics.h"
#include "common/buffer.h"

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

/* Handle of a defined metric; 0 is none, and updating it does nothing. */
typedef uint32_t metric_id;

/*
 * Defines one series. `name` in Prometheus form with its unit, `labels` as written between the braces or NULL; series
 * of one name must be defined one after the other, with the same help. Strings are copied. Only before metrics_map().
 */
metric_id metric_define(enum metric_kind kind, const char *name, const char *labels, const char *help);

/* Ends defining; allocates shared zeroed memory for `n_slots` blocks. The master calls it once. */
void metrics_map(size_t n_slots);
void metrics_use_slot(size_t slot); /* in the child: where this process writes */

/* In a process that runs what may crash: it updates nothing any more, and cannot reach the others' blocks. */
void metrics_unmap(void);

void metric_add(metric_id id, uint64_t value);
void metric_set(metric_id id, int64_t value);		/* gauges; slots are summed */
void metric_observe(metric_id id, int64_t duration_us); /* histograms, in seconds: 100 µs … 10 s in 1-2.5-5 steps */

/* Appends all series that were ever touched, summed over all slots, in Prometheus text format 0.0.4. */
void metrics_write(struct buffer *out);

#endif
