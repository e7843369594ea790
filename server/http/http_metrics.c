#include "server/http/http_metrics.h"

#include <stdio.h>

#include "common/metrics.h"

static const short usual[] = { 200, 201, 202, 204, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 408, 409,
			       410, 412, 413, 414, 415, 417, 421, 422, 428, 429, 431, 500, 501, 502, 503, 504, 505 };
#define N_STATUSES (ARRAY_SIZE(usual) + 1) /* the last is _OTHER */

static unsigned char status_index[600];
static metric_id *durations; /* [(route or n_routes) * N_STATUSES + index of the status] */
static size_t n_routes;
static metric_id active, connections;

static const char *method_name(enum prong_method method)
{
	static const char *const names[] = { "_OTHER", "GET", "POST", "PUT", "PATCH", "DELETE" };

	return names[method];
}

static void define_route(size_t route, const char *path, enum prong_method method)
{
	for (size_t i = 0; i < N_STATUSES; i++) {
		char status[8] = "_OTHER";
		_cleanup_(freep) char *labels = NULL;

		if (i < ARRAY_SIZE(usual))
			snprintf(status, sizeof(status), "%d", usual[i]);
		labels = format_text("http_route=\"%s\",http_request_method=\"%s\",http_response_status_code=\"%s\"",
				     path, method_name(method), status);
		durations[route * N_STATUSES + i] =
			metric_define(METRIC_HISTOGRAM, "http_server_request_duration_seconds", labels,
				      "Time from a whole request to its reply.");
	}
}

void http_metrics_define(const struct registry *registry)
{
	n_routes = registry->n_routes;
	durations = allocate_array((n_routes + 1) * N_STATUSES, sizeof(*durations));
	memset(status_index, ARRAY_SIZE(usual), sizeof(status_index));
	for (size_t i = 0; i < ARRAY_SIZE(usual); i++)
		status_index[usual[i]] = (unsigned char)i;

	for (size_t i = 0; i < n_routes; i++)
		define_route(i, registry->routes[i]->path, registry->routes[i]->method);
	define_route(n_routes, "", 0);
	active = metric_define(METRIC_GAUGE, "http_server_active_requests", NULL, "Requests being handled.");
	connections = metric_define(METRIC_GAUGE, "http_server_open_connections", NULL, "Client connections open.");
}

void http_metrics_request(size_t route, int status, int64_t duration_us)
{
	if (!durations)
		return;
	check(status >= 0 && (size_t)status < sizeof(status_index));
	if (route > n_routes)
		route = n_routes;
	metric_observe(durations[route * N_STATUSES + status_index[status]], duration_us);
}

void http_metrics_active(size_t requests)
{
	metric_set(active, (int64_t)requests);
}

void http_metrics_connections(size_t count)
{
	metric_set(connections, (int64_t)count);
}
