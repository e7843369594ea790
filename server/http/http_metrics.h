/* The metrics of HTTP, OpenTelemetry's names in Prometheus form. Defined once in the master, updated by http processes.
 */
#ifndef HTTP_METRICS_H
#define HTTP_METRICS_H

#include "common/registry.h"

/* The route of a request that matched none. */
#define HTTP_NO_ROUTE SIZE_MAX

/*
 * Defines a duration histogram for every route of the registry and every status that replies usually have, and the
 * gauges. Before metrics_map(). Without it the updates below do nothing.
 */
void http_metrics_define(const struct registry *registry);

/* `route` is the index in the registry. A status without a series of its own counts as `_OTHER`. */
void http_metrics_request(size_t route, int status, int64_t duration_us);
void http_metrics_active(size_t requests);
void http_metrics_connections(size_t connections);

#endif
