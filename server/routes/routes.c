#include "server/routes/routes.h"

#include "common/basics.h"

static const struct prong_route routes[] = { { PRONG_GET, "/health/live", health_live, .access = PRONG_PUBLIC,
					       .summary = "Whether this process runs; touches nothing else" },
					     { PRONG_GET, "/health/ready", health_ready, .access = PRONG_PUBLIC,
					       .summary = "Whether requests can be served now" },
					     { PRONG_GET, "/health/startup", health_startup, .access = PRONG_PUBLIC,
					       .summary = "Whether the program has started" },
					     { PRONG_GET, "/metrics", metrics_show, .access = PRONG_PUBLIC,
					       .summary = "Prometheus metrics, summed over all processes" },
					     {} };

const struct prong_module http_builtin_module = { .name = "prong_http", .routes = routes };

bool routes_is_builtin(const struct prong_route *route)
{
	return route >= routes && route < routes + ARRAY_SIZE(routes);
}
